//! The environment of a build: a pure function of its spec.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::SandboxError;
use crate::spec::BuildSpec;

/// Environment variables by name.
pub type Variables = BTreeMap<String, Vec<u8>>;

/// Set by the sandbox or able to change how bash and the loader work, so not for the caller.
const RESERVED: &[&str] = &[
    "BASHOPTS",
    "BASH_ENV",
    "BUILDFILE",
    "BUILDSCRIPT",
    "CARCH",
    "CDPATH",
    "CHOST",
    "COMMAND_MODE",
    "ENV",
    "GLOBIGNORE",
    "HOME",
    "IFS",
    "LOGNAME",
    "MAKEFLAGS",
    "PATH",
    "POSIXLY_CORRECT",
    "PROMPT_COMMAND",
    "PS4",
    "PWD",
    "SHELL",
    "SHELLOPTS",
    "SOURCE_DATE_EPOCH",
    "TEXTDOMAINDIR",
    "TEXTDOMAIN",
    "TMPDIR",
    "TZ",
    "USER",
    "epoch",
    "pkgbase",
    "pkgdir",
    "pkgdirbase",
    "pkgname",
    "pkgrel",
    "pkgver",
    "srcdir",
    "startdir",
];

const RESERVED_PREFIXES: &[&str] = &["BASH_FUNC_", "DYLD_", "LC_", "LD_"];

/// Bytes that all added variables may take together.
const ADDED_MAX: usize = 64 << 10;

/// Where the programs of a build keep their own files, below `homedir`.
const HOMES: &[(&str, &str)] = &[
    ("CARGO_HOME", "cargo"),
    ("CCACHE_DIR", "ccache"),
    ("GNUPGHOME", "gnupg"),
    ("GOCACHE", "go/cache"),
    ("GOMODCACHE", "go/mod"),
    ("GOPATH", "go"),
    ("GRADLE_USER_HOME", "gradle"),
    ("PIP_CACHE_DIR", "pip"),
    ("RUSTUP_HOME", "rustup"),
    ("TMPDIR", "tmp"),
    ("UV_CACHE_DIR", "uv"),
    ("XDG_CACHE_HOME", "xdg/cache"),
    ("XDG_CONFIG_HOME", "xdg/config"),
    ("XDG_DATA_HOME", "xdg/data"),
    ("XDG_STATE_HOME", "xdg/state"),
    ("npm_config_cache", "npm"),
];

/// What makepkg exports besides the compiler flags. Source: its script, "gettext initialization".
const MAKEPKG: &[(&str, &str)] = &[
    ("COMMAND_MODE", "legacy"),
    ("TEXTDOMAIN", "pacman-scripts"),
    ("TEXTDOMAINDIR", "/usr/share/locale"),
];

/// The name of makepkg's own recipe file, which its readonly `BUILDSCRIPT` holds.
const BUILDSCRIPT: &str = "PKGBUILD";

/// The name of the host, `uname -n`, in [`Isolation::Namespaces`](crate::Isolation::Namespaces).
pub const HOST_NAME: &str = "localhost";

/// The variables of bash that a recipe finds when it is sourced and that are not exported: those of
/// makepkg that a recipe may rely on.
///
/// `srcdir`, `pkgdir` and `pkgdirbase` are set here before the recipe is read, by makepkg after it.
/// With [`recipe_environment`] this is all that a recipe finds besides what bash itself sets.
pub fn recipe_variables(spec: &BuildSpec) -> Variables {
    let base = spec.pkgdir.parent().unwrap_or(&spec.pkgdir);
    [
        ("BUILDFILE", bytes(&spec.recipe)),
        ("BUILDSCRIPT", BUILDSCRIPT.as_bytes()),
        ("pkgdir", bytes(&spec.pkgdir)),
        ("pkgdirbase", bytes(base)),
        ("srcdir", bytes(&spec.srcdir)),
        ("startdir", bytes(&spec.startdir)),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_vec()))
    .into()
}

