//! Decides from a recipe's functions how much history its repositories need.

/// How much history a checkout must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub enum History {
    /// The wanted commit is enough; a repository without parents or other references may be delivered.
    #[default]
    Shallow,
    /// Every commit, branch and tag.
    Full,
}

/// Subcommands whose result does not depend on commits, references or objects other than `HEAD`'s.
///
/// `rev-parse --short` is not among them in effect: see [`required_history`].
const CURRENT_TREE_ONLY: &[&str] = &[
    "apply",
    "am",
    "add",
    "rm",
    "mv",
    "clean",
    "config",
    "init",
    "ls-files",
    "status",
    "grep",
    "update-index",
    "version",
    "--version",
    "lfs",
    "hash-object",
    "check-ignore",
    "stripspace",
];

/// How much history the repositories of a recipe need, judged by the bodies of its functions
/// (`prepare`, `pkgver`, `build`, `check`, every `package`).
///
/// The rule: wherever a body holds the word `git` as a command and the subcommand after it (global options
/// skipped) is not one that looks at the current tree alone, [`History::Full`] is needed. So `describe`,
/// `rev-list`, `log`, `cherry-pick`, `submodule` (which clones the sibling checkouts at the commits the parent
/// names) and anything unknown or computed need everything. `git rev-parse HEAD` needs only the commit, but an
/// abbreviated id (`--short`) grows with the number of objects, so it needs everything too. A false alarm costs
/// time; a missed need would build something else than makepkg does, hence every doubt counts as a need.
///
/// What a build system runs by itself is not seen; a recipe whose build asks git for a version that way needs
/// its caller to pass [`History::Full`].
pub fn required_history<'a>(bodies: impl IntoIterator<Item = &'a str>) -> History {
    bodies.into_iter().map(of_body).max().unwrap_or_default()
}

fn of_body(body: &str) -> History {
    // Joined lines first, so that `git \` followed by `describe` is one command.
    let joined = body.replace("\\\n", " ");
    for line in joined.lines() {
        let words: Vec<&str> = line
            .split(|c: char| c.is_whitespace() || "\"'`;|&(){}<>".contains(c))
            .filter(|word| !word.is_empty())
            .collect();
        for (index, word) in words.iter().enumerate() {
            if word.starts_with('#') {
                break;
            }
            let name = word.rsplit('/').next().unwrap_or(word);
            let name = name.trim_start_matches('\\');
            let is_needed = match name.strip_prefix("git") {
                Some("") => needs_history(&words[index + 1..]),
                Some(rest) => rest.starts_with('-') && rest != "-lfs",
                None => false,
            };
            if is_needed {
                return History::Full;
            }
        }
    }
    History::Shallow
}

fn needs_history(arguments: &[&str]) -> bool {
    let mut arguments = arguments.iter();
    let subcommand = loop {
        match arguments.next() {
            None => return false,
            Some(&("-C" | "-c" | "--git-dir" | "--work-tree" | "--namespace")) => {
                arguments.next();
            }
            Some(&word) if word.starts_with('-') && word != "--version" => {}
            Some(&word) => break word,
        }
    };
    match subcommand {
        "rev-parse" => !arguments.all(|&word| {
            matches!(
                word,
                "HEAD" | "--verify" | "-q" | "--quiet" | "--show-toplevel" | "--git-dir"
            )
        }),
        _ => !CURRENT_TREE_ONLY.contains(&subcommand),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_follows_the_git_commands() {
        let cases = [
            ("", History::Shallow),
            ("cd foo && make", History::Shallow),
            ("git describe --long --tags | sed 's/-/+/g'", History::Full),
            (
                "printf 'r%s.%s' \"$(git rev-list --count HEAD)\" \"$(git rev-parse --short HEAD)\"",
                History::Full,
            ),
            ("git -C \"$srcdir/foo\" describe", History::Full),
            (
                "git -c core.abbrev=7 -C foo log -1 --format=%cd",
                History::Full,
            ),
            ("git \\\n  describe", History::Full),
            ("git rev-parse HEAD", History::Shallow),
            ("git rev-parse --short=7 HEAD", History::Full),
            ("git apply ../fix.patch", History::Shallow),
            (
                "patch -p1 < ../fix.patch # like git describe",
                History::Shallow,
            ),
            ("git submodule update --init", History::Full),
            ("git cherry-pick -n abc", History::Full),
            ("/usr/bin/git describe", History::Full),
            ("git-describe", History::Full),
            ("git $what", History::Full),
            ("cd my-git && ls .git/ digit", History::Shallow),
            ("sed -i 's,git://x,https://x,' a", History::Shallow),
            ("v=`git describe`", History::Full),
        ];
        for (body, expected) in cases {
            assert_eq!(required_history([body]), expected, "{body}");
        }
        assert_eq!(required_history(["git apply a", "git log"]), History::Full);
        assert_eq!(required_history([]), History::Shallow);
    }
}
