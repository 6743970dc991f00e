//! What must hold before anything is fetched.

use std::collections::HashMap;

use network_policy::{Refusal, Scheme};

use crate::checksum::{Algorithm, Expected};
use crate::error::{FetchError, SignatureProblem};
use crate::extract::Packing;
#[cfg(feature = "git")]
use crate::git;
use crate::policy::{Policy, SourceRequest};
use crate::redact::redact;
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
        check_features(request, policy)?;
        check_place(request, policy).map_err(|refusal| FetchError::Refused {
            source_name: source.label(),
            refusal,
        })?;
        if !source.is_vcs() && request.checksums.is_empty() && !policy.allow_no_digest {
            return Err(FetchError::NoDigest {
                source_name: source.label(),
            });
        }
        if is_signed(request) && policy.keyring.is_none() && !policy.skip_pgp_check {
            return Err(FetchError::Signature {
                source_name: source.label(),
                problem: SignatureProblem::NoKeyring,
            });
        }
        if let Some(first) = names.insert(source.file_name(), request) {
            return Err(FetchError::DuplicateName {
                name: source.shown_name(),
                first: first.source.label(),
                second: source.label(),
            });
        }
    }
    Ok(())
}

/// Judges where a source is by what is written; names are judged when they are resolved.
fn check_place(request: &SourceRequest, policy: &Policy) -> Result<(), Refusal> {
    match request.source.location() {
        Location::Local(_) | Location::OtherVcs { .. } => Ok(()),
        Location::Http(url) => policy.network.check_url(url.url(), is_pinned(request)),
        Location::File(_) => policy.network.check(Scheme::File, None, 0, false),
        #[cfg(feature = "git")]
        Location::Git(git) => git::check_place(git.url(), git.reference(), &policy.network),
        #[cfg(not(feature = "git"))]
        Location::Git(_) => Ok(()),
    }
}

/// Refuses what this crate was built without.
fn check_features(request: &SourceRequest, policy: &Policy) -> Result<(), FetchError> {
    let missing = |what, feature| {
        Err(FetchError::NotBuiltIn {
            source_name: request.source.label(),
            what,
            feature,
        })
    };
    if cfg!(not(feature = "git")) && matches!(request.source.location(), Location::Git(_)) {
        return missing("git", "git");
    }
    if cfg!(not(feature = "signatures")) && is_signed(request) && !policy.skip_pgp_check {
        return missing("a signature verified", "signatures");
    }
    Ok(())
}

/// Whether a digest that nobody can forge says what must come.
pub(crate) fn is_pinned(request: &SourceRequest) -> bool {
    request.checksums.iter().any(|checksum| {
        !checksum.is_skip()
            && !matches!(
                checksum.algorithm,
                Algorithm::Cksum | Algorithm::Md5 | Algorithm::Sha1
            )
    })
}

/// Tells whether makepkg would verify a signature: `integrity/verify_signature.sh`, `source_has_signatures`.
pub(crate) fn is_signed(request: &SourceRequest) -> bool {
    match request.source.location() {
        Location::Git(git) => git.signed(),
        _ => signed_name(request).is_some(),
    }
}

/// What a signature's file name without its ending says it signs.
fn signed_name(request: &SourceRequest) -> Option<&str> {
    let (name, ending) = request.source.file_name().rsplit_once('.')?;
    matches!(ending, "sig" | "sign" | "asc").then_some(name)
}

/// A source that is a detached signature, and the source that it signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signed {
    /// Position of the signature.
    pub(crate) signature: usize,
    /// Position of what is signed.
    pub(crate) content: usize,
    /// What is signed is the content without this compression.
    pub(crate) packing: Packing,
}

/// The endings makepkg tries in turn: `integrity/verify_signature.sh`, `verify_file_signature`.
/// The one of lz4 is ours.
const COMPRESSED: [(&str, Option<Packing>); 9] = [
    ("", Some(Packing::None)),
    (".gz", Some(Packing::Gzip)),
    (".bz2", Some(Packing::Bzip2)),
    (".xz", Some(Packing::Xz)),
    (".lrz", None),
    (".lzo", None),
    (".Z", None),
    (".zst", Some(Packing::Zstd)),
    (".lz4", Some(Packing::Lz4)),
];

/// Finds what each detached signature signs.
///
/// # Errors
/// [`FetchError::Signature`] when it is not among the sources.
pub(crate) fn signed_files(sources: &[SourceRequest]) -> Result<Vec<Signed>, FetchError> {
    let mut signed = Vec::new();
    for (signature, request) in sources.iter().enumerate() {
        let name = match request.source.location() {
            Location::Git(_) => None,
            _ => signed_name(request),
        };
        let Some(name) = name else { continue };
        let failed = |problem| FetchError::Signature {
            source_name: request.source.label(),
            problem,
        };
        let found = COMPRESSED.iter().find_map(|(ending, packing)| {
            let content = sources.iter().position(|other| {
                !other.source.is_vcs()
                    && other.source.file_name().strip_prefix(name) == Some(ending)
            })?;
            Some((content, packing))
        });
        let Some((content, packing)) = found else {
            return Err(failed(SignatureProblem::NothingSigned {
                expected: redact(name),
            }));
        };
        let packing = packing.ok_or_else(|| {
            failed(SignatureProblem::Compression {
                name: sources[content].source.shown_name(),
            })
        })?;
        signed.push(Signed {
            signature,
            content,
            packing,
        });
    }
    Ok(signed)
}

/// Tells whether nothing but `SKIP` is declared.
pub(crate) fn is_skipped(request: &SourceRequest) -> bool {
    !request.checksums.is_empty()
        && request
            .checksums
            .iter()
            .all(|checksum| matches!(checksum.expected, Expected::Skip))
}

#[cfg(all(test, not(all(feature = "git", feature = "signatures"))))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refusal(sources: &[&str], policy: &Policy) -> Option<&'static str> {
        let request = |text: &&str| {
            SourceRequest::new(text.parse().unwrap())
                .with_checksum(crate::Checksum::parse("sha256", "SKIP").unwrap())
        };
        let sources: Vec<_> = sources.iter().map(request).collect();
        match check(&sources, policy) {
            Err(FetchError::NotBuiltIn { feature, .. }) => Some(feature),
            Ok(()) => None,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn what_was_left_out_is_refused_by_name() {
        let (git, signed) = ("git+https://example.org/a.git", ["a", "a.sig"]);
        let mut policy = Policy {
            keyring: Some("/keys".into()),
            ..Policy::default()
        };
        let without = |feature, present: bool| (!present).then_some(feature);
        assert_eq!(
            refusal(&[git], &policy),
            without("git", cfg!(feature = "git"))
        );
        assert_eq!(
            refusal(&signed, &policy),
            without("signatures", cfg!(feature = "signatures"))
        );
        policy.skip_pgp_check = true;
        assert_eq!(refusal(&signed, &policy), None);
    }
}
