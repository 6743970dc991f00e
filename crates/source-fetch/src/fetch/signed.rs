//! Signatures of the sources, once all of them are there and before any reaches `srcdir`.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;

use super::{Context, Done};
use crate::blocking;
use crate::error::{FetchError, SignatureProblem};
use crate::extract;
#[cfg(feature = "git")]
use crate::git::SignedObject;
use crate::plan::{self, Signed};
use crate::policy::{Policy, SourceRequest};
use crate::progress::{Event, SourceId};
use crate::signature::{self, Keyring, Keys, MAX_SIGNATURE_BYTES, Refusal};
use crate::signer::Signer;

/// What there is to verify in one fetch.
#[derive(Debug, Default)]
pub(super) struct Signatures {
    files: Vec<Signed>,
    /// Nothing when no source is signed, or none is to be verified.
    keyring: Option<Arc<Keyring>>,
}

impl Signatures {
    /// Reads the keyring when a source is signed.
    ///
    /// # Errors
    /// [`FetchError::Signature`] for a signature of something that is no source,
    /// [`FetchError::Keyring`].
    pub(super) async fn plan(
        sources: &[SourceRequest],
        policy: &Policy,
        token: &tokio_util::sync::CancellationToken,
    ) -> Result<Self, FetchError> {
        if policy.skip_pgp_check || !sources.iter().any(plan::is_signed) {
            return Ok(Self::default());
        }
        let files = plan::signed_files(sources)?;
        let Some(path) = policy.keyring.clone() else {
            return Ok(Self::default());
        };
        let keys = Keys {
            valid: policy.valid_pgp_keys.clone(),
            accepted: policy.accepted_keys.clone(),
        };
        let keyring = blocking::run(token, move || Keyring::read(&path, &keys)).await?;
        Ok(Self {
            files,
            keyring: Some(Arc::new(keyring)),
        })
    }

    pub(super) fn keyring(&self) -> Option<&Arc<Keyring>> {
        self.keyring.as_ref()
    }

    /// Whether the source at `index` waits for a signature, or is one.
    pub(super) fn concern(&self, index: usize) -> bool {
        self.files
            .iter()
            .any(|signed| signed.signature == index || signed.content == index)
    }
}

/// Verifies every detached signature; `done` is in the order of the recipe.
///
/// # Errors
/// [`FetchError::Signature`] for the first that is not good.
pub(super) async fn verify_files(
    context: &Context<'_>,
    sources: &[SourceRequest],
    done: &mut [Done],
) -> Result<(), FetchError> {
    let Some(keyring) = context.signatures.keyring() else {
        return Ok(());
    };
    for signed in &context.signatures.files {
        let (keyring, token) = (Arc::clone(keyring), context.token.clone());
        let (staging, limits) = (Arc::clone(&context.staging), context.policy.extract.clone());
        let (label, name) = (
            sources[signed.signature].source.label(),
            sources[signed.content].source.shown_name(),
        );
        let files = *signed;
        let signer = blocking::run(context.token, move || {
            let signature = read_signature(&staging.file(files.signature))?;
            let path = staging.file(files.content);
            let open = || extract::unpacked(File::open(&path)?, files.packing, &limits, &token);
            signature::verify(&keyring, &signature, &open, &token)
                .map_err(|refusal| refused(refusal, label, &name))
        })
        .await?;
        context.reporter.report(Event::SignatureVerified {
            source: id_of(&done[signed.content]),
            signed_by: signer.clone(),
        });
        // A signature that is good vouches for its own file too.
        for index in [signed.signature, signed.content] {
            done[index].fetched.verification.signed_by = Some(signer.clone());
        }
    }
    for one in done.iter().filter(|_| !context.hold) {
        if context.signatures.concern(one.index) {
            context
                .reporter
                .report(Event::Finished { source: id_of(one) });
        }
    }
    Ok(())
}

/// Verifies the signature of a commit or tag.
///
/// # Errors
/// [`FetchError::Signature`].
#[cfg(feature = "git")]
pub(super) async fn verify_object(
    context: &Context<'_>,
    id: &SourceId,
    label: String,
    object: &SignedObject,
) -> Result<Option<Signer>, FetchError> {
    let Some(keyring) = context.signatures.keyring().map(Arc::clone) else {
        return Ok(None);
    };
    let (object, token) = (object.clone(), context.token.clone());
    let signer = blocking::run(context.token, move || {
        let open =
            || -> io::Result<Box<dyn Read + '_>> { Ok(Box::new(Cursor::new(&object.payload[..]))) };
        let name = format!("{} {}", object.kind, object.id);
        signature::verify(&keyring, &object.signature, &open, &token)
            .map_err(|refusal| refused(refusal, label, &name))
    })
    .await?;
    context.reporter.report(Event::SignatureVerified {
        source: id.clone(),
        signed_by: signer.clone(),
    });
    Ok(Some(signer))
}

fn id_of(done: &Done) -> SourceId {
    SourceId {
        index: done.index,
        name: done.fetched.source.shown_name().into(),
    }
}

/// At most one byte more than allowed, which is then refused for its size.
fn read_signature(path: &Path) -> Result<Vec<u8>, FetchError> {
    let mut data = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_SIGNATURE_BYTES + 1).read_to_end(&mut data))
        .map_err(FetchError::io("read", path))?;
    Ok(data)
}

fn refused(refusal: Refusal, source_name: String, content: &str) -> FetchError {
    let problem = match refusal {
        Refusal::Cancelled => return FetchError::Cancelled,
        Refusal::Problem(problem) => problem,
        Refusal::Content(problem) => SignatureProblem::Content {
            name: content.to_owned(),
            problem,
        },
    };
    FetchError::Signature {
        source_name,
        problem,
    }
}
