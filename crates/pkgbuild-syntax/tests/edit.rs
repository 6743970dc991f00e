//! Edits change what they say and nothing else, and makepkg reads back exactly what was set.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod support;

use std::sync::OnceLock;

use pkgbuild_syntax::{Document, EditError, Evaluated, parse};
use proptest::prelude::*;
use support::{Case, Oracle, cases};

/// What an edit makes of a text, or what it says.
fn after(
    text: &str,
    edit: impl FnOnce(&mut Document) -> Result<(), EditError>,
) -> Result<String, String> {
    let mut document = Document::new(text).unwrap();
    let result = edit(&mut document);
    let now = String::from_utf8(document.text().to_vec()).unwrap();
    match result {
        Ok(()) => Ok(now),
        Err(error) => {
            assert_eq!(now, text, "a refused edit changes nothing");
            Err(error.to_string())
        }
    }
}

#[test]
fn scalars_keep_their_quotes_and_comments() {
    for (before, value, expected) in [
        ("pkgver=1 # one\n", "2", "pkgver=2 # one\n"),
        ("pkgver='1'\n", "2", "pkgver='2'\n"),
        (
            "pkgver=\"1\"\n",
            "a$b\"`\\",
            "pkgver=\"a\\$b\\\"\\`\\\\\"\n",
        ),
        ("pkgver=1\n", "a b", "pkgver='a b'\n"),
        ("pkgver='1'\n", "it's", "pkgver=\"it's\"\n"),
        ("pkgver=\n", "2", "pkgver=2\n"),
        (
            "pkgname=x pkgver=1 pkgrel=3\n",
            "2",
            "pkgname=x pkgver=2 pkgrel=3\n",
        ),
        ("pkgver=${_v}a\n", "2", "pkgver=2\n"),
        ("pkgver=\\\n1\n", "2", "pkgver=2\n"),
        ("pkgver=1", "~/x", "pkgver='~/x'"),
        ("pkgver=1\n", "", "pkgver=''\n"),
        ("pkgver=1\n", "{a,b}", "pkgver='{a,b}'\n"),
        (
            "pkgname=x # name\nbuild() { :; }\n",
            "2",
            "pkgname=x # name\npkgver=2\nbuild() { :; }\n",
        ),
        ("pkgname=x", "2", "pkgname=x\npkgver=2"),
        (
            "build() { pkgver=3; }\npkgver=1\n",
            "2",
            "build() { pkgver=3; }\npkgver=2\n",
        ),
        (
            "pkgver=1 true; pkgver=1\n",
            "2",
            "pkgver=1 true; pkgver=2\n",
        ),
    ] {
        let found = after(before, |document| document.set("pkgver", value));
        assert_eq!(found.as_deref(), Ok(expected), "{before:?} {value:?}");
    }
}

#[test]
fn what_cannot_be_edited_says_why() {
    for (before, why) in [
        ("[[ $x ]] && pkgver=1\n", "inside another command in line 1"),
        (
            "if true; then\npkgver=1\nfi\n",
            "inside another command in line 2",
        ),
        ("for i in 1; do pkgver=$i; done\n", "inside another command"),
        ("declare pkgver=1\n", "inside another command"),
        ("pkgver[0]=1\n", "inside another command"),
        ("pkgver=1\npkgver+=2\n", "lines 1 and 2"),
        ("pkgver=(1)\n", "is a list"),
        ("build() { :; }\n", "no assignment to a field"),
        ("pkgver=1\neval pkgver=3\n", "inside another command"),
        ("pkgver=1\neval \"pkg\"ver=3\n", "it would be `3`"),
        (
            "pkgver=1\nreadonly -a x; read pkgver <<< 3\n",
            "it would be `3`",
        ),
        (
            "pkgver=1\nread pkgver < <(curl x)\n",
            "`curl` would have to run",
        ),
        ("pkgname=x; exit 0\n", "other commands stand"),
    ] {
        let found = after(before, |document| document.set("pkgver", "2"));
        let found = found.unwrap_err();
        assert!(found.contains(why), "{before:?}: {found}");
    }
    let found = after("pkgver=1\n", |document| document.set("pkg ver", "2"));
    assert!(found.unwrap_err().contains("cannot be a name"));
    let found = after("pkgver=1\n", |document| document.set("pkgver", "a\rb"));
    assert!(found.is_err());
    assert!(matches!(
        Document::new("pkgver=\"1"),
        Err(EditError::Syntax { .. })
    ));
}

