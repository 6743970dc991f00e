//! Whatever the input: a tree, leaves that make it up, spans inside it.

#![allow(clippy::unwrap_used)]

mod dump;

use pkgbuild_syntax::{LeafKind, parse, parse_word};
use proptest::prelude::*;

/// Pieces of shell text that mean something next to each other.
const PIECES: &[&str] = &[
    "a",
    "x",
    "pkgname",
    "=",
    "+=",
    "(",
    ")",
    "((",
    "))",
    "{",
    "}",
    "[",
    "]",
    "[[",
    "]]",
    " ",
    " ",
    " ",
    "\n",
    "\n",
    ";",
    ";;",
    ";&",
    "&",
    "&&",
    "|",
    "||",
    "|&",
    "!",
    "'",
    "\"",
    "`",
    "$",
    "$(",
    "$((",
    "${",
    "${x",
    "${#",
    "${!",
    "$[",
    "$'",
    "$\"",
    "\\",
    "\\\n",
    "#",
    "if ",
    "then ",
    "elif ",
    "else ",
    "fi",
    "for ",
    "in ",
    "do ",
    "done",
    "while ",
    "until ",
    "case ",
    "esac",
    "select ",
    "function ",
    "coproc ",
    "time ",
    "declare ",
    "local ",
    "<",
    ">",
    "<<",
    "<<-",
    "<<<",
    ">&",
    "&>",
    "<(",
    ">(",
    "2>",
    "{fd}>",
    "EOF",
    "<<EOF\n",
    "<<'EOF'\n",
    "\nEOF\n",
    "\t",
    "*",
    "?",
    "@(",
    "!(",
    "+(",
    "~",
    ":-",
    ":",
    "/",
    "//",
    "%",
    "##",
    "^^",
    ",,",
    "@Q",
    "[@]",
    "[*]",
    "=~",
    "==",
    "-f ",
    "-eq",
    "\u{e9}",
    "1",
    "0",
    "f() ",
    "x=(",
    "x[1]=",
    "() {",
    "\r\n",
];

fn text() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::collection::vec(prop::sample::select(PIECES), 0..60)
        .prop_map(|pieces| pieces.concat().into_bytes());
    let bytes = prop::collection::vec(any::<u8>(), 0..200);
    prop_oneof![6 => pieces, 1 => bytes]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn leaves_make_up_the_input(text in text()) {
        let parse = parse(&text);
        let joined: Vec<u8> = parse.file.leaves().flat_map(|leaf| parse.file.text(leaf.span).to_vec()).collect();
        prop_assert_eq!(&joined, &text);
        prop_assert!(parse.file.leaves().all(|leaf| !leaf.span.is_empty()));
        let invalid = parse.file.leaves().any(|leaf| leaf.kind == LeafKind::Invalid);
        prop_assert!(!invalid || !parse.errors.is_empty(), "skipped something without a word");
        for error in &parse.errors {
            prop_assert!(error.span.end as usize <= text.len());
            let shown = format!("{error:#}");
            prop_assert_ne!(shown.as_str(), "");
        }
        // Every span is visited, none may lie outside the text.
        dump::dump(&parse.file);
    }

    #[test]
    fn statements_are_in_order_and_inside(text in text()) {
        let parse = parse(&text);
        let mut end = 0;
        for statement in &parse.file.commands().statements {
            prop_assert!(statement.span.start >= end);
            prop_assert!(statement.span.contains(statement.command.span()));
            end = statement.span.end;
        }
        prop_assert!(end as usize <= text.len());
    }

    #[test]
    fn what_is_well_formed_stays_so_in_a_function(text in text()) {
        let alone = parse(&text);
        if !alone.errors.is_empty() || alone.file.commands().statements.is_empty() {
            return Ok(());
        }
        let wrapped = [b"f() {\n", text.as_slice(), b"\n}\n"].concat();
        let wrapped = parse(wrapped);
        prop_assert!(wrapped.errors.is_empty() || text.ends_with(b"\\"), "{:?}", wrapped.errors);
    }

    #[test]
    fn a_word_is_read_whole(text in text()) {
        let parse = parse_word(&text);
        if parse.errors.is_empty() {
            prop_assert_eq!(parse.word.span.len() as usize, text.len());
        }
    }
}
