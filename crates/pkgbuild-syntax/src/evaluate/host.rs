//! Variables that exist before the recipe is read.

use super::dynamic::{DynamicKind, Field};
use super::environment::Environment;

/// What a name holds before the recipe assigns it.
pub(crate) enum Inherited {
    Text {
        value: String,
        exported: bool,
        readonly: bool,
    },
    Unknown {
        kind: DynamicKind,
        readonly: bool,
    },
}

/// Set by bash or makepkg to the same value in every version and on every host, and whether exported.
const FIXED: &[(&str, &str, bool)] = &[
    ("BUILDSCRIPT", "PKGBUILD", false),
    ("COMMAND_MODE", "legacy", true),
    ("IFS", " \t\n", false),
    ("OPTERR", "1", false),
    ("OPTIND", "1", false),
    ("PS4", "+ ", false),
    ("TEXTDOMAIN", "pacman-scripts", true),
];

/// Set by bash, the login, makepkg or `makepkg.conf` to what host, version or moment decide.
const HOST: &[&str] = &[
    "ALL_OFF",
    "ARGLIST",
    "ASDEPS",
    "BASH",
    "BASHOPTS",
    "BASHPID",
    "BASH_ARGC",
    "BASH_ARGV",
    "BASH_ARGV0",
    "BASH_COMMAND",
    "BASH_LINENO",
    "BASH_SOURCE",
    "BASH_SUBSHELL",
    "BASH_VERSINFO",
    "BASH_VERSION",
    "BLUE",
    "BOLD",
    "BUILDDIR",
    "BUILDENV",
    "BUILDFILE",
    "BUILDFUNC",
    "BUILDPKG",
    "CARCH",
    "CC",
    "CFLAGS",
    "CHECKFUNC",
    "CHOST",
    "CLEANBUILD",
    "CLEANUP",
    "COLUMNS",
    "COMPRESSBZ2",
    "COMPRESSGZ",
    "COMPRESSLRZ",
    "COMPRESSLZ",
    "COMPRESSLZ4",
    "COMPRESSLZO",
    "COMPRESSXZ",
    "COMPRESSZ",
    "COMPRESSZST",
    "CPPFLAGS",
    "CXX",
    "CXXFLAGS",
    "DBGSRCDIR",
    "DEBUG_CFLAGS",
    "DEBUG_CXXFLAGS",
    "DEBUG_RUSTFLAGS",
    "DEP_BIN",
    "DIRSTACK",
    "DISPLAY",
    "DISTCC_HOSTS",
    "DLAGENTS",
    "DOC_DIRS",
    "EDITOR",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "E_ALREADY_BUILT",
    "E_CONFIG_ERROR",
    "E_FAIL",
    "E_FS_PERMISSIONS",
    "E_INSTALL_DEPS_FAILED",
    "E_INSTALL_FAILED",
    "E_INVALID_OPTION",
    "E_MISSING_FILE",
    "E_MISSING_MAKEPKG_DEPS",
    "E_MISSING_PKGDIR",
    "E_OK",
    "E_PACKAGE_FAILED",
    "E_PKGBUILD_ERROR",
    "E_PRETTY_BAD_PRIVACY",
    "E_REMOVE_DEPS_FAILED",
    "E_ROOT",
    "E_USER_FUNCTION_FAILED",
    "FFLAGS",
    "FORCE",
    "FUNCNAME",
    "GENINTEG",
    "GOFLAGS",
    "GOPATH",
    "GPGKEY",
    "GREEN",
    "GROUPS",
    "HISTCMD",
    "HOLDVER",
    "HOME",
    "HOSTNAME",
    "HOSTTYPE",
    "IGNOREARCH",
    "INFAKEROOT",
    "INSTALL",
    "INTEGRITY_CHECK",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_COLLATE",
    "LC_CTYPE",
    "LC_MESSAGES",
    "LC_NUMERIC",
    "LC_TIME",
    "LDFLAGS",
    "LIBRARY",
    "LINENO",
    "LINES",
    "LOGDEST",
    "LOGGING",
    "LOGNAME",
    "LTOFLAGS",
    "MACHTYPE",
    "MAIL",
    "MAKEFLAGS",
    "MAKEPKG_CONF",
    "MAN_DIRS",
    "NEEDED",
    "NINJAFLAGS",
    "NOARCHIVE",
    "NOBUILD",
    "NODEPS",
    "NOEXTRACT",
    "NPROC",
    "OLDPWD",
    "OPTIONS",
    "OSTYPE",
    "PACKAGER",
    "PACMAN",
    "PACMAN_AUTH",
    "PACMAN_OPTS",
    "PACMAN_PATH",
    "PATH",
    "PIPESTATUS",
    "PKGDEST",
    "PKGEXT",
    "PKGFUNC",
    "PKGVERFUNC",
    "PPID",
    "PREPAREFUNC",
    "PRINTSRCINFO",
    "PURGE_TARGETS",
    "PWD",
    "PYTHONHASHSEED",
    "RANDOM",
    "RED",
    "REPKG",
    "REPRODUCIBLE",
    "RMDEPS",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
    "SECONDS",
    "SHELL",
    "SHELLOPTS",
    "SHLVL",
    "SIGNPKG",
    "SKIPCHECKSUMS",
    "SKIPPGPCHECK",
    "SOURCEONLY",
    "SOURCE_DATE_EPOCH",
    "SPLITPKG",
    "SRANDOM",
    "SRCDEST",
    "SRCEXT",
    "SRCPKGDEST",
    "STRIP_BINARIES",
    "STRIP_SHARED",
    "STRIP_STATIC",
    "TERM",
    "TEXTDOMAINDIR",
    "TMPDIR",
    "TZ",
    "UID",
    "USER",
    "VCSCLIENTS",
    "VERIFYSOURCE",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_PACMAN_DIR",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
    "YELLOW",
    "_",
    "build_options",
    "buildenv_functions",
    "confdir",
    "executable_functions",
    "extra_environment",
    "func",
    "known_hash_algos",
    "lib",
    "lint_config_functions",
    "lint_package_functions",
    "lint_pkgbuild_functions",
    "makepkg_version",
    "packaging_options",
    "pkgbuild_schema_arch_arrays",
    "pkgbuild_schema_arrays",
    "pkgbuild_schema_package_overrides",
    "pkgbuild_schema_strings",
    "shellopts",
    "signal",
    "splitpkg_overrides",
    "startdir",
    "tidy_modify",
    "tidy_remove",
    "using_ccache",
];

