use std::fmt;

/// One step of a build, in the order in which makepkg runs them.
///
/// Source: PKGBUILD(5), "packaging functions".
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// `verify()`: judges the sources before they are unpacked. It runs in `startdir`, where they
    /// lie, and never has a network. Skipped if absent. Source: PKGBUILD(5) of pacman 6.1.
    Verify,
    /// `prepare()`: patches and configures the sources. Skipped if absent.
    Prepare,
    /// `pkgver()`: prints the version. Skipped if absent.
    Pkgver,
    /// `build()`: compiles. Skipped if absent.
    Build,
    /// `check()`: tests what was built. Skipped if absent.
    Check,
    /// `package_<name>()`, or `package()` if the recipe has no function of that name.
    Package(String),
}

impl Phase {
    /// The plain name of the function: `package` for every [`Phase::Package`].
    pub fn function(&self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Prepare => "prepare",
            Self::Pkgver => "pkgver",
            Self::Build => "build",
            Self::Check => "check",
            Self::Package(_) => "package",
        }
    }

    /// Whether a recipe may leave the function out.
    pub fn is_optional(&self) -> bool {
        !matches!(self, Self::Package(_))
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Package(name) => write!(f, "package({name})"),
            other => f.write_str(other.function()),
        }
    }
}
