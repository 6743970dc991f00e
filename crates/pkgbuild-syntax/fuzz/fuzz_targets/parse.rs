//! No input makes the parser panic, hang or lose a byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pkgbuild_syntax::{LeafKind, parse, parse_word};

fuzz_target!(|input: &[u8]| {
    let parse = parse(input);
    let mut end = 0;
    for leaf in parse.file.leaves() {
        assert_eq!(leaf.span.start, end);
        assert!(!leaf.span.is_empty());
        end = leaf.span.end;
    }
    assert_eq!(end as usize, input.len());
    assert_eq!(parse.file.source(), input);
    let skipped = parse
        .file
        .leaves()
        .any(|leaf| leaf.kind == LeafKind::Invalid);
    assert!(!skipped || !parse.errors.is_empty());
    for error in &parse.errors {
        assert!(error.span.end as usize <= input.len());
        assert!(!format!("{error:#}").is_empty());
    }
    let word = parse_word(input);
    if word.errors.is_empty() {
        assert_eq!(word.word.span.len() as usize, input.len());
    }
});