const LIST: &str = "depends=(\n  'a' # first\n  'b'\n  # about c\n  'c' # last\n)\n";

#[test]
fn lists_keep_layout_and_comments() {
    type Edit = fn(&mut Document) -> Result<(), EditError>;
    let table: [(&str, Edit, &str); 15] = [
        (
            "depends=(a b)\n",
            |d| d.push("depends", "c"),
            "depends=(a b c)\n",
        ),
        (
            "depends=()\n",
            |d| d.push("depends", "c"),
            "depends=('c')\n",
        ),
        (
            "depends=(\"a\")\n",
            |d| d.push("depends", "c"),
            "depends=(\"a\" \"c\")\n",
        ),
        (
            "depends=('a'\n         'b')\n",
            |d| d.push("depends", "c"),
            "depends=('a'\n         'b'\n         'c')\n",
        ),
        (
            LIST,
            |d| d.push("depends", "d"),
            "depends=(\n  'a' # first\n  'b'\n  # about c\n  'c' # last\n  'd'\n)\n",
        ),
        (
            LIST,
            |d| d.remove("depends", "b"),
            "depends=(\n  'a' # first\n  # about c\n  'c' # last\n)\n",
        ),
        (
            LIST,
            |d| d.set_array("depends", &["a", "x", "c"]),
            "depends=(\n  'a' # first\n  'x'\n  # about c\n  'c' # last\n)\n",
        ),
        (
            "depends=(a b c)\n",
            |d| d.remove("depends", "a"),
            "depends=(b c)\n",
        ),
        (
            "depends=(a b c)\n",
            |d| d.remove("depends", "c"),
            "depends=(a b)\n",
        ),
        (
            "depends=(a)\n",
            |d| d.remove("depends", "a"),
            "depends=()\n",
        ),
        (
            "depends=(a)\ndepends+=(b)\n",
            |d| d.push("depends", "c"),
            "depends=(a)\ndepends+=(b c)\n",
        ),
        (
            "depends=(a)\ndepends+=(b)\n",
            |d| d.remove("depends", "a"),
            "depends=()\ndepends+=(b)\n",
        ),
        (
            "v=1\ndepends=(\"a-$v\" b)\n",
            |d| d.set_array("depends", &["a-1", "c"]),
            "v=1\ndepends=(\"a-$v\" c)\n",
        ),
        (
            "depends=(a b c)\n",
            |d| d.set_array("depends", &["a"]),
            "depends=(a)\n",
        ),
        (
            "pkgname=x\n",
            |d| d.set_array("depends", &["a", "b c"]),
            "pkgname=x\ndepends=('a' 'b c')\n",
        ),
    ];
    for (before, edit, expected) in table {
        assert_eq!(after(before, edit).as_deref(), Ok(expected), "{before:?}");
    }
    for (before, why) in [
        ("depends=({a,b})\n", "come out of an expansion"),
        (
            "x=(a b)\ndepends=(\"${x[@]}\")\n",
            "come out of an expansion",
        ),
        ("depends=a\n", "is one value"),
        ("depends=([1]=a)\n", "with indices"),
    ] {
        let found = after(before, |d| d.set_array("depends", &["a", "z"])).unwrap_err();
        assert!(found.contains(why), "{before:?}: {found}");
    }
    let found = after("depends=(a)\n", |d| d.remove("depends", "z")).unwrap_err();
    assert!(found.contains("no `z` in `depends`"), "{found}");
}

