//! The recipes of `tests/recipes` and makepkg to compare with.

#![allow(clippy::unwrap_used, clippy::print_stderr)]
#![allow(dead_code, reason = "each test binary uses a part")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// What every recipe begins with that is not marked `!full`.
const HEAD: &str = "pkgname=case\npkgver=1.2.3\npkgrel=1\narch=(x86_64)\n";

/// The one file beside every recipe.
const INSTALL: &str = "case.install";

/// One recipe.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// The file it comes from and its title.
    pub name: String,
    /// The recipe.
    pub text: String,
    /// A value in its `.SRCINFO` depends on a program.
    pub dynamic: bool,
    /// It may be known or not, only never wrong.
    pub(crate) either: bool,
}

/// All recipes: in each file of `tests/recipes` a line `## title` begins one. Behind the title,
/// `!full` stands for a recipe without the usual head, `!dynamic` for one that cannot be known, and
/// `!either` for one that need not be known.
pub(crate) fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recipes");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().flat_map(|file| read(file)).collect()
}

fn read(file: &Path) -> Vec<Case> {
    let group = file.file_stem().unwrap().to_string_lossy().into_owned();
    let text = fs::read_to_string(file).unwrap();
    let body = text
        .strip_prefix("## ")
        .expect("a file begins with a title");
    body.split("\n## ")
        .map(|case| {
            let (title, body) = case.split_once('\n').expect("a recipe follows its title");
            let full = title.contains("!full");
            Case {
                name: format!("{group}: {title}"),
                text: format!("{}{body}\n", if full { "" } else { HEAD }),
                dynamic: title.contains("!dynamic"),
                either: title.contains("!either"),
            }
        })
        .collect()
}

/// Each construct together with another: what a recipe says and then what a second one adds.
pub(crate) fn pairs(cases: &[Case]) -> Vec<Case> {
    let plain: Vec<&Case> = cases
        .iter()
        .filter(|case| case.text.starts_with(HEAD) && !case.dynamic && !case.either)
        .collect();
    // A step that shares no factor with the count meets every recipe once.
    let step = 97;
    plain
        .iter()
        .enumerate()
        .step_by(2)
        .map(|(index, first)| {
            let second = plain[(index * step + 31) % plain.len()];
            Case {
                name: format!("{} + {}", first.name, second.name),
                text: format!("{}{}", first.text, &second.text[HEAD.len()..]),
                dynamic: false,
                either: false,
            }
        })
        .collect()
}

/// What makepkg did with a recipe.
#[derive(Debug)]
pub(crate) struct Printed {
    pub success: bool,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// makepkg, run as an ordinary user in folders of its own.
#[derive(Debug)]
pub(crate) struct Oracle {
    folder: TempDir,
}

impl Oracle {
    /// `None`, with a message on standard error, where makepkg 6.0.2 is not installed.
    pub(crate) fn new() -> Option<Self> {
        let version = Command::new("makepkg").arg("--version").output();
        let found =
            version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("6.0.2"));
        if !found {
            eprintln!("skipped: makepkg 6.0.2 is not installed, nothing to compare with");
            return None;
        }
        let folder = TempDir::new().unwrap();
        open_to_all(folder.path());
        let config = fs::read_to_string("/etc/makepkg.conf").unwrap();
        let config = format!("{config}\nCHOST=x86_64-pc-linux-gnu\n");
        fs::write(folder.path().join("makepkg.conf"), config).unwrap();
        Some(Self { folder })
    }

    /// Runs makepkg's code over all recipes, in two processes.
    pub(crate) fn run(&self, cases: &[Case]) -> Vec<Printed> {
        let half = cases.len().div_ceil(2);
        let (first, second) = cases.split_at(half);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| self.run_one(second));
            let mut printed = self.run_one(first);
            printed.extend(other.join().unwrap());
            printed
        })
    }

    fn run_one(&self, cases: &[Case]) -> Vec<Printed> {
        let work = TempDir::new_in(self.folder.path()).unwrap();
        open_to_all(work.path());
        let mut list = String::new();
        for (index, case) in cases.iter().enumerate() {
            let folder = work.path().join(format!("recipe-{index}"));
            write_recipe(&folder, case);
            list.push_str(folder.to_str().unwrap());
            list.push('\n');
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/oracle.bash");
        // The ordinary user may not be able to read the sources.
        let copy = work.path().join("oracle.bash");
        fs::copy(script, &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).unwrap();
        let mut child = self
            .command("bash", work.path())
            .arg(&copy)
            .env("ORACLE_OUT", work.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(list.as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success());
        let read = |index: usize, what: &str| fs::read(work.path().join(format!("{index}.{what}")));
        (0..cases.len())
            .map(|index| Printed {
                success: read(index, "status").unwrap() == b"0\n",
                stdout: read(index, "out").unwrap(),
                stderr: read(index, "err").unwrap(),
            })
            .collect()
    }

    /// Runs the real program over one recipe.
    pub(crate) fn run_makepkg(&self, case: &Case) -> Printed {
        let work = TempDir::new_in(self.folder.path()).unwrap();
        open_to_all(work.path());
        let folder = work.path().join("recipe");
        write_recipe(&folder, case);
        let output = self
            .command("makepkg", work.path())
            .arg("--printsrcinfo")
            .current_dir(&folder)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Printed {
            success: output.status.success(),
            stdout: output.stdout,
            stderr: output.stderr,
        }
    }

    /// A program with makepkg's environment; not as root, which makepkg refuses.
    fn command(&self, program: &str, work: &Path) -> Command {
        let mut command = Command::new("setpriv");
        if fs::metadata("/proc/self")
            .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
        {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        }
        command
            .arg("--")
            .arg(program)
            .current_dir(work)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .env("CARCH", "x86_64")
            .env("CHOST", "x86_64-pc-linux-gnu")
            .env("SOURCE_DATE_EPOCH", "1700000000")
            .env("MAKEPKG_CONF", self.folder.path().join("makepkg.conf"))
            // Any program that exists will do; it is not called for this.
            .env("PACMAN", "true");
        for name in [
            "HOME",
            "BUILDDIR",
            "PKGDEST",
            "SRCDEST",
            "SRCPKGDEST",
            "LOGDEST",
        ] {
            command.env(name, work);
        }
        command
    }
}

fn write_recipe(folder: &Path, case: &Case) {
    fs::create_dir(folder).unwrap();
    open_to_all(folder);
    fs::write(folder.join("PKGBUILD"), &case.text).unwrap();
    fs::write(folder.join(INSTALL), "").unwrap();
}

fn open_to_all(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
}
