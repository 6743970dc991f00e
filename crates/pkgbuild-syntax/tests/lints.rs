//! Findings as callers get them: severities, edits, allowances. What each rule finds stands in a table
//! beside it.

#![allow(clippy::unwrap_used)]

use pkgbuild_syntax::{Code, Diagnostic, Environment, Severity, evaluate, fixed, lint, parse};

const HEAD: &str = "pkgname=a\npkgver=1\npkgrel=1\narch=(x86_64)\n";

fn findings(text: &str) -> Vec<Diagnostic> {
    let recipe = parse(text);
    assert!(recipe.errors.is_empty(), "{text}: {:?}", recipe.errors);
    lint(&evaluate(&recipe.file, &Environment::default()), |_| false).unwrap()
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
