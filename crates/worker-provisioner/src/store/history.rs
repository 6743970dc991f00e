//! Which version of a worker is installed, and which ones were before it.

use std::fs;
use std::io;
use std::path::Path;

use super::{Version, read_version};
use crate::error::ProvisionError;

/// A larger file is not one that this store wrote.
const MAX_BYTES: u64 = 1 << 20;

/// The file `current` of a worker's folder: names of version folders, one a line, the installed one
/// first and behind it what was installed before, latest first.
///
/// Installing puts a name in front and rolling back takes one away, so that each rollback goes one
/// step further back, in the order of the installations and not of the builds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct History {
    names: Vec<String>,
}

impl History {
    /// The history of a worker's folder; an empty one when nothing is installed.
    pub(super) fn read(folder: &Path) -> Result<Self, ProvisionError> {
        let path = folder.join("current");
        match read_bounded(&path) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(ProvisionError::io("read", &path, source)),
        }
    }

    /// What is not the name of a version folder is left out.
    pub(super) fn parse(text: &str) -> Self {
        let is_plain =
            |name: &&str| !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
        Self {
            names: text.lines().filter(is_plain).map(str::to_owned).collect(),
        }
    }

    /// The text that [`parse`](Self::parse) reads.
    pub(super) fn text(&self) -> String {
        self.names.join("\n") + "\n"
    }

    /// The history once `name` is installed, or rolled back to.
    pub(super) fn with(&self, name: &str, change: Change) -> Self {
        let rest: Vec<String> = match change {
            Change::Install => self.names.clone(),
            Change::Rollback => {
                let at = self.names.iter().position(|other| other == name);
                self.names[at.map_or(self.names.len(), |at| at + 1)..].to_vec()
            }
        };
        let mut names = vec![name.to_owned()];
        names.extend(rest.into_iter().filter(|other| other != name));
        Self { names }
    }

    /// Forgets the versions that are gone.
    pub(super) fn without_missing(mut self, folder: &Path) -> Self {
        self.names.retain(|name| folder.join(name).is_dir());
        self
    }

    /// Whether `name` is the installed version's.
    pub(super) fn begins_with(&self, name: &str) -> bool {
        self.names.first().is_some_and(|first| first == name)
    }

    /// The installed version, when its receipt can be read.
    pub(super) fn installed(&self, folder: &Path) -> Option<Version> {
        read_version(&folder.join(self.names.first()?))
    }

    /// The version that was installed before, the latest that is still there.
    pub(super) fn previous(&self, folder: &Path) -> Option<Version> {
        let before = self.names.iter().skip(1);
        before
            .filter_map(|name| read_version(&folder.join(name)))
            .find(|version| version.receipt.artifact.is_some())
    }
}

/// How a version becomes the installed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It comes after all others.
    Install,
    /// What was installed since is not "before" it.
    Rollback,
}

pub(super) fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = fs::File::open(path)?;
    io::Read::read_to_string(&mut io::Read::take(file, MAX_BYTES), &mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installing_goes_forward_and_rolling_back_goes_back() {
        let cases: [(&str, &str, Change, &str); 6] = [
            ("", "a", Change::Install, "a"),
            ("a", "b", Change::Install, "b a"),
            ("b a", "a", Change::Install, "a b"),
            ("c b a", "c", Change::Install, "c b a"),
            ("c b a", "b", Change::Rollback, "b a"),
            ("c b a", "d", Change::Rollback, "d"),
        ];
        for (before, name, change, after) in cases {
            let history = |names: &str| History::parse(&names.replace(' ', "\n"));
            assert_eq!(
                history(before).with(name, change),
                history(after),
                "{before} and {name}"
            );
        }
    }

    #[test]
    fn what_is_no_name_is_left_out() {
        let history = History::parse("../x\n.hidden\n\na/b\n1.0-1-5\n");
        assert_eq!(history.text(), "1.0-1-5\n");
        assert_eq!(History::parse(&history.text()), history);
    }
}
