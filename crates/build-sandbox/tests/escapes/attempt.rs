//! What an attempt is, and what a tier promises about it.

use build_sandbox::Isolation;

/// Name with the reason why it is refused, the weakest tier that refuses it, and a line of shell
/// that ends with status 0 only if the attempt worked.
///
/// The shell sees `$OUT`, a directory of the host below `/tmp` that everybody may write; `$OPEN`,
/// the same elsewhere; `$HOST`, the process id of a program of the same user outside the sandbox;
/// and `$PPID`, the supervisor, or without a sandbox some process of the same user.
pub(crate) type Attempt = (&'static str, Weakest, &'static str);

/// The weakest tier that refuses an attempt; all stronger ones do too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weakest {
    Group,
    /// `group`, if the kernel can keep signals and tracing inside a Landlock domain (Linux 6.12).
    Scoped,
    Landlock,
    Namespaces,
}

impl Weakest {
    pub(crate) fn refused_in(self, tier: Isolation, landlock_abi: u32) -> bool {
        match self {
            Self::Group => true,
            Self::Scoped => tier == Isolation::Namespaces || landlock_abi >= 6,
            Self::Landlock => tier >= Isolation::Landlock,
            Self::Namespaces => tier >= Isolation::Namespaces,
        }
    }
}
