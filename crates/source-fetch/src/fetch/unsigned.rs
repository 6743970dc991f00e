//! In the place of signatures, where this crate is built without them: what is signed was refused, or
//! is not to be verified.

use tokio_util::sync::CancellationToken;

use super::{Context, Done};
use crate::error::FetchError;
#[cfg(feature = "git")]
use crate::git::SignedObject;
use crate::policy::{Policy, SourceRequest};
#[cfg(feature = "git")]
use crate::progress::SourceId;
#[cfg(feature = "git")]
use crate::signer::Signer;

/// What there is to verify in one fetch: nothing.
#[derive(Debug, Default)]
pub(super) struct Signatures;

#[allow(
    clippy::unused_async,
    clippy::unnecessary_wraps,
    reason = "the shape of the functions that verify"
)]
impl Signatures {
    pub(super) async fn plan(
        _: &[SourceRequest],
        _: &Policy,
        _: &CancellationToken,
    ) -> Result<Self, FetchError> {
        Ok(Self)
    }

    #[allow(clippy::unused_self, reason = "the shape of the function that knows")]
    pub(super) fn concern(&self, _: usize) -> bool {
        false
    }
}

#[allow(
    clippy::unused_async,
    clippy::unnecessary_wraps,
    reason = "the shape of the function that verifies"
)]
pub(super) async fn verify_files(
    _: &Context<'_>,
    _: &[SourceRequest],
    _: &mut [Done],
) -> Result<(), FetchError> {
    Ok(())
}

#[cfg(feature = "git")]
#[allow(
    clippy::unused_async,
    clippy::unnecessary_wraps,
    reason = "the shape of the function that verifies"
)]
pub(super) async fn verify_object(
    _: &Context<'_>,
    _: &SourceId,
    _: String,
    _: &SignedObject,
) -> Result<Option<Signer>, FetchError> {
    Ok(None)
}
