//! Whatever comes in, nothing that drives a terminal goes out.

use proptest::prelude::*;

/// Removes what [`printable::coloured`] may leave, by the letter of ECMA-48.
fn without_colours(text: &str) -> String {
    let mut rest = String::new();
    let mut parts = text.split("\x1b[");
    rest.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let after = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';' || c == ':');
        match after.strip_prefix('m') {
            Some(after) => rest.push_str(after),
            None => rest.push_str("\x1b["),
        }
    }
    rest
}

fn is_harmless(text: &str) -> bool {
    text.chars().all(|c| {
        let is_layout = matches!(c, '\n' | '\t');
        let is_bidi = matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        is_layout || !(c.is_control() || is_bidi)
    })
}

/// Text in which what terminals obey is frequent.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\x1b[".to_owned()),
        Just("\x1b]52;c;".to_owned()),
        Just("\u{9b}31m".to_owned()),
        Just("\x1b[?1049h".to_owned()),
        Just("\x1b[0;31m".to_owned()),
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just("m".to_owned()),
        "[0-9;:]{0,40}",
        any::<char>().prop_map(String::from),
        "[\u{0}-\u{a0}]{0,4}",
        "[\u{2000}-\u{2070}]{0,4}",
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn shown_text_drives_nothing(text in hostile()) {
        prop_assert!(is_harmless(&printable::text(&text)));
    }

    #[test]
    fn coloured_text_has_colours_alone_and_none_beyond_its_line(text in hostile()) {
        let shown = printable::coloured(&text);
        prop_assert!(is_harmless(&without_colours(&shown)), "{shown:?}");
        for line in shown.split('\n') {
            if let Some(last) = line.rfind("\x1b[") {
                prop_assert!(line[last..].starts_with("\x1b[0m"), "{line:?}");
            }
        }
    }

    #[test]
    fn bytes_of_any_kind_are_shown(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        prop_assert!(is_harmless(&printable::text(&text)));
    }

    #[test]
    fn plain_text_stays(text in "[ -~äöüß\n\t]{0,80}") {
        prop_assert_eq!(&printable::text(&text), &text);
        prop_assert_eq!(&printable::coloured(&text), &text);
    }
}
