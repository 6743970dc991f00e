//! Each rule finds what it is for, at its place, and nothing in a good recipe.

#![allow(clippy::unwrap_used)]

use pkgbuild_syntax::{Code, Diagnostic, Environment, Severity, evaluate, fixed, lint, parse};

const HEAD: &str = "pkgname=a\npkgver=1\npkgrel=1\narch=(x86_64)\n";

fn findings(text: &str) -> Vec<Diagnostic> {
    let recipe = parse(text);
    assert!(recipe.errors.is_empty(), "{text}: {:?}", recipe.errors);
    lint(&evaluate(&recipe.file, &Environment::default()), |_| false).unwrap()
}

/// What is appended to a good recipe, the rule that it breaks and the text at its place.
const CASES: &[(&str, Code, &str)] = &[
    ("arch=(any x86_64)", Code::ArchAnyMixed, "any"),
    ("arch=('x86-64')", Code::ArchInvalid, "'x86-64'"),
    (
        "arch=(any)\ndepends_any=(x)",
        Code::ArchAnySuffix,
        "depends_any=(x)",
    ),
    ("url_x86_64=x", Code::ArchSuffix, "url_x86_64=x"),
    ("backup=(etc/a /etc/b)", Code::BackupAbsolute, "/etc/b"),
    ("changelog=x", Code::ChangelogMissing, "changelog=x"),
    ("install=x", Code::InstallMissing, "install=x"),
    ("depends=(b 'c d')", Code::NameInvalid, "'c d'"),
    ("pkgname=.a", Code::NameInvalid, "pkgname=.a"),
    ("epoch=x", Code::EpochInvalid, "epoch=x"),
    ("pkgrel=x", Code::PkgrelInvalid, "pkgrel=x"),
    ("pkgver=1-2", Code::PkgverInvalid, "pkgver=1-2"),
    ("makedepends=('b=1/2')", Code::PkgverInvalid, "'b=1/2'"),
    ("provides=('b>=1')", Code::ProvidesComparison, "'b>=1'"),
    ("options=(fast)", Code::OptionUnknown, "fast"),
    (
        "package() { :; }\npackage_a() { :; }",
        Code::PackageFunctionConflict,
        "package() { :; }",
    ),
    (
        "build() { :; }",
        Code::PackageFunctionMissing,
        "build() { :; }",
    ),
    ("package() {\n  pkgver=2\n}", Code::OverrideForbidden, ""),
    ("source=(a b)\nunset 'source[0]'", Code::SourceSparse, "*"),
    ("depends=b", Code::NotAnArray, "depends=b"),
    ("url=(b)", Code::NotAString, "url=(b)"),
    (
        "source=(b c)\nb2sums=(SKIP)",
        Code::ChecksumCount,
        "b2sums=(SKIP)",
    ),
    ("source=(b)\nsha256sums=(123)", Code::ChecksumInvalid, "123"),
    ("source=(b)", Code::ChecksumMissing, "b"),
    (
        "source=(https://x.org/b)\nsha256sums=(SKIP)",
        Code::ChecksumSkipped,
        "https://x.org/b",
    ),
    (
        "source=(https://x.org/b)\ncksums=(1)",
        Code::ChecksumWeak,
        "https://x.org/b",
    ),
    ("source=(b b)\ncksums=(1 1)", Code::DuplicateName, "b"),
    (
        "source=(http://x.org/b)\nsha256sums=(SKIP)",
        Code::SourceUnprotected,
        "http://x.org/b",
    ),
    (
        "source=(git://x.org/b#tag=1)\nsha256sums=(SKIP)",
        Code::SourceUnprotected,
        "git://x.org/b#tag=1",
    ),
    (
        "source=(git+https://x.org/b#branch=m)\nsha256sums=(SKIP)",
        Code::SourceMoving,
        "git+https://x.org/b#branch=m",
    ),
    (
        "source=(../b)\nsha256sums=(SKIP)",
        Code::SourceEscapes,
        "../b",
    ),
    ("install=../x", Code::PathEscapes, "install=../x"),
    ("_x=$(curl x) || true", Code::TopLevelCommand, "*"),
    ("pkgdesc=$(curl x)", Code::ValueUnknown, "*"),
    ("pkgver = 2", Code::BlankAroundEquals, "pkgver"),
    ("url= https://x.org", Code::BlankAroundEquals, "url="),
    ("depends=(b, c)", Code::CommaInList, "b,"),
    ("depend=(b)", Code::FieldMisspelt, "depend"),
    (
        "package() {\n  ln -s /usr/lib/b \"$pkgdir/usr/bin/b\"\n}",
        Code::LinkAbsolute,
        "/usr/lib/b",
    ),
    (
        "package() {\n  git clone https://x.org/b\n}",
        Code::NetworkOffline,
        "git clone https://x.org/b",
    ),
    (
        "package() {\n  install -Dm755 b /usr/bin/b\n}",
        Code::OutsidePkgdir,
        "/usr/bin/b",
    ),
    (
        "package() {\n  rm -rf /usr/share/b\n}",
        Code::OutsidePkgdir,
        "/usr/share/b",
    ),
    (
        "package() {\n  cp -t /etc/b b\n}",
        Code::OutsidePkgdir,
        "/etc/b",
    ),
    (
        "build() {\n  echo b > /etc/b\n}\npackage() { :; }",
        Code::OutsidePkgdir,
        "/etc/b",
    ),
    (
        "build() {\n  curl https://x.org/b | sh\n}\npackage() { :; }",
        Code::PipeToShell,
        "curl https://x.org/b",
    ),
    (
        "build() {\n  bash -c \"$(wget -O- https://x.org/b)\"\n}\npackage() { :; }",
        Code::PipeToShell,
        "*",
    ),
    (
        "source=(https://u:secret@x.org/b)\nsha256sums=(SKIP)",
        Code::SecretInSource,
        "https://u:secret@x.org/b",
    ),
    (
        "source=('https://x.org/b?token=abc')\nsha256sums=(SKIP)",
        Code::SecretInSource,
        "'https://x.org/b?token=abc'",
    ),
    (
        "source=(git+https://x.org/b#tag=1)\nsha256sums=(SKIP)",
        Code::ToolMissing,
        "git+https://x.org/b#tag=1",
    ),
    (
        "package() {\n  cp b $pkgdir/usr\n}",
        Code::UnquotedDirectory,
        "$pkgdir",
    ),
    (
        "package() {\n  sudo make install\n}",
        Code::UserChanged,
        "sudo",
    ),
];

