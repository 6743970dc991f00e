//! What an evaluation may know about its surroundings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The facts about host and caller that a recipe can see. The evaluator reads nothing else.
///
/// The default is hermetic: `CARCH=x86_64`, `CHOST=x86_64-pc-linux-gnu`, `LC_ALL=C.UTF-8`,
/// `SOURCE_DATE_EPOCH=1700000000` as the only clock, no file beside the recipe, no optional command
/// installed. What a host decides (`HOME`, `PWD`, `CFLAGS`, the processor count, …) is dynamic until
/// a setter gives it; a variable that neither makepkg nor a host sets is unset.
///
/// Cloning is cheap, so keep one and pass it to every evaluation.
///
/// ```
/// use pkgbuild_syntax::Environment;
///
/// let environment = Environment::default()
///     .with_carch("aarch64")
///     .with_variable("HOME", "/home/builder")
///     .with_command("clang")
///     .with_nproc(4);
/// assert_eq!(environment.variable("CARCH"), Some("aarch64"));
/// ```
#[derive(Debug, Clone)]
pub struct Environment {
    pub(crate) facts: Arc<Facts>,
}

#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) commands: Arc<BTreeSet<String>>,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) missing: BTreeSet<String>,
    pub(crate) unknown: BTreeSet<String>,
    pub(crate) directory: Option<String>,
    pub(crate) uname: Option<Uname>,
    pub(crate) nproc: Option<u32>,
    pub(crate) epoch: Option<i64>,
    /// A shell has read the recipe to its end.
    pub(crate) read_to_end: bool,
    pub(crate) budget: Budget,
}

/// What `uname` prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uname {
    /// `uname -s`, for example `Linux`.
    pub system: String,
    /// `uname -n`, the host name; `None` makes it dynamic, as where it depends on how a recipe is
    /// isolated when it runs.
    pub node: Option<String>,
    /// `uname -r`, the kernel release.
    pub release: String,
    /// `uname -v`, the kernel version.
    pub version: String,
    /// `uname -m`, for example `x86_64`.
    pub machine: String,
    /// `uname -o`, for example `GNU/Linux`.
    pub operating_system: String,
}

/// What one evaluation may spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Steps: commands, expansions and the characters that patterns look at.
    pub steps: u64,
    /// Bytes that values and output take over the whole evaluation, discarded ones counted too.
    pub bytes: u64,
    /// How deep functions, substitutions, `eval` and nested commands may go.
    pub depth: u32,
}

impl Default for Budget {
    /// A million steps, 64 MiB, depth 100: well under a second, and ten times what any known
    /// recipe needs.
    fn default() -> Self {
        Self {
            steps: 1_000_000,
            bytes: 64 << 20,
            depth: 100,
        }
    }
}

impl Default for Environment {
    fn default() -> Self {
        let variables = [
            ("CARCH", "x86_64"),
            ("CHOST", "x86_64-pc-linux-gnu"),
            ("LC_ALL", "C.UTF-8"),
            ("SOURCE_DATE_EPOCH", "1700000000"),
        ];
        Self {
            facts: Arc::new(Facts {
                variables: variables
                    .iter()
                    .map(|(k, v)| ((*k).into(), (*v).into()))
                    .collect(),
                commands: Arc::new(
                    ESSENTIAL_COMMANDS
                        .iter()
                        .map(|name| (*name).to_owned())
                        .collect(),
                ),
                files: BTreeMap::new(),
                missing: BTreeSet::new(),
                unknown: BTreeSet::new(),
                directory: None,
                uname: None,
                nproc: None,
                epoch: Some(1_700_000_000),
                read_to_end: false,
                budget: Budget::default(),
            }),
        }
    }
}

/// Commands that makepkg itself needs, so that they exist wherever a recipe is built.
const ESSENTIAL_COMMANDS: &[&str] = &[
    "awk",
    "basename",
    "bash",
    "bsdtar",
    "bzip2",
    "cat",
    "chmod",
    "cp",
    "cut",
    "date",
    "dirname",
    "env",
    "expr",
    "fakeroot",
    "file",
    "find",
    "gettext",
    "git",
    "gpg",
    "grep",
    "gzip",
    "head",
    "install",
    "ln",
    "ls",
    "makepkg",
    "mkdir",
    "mktemp",
    "mv",
    "nproc",
    "openssl",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sh",
    "sha256sum",
    "sort",
    "stat",
    "tail",
    "tar",
    "tee",
    "touch",
    "tput",
    "tr",
    "uname",
    "uniq",
    "wc",
    "which",
    "xargs",
    "xz",
];

/// `CHOST` in the makepkg.conf of Arch Linux, Arch Linux ARM, Arch Linux 32 and the ports to RISC-V
/// and `LoongArch`.
fn triplet(carch: &str) -> Option<&'static str> {
    Some(match carch {
        "x86_64" => "x86_64-pc-linux-gnu",
        "i486" => "i486-pc-linux-gnu",
        "i686" | "pentium4" => "i686-pc-linux-gnu",
        "aarch64" => "aarch64-unknown-linux-gnu",
        "armv7h" => "armv7l-unknown-linux-gnueabihf",
        "armv6h" => "armv6l-unknown-linux-gnueabihf",
        "riscv64" => "riscv64-unknown-linux-gnu",
        "loong64" => "loongarch64-unknown-linux-gnu",
        _ => return None,
    })
}

