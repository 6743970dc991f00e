//! Whether the host has what a recipe depends on, asked before the long work.
//!
//! A recipe names packages of the distribution it was written for; the host may be another one. So
//! what counts is whether a program or a library is there that the package would bring. A name
//! that nothing is known of is told, never held against the host.

mod table;
mod version;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use self::table::{Known, Manager};
use self::version::Constraint;
pub(crate) use self::version::in_answer;
use crate::backend::HostProbe;

/// One entry of a recipe's dependency lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Requirement {
    /// The list's name: PKGBUILD(5), "depends", "makedepends", "checkdepends", "optdepends".
    pub(crate) list: &'static str,
    /// The entry, such as `cmake>=3.20` or `jq: to read answers`.
    pub(crate) entry: String,
}

/// Something a recipe depends on that the host does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingDependency {
    /// The recipe's list that names it, such as `makedepends`.
    pub list: &'static str,
    /// The recipe's entry, such as `cmake>=3.20`.
    pub entry: String,
    /// The version there is, when that is what is wrong.
    pub found: Option<String>,
}

impl fmt::Display for MissingDependency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` ({}", self.entry, self.list)?;
        if let Some(found) = &self.found {
            write!(formatter, "; there is {found}")?;
        }
        formatter.write_str(")")
    }
}

/// What came of a check.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Checked {
    /// What is missing.
    pub(crate) missing: Vec<MissingDependency>,
    /// How to get what is missing on the host's distribution, as far as that is known.
    pub(crate) install: Option<String>,
    /// Entries that are optional and missing, for people.
    pub(crate) optional: Vec<String>,
    /// Entries that cannot be judged, for people.
    pub(crate) unknown: Vec<String>,
}

/// Whether one entry is there.
enum Verdict {
    Present,
    Missing { found: Option<String> },
    Unknown,
}

/// Looks for every entry. Blocks: programs with a version to check are asked for it.
pub(crate) fn check(
    requirements: &[Requirement],
    probe: &dyn HostProbe,
    commands: &BTreeSet<String>,
) -> Checked {
    let manager = Manager::of(probe.os_release().as_deref());
    let host = Host {
        probe,
        commands,
        packages: probe.installed_packages(),
        libraries_are_known: manager.is_some() && manager != Some(Manager::Brew),
    };
    let mut checked = Checked::default();
    let mut seen = BTreeSet::new();
    let mut packages = BTreeSet::new();
    for requirement in requirements {
        let optional = requirement.list == "optdepends";
        // PKGBUILD(5), "optdepends": the name may be followed by a colon and a reason.
        let entry = match requirement.entry.split_once(": ") {
            Some((name, _)) if optional => name,
            _ => requirement.entry.as_str(),
        };
        let entry = entry.trim();
        if entry.is_empty() || !seen.insert(entry) {
            continue;
        }
        let constraint = Constraint::parse(entry);
        match host.judge(&constraint) {
            Verdict::Present => {}
            _ if optional => checked.optional.push(requirement.entry.clone()),
            Verdict::Unknown => checked.unknown.push(entry.to_owned()),
            Verdict::Missing { found } => {
                let known = Known::of(constraint.name);
                if let (Some(manager), Some(known)) = (manager, known) {
                    packages.extend(known.package(manager));
                }
                checked.missing.push(MissingDependency {
                    list: requirement.list,
                    entry: entry.to_owned(),
                    found,
                });
            }
        }
    }
    if let Some(manager) = manager.filter(|_| !packages.is_empty()) {
        let packages: Vec<_> = packages.into_iter().collect();
        checked.install = Some(format!("{} {}", manager.command(), packages.join(" ")));
    }
    checked
}

struct Host<'a> {
    probe: &'a dyn HostProbe,
    commands: &'a BTreeSet<String>,
    packages: Option<BTreeSet<String>>,
    libraries_are_known: bool,
}

impl Host<'_> {
    fn judge(&self, wanted: &Constraint<'_>) -> Verdict {
        let installed = self
            .packages
            .as_ref()
            .is_some_and(|packages| packages.contains(wanted.name));
        let Some(known) = Known::of(wanted.name) else {
            return self.judge_unlisted(wanted, installed);
        };
        let program = known
            .programs
            .iter()
            .find(|program| self.commands.contains(**program));
        let there = installed
            || program.is_some()
            || known
                .libraries
                .iter()
                .any(|library| self.probe.has_library(library))
            || known
                .files
                .iter()
                .any(|file| self.probe.has_file(Path::new(file)));
        if there {
            return self.judge_version(wanted, program.copied());
        }
        // Where libraries are is known of the usual distributions alone.
        if known.programs.is_empty() && !self.libraries_are_known {
            return Verdict::Unknown;
        }
        Verdict::Missing { found: None }
    }

    /// A name that the table does not have.
    fn judge_unlisted(&self, wanted: &Constraint<'_>, installed: bool) -> Verdict {
        // makepkg writes a shared library as `libfoo.so=1-64`, which is no version constraint.
        if wanted.name.contains(".so") {
            let found = installed || self.probe.has_library(wanted.name);
            return if found {
                Verdict::Present
            } else {
                Verdict::Unknown
            };
        }
        if self.commands.contains(wanted.name) {
            return self.judge_version(wanted, Some(wanted.name));
        }
        match (&self.packages, installed) {
            (_, true) => Verdict::Present,
            (Some(_), false) => Verdict::Missing { found: None },
            (None, false) => Verdict::Unknown,
        }
    }

    fn judge_version(&self, wanted: &Constraint<'_>, program: Option<&str>) -> Verdict {
        if !wanted.has_version() {
            return Verdict::Present;
        }
        // Only programs that everybody knows are started for it.
        let found = program
            .filter(|_| Known::of(wanted.name).is_some())
            .and_then(|program| self.probe.version(program));
        match found.map(|found| (wanted.allows(&found), found)) {
            Some((Some(true), _)) => Verdict::Present,
            Some((Some(false), found)) => Verdict::Missing { found: Some(found) },
            Some((None, _)) | None => Verdict::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Debug)]
    struct Debian;

    impl HostProbe for Debian {
        fn commands(&self) -> BTreeSet<String> {
            ["cmake", "git", "frob"].map(str::to_owned).into()
        }
        fn has_library(&self, name: &str) -> bool {
            name == "libc.so.6"
        }
        fn has_metal(&self) -> bool {
            false
        }
        fn version(&self, program: &str) -> Option<String> {
            (program == "cmake").then(|| "3.25.1".to_owned())
        }
        fn os_release(&self) -> Option<String> {
            Some("ID=raspbian\nID_LIKE=\"debian\"\n".to_owned())
        }
    }

    fn check_all(entries: &[(&'static str, &str)]) -> Checked {
        let requirements: Vec<_> = entries
            .iter()
            .map(|(list, entry)| Requirement {
                list,
                entry: (*entry).to_owned(),
            })
            .collect();
        check(&requirements, &Debian, &Debian.commands())
    }

    #[test]
    fn what_is_there_is_not_told() {
        let checked = check_all(&[
            ("depends", "glibc"),
            ("makedepends", "git"),
            ("makedepends", "cmake>=3.20"),
            ("makedepends", "frob"),
        ]);
        assert_eq!(checked, Checked::default());
    }

    #[test]
    fn what_is_missing_comes_with_the_way_to_get_it() {
        let checked = check_all(&[
            ("depends", "openssl"),
            ("makedepends", "cargo"),
            ("makedepends", "rust"),
            ("makedepends", "cargo"),
            ("makedepends", "cmake>=3.30"),
        ]);
        let missing: Vec<_> = checked.missing.iter().map(ToString::to_string).collect();
        assert_eq!(
            missing,
            [
                "`openssl` (depends)",
                "`cargo` (makedepends)",
                "`rust` (makedepends)",
                "`cmake>=3.30` (makedepends; there is 3.25.1)"
            ]
        );
        assert_eq!(
            checked.install.unwrap(),
            "apt-get install cargo cmake libssl-dev rustc"
        );
    }

    #[test]
    fn what_cannot_be_judged_is_not_held_against_the_host() {
        let checked = check_all(&[
            ("depends", "libfoo.so=1-64"),
            ("depends", "some-package"),
            ("makedepends", "git>=2.0"),
            ("optdepends", "jq: to read answers"),
        ]);
        assert!(checked.missing.is_empty());
        assert_eq!(
            checked.unknown,
            ["libfoo.so=1-64", "some-package", "git>=2.0"]
        );
        assert_eq!(checked.optional, ["jq: to read answers"]);
    }
}