/// The environment of every function, of `evaluate` and of commands. Nothing of the calling process
/// is inherited.
///
/// As under makepkg `SOURCE_DATE_EPOCH`, `COMMAND_MODE`, `TEXTDOMAIN` and `TEXTDOMAINDIR` are
/// exported; `CPPFLAGS`, `CFLAGS`, `CXXFLAGS` and `LDFLAGS` too, even when empty. `RUSTFLAGS` and
/// `MAKEFLAGS` are unset when empty, as an empty `RUSTFLAGS` overrides what a project configures.
///
/// # Errors
/// [`SandboxError::InvalidVariable`] for an added variable that is reserved or no text.
pub fn recipe_environment(spec: &BuildSpec) -> Result<Variables, SandboxError> {
    let home = &spec.homedir;
    let mut variables = Variables::new();
    let mut set = |name: &str, value: &[u8]| {
        variables.insert(name.to_owned(), value.to_vec());
    };
    set("HOME", bytes(home));
    for (name, below) in HOMES {
        set(name, bytes(&home.join(below)));
    }
    let path: Vec<&[u8]> = spec.path.iter().map(|part| bytes(part)).collect();
    set("PATH", &path.join(&b':'));
    // C.UTF-8 sorts by bytes and still lets compilers and interpreters read UTF-8.
    set("LC_ALL", b"C.UTF-8");
    set("TZ", b"UTC");
    set("USER", b"builder");
    set("LOGNAME", b"builder");
    set("SHELL", b"/bin/bash");
    set("TERM", b"dumb");
    set("CARCH", spec.carch.as_bytes());
    set("CHOST", spec.chost.as_bytes());
    for (name, value) in [
        ("CPPFLAGS", &spec.flags.cppflags),
        ("CFLAGS", &spec.flags.cflags),
        ("CXXFLAGS", &spec.flags.cxxflags),
        ("LDFLAGS", &spec.flags.ldflags),
        ("RUSTFLAGS", &spec.flags.rustflags),
        ("MAKEFLAGS", &spec.makeflags),
    ] {
        if value.contains('\0') {
            return Err(variable(name, "contains a NUL byte"));
        }
        if !value.is_empty() || !["RUSTFLAGS", "MAKEFLAGS"].contains(&name) {
            set(name, value.as_bytes());
        }
    }
    for (name, value) in MAKEPKG {
        set(name, value.as_bytes());
    }
    if let Some(seconds) = spec.source_date_epoch {
        set("SOURCE_DATE_EPOCH", seconds.to_string().as_bytes());
    }
    let mut added = 0;
    for (name, value) in &spec.environment {
        check(name, value)?;
        added += name.len() + value.len();
        if added > ADDED_MAX {
            return Err(variable(
                name,
                "makes the added variables larger than 64 KiB together",
            ));
        }
        set(name, value.as_bytes());
    }
    Ok(variables)
}

/// The directories that [`recipe_environment`] points to, relative to `homedir`.
pub(crate) fn directories() -> impl Iterator<Item = &'static str> {
    HOMES
        .iter()
        .filter(|(name, _)| *name != "RUSTUP_HOME")
        .map(|(_, below)| *below)
}

fn check(name: &str, value: &str) -> Result<(), SandboxError> {
    let mut letters = name.bytes();
    let identifier = letters
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && letters.all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !identifier {
        return Err(variable(name, "is not a shell identifier"));
    }
    if value.contains('\0') {
        return Err(variable(name, "contains a NUL byte"));
    }
    if RESERVED.contains(&name)
        || RESERVED_PREFIXES
            .iter()
            .any(|start| name.starts_with(start))
    {
        return Err(variable(
            name,
            "is set by the sandbox or changes how programs are loaded",
        ));
    }
    Ok(())
}

fn variable(name: &str, problem: &'static str) -> SandboxError {
    SandboxError::InvalidVariable {
        name: name.chars().take(100).collect(),
        problem,
    }
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn spec() -> BuildSpec {
        BuildSpec::new("/b", "demo")
    }

    #[test]
    fn nothing_is_inherited() {
        let variables = recipe_environment(&spec()).unwrap();
        let cargo_of_the_test = std::env::var("CARGO_MANIFEST_DIR").unwrap();
        assert!(
            !variables.contains_key("CARGO_MANIFEST_DIR"),
            "{cargo_of_the_test}"
        );
        assert_eq!(variables["HOME"], b"/b/home");
        assert_eq!(variables["CARGO_HOME"], b"/b/home/cargo");
        assert_eq!(variables["TMPDIR"], b"/b/home/tmp");
        assert_eq!(variables["TZ"], b"UTC");
        assert_eq!(variables["CFLAGS"], b"");
        assert!(!variables.contains_key("RUSTFLAGS"));
    }

    #[test]
    fn added_variables_are_checked() {
        for (name, value, allowed) in [
            ("FOO", "bar", true),
            ("_x1", "a\nb", true),
            ("RUSTUP_HOME", "/opt/rustup", true),
            ("1x", "", false),
            ("a-b", "", false),
            ("", "", false),
            ("A=B", "", false),
            ("FOO", "a\0b", false),
            ("LD_PRELOAD", "x", false),
            ("BASH_ENV", "x", false),
            ("BASH_FUNC_ls%%", "x", false),
            ("LC_ALL", "x", false),
            ("HOME", "x", false),
            ("srcdir", "x", false),
            ("IFS", "x", false),
        ] {
            let mut spec = spec();
            spec.environment.insert(name.to_owned(), value.to_owned());
            assert_eq!(recipe_environment(&spec).is_ok(), allowed, "{name}");
        }
    }

    #[test]
    fn a_refused_variable_does_not_show_its_value() {
        let mut spec = spec();
        spec.environment
            .insert("LD_PRELOAD".to_owned(), "secret".to_owned());
        assert!(
            !recipe_environment(&spec)
                .unwrap_err()
                .to_string()
                .contains("secret")
        );
    }
}