/// What names of variables begin with that makepkg or one version or another of bash sets.
const PREFIXES: &[&str] = &["BASH_", "COMP_", "LIBMAKEPKG_"];

/// bash or makepkg has made these readonly.
const READONLY: &[&str] = &[
    "BASHOPTS",
    "BASH_VERSINFO",
    "BUILDSCRIPT",
    "EUID",
    "PPID",
    "SHELLOPTS",
    "UID",
    "build_options",
    "buildenv_functions",
    "confdir",
    "executable_functions",
    "known_hash_algos",
    "lint_config_functions",
    "lint_package_functions",
    "lint_pkgbuild_functions",
    "makepkg_version",
    "packaging_options",
    "pkgbuild_schema_arch_arrays",
    "pkgbuild_schema_arrays",
    "pkgbuild_schema_package_overrides",
    "pkgbuild_schema_strings",
    "startdir",
    "tidy_modify",
    "tidy_remove",
];

/// bash gives these a new value at each use, so that assigning them proves nothing.
pub(crate) fn is_volatile(name: &str) -> bool {
    matches!(
        name,
        "RANDOM"
            | "SRANDOM"
            | "SECONDS"
            | "EPOCHSECONDS"
            | "EPOCHREALTIME"
            | "LINENO"
            | "BASHPID"
            | "BASH_COMMAND"
            | "BASH_SUBSHELL"
            | "BASH_ARGV0"
            | "HISTCMD"
            | "_"
            | "DIRSTACK"
            | "GROUPS"
            | "FUNCNAME"
            | "BASH_SOURCE"
            | "BASH_LINENO"
    )
}

/// Looks a name up among the variables that exist before the recipe is read.
pub(crate) fn inherited(name: &str, environment: &Environment) -> Option<Inherited> {
    let readonly = READONLY.binary_search(&name).is_ok();
    let unknown = || Inherited::Unknown {
        kind: DynamicKind::Host(name.to_owned()),
        readonly,
    };
    if environment.facts.unknown.contains(name) {
        return Some(unknown());
    }
    if let Some(value) = environment.variable(name) {
        return Some(Inherited::Text {
            value: value.to_owned(),
            exported: true,
            readonly,
        });
    }
    if matches!(name, "PWD" | "startdir")
        && let Some(directory) = &environment.facts.directory
    {
        let exported = name == "PWD";
        return Some(Inherited::Text {
            value: directory.clone(),
            exported,
            readonly,
        });
    }
    if let Some((_, value, exported)) = FIXED.iter().find(|(fixed, ..)| *fixed == name) {
        return Some(Inherited::Text {
            value: (*value).to_owned(),
            exported: *exported,
            readonly,
        });
    }
    // `BASH_REMATCH` is set by `[[ =~ ]]` alone, which is followed.
    let host = HOST.binary_search(&name).is_ok()
        || (name != "BASH_REMATCH" && PREFIXES.iter().any(|prefix| name.starts_with(prefix)));
    host.then(unknown)
}

/// Whether a name exists before the recipe is read, for `${!prefix*}`.
pub(crate) fn inherited_names<'a>(
    prefix: &'a str,
    environment: &'a Environment,
) -> (Vec<String>, Field) {
    let fixed = FIXED.iter().map(|(name, ..)| *name);
    let given = environment.facts.variables.keys().map(String::as_str);
    let names = fixed
        .chain(given)
        .filter(|name| name.starts_with(prefix))
        .map(str::to_owned);
    // Which of the host's variables are set is not known either.
    let certain = HOST
        .iter()
        .chain(PREFIXES)
        .all(|name| !name.starts_with(prefix))
        && !PREFIXES.iter().any(|name| prefix.starts_with(name))
        && !environment
            .facts
            .unknown
            .iter()
            .any(|name| name.starts_with(prefix));
    (
        names.collect(),
        if certain {
            Ok(String::new())
        } else {
            Ok(prefix.to_owned())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        assert!(HOST.is_sorted());
        assert!(READONLY.is_sorted());
    }
}
