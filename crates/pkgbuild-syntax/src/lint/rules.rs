//! makepkg's rules for names and versions, each a function of the text alone.

use crate::package::is_space;

/// What is wrong with a text, and how to mend it.
pub(crate) type Verdict = Result<(), (String, &'static str)>;

/// makepkg's `lint_one_pkgname`; `what` is the field.
pub(crate) fn name(what: &str, name: &str) -> Verdict {
    if name.is_empty() {
        return Err((
            format!("a name in `{what}` is empty"),
            "give the name, or drop the element",
        ));
    }
    if name.starts_with(['-', '.']) {
        return Err((
            format!("`{name}` in `{what}` starts with `{}`", &name[..1]),
            "start the name with a letter, a digit, `_`, `@` or `+`",
        ));
    }
    match name
        .chars()
        .find(|&character| !is_name_character(character))
    {
        None => Ok(()),
        Some(character) => Err((
            format!("`{name}` in `{what}` contains {character:?}"),
            "use only letters, digits and `@`, `.`, `_`, `+`, `-`",
        )),
    }
}

fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "+_.@-".contains(character)
}

/// makepkg's `check_pkgver`.
pub(crate) fn pkgver(what: &str, version: &str) -> Verdict {
    if version.is_empty() {
        return Err((format!("{what} is empty"), "give a version"));
    }
    let wrong = |character: &char| {
        is_space(*character) || "/:-".contains(*character) || !character.is_ascii()
    };
    match version.chars().find(wrong) {
        None => Ok(()),
        Some(character) => Err((
            format!("{what}, `{version}`, contains {character:?}"),
            "replace colons, slashes, hyphens, blanks and non-ASCII characters by `_` or `.`",
        )),
    }
}

/// makepkg's `check_pkgrel`.
pub(crate) fn pkgrel(what: &str, release: &str) -> Verdict {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = match release.split_once('.') {
        None => (release, None),
        Some((whole, fraction)) => (whole, Some(fraction)),
    };
    if number(whole) && fraction.is_none_or(number) {
        return Ok(());
    }
    let problem = if release.is_empty() {
        format!("{what} is empty")
    } else {
        format!("{what}, `{release}`, is not of the form `integer[.integer]`")
    };
    Err((problem, "count releases of the recipe from 1"))
}

/// makepkg's `check_epoch`.
pub(crate) fn epoch(what: &str, epoch: &str) -> Verdict {
    if epoch.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(())
    } else {
        Err((
            format!("{what}, `{epoch}`, is not a whole number"),
            "use a whole number, or drop the epoch",
        ))
    }
}

/// makepkg's `check_fullpkgver`: `[epoch:]pkgver[-pkgrel]`. The code of the first rule broken
/// comes with the verdict.
pub(crate) fn full_version(what: &str, version: &str) -> Verdict {
    let mut rest = version;
    if let Some((before, after)) = rest.split_once(':') {
        epoch(&format!("the epoch in `{what}`"), before)?;
        rest = after;
    }
    if let Some(at) = rest.rfind('-').filter(|at| *at > 0) {
        pkgrel(&format!("the release in `{what}`"), &rest[at + 1..])?;
        rest = &rest[..at];
    }
    pkgver(&format!("the version in `{what}`"), rest)
}

/// Splits `name>=version` as the lints of all dependency lists do: at the first operator.
pub(crate) fn constraint(text: &str) -> (&str, Option<&str>) {
    let Some(at) = text.find(['<', '>', '=']) else {
        return (text, None);
    };
    let (name, rest) = text.split_at(at);
    let operator = if rest.starts_with(">=") || rest.starts_with("<=") {
        2
    } else {
        1
    };
    (name, Some(&rest[operator..]))
}

/// Cuts the description off an element of `optdepends`: a colon with white space behind it.
pub(crate) fn without_description(text: &str) -> &str {
    let mut from = 0;
    while let Some(at) = text[from..].find(':') {
        let colon = from + at;
        if text[colon + 1..].starts_with(is_space) {
            return &text[..colon];
        }
        from = colon + 1;
    }
    text
}

/// The options of makepkg 6.0.2 and `autodeps` of 6.1, each of which may have a `!` in front.
pub(crate) fn is_option(option: &str) -> bool {
    matches!(
        option.strip_prefix('!').unwrap_or(option),
        "buildflags"
            | "autodeps"
            | "ccache"
            | "debug"
            | "distcc"
            | "docs"
            | "emptydirs"
            | "libtool"
            | "lto"
            | "makeflags"
            | "purge"
            | "staticlibs"
            | "strip"
            | "zipman"
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn constraints_split_at_the_first_operator() {
        for (text, name, version) in [
            ("a", "a", None),
            ("a=1", "a", Some("1")),
            ("a>=1", "a", Some("1")),
            ("a<=1", "a", Some("1")),
            ("a<1", "a", Some("1")),
            ("a>1=2", "a", Some("1=2")),
            ("a==1", "a", Some("=1")),
            ("=1", "", Some("1")),
            ("a>", "a", Some("")),
        ] {
            assert_eq!(constraint(text), (name, version), "{text}");
        }
    }

    #[test]
    fn descriptions_follow_a_colon_and_a_blank() {
        for (text, name) in [
            ("a: b", "a"),
            ("a:b", "a:b"),
            ("a>=1:2: b: c", "a>=1:2"),
            ("a:\tb", "a"),
            ("a:", "a:"),
        ] {
            assert_eq!(without_description(text), name, "{text}");
        }
    }

    #[test]
    fn versions() {
        for good in [
            "1", "1.2", "1:2-3", "1:2-3.4", "r1.abc", "=1", ":1", "a+b~c",
        ] {
            full_version("x", good).unwrap();
        }
        for bad in [
            "", "1-", "-1", "a:1", "1:", "1-2-3", "1 2", "1/2", "1:2:3", "é", "1-x",
        ] {
            full_version("x", bad).unwrap_err();
        }
    }

    #[test]
    fn releases() {
        for good in ["1", "10", "1.1", "0"] {
            pkgrel("x", good).unwrap();
        }
        for bad in ["", ".1", "1.", "1.1.1", "a", "1-1", "-1"] {
            pkgrel("x", bad).unwrap_err();
        }
    }

    #[test]
    fn names() {
        for good in ["a", "a-b", "lib32-x", "@x", "+x", "_x", "g++", "a.b"] {
            name("x", good).unwrap();
        }
        for bad in ["", "-a", ".a", "a b", "a:b", "é", "a/b", "a=b", "a,b"] {
            name("x", bad).unwrap_err();
        }
    }
}