impl Environment {
    fn change(mut self, change: impl FnOnce(&mut Facts)) -> Self {
        change(Arc::make_mut(&mut self.facts));
        self
    }

    /// Sets an environment variable, exported as a caller's environment is.
    #[must_use]
    pub fn with_variable(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        self.change(|facts| {
            if name == "SOURCE_DATE_EPOCH" {
                facts.epoch = value.parse().ok();
            }
            facts.unknown.remove(&name);
            facts.variables.insert(name, value);
        })
    }

    /// Tells that a variable is set to something that is not known here, or may be set: what
    /// depends on it is dynamic. For every variable that the shell which runs the recipe finds and
    /// [`with_variable`](Self::with_variable) does not give; otherwise a name that neither bash nor
    /// makepkg sets counts as unset.
    #[must_use]
    pub fn with_unknown_variable(self, name: impl Into<String>) -> Self {
        let name = name.into();
        let environment = self.without_variable(&name);
        environment.change(|facts| {
            facts.unknown.insert(name);
        })
    }

    /// Removes an environment variable. One that the host decides is then dynamic again.
    #[must_use]
    pub fn without_variable(self, name: &str) -> Self {
        self.change(|facts| {
            if name == "SOURCE_DATE_EPOCH" {
                facts.epoch = None;
            }
            facts.variables.remove(name);
        })
    }

    /// Sets `CARCH`, the architecture that is built for, and with it `CHOST` to the target triplet
    /// that the distribution for it has in its makepkg.conf. Of another architecture the triplet is
    /// not known, hence dynamic until [`with_chost`](Self::with_chost) gives it.
    #[must_use]
    pub fn with_carch(self, carch: impl Into<String>) -> Self {
        let carch = carch.into();
        let environment = match triplet(&carch) {
            Some(triplet) => self.with_chost(triplet),
            None => self.without_variable("CHOST"),
        };
        environment.with_variable("CARCH", carch)
    }

    /// Sets `CHOST`, the target triplet; after [`with_carch`](Self::with_carch), which sets it too.
    #[must_use]
    pub fn with_chost(self, chost: impl Into<String>) -> Self {
        self.with_variable("CHOST", chost)
    }

    /// Sets `SOURCE_DATE_EPOCH` in seconds since 1970; `date` reads no other clock.
    #[must_use]
    pub fn with_source_date_epoch(self, seconds: i64) -> Self {
        self.with_variable("SOURCE_DATE_EPOCH", seconds.to_string())
    }

    /// Adds a command that `command -v`, `type`, `which` and `hash` find. They find none beyond
    /// these, the shell's own and those makepkg needs itself.
    #[must_use]
    pub fn with_command(self, name: impl Into<String>) -> Self {
        self.change(|facts| {
            Arc::make_mut(&mut facts.commands).insert(name.into());
        })
    }

    /// Replaces the whole set of commands that exist. A host has thousands, so many environments
    /// can share one set.
    #[must_use]
    pub fn with_commands(self, names: impl Into<Arc<BTreeSet<String>>>) -> Self {
        self.change(|facts| facts.commands = names.into())
    }

    /// Gives a file that stands beside the recipe, by its path relative to the recipe's folder.
    #[must_use]
    pub fn with_file(self, path: impl Into<String>, contents: impl Into<Vec<u8>>) -> Self {
        self.change(|facts| {
            facts.files.insert(path.into(), contents.into());
        })
    }

    /// Tells that a file, by the path as the recipe gives it, does not exist: reading it then fails,
    /// where the value would be dynamic otherwise.
    #[must_use]
    pub fn with_missing_file(self, path: impl Into<String>) -> Self {
        self.change(|facts| {
            facts.missing.insert(path.into());
        })
    }

    /// Sets the absolute path of the recipe's folder, which `PWD` and `startdir` then
    /// hold, and where `BASH_SOURCE` says that the `PKGBUILD` is.
    #[must_use]
    pub fn with_directory(self, path: impl Into<String>) -> Self {
        self.change(|facts| facts.directory = Some(path.into()))
    }

    /// Sets what `uname` prints.
    #[must_use]
    pub fn with_uname(self, uname: Uname) -> Self {
        self.change(|facts| facts.uname = Some(uname))
    }

    /// Sets the number of processors that `nproc` prints.
    #[must_use]
    pub fn with_nproc(self, count: u32) -> Self {
        self.change(|facts| facts.nproc = Some(count))
    }

    /// Tells that a shell has read the recipe to its end with success: an `exit` or `return` at the
    /// top level of which it is not known whether it happens, as in `command || exit 1`, did not.
    #[must_use]
    pub fn with_recipe_read_to_end(self) -> Self {
        self.change(|facts| facts.read_to_end = true)
    }

    /// Sets what one evaluation may spend.
    #[must_use]
    pub fn with_budget(self, budget: Budget) -> Self {
        self.change(|facts| facts.budget = budget)
    }

    /// An environment variable that was set.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.facts.variables.get(name).map(String::as_str)
    }
}
