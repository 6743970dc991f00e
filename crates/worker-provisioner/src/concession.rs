//! What a worker was built under that a stricter configuration would not have allowed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::config::{BackendPolicy, CheckPolicy, Config, SignaturePolicy};
use crate::package::EvaluatedPackage;

/// Something that the configuration let pass, or would have, when a worker was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Concession {
    /// `prepare()` or `build()` could use the network.
    BuildNetwork,
    /// `check()` was not run, or might have failed.
    CheckOptional,
    /// The program did not have to run before it was installed.
    Untried,
    /// Sources and program might have been for another backend.
    BackendUnchecked,
    /// No signature was verified.
    SignaturesSkipped,
}

impl Concession {
    /// Whether `config` makes it, to a recipe for which it matters.
    pub(crate) fn is_made_by(self, config: &Config) -> bool {
        match self {
            Self::BuildNetwork => config.build_network,
            Self::CheckOptional => config.check != CheckPolicy::Run,
            Self::Untried => !config.trial,
            Self::BackendUnchecked => config.backend_check != BackendPolicy::Require,
            Self::SignaturesSkipped => config.signatures == SignaturePolicy::Skip,
        }
    }

    /// Whether it makes a difference to a recipe.
    fn matters_to(self, package: &EvaluatedPackage) -> bool {
        let has = |name| package.package.has_function(name);
        match self {
            Self::BuildNetwork => has("prepare") || has("build"),
            Self::CheckOptional => has("check"),
            Self::Untried | Self::BackendUnchecked | Self::SignaturesSkipped => true,
        }
    }
}

const ALL: [Concession; 5] = [
    Concession::BuildNetwork,
    Concession::CheckOptional,
    Concession::Untried,
    Concession::BackendUnchecked,
    Concession::SignaturesSkipped,
];

/// What `config` concedes to a recipe, whose program is still to be tried.
pub(crate) fn made(config: &Config, package: &EvaluatedPackage) -> BTreeSet<Concession> {
    let made = ALL.into_iter();
    made.filter(|one| one.is_made_by(config) && one.matters_to(package))
        .chain([Concession::Untried])
        .collect()
}

/// Whether `config` would make them all too, but for a trial, which can be made at any time. A receipt that does not record any is of a version
/// whose defaults gave builds the network.
pub(crate) fn are_made_by(config: &Config, recorded: Option<&BTreeSet<Concession>>) -> bool {
    match recorded {
        Some(recorded) => recorded
            .iter()
            .all(|one| *one == Concession::Untried || one.is_made_by(config)),
        None => Concession::BuildNetwork.is_made_by(config),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_conceded_must_be_conceded_still() {
        let lax = {
            let mut config = Config::new("/x");
            config.check = CheckPolicy::Warn;
            config.trial = false;
            config.backend_check = BackendPolicy::Warn;
            config.signatures = SignaturePolicy::Skip;
            config
        };
        let strict = Config::new("/x").unattended();
        for one in ALL {
            let recorded = BTreeSet::from([one]);
            assert!(are_made_by(&lax, Some(&recorded)), "{one:?}");
            let is_made_good = one == Concession::Untried;
            assert_eq!(
                are_made_by(&strict, Some(&recorded)),
                is_made_good,
                "{one:?}"
            );
        }
        assert!(are_made_by(&strict, Some(&BTreeSet::new())));
        assert!(!are_made_by(&strict, None));
        assert!(are_made_by(&Config::new("/x"), None));
    }
}
