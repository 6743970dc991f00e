//! The isolation tiers and what the host offers of them.

use std::fmt;

/// How strongly a build is kept apart from the host. Ordered: a later tier protects more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isolation {
    /// Own session, own process group and a supervisor that adopts every orphan; on Linux also
    /// seccomp. No file is hidden.
    Group,
    /// Landlock for files, TCP and signals, and seccomp.
    Landlock,
    /// User, PID, mount, network, IPC and UTS namespaces, with Landlock and seccomp behind them.
    Namespaces,
}

impl Isolation {
    /// All tiers, strongest first.
    pub const ALL: [Self; 3] = [Self::Namespaces, Self::Landlock, Self::Group];

    /// The lower-case name used in configuration and output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Landlock => "landlock",
            Self::Namespaces => "namespaces",
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which tier a build asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IsolationChoice {
    /// The strongest that the host allows, but no less than the stated minimum.
    #[default]
    Auto,
    /// This tier and no other.
    Exactly(Isolation),
}

/// How sure it is that no process of a build is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kill {
    /// Every process that was found got SIGKILL, but one may have hidden.
    BestEffort,
    /// The kernel reported that no descendant is left.
    Proven,
}

/// Whether a tier works here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TierStatus {
    /// It was tried and worked.
    Works,
    /// It was tried, or ruled out, for this reason.
    Unavailable {
        /// Lower case, no final stop: what failed and with which error.
        reason: String,
    },
}

impl TierStatus {
    /// Whether the tier can be used.
    pub fn works(&self) -> bool {
        matches!(self, Self::Works)
    }
}

/// What a host offers, found by trying it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Each tier and whether it works, strongest first. [`Isolation::Group`] always works.
    pub tiers: Vec<(Isolation, TierStatus)>,
    /// The Landlock version of the kernel, 0 if it has none.
    pub landlock_abi: u32,
    /// Whether the kernel filters system calls. Without it [`Isolation::Group`] refuses none, and
    /// each run says so in a warning.
    pub seccomp: bool,
}

impl Capabilities {
    /// The status of one tier.
    pub fn status(&self, tier: Isolation) -> &TierStatus {
        self.tiers
            .iter()
            .find(|(name, _)| *name == tier)
            .map_or(&TierStatus::Works, |(_, status)| status)
    }

    /// Why there is no tier as strong as `required`, tier by tier; empty when each works.
    pub fn missing(&self, required: Isolation) -> String {
        let stronger = self.tiers.iter().filter(|(tier, _)| *tier >= required);
        let reasons: Vec<String> = stronger
            .filter_map(|(tier, status)| match status {
                TierStatus::Works => None,
                TierStatus::Unavailable { reason } => {
                    Some(format!("`{tier}` is unavailable: {reason}"))
                }
            })
            .collect();
        reasons.join("; ")
    }

    /// The strongest tier that works.
    pub fn strongest(&self) -> Isolation {
        self.tiers
            .iter()
            .find(|(_, status)| status.works())
            .map_or(Isolation::Group, |(name, _)| *name)
    }
}
