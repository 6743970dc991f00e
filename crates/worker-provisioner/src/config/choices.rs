//! What can be chosen between.

/// Which of a worker's recipes to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum FlavorPreference {
    /// The prebuilt binary when the catalog offers one, else the source.
    #[default]
    Any,
    /// Only the prebuilt binary.
    Binary,
    /// Only a build from source.
    Source,
}

/// What to do when the recipe's `check()` fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CheckPolicy {
    /// The provision fails.
    #[default]
    Run,
    /// The provision goes on with a warning.
    Warn,
    /// `check()` is not run.
    Skip,
}

/// How what the catalog says, and what its recipes fetch, must have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TransportPolicy {
    /// In any way; the receipt tells whether it was over TLS.
    #[default]
    Any,
    /// Over TLS, now or when it was put into the cache.
    Tls,
}

/// What to do with the signatures a recipe brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SignaturePolicy {
    /// Each must be good.
    #[default]
    Verify,
    /// None is verified, as with makepkg's `--skippgpcheck`; each is told as a warning.
    Skip,
}

/// What a program must be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ProgramNamePolicy {
    /// Any name that no other program of the host has.
    #[default]
    Any,
    /// The worker's id, with its backend or without.
    Worker,
}

/// Whether a good signature counts that has expired, or whose key has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ExpiredSignatures {
    /// It is no [`Verification::Signature`](crate::Verification::Signature); the receipt records it as expired.
    #[default]
    Refuse,
    /// It counts for [`Config::minimum_verification`](crate::Config::minimum_verification); the receipt records it as expired all the
    /// same.
    Accept,
}

/// What to do about a recipe some of whose values only a shell can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum EvaluationPolicy {
    /// It is refused; nothing of a recipe runs before its sources are verified.
    Static,
    /// It is sourced in the sandbox, without network and with nothing writable, where the host
    /// allows at least the tier `landlock`; elsewhere it is refused.
    #[default]
    Isolated,
    /// It is sourced in whatever tier the host allows, which may keep nothing from being read.
    AnyTier,
}

/// What to do when the host lacks what a recipe depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DependencyPolicy {
    /// The provision fails before anything is downloaded.
    #[default]
    Require,
    /// The provision goes on with a warning.
    Warn,
    /// Nothing is looked for.
    Ignore,
}

/// What to do when a recipe's sources or program are for another backend than the one asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum BackendPolicy {
    /// The worker is refused.
    #[default]
    Require,
    /// The provision goes on with a warning.
    Warn,
}
