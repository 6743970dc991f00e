//! Input made to hurt: deep, long, unclosed, ambiguous or no text at all.
//!
//! Sizes are moderate, for these run unoptimised too; time decides nothing here, a quadratic
//! parser would show as a test that does not end.

#![allow(clippy::unwrap_used)]

use pkgbuild_syntax::{MAX_DEPTH, MAX_LENGTH, Parse, SyntaxErrorKind, parse, parse_word};

fn checked(input: impl AsRef<[u8]>) -> Parse {
    let input = input.as_ref();
    let parse = parse(input);
    let leaves = parse
        .file
        .leaves()
        .flat_map(|leaf| parse.file.text(leaf.span).to_vec());
    assert!(
        leaves.eq(input.iter().copied()),
        "the leaves differ from the input"
    );
    for error in &parse.errors {
        assert!(format!("{error:#}").len() < 2_000, "an endless message");
    }
    parse
}

fn kinds(parse: &Parse) -> Vec<&SyntaxErrorKind> {
    parse.errors.iter().map(|error| &error.kind).collect()
}

#[test]
fn deep_nesting_is_one_error_with_a_position() {
    let openings = [
        "$(",
        "\"$(",
        "<(",
        "$((",
        "${x:-",
        "\"${x:-",
        "${x[",
        "${x:",
        "$[",
        "(",
        "((",
        "( ",
        "{ ",
        "if ",
        "while ",
        "until ",
        "case x in x) ",
        "for x in y; do ",
        "f() { ",
        "f()",
        "function f { ",
        "x=$(",
        "x=(\"$(",
        "x[$(",
        "x=([$(",
        "[[ ! ( ",
        "[[ ( ",
        "[[ $(",
        "(( $(",
        "coproc ",
        "for ((x=$(",
        "select x in $(",
        "a | ( ",
        "a && { ",
        "! ( ",
        "$(cat <<E\n$(",
        "@(",
        "a@($(",
        "${x/$(",
        "${x/a/$(",
        "$(case x in x) $(",
        "<<<$(",
        ">$(",
        "x=(\n$(",
    ];
    for opening in openings {
        for count in [50, 1_000, 100_000] {
            let parse = checked(opening.repeat(count));
            assert_eq!(
                parse.errors.len(),
                1,
                "{opening} {count}: {:?}",
                kinds(&parse)
            );
        }
    }
    let parse = checked("$(".repeat(100_000));
    assert_eq!(
        kinds(&parse),
        [&SyntaxErrorKind::TooDeep { limit: MAX_DEPTH }]
    );
    assert_eq!(parse.errors[0].position.column, 2 * MAX_DEPTH + 1);
}

#[test]
fn nesting_below_the_limit_is_read() {
    let depth = MAX_DEPTH as usize - 1;
    for (open, close) in [
        ("$(", ")"),
        ("${x:-", "}"),
        ("( ", ")"),
        ("{ ", "; }"),
        ("$((", "))"),
    ] {
        let text = format!("{}:{}", open.repeat(depth), close.repeat(depth));
        assert!(checked(&text).errors.is_empty(), "{open}");
    }
}

#[test]
fn ambiguous_brackets_are_not_tried_again_and_again() {
    for (open, close) in [
        ("$((", ") )"),
        ("((", ") )"),
        ("a[$(", ")]b"),
        ("x=([$(", ")]b)"),
    ] {
        for depth in [10, 60] {
            checked(format!("{}a{}", open.repeat(depth), close.repeat(depth)));
        }
        let unit = format!("{open}a{close}\n");
        checked(unit.repeat(20_000));
    }
}

#[test]
fn long_input_is_linear() {
    let units = [
        "a",
        "a ",
        "a;",
        "a\n",
        "\n",
        "'",
        "\"",
        "`",
        "$",
        "\\",
        "#",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "<",
        ">",
        "&",
        "|",
        "a[",
        "$x",
        "${x}",
        "\"$x\"",
        "'a' ",
        "((\n",
        "$((\n",
        "`a`",
        "a<<E\n",
        "<<E ",
        "x=(",
        "x=(\n",
        "fi\n",
        "do ",
        "a && ",
        "a | ",
        "! ",
        "time ",
        "x=y ",
        ">a ",
        "[[ a && ",
        "[[ a || b ]]\n",
        "a?(",
        "$'",
        "'\n",
        "\"\n",
        "`\n",
        "{\n",
        "}\n",
        "(\n",
        ")\n",
        "\u{0}",
        "\u{ff}",
        "\t",
        "\\\n",
        "case x in\n",
        "esac\n",
        "${x/",
        "${x:",
        "a\\ ",
        "!(a)",
    ];
    for unit in units {
        checked(unit.repeat(60_000 / unit.len()));
        checked(format!("x=({})", unit.repeat(20_000 / unit.len())));
        checked(format!("x=\"{}\"", unit.repeat(20_000 / unit.len())));
        checked(format!("[[ {} ]]", unit.repeat(20_000 / unit.len())));
        checked(format!(
            "f() {{\n{}\n}}\n",
            unit.repeat(20_000 / unit.len())
        ));
    }
}

#[test]
fn a_long_chain_does_not_become_a_deep_tree() {
    drop(checked(format!("[[ a {} ]]", "&& a ".repeat(50_000))));
    drop(checked(format!("a {}", "&& a ".repeat(50_000))));
    drop(checked(format!("a {}", "| a ".repeat(50_000))));
    drop(checked(format!(
        "if a; then b; {} fi",
        "elif a; then b; ".repeat(20_000)
    )));
}

#[test]
fn too_long_a_text_is_refused() {
    let text = vec![b'a'; MAX_LENGTH + 1];
    let parse = parse(&text);
    assert!(matches!(
        kinds(&parse)[..],
        [SyntaxErrorKind::TooLong { .. }]
    ));
    assert_eq!(parse.file.leaves().len(), 0);
}

#[test]
fn errors_are_limited() {
    let parse = checked(")\n".repeat(10_000));
    assert!(parse.errors.len() <= 101, "{}", parse.errors.len());
    assert!(matches!(
        kinds(&parse).last().unwrap(),
        SyntaxErrorKind::TooMany { .. }
    ));
}

#[test]
fn bytes_that_are_not_text_are_kept() {
    checked([0_u8; 4096]);
    checked((0..=u8::MAX).cycle().take(10_000).collect::<Vec<_>>());
    let parse = checked(b"# caf\xe9\nx='\xff'\n");
    assert!(parse.errors.is_empty());
    for byte in 0..=u8::MAX {
        checked([byte]);
        checked([b'$', byte]);
        checked([b'\\', byte]);
        checked([b'"', byte]);
        checked([b'$', b'{', byte]);
        checked([b'$', b'{', b'x', byte]);
        checked([b'x', b'=', byte]);
        checked([b'<', b'<', byte]);
        parse_word([byte]);
    }
}
