//! Written, read and written again, a `.SRCINFO` stays the same; and what the reader refuses.

#![allow(clippy::unwrap_used)]

mod support;

use pkgbuild_syntax::{
    Arch, ArrayField, Environment, Package, PackageError, SrcinfoError, StringField, evaluate,
    parse,
};
use proptest::prelude::*;

fn package(text: &str) -> Package {
    let recipe = parse(text);
    Package::from_evaluation(&evaluate(&recipe.file, &Environment::default())).unwrap()
}

#[test]
fn all_recipes() {
    let mut count = 0;
    for case in support::cases() {
        // A banner is no part of the format, and a repeated architecture repeats its lists.
        if case.name.contains("banner") || case.name.contains("arch twice") {
            continue;
        }
        let recipe = parse(&case.text);
        let evaluation = evaluate(&recipe.file, &Environment::default());
        let Ok(written) = pkgbuild_syntax::printsrcinfo(&evaluation, |_| true) else {
            continue;
        };
        let read = Package::from_srcinfo(&written).unwrap();
        assert_eq!(read.srcinfo().unwrap(), written, "{}", case.name);
        let json = serde_json::to_string(&read).unwrap();
        assert_eq!(
            serde_json::from_str::<Package>(&json).unwrap(),
            read,
            "{}",
            case.name
        );
        count += 1;
    }
    assert!(count > 200, "only {count} recipes have a .SRCINFO");
}

#[test]
fn a_replaced_list_is_that_of_every_architecture() {
    let text = "pkgname=(a b c)\npkgver=1\npkgrel=2\narch=(x86_64)\ndepends=(x)\n\
                depends_x86_64=(y)\npackage_a() { depends=(w); }\n\
                package_b() { depends+=(w); }\npackage_c() { depends=(w); depends_x86_64=(z); }\n";
    let package = package(text);
    let read = Package::from_srcinfo(&package.srcinfo().unwrap()).unwrap();
    let arch: Arch = "x86_64".parse().unwrap();
    for package in [package, read] {
        let of = |name: &str| package.array_of(name, ArrayField::Depends, &arch).unwrap();
        assert_eq!(of("a"), ["w"]);
        assert_eq!(of("b"), ["x", "w", "y"]);
        assert_eq!(of("c"), ["w", "z"]);
    }
}

#[test]
fn packages_compare_whatever_they_were_read_from() {
    let text = "pkgname=(a b)\npkgver=1\npkgrel=2\narch=(x86_64)\npkgdesc='a   b'\ndepends=(x)\n\
                package_a() { depends+=(w); }\npackage_b() { url=u; }\n";
    let old = package(text);
    let read = Package::from_srcinfo(&old.srcinfo().unwrap()).unwrap();
    assert_ne!(old, read);
    assert_eq!(old.difference(&read), []);
    let new = package(&text.replace("(w)", "(w v)").replace("pkgrel=2", "pkgrel=3"));
    let found: Vec<_> = read
        .difference(&new)
        .into_iter()
        .map(|change| (change.pkgname, change.field, change.after))
        .collect();
    let a = Some("a".to_owned());
    let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    assert_eq!(
        found,
        [
            (None, "pkgrel".to_owned(), list(&["3"])),
            (a, "depends".to_owned(), list(&["x", "w", "v"])),
        ]
    );
}

#[test]
fn srcinfo_may_lack_blanks_and_have_a_mark() {
    let read =
        Package::from_srcinfo("\u{feff}pkgbase=demo\n\tpkgver =1\n\tpkgrel= 2\npkgname=demo\n");
    assert_eq!(read.unwrap().version().unwrap(), "1-2");
}

#[test]
fn fields_survive() {
    let text = "pkgname=(a b)\npkgver=1\npkgrel=2\nepoch=3\narch=(x86_64 riscv64)\n\
                depends=(x)\ndepends_riscv64=(y 'z>=1')\n\
                package_a() { depends+=(w); url=https://a.org; }\npackage_b() { depends=(); }\n";
    let package = package(text);
    let read = Package::from_srcinfo(&package.srcinfo().unwrap()).unwrap();
    assert_eq!(read.common, package.common);
    assert_eq!(read.overrides, package.overrides);
    assert_eq!(read.version().unwrap(), "3:1-2");
    let riscv64: Arch = "riscv64".parse().unwrap();
    assert_eq!(
        read.array(ArrayField::Depends, &riscv64).unwrap(),
        ["x", "y", "z>=1"]
    );
    let of = |name: &str| {
        read.array_of(name, ArrayField::Depends, &Arch::any())
            .unwrap()
    };
    assert_eq!(of("a"), ["x", "w"]);
    assert!(of("b").is_empty());
    let url = read
        .overrides("a")
        .unwrap()
        .metadata
        .string(StringField::Url)
        .unwrap();
    assert_eq!(url.get(), Ok("https://a.org"));
}