#[test]
fn versions_and_functions() {
    let found = after("pkgver=1\npkgrel=4\n", |d| d.bump("2"));
    assert_eq!(found.as_deref(), Ok("pkgver=2\npkgrel=1\n"));
    let found = after("_v=1-2\npkgver=${_v/-/.}\npkgrel=4\n", |d| d.bump("2")).unwrap_err();
    assert!(found.contains("computed from `${_v/-/.}`"), "{found}");
    let found = after("package() { :; }\nf() { package; }\n", |d| {
        d.rename_function("package", "package_x")
    });
    assert_eq!(
        found.as_deref(),
        Ok("package_x() { :; }\nf() { package_x; }\n")
    );
    for (text, why) in [
        (
            "package() { :; }\nx=$(declare -f package)\n",
            "also used in line 2",
        ),
        (
            "package() { :; }\npackage_x() { :; }\n",
            "also used in line 2",
        ),
        ("build() { :; }\n", "no function `package`"),
    ] {
        let found = after(text, |d| d.rename_function("package", "package_x")).unwrap_err();
        assert!(found.contains(why), "{found}");
    }
}

/// What differs between two texts: the ends of what they have in common.
fn difference(before: &[u8], after: &[u8]) -> (usize, usize) {
    let start = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let rest = before.len().min(after.len()) - start;
    let ends = before.iter().rev().zip(after.iter().rev());
    let end = ends.take(rest).take_while(|(a, b)| a == b).count();
    (start, before.len() - end)
}

/// Where a variable is assigned by commands of their own.
fn assigned(text: &[u8], name: &str) -> Option<(usize, usize)> {
    let file = parse(text).file;
    let mut found = None;
    for statement in &file.commands().statements {
        if let pkgbuild_syntax::Command::Simple(simple) = &statement.command {
            for assignment in simple.assignments() {
                if file.text(assignment.name) == name.as_bytes() {
                    let (start, end) =
                        (assignment.span.start as usize, assignment.span.end as usize);
                    found = Some(found.map_or((start, end), |(first, _)| (first, end)));
                }
            }
        }
    }
    found
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9.+_]{1,12}",
        "[ -~]{1,12}",
        prop::sample::select(vec![
            "$x", "`id`", "a'b\"c", "é ü", "~", "*", "{a,b}", "\\", "#x", "!x", "a=b"
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases_of_the_run()))]

    #[test]
    fn an_edit_changes_nothing_else(index in 0_usize..10_000, value in value(), which in 0..5) {
        static ALL: OnceLock<Vec<Case>> = OnceLock::new();
        let all = ALL.get_or_init(cases);
        let text = &all[index % all.len()].text;
        let Ok(mut document) = Document::new(text) else { return Ok(()) };
        let name = if which < 2 { "pkgdesc" } else { "depends" };
        let before: Vec<_> = others(&document, name);
        let result = match which {
            0 | 1 => document.set(name, &value),
            2 => document.push(name, &value),
            3 => document.set_array(name, &[&value, "x"]),
            _ => match list(&document, name).first() {
                Some(first) => document.remove(name, first),
                None => return Ok(()),
            },
        };
        if result.is_err() {
            prop_assert_eq!(document.text(), text.as_bytes());
            return Ok(());
        }
        let (start, end) = difference(text.as_bytes(), document.text());
        if let Some((first, last)) = assigned(text.as_bytes(), name) {
            prop_assert!(start >= first && end <= last, "{} {}..{} {}", text, start, end, value);
        } else {
            prop_assert!(start >= end, "only an insertion: {}", text);
        }
        let reads = text.contains(&format!("${name}")) || text.contains(&format!("{{{name}"))
            || text.contains(&format!("{{!{name}"));
        if !reads {
            prop_assert_eq!(before, others(&document, name));
        }
        match which {
            0 | 1 => prop_assert_eq!(list(&document, name), vec![value]),
            2 => prop_assert_eq!(list(&document, name).pop(), Some(value)),
            3 => prop_assert_eq!(list(&document, name), vec![value, "x".to_owned()]),
            _ => {}
        }
    }
}