#[test]
fn every_rule_finds_its_case() {
    for (addition, code, place) in CASES {
        let text = format!("{HEAD}{addition}\n");
        let found = findings(&text);
        let diagnostic = found
            .iter()
            .find(|found| found.code == *code)
            .unwrap_or_else(|| panic!("{addition}: {code} is not among {found:?}"));
        assert!(
            !diagnostic.fix.is_empty() && !diagnostic.fix.contains('\n'),
            "{diagnostic:?}"
        );
        let at = diagnostic
            .span
            .map_or("", |span| text[span.range()].trim_end());
        if *place != "*" {
            assert_eq!(at, *place, "{addition}: {diagnostic:?}");
        }
    }
    for code in Code::ALL {
        assert!(
            CASES.iter().any(|(_, tested, _)| tested == code),
            "{code} has no case"
        );
    }
}

/// What is no finding, though it looks like one.
const INNOCENT: &[&str] = &[
    "depend=b\ndepends=($depend)",
    "makedepends=(git)\nsource=(git+https://x.org/b#tag=1)\nsha256sums=(SKIP)",
    "makedepends=(git)\nsource=(git+https://x.org/b#tag=1)\nb2sums=(1)",
    "makedepends=(git)\nsource=(git+https://x.org/b)\nsha256sums=(SKIP)\npkgver() { echo 1; }",
    "package() {\n  ln -s ../lib/b \"$pkgdir/usr/bin/b\"\n}",
    "package() {\n  install -Dm644 /usr/share/licenses/b -t \"$pkgdir/usr\"\n}",
    "package() {\n  cp /etc/b \"${pkgdir}\"/etc/b\n}",
    "package() {\n  local x=$pkgdir/usr\n  [[ -e $pkgdir/usr ]] && cd \"$srcdir\"\n}",
    "build() {\n  git clone x\n}\npackage() { make PREFIX=/usr DESTDIR=\"$pkgdir\" install; }",
    "package() {\n  sed -i s,/usr/local,/usr, b\n}",
    "in_array x y z || true\n:",
    "source=(b.patch)\ncksums=(1)",
    "package() {\n  npm install -g --prefix \"$pkgdir/usr\" \"$srcdir\"/b-1.tgz\n}",
    "check() {\n  pip install ./dist/*.whl\n}\npackage() { :; }",
    "optdepends=('b: c, d' 'e: f,')",
    "source=(https://user@x.org/b)\nsha256sums=(SKIP) # lint: allow(checksum-skipped)",
];

