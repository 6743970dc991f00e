//! External programs whose effect is known from their input alone; one table.
//!
//! Adding one is a function and a line in [`TABLE`]. What a function does not interpret exactly it
//! reports with [`Shell::unsupported`], so that its output is dynamic.

mod facts;
mod fields;
mod grep;
mod lines;
mod paths;
mod sed;
mod tr;

use super::builtin::names;
use super::dynamic::Stop;
use super::shell::Shell;

type Run = fn(&mut Shell, &[&str]) -> Result<i32, Stop>;

pub(crate) struct Entry {
    pub(crate) run: Run,
}

/// Sorted by name.
static TABLE: &[(&str, Entry)] = &[
    (
        "basename",
        Entry {
            run: paths::basename,
        },
    ),
    ("cat", Entry { run: lines::cat }),
    ("cut", Entry { run: fields::cut }),
    ("date", Entry { run: facts::date }),
    (
        "dirname",
        Entry {
            run: paths::dirname,
        },
    ),
    ("egrep", Entry { run: grep::egrep }),
    ("fgrep", Entry { run: grep::fgrep }),
    ("grep", Entry { run: grep::grep }),
    ("head", Entry { run: lines::head }),
    ("nproc", Entry { run: facts::nproc }),
    ("sed", Entry { run: sed::sed }),
    ("tail", Entry { run: lines::tail }),
    ("tr", Entry { run: tr::tr }),
    ("uname", Entry { run: facts::uname }),
    ("which", Entry { run: names::which }),
];

pub(crate) fn find(name: &str) -> Option<&'static Entry> {
    let name = name
        .strip_prefix("/usr/bin/")
        .or(name.strip_prefix("/bin/"))
        .unwrap_or(name);
    TABLE
        .binary_search_by_key(&name, |(known, _)| known)
        .ok()
        .map(|at| &TABLE[at].1)
}

/// What a filter reads.
pub(crate) struct Contents {
    pub(crate) text: String,
    /// How many of the named files there are not.
    pub(crate) missing: usize,
}

impl Contents {
    /// The status of a filter that ends with `status`, and with `failed` where a file is missing.
    fn status(&self, status: i32, failed: i32) -> i32 {
        if self.missing > 0 { failed } else { status }
    }
}

impl Shell {
    /// What a filter reads: the named files one after another, or standard input.
    pub(crate) fn filter_input(&mut self, files: &[&str]) -> Result<Contents, Stop> {
        let mut contents = Contents {
            text: String::new(),
            missing: 0,
        };
        if files.is_empty() {
            contents.text = self.read_all()?;
        }
        for file in files {
            let part = if *file == "-" {
                Some(self.read_all()?)
            } else {
                self.read_file(file)?
            };
            if let Some(part) = part {
                contents.text.push_str(&part);
            } else {
                self.complain();
                contents.missing += 1;
            }
        }
        Ok(contents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted() {
        assert!(TABLE.is_sorted_by_key(|(name, _)| *name));
    }
}
