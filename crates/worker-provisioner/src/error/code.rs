//! Errors by name, for programs that read them.

use super::ProvisionError;

impl ProvisionError {
    /// The error's name, which stays the same whatever its message says.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Access(..) => "access",
            Self::Catalog { .. } => "catalog",
            Self::UnknownWorker { .. } => "unknown-worker",
            Self::Unsupported { .. } => "unsupported",
            Self::BackendConflict { .. } => "backend-conflict",
            Self::VariableOfOtherBackend { .. } => "variable-of-other-backend",
            Self::WrongBackend { .. } => "wrong-backend",
            Self::UnknownHost { .. } => "unknown-host",
            Self::Syntax { .. } => "syntax",
            Self::Evaluate { .. } => "evaluate",
            Self::NeedsShell { .. } => "needs-shell",
            Self::EvaluationsDisagree { .. } => "evaluations-disagree",
            Self::MissingDependencies { .. } => "missing-dependencies",
            Self::InvalidRecipe { .. } => "invalid-recipe",
            Self::RecipeArchitecture { .. } => "recipe-architecture",
            Self::MissingFunction { .. } => "missing-function",
            Self::Source { .. } => "source",
            Self::Fetch { .. } => "fetch",
            Self::Build { .. } => "build",
            Self::BinaryNotFound { .. } => "binary-not-found",
            Self::PackagesCollide { .. } => "packages-collide",
            Self::UnusableBinary { .. } => "unusable-binary",
            Self::NoBinDir => "no-bin-dir",
            Self::NoDirectory { .. } => "no-directory",
            Self::UnsafeDirectory { .. } => "unsafe-directory",
            Self::Downgrade { .. } => "downgrade",
            Self::InvalidProgramName { .. } => "invalid-program-name",
            Self::NotNamedAfterWorker { .. } => "not-named-after-worker",
            Self::ShadowsProgram { .. } => "shadows-program",
            Self::TargetNotAFile { .. } => "target-not-a-file",
            Self::ForeignFile { .. } => "foreign-file",
            Self::OtherWorkersProgram { .. } => "other-workers-program",
            Self::BelowPolicy { .. } => "below-policy",
            Self::IsolationBelowPolicy { .. } => "isolation-below-policy",
            Self::CatalogWithoutTls { .. } => "catalog-without-tls",
            Self::Trial { .. } => "trial",
            Self::NotInstalled { .. } => "not-installed",
            Self::InUse { .. } => "in-use",
            Self::NotRelocatable { .. } => "not-relocatable",
            Self::StoreDamaged { .. } => "store-damaged",
            Self::NoPreviousVersion { .. } => "no-previous-version",
            Self::InvalidArtifactId { .. } => "invalid-artifact-id",
            Self::AlreadyInCatalog { .. } => "already-in-catalog",
            Self::NotInCatalog { .. } => "not-in-catalog",
            Self::MalformedMetadata { .. } => "malformed-metadata",
            Self::Io { .. } => "io",
            Self::Lost { .. } => "lost",
        }
    }
}