#[test]
fn sources_meet_their_checksums() {
    let text = "pkgname=a\npkgver=1\npkgrel=1\narch=(x86_64 i686)\n\
                source=(one two)\nsha256sums=(1 SKIP)\nb2sums=(3 4)\n\
                source_x86_64=(own)\nmd5sums_x86_64=(5)\n";
    let resolved = package(text).resolve(&"x86_64".parse().unwrap()).unwrap();
    let sources: Vec<_> = resolved
        .sources
        .iter()
        .map(|source| {
            let sums = source
                .checksums
                .iter()
                .map(|sum| format!("{}:{}", sum.algorithm, sum.digest));
            let span = source.span.unwrap();
            (&text[span.range()], sums.collect::<Vec<_>>().join(" "))
        })
        .collect();
    assert_eq!(
        sources,
        [
            ("one", "sha256:1 b2:3".to_owned()),
            ("two", "sha256:SKIP b2:4".to_owned()),
            ("own", "md5:5".to_owned()),
        ]
    );
}

#[test]
fn mismatches_are_errors_with_a_place() {
    let text = "pkgname=a\npkgver=1\npkgrel=1\narch=(any)\nsource=(a b)\nsha256sums=(SKIP)\n";
    let error = package(text).resolve(&Arch::any()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`sha256sums` has 1 elements for 2 sources in `source`"
    );
    assert!(text[error.span().unwrap().range()].starts_with("sha256sums="));
    let other = package("pkgname=a\npkgver=1\npkgrel=1\narch=(i686)\n");
    let error = other.resolve(&"x86_64".parse().unwrap()).unwrap_err();
    assert!(
        matches!(error, PackageError::Architecture { .. }),
        "{error}"
    );
}

#[test]
fn only_what_is_asked_for_must_be_known() {
    let text = "pkgname=a\npkgver=1\npkgrel=1\narch=(any)\npkgdesc=$(curl x)\nurl=$(wget y)\n";
    let package = package(text);
    assert_eq!(package.version().unwrap(), "1-1");
    package.resolve(&Arch::any()).unwrap();
    let PackageError::Dynamic { reasons } = package.srcinfo().unwrap_err() else {
        panic!("expected a dynamic value");
    };
    let reasons: Vec<_> = reasons
        .iter()
        .map(|reason| reason.describe(text.as_bytes()))
        .collect();
    assert_eq!(
        reasons,
        [
            "`curl` would have to run, line 5",
            "`wget` would have to run, line 6"
        ]
    );
}

#[test]
fn refused() {
    type Expected = fn(&SrcinfoError) -> bool;
    let cases: [(&str, Expected); 7] = [
        ("", |error| {
            matches!(error, SrcinfoError::NoPkgbase { line: 1 })
        }),
        ("pkgname = a", |error| {
            matches!(error, SrcinfoError::NoPkgbase { line: 1 })
        }),
        ("pkgbase = a\nnonsense", |error| {
            matches!(error, SrcinfoError::Line { line: 2, .. })
        }),
        ("pkgbase = a\npkgbase = b", |error| {
            matches!(error, SrcinfoError::Twice { line: 2, .. })
        }),
        ("pkgbase = a\n\tpkgver = 1\n\tpkgver = 1", |error| {
            matches!(error, SrcinfoError::Twice { line: 3, .. })
        }),
        ("pkgbase = a\n\tcolour = red", |error| {
            matches!(error, SrcinfoError::Field { line: 2, .. })
        }),
        ("pkgbase = a\npkgname = a\n\tpkgver = 1", |error| {
            matches!(error, SrcinfoError::Field { line: 3, .. })
        }),
    ];
    for (text, expected) in cases {
        let error = Package::from_srcinfo(text).unwrap_err();
        assert!(expected(&error), "{text:?}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in "(pkgbase|pkgname|\\tdepends(_x|_)?|\\tpkgver|#|.*)( = .*|=|)\n{0,8}") {
        let _ = Package::from_srcinfo(&text);
    }

    #[test]
    fn any_lines_are_read_or_refused(lines in proptest::collection::vec(
        "(pkgname|\\tdepends|\\tdepends_x|\\tarch|\\turl|\\tsource|) = .{0,12}", 0..12,
    )) {
        let text = format!("pkgbase = a\n{}", lines.join("\n"));
        if let Ok(package) = Package::from_srcinfo(&text) {
            let written = package.srcinfo().unwrap();
            let again = Package::from_srcinfo(&written).unwrap();
            // A repeated architecture repeats its lists.
            let arches = again.common.array(ArrayField::Arch).cloned().unwrap_or_default();
            let mut names = arches.texts().unwrap();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            if names.len() == count {
                prop_assert_eq!(again.srcinfo().unwrap(), written);
            }
        }
    }
}