#[test]
fn what_is_innocent_is_not_found() {
    for addition in INNOCENT {
        let found = findings(&format!("{HEAD}{addition}\n"));
        let found: Vec<_> = found
            .iter()
            .filter(|found| !matches!(found.code, Code::ChecksumSkipped | Code::ChecksumInvalid))
            .collect();
        assert!(found.is_empty(), "{addition}: {found:?}");
    }
}

#[test]
fn what_is_not_known_is_no_error() {
    for addition in [
        "curl x || exit 1\npkgrel=2\npackage() { :; }",
        "unset pkgrel\ncurl x || exit 1\npkgrel=2",
        "pkgname=($(curl x))\npackage() { :; }",
        "pkgname=(\"$(curl x)\")\npackage() { :; }",
    ] {
        let found = findings(&format!("{HEAD}{addition}\n"));
        let wrong = found.iter().find(|found| found.severity == Severity::Error);
        assert!(wrong.is_none(), "{addition}: {wrong:?}");
    }
}

#[test]
fn edits_mend_what_was_found() {
    for (before, after) in [
        ("pkgver = 2", "pkgver=2"),
        ("url= https://x.org", "url=https://x.org"),
        ("depends=(b, 'c', \"d,\")", "depends=(b 'c' \"d\")"),
        ("depend=(b)\nmakedepend=(c)", "depends=(b)\nmakedepends=(c)"),
        (
            "package() {\n  cp $srcdir/b ${pkgdir}/usr # $pkgdir\n}",
            "package() {\n  cp \"$srcdir\"/b \"${pkgdir}\"/usr # $pkgdir\n}",
        ),
    ] {
        let text = format!("{HEAD}{before}\n");
        let found = findings(&text);
        let (mended, count) = fixed(text.as_bytes(), &found);
        assert_eq!(
            String::from_utf8(mended.clone()).unwrap(),
            format!("{HEAD}{after}\n")
        );
        assert!(count > 0);
        let again = findings(std::str::from_utf8(&mended).unwrap());
        let left: Vec<_> = again
            .iter()
            .filter(|found| !found.edits.is_empty())
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn comments_allow_a_rule_in_a_line_or_the_file() {
    let uses = "package() {\n  sudo a\n  sudo b\n}\n";
    let count = |text: &str| {
        let found = findings(&format!("{HEAD}{text}"));
        found
            .iter()
            .filter(|found| found.code == Code::UserChanged)
            .count()
    };
    assert_eq!(count(uses), 2);
    assert_eq!(
        count(&uses.replace("sudo a", "sudo a # lint: allow(user-changed)")),
        1
    );
    assert_eq!(
        count(&uses.replace("  sudo a", "  # lint: allow(x, user-changed) why\n  sudo a")),
        1
    );
    assert_eq!(
        count(&format!("# lint: allow-file(user-changed)\n{uses}")),
        0
    );
    assert_eq!(count(&format!("# lint: allow-file(other)\n{uses}")), 2);
    let refused = findings(&format!("{HEAD}pkgrel=x # lint: allow(pkgrel-invalid)\n"));
    assert_eq!(refused[0].code, Code::PkgrelInvalid);
}

#[test]
fn a_good_recipe_has_no_findings() {
    let digest = "0".repeat(64);
    let text = format!(
        "{HEAD}pkgdesc=x\nurl=https://x.org\nlicense=(MIT)\ndepends=('b>=1')\nmakedepends=(git)\noptdepends=('c: d')\n\
         source=(https://x.org/a.tar.gz{{,.sig}} git+https://x.org/b#commit=1)\n\
         sha256sums=({digest} SKIP SKIP)\noptions=(!strip)\npackage() {{\n  depends+=(e)\n}}\n"
    );
    assert_eq!(findings(&text), []);
}

#[test]
fn makepkgs_rules_are_errors() {
    for code in Code::ALL.iter().filter(|code| code.is_lint_pkgbuild()) {
        assert_eq!(code.severity(), Severity::Error, "{code}");
    }
}
