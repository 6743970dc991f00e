//! What must hold before anything is fetched.

use std::collections::HashMap;

use crate::checksum::Expected;
use crate::error::{FetchError, SignatureProblem};
use crate::policy::{Policy, SourceRequest};
use crate::source::Location;

/// Checks a list of sources without touching disk or network.
///
/// # Errors
/// [`FetchError::UnsupportedVcs`], [`FetchError::NoDigest`], [`FetchError::Signature`],
/// [`FetchError::DuplicateName`].
pub(crate) fn check(sources: &[SourceRequest], policy: &Policy) -> Result<(), FetchError> {
    let mut names: HashMap<&str, &SourceRequest> = HashMap::new();
    for request in sources {
        let source = &request.source;
        if let Location::OtherVcs { vcs, .. } = source.location() {
            return Err(FetchError::UnsupportedVcs {
                source_name: source.label(),
                vcs,
            });
        }
        if !source.is_vcs() && request.checksums.is_empty() && !policy.allow_no_digest {
            return Err(FetchError::NoDigest {
                source_name: source.label(),
            });
        }
        if is_signed(request) {
            let problem = match policy.keyring {
                Some(_) => SignatureProblem::Unsupported,
                None => SignatureProblem::NoKeyring,
            };
            return Err(FetchError::Signature {
                source_name: source.label(),
                problem,
            });
        }
        if let Some(first) = names.insert(source.file_name(), request) {
            return Err(FetchError::DuplicateName {
                name: source.file_name().to_owned(),
                first: first.source.label(),
                second: source.label(),
            });
        }
    }
    Ok(())
}

/// Tells whether makepkg would verify a signature: `integrity/verify_signature.sh`, `source_has_signatures`.
fn is_signed(request: &SourceRequest) -> bool {
    match request.source.location() {
        Location::Git(git) => git.signed(),
        _ => request
            .source
            .file_name()
            .rsplit_once('.')
            .is_some_and(|(_, ending)| matches!(ending, "sig" | "sign" | "asc")),
    }
}

/// Tells whether nothing but `SKIP` is declared.
pub(crate) fn is_skipped(request: &SourceRequest) -> bool {
    !request.checksums.is_empty()
        && request
            .checksums
            .iter()
            .all(|checksum| matches!(checksum.expected, Expected::Skip))
}