fn list(document: &Document, name: &str) -> Vec<String> {
    match document.evaluation().array(name) {
        Some(Evaluated::Known(values)) => values
            .into_iter()
            .map(|value| value.known().map(Into::into).unwrap_or_default())
            .collect(),
        _ => Vec::new(),
    }
}

/// The fields other than `name`.
fn others(document: &Document, name: &str) -> Vec<(&'static str, Vec<String>)> {
    [
        "pkgname", "pkgver", "pkgrel", "arch", "url", "source", "license", "groups", "pkgdesc",
        "depends",
    ]
    .into_iter()
    .filter(|other| *other != name)
    .map(|other| (other, list(document, other)))
    .collect()
}

#[test]
fn makepkg_reads_back_what_was_set() {
    let Some(oracle) = Oracle::new() else { return };
    let values = ["plain", "two words", "it's \"q\" $x `y` \\z", "*{a,b}~#!"];
    let (mut edited, mut expected, mut refused) = (Vec::new(), Vec::new(), 0);
    for (index, case) in cases().into_iter().enumerate() {
        let value = values[index % values.len()];
        let Ok(mut document) = Document::new(&case.text) else {
            continue;
        };
        let result = match index % 3 {
            0 => document.set("pkgdesc", value),
            1 => document.push("license", value),
            _ => document.set_array("license", &["first", value]),
        };
        if result.is_err() {
            refused += 1;
            continue;
        }
        let field = if index % 3 == 0 { "pkgdesc" } else { "license" };
        let before = case.text.clone();
        edited.push(Case {
            text: before,
            ..case.clone()
        });
        edited.push(Case {
            text: String::from_utf8(document.text().to_vec()).unwrap(),
            ..case
        });
        expected.push(format!("\t{field} = {value}\n"));
    }
    let printed = oracle.run(&edited);
    let mut compared = 0;
    for ((pair, cases), line) in printed.chunks(2).zip(edited.chunks(2)).zip(&expected) {
        let [before, after] = pair else {
            unreachable!("pairs")
        };
        if !before.success {
            continue;
        }
        assert!(after.success, "{}\n{after:?}", cases[1].text);
        let text = String::from_utf8_lossy(&after.stdout);
        assert!(text.contains(line), "{line}{}\n{text}", cases[1].text);
        compared += 1;
    }
    eprintln!("{compared} edits read back by makepkg, {refused} refused");
    assert!(compared >= 150, "only {compared}");
}

/// `EDIT_CASES` asks for another number of random edits.
fn cases_of_the_run() -> u32 {
    let count = std::env::var("EDIT_CASES").ok();
    count.and_then(|text| text.parse().ok()).unwrap_or(400)
}

#[test]
fn a_new_element_comes_behind_the_comment_of_the_last_one() {
    for (before, expected) in [
        (
            "depends=('a' # first\n)\n",
            "depends=('a' # first\n         'c'\n)\n",
        ),
        (
            "depends=('a' 'b' # both\n)\n",
            "depends=('a' 'b' # both\n         'c'\n)\n",
        ),
        (
            "depends=(\n  a # one\n)\n",
            "depends=(\n  a # one\n  c\n)\n",
        ),
        (
            "depends=(\n\ta b # two\n\t# three\n)\n",
            "depends=(\n\ta b # two\n\tc\n\t# three\n)\n",
        ),
        (
            "depends=('a' # first\n  'b' # last\n)\n",
            "depends=('a' # first\n  'b' # last\n  'c'\n)\n",
        ),
        ("depends=(\n  'a'\n)\n", "depends=(\n  'a'\n  'c'\n)\n"),
        ("depends=(a) # kept\n", "depends=(a c) # kept\n"),
        ("depends=(# none\n)\n", "depends=('c' # none\n)\n"),
        ("depends=(\n# none\n)\n", "depends=('c'\n# none\n)\n"),
        (
            "depends=(a#b) # x\ndepends+=(b # y\n)\n",
            "depends=(a#b) # x\ndepends+=(b # y\n          c\n)\n",
        ),
    ] {
        let found = after(before, |document| document.push("depends", "c"));
        assert_eq!(found.as_deref(), Ok(expected), "{before:?}");
        let all = after(before, |document| {
            let mut values = match document.evaluation().array("depends") {
                Some(Evaluated::Known(values)) => values,
                _ => Vec::new(),
            }
            .into_iter()
            .filter_map(|value| value.known().map(String::from))
            .collect::<Vec<_>>();
            values.push("c".to_owned());
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            document.set_array("depends", &values)
        });
        if !before.contains("+=") {
            assert_eq!(all.as_deref(), Ok(expected), "{before:?}");
        }
    }
}

