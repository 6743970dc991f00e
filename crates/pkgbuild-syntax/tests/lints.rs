//! Each rule finds what it is for, at its place, and nothing in a good recipe.

#![allow(clippy::unwrap_used)]

use pkgbuild_syntax::{Code, Diagnostic, Environment, Severity, evaluate, lint, parse};

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
        "source=(git+https://x.org/b#tag=1)\ncksums=(1)",
        Code::ChecksumVersionControl,
        "git+https://x.org/b#tag=1",
    ),
    ("source=(b)\ncksums=(1)", Code::ChecksumWeak, "b"),
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

#[test]
fn a_good_recipe_has_no_findings() {
    let digest = "0".repeat(64);
    let text = format!(
        "{HEAD}pkgdesc=x\nurl=https://x.org\nlicense=(MIT)\ndepends=('b>=1')\noptdepends=('c: d')\n\
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
