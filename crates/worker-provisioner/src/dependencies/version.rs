//! Version constraints of dependencies: PKGBUILD(5), "depends".

use std::cmp::Ordering;

/// A name with an optional version constraint, such as `cmake>=3.20`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Constraint<'a> {
    /// The package's name.
    pub(crate) name: &'a str,
    operator: &'a str,
    version: &'a str,
}

impl<'a> Constraint<'a> {
    /// Takes an entry apart.
    pub(crate) fn parse(entry: &'a str) -> Self {
        let is_operator = |c: char| matches!(c, '<' | '>' | '=');
        let (name, rest) = match entry.find(is_operator) {
            Some(at) => entry.split_at(at),
            None => (entry, ""),
        };
        let version = rest.trim_start_matches(is_operator);
        Self {
            name: name.trim(),
            operator: &rest[..rest.len() - version.len()],
            version: version.trim(),
        }
    }

    /// Whether there is a version to check.
    pub(crate) fn has_version(&self) -> bool {
        !self.version.is_empty()
    }

    /// Whether `found` will do; `None` when the two cannot be compared.
    ///
    /// A distribution's epoch says nothing of the program's own version, and neither does its
    /// release behind the hyphen.
    pub(crate) fn allows(&self, found: &str) -> Option<bool> {
        if self.version.contains(':') {
            return None;
        }
        let wanted = numbers(self.version.split('-').next().unwrap_or_default())?;
        let mut found = numbers(found)?;
        if self.operator == "=" {
            // `python=3.11` is content with 3.11.2.
            found.truncate(wanted.len());
        }
        let order = compare(&found, &wanted);
        match self.operator {
            ">=" => Some(order.is_ge()),
            "<=" => Some(order.is_le()),
            ">" => Some(order.is_gt()),
            "<" => Some(order.is_lt()),
            "=" => Some(order.is_eq()),
            _ => None,
        }
    }
}

fn compare(one: &[u64], two: &[u64]) -> Ordering {
    let length = one.len().max(two.len());
    let padded = |numbers: &[u64]| {
        let mut numbers = numbers.to_vec();
        numbers.resize(length, 0);
        numbers
    };
    padded(one).cmp(&padded(two))
}

fn numbers(version: &str) -> Option<Vec<u64>> {
    version.split('.').map(|part| part.parse().ok()).collect()
}

/// The first version number in what a program answers to `--version`.
pub(crate) fn in_answer(answer: &str) -> Option<String> {
    answer
        .split(|c: char| !c.is_ascii_digit() && c != '.')
        .map(|word| word.trim_matches('.'))
        .find(|word| word.contains('.') && numbers(word).is_some())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_are_judged_by_numbers() {
        for (entry, found, expected) in [
            ("cmake>=3.20", "3.25.1", Some(true)),
            ("cmake>=3.20", "3.9", Some(false)),
            ("cmake>=3.20", "3.20", Some(true)),
            ("cmake>3.20", "3.20.0", Some(false)),
            ("python<3.12", "3.11.2", Some(true)),
            ("python=3.11", "3.11.2", Some(true)),
            ("python=3.1", "3.11.2", Some(false)),
            ("rust<=1.80-1", "1.80.0", Some(true)),
            ("rust>=1:1.80", "1.80.0", None),
            ("rust>=1.80rc1", "1.80.0", None),
        ] {
            assert_eq!(Constraint::parse(entry).allows(found), expected, "{entry}");
        }
    }

    #[test]
    fn the_version_is_found_in_an_answer() {
        for (answer, expected) in [
            ("cmake version 3.25.1\n\nCMake suite", Some("3.25.1")),
            ("cargo 1.80.0 (376290515 2024-07-16)", Some("1.80.0")),
            ("gcc (Debian 12.2.0-14) 12.2.0", Some("12.2.0")),
            (
                "Copyright (c) 2005-2023\nrelease 12.2, V12.2.140",
                Some("12.2"),
            ),
            ("no version", None),
        ] {
            assert_eq!(in_answer(answer).as_deref(), expected, "{answer}");
        }
    }
}