#[test]
fn sums_of_every_declared_kind_are_renewed() {
    let text = "pkgname=a\npkgver=1\npkgrel=4\narch=(any)\n\
        source=(\"https://x.org/a-$pkgver.tar\"{,.sig} git+https://x.org/b#tag=1) # three\n\
        source_x86_64=(c)\n\
        sha256sums=('old' # the tarball\n            'SKIP'\n            'SKIP')\n\
        b2sums=(old SKIP tagged)\nmd5sums_x86_64=(old)\n";
    let mut asked = Vec::new();
    let mut recipe = Document::new(text).unwrap();
    recipe.bump("2").unwrap();
    let lists = recipe
        .renew_sums(&mut |list, at, algorithm| {
            asked.push(format!("{list} {at} {algorithm}"));
            Some(format!("{algorithm}-{at}"))
        })
        .unwrap();
    let lists: Vec<String> = lists.iter().map(ToString::to_string).collect();
    assert_eq!(lists, ["md5sums_x86_64", "sha256sums", "b2sums"]);
    let expected = text
        .replace("pkgver=1", "pkgver=2")
        .replace("pkgrel=4", "pkgrel=1")
        .replace("'old'", "'sha256-0'")
        .replace("b2sums=(old SKIP tagged)", "b2sums=(b2-0 SKIP b2-2)")
        .replace("=(old)", "=(md5-0)");
    assert_eq!(String::from_utf8_lossy(recipe.text()), expected);
    asked.sort();
    assert_eq!(
        asked,
        [
            "source 0 b2",
            "source 0 sha256",
            "source 2 b2",
            "source_x86_64 0 md5"
        ]
    );
}

#[test]
fn sums_that_cannot_be_renewed_leave_the_text() {
    for (text, why) in [
        ("source=(a)\nb2sums=(x)\n", "digest of `a`"),
        (
            "source=($(curl x))\nb2sums=(x)\n",
            "`curl` would have to run",
        ),
        (
            "source=(a)\nb2sums=($(curl x))\n",
            "`curl` would have to run",
        ),
    ] {
        let found = after(text, |document| {
            document.renew_sums(&mut |_, _, _| None).map(drop)
        });
        assert!(
            found.as_ref().is_err_and(|error| error.contains(why)),
            "{found:?}"
        );
    }
    let found = after(
        "source=(a)\nif x; then\nb2sums=(x)\nfi\nb2sums=(y)\n",
        |document| {
            document
                .renew_sums(&mut |_, _, _| Some("z".to_owned()))
                .map(drop)
        },
    );
    assert!(found.is_err(), "{found:?}");
    // More or fewer than there are sources.
    let found = after("source=(a git+https://x.org/b)\nb2sums=(x)\n", |document| {
        document
            .renew_sums(&mut |_, at, _| Some(at.to_string()))
            .map(drop)
    });
    assert_eq!(
        found.as_deref(),
        Ok("source=(a git+https://x.org/b)\nb2sums=(0 SKIP)\n")
    );
}
