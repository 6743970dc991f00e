#![allow(clippy::unwrap_used)]

use super::*;

fn converted(conversion: Conversion, text: &[u8]) -> Vec<u8> {
    let id = Oid::hash_object(git2::ObjectType::Blob, text).unwrap();
    conversion
        .apply(text.to_vec(), id, Purpose::Checkout)
        .unwrap()
}

#[test]
fn line_ends_are_the_same_however_a_file_is_cut() {
    let text = b"one\ntwo\r\n\r\r\n\n\nlast\r";
    let whole = Conversion {
        line_ends: LineEnds::Windows,
        ..Conversion::default()
    };
    let expected = converted(whole, text);
    assert_eq!(expected, b"one\r\ntwo\r\n\r\r\n\r\n\r\nlast\r");
    for cut in 0..text.len() {
        let (mut converter, mut out) = (LineConverter::default(), Vec::new());
        let mut statistics = Statistics::default();
        for piece in [&text[..cut], &text[cut..]] {
            statistics.add(piece);
            converter.convert(piece, &mut out);
        }
        assert_eq!(out, expected, "{cut}");
        assert_eq!(statistics.length + statistics.lone_lf, out.len() as u64);
    }
}

#[test]
fn text_that_an_encoding_lacks_stays_as_it_is() {
    let with = |name: &str| Conversion {
        encoding: Encoding::named(name),
        ..Conversion::default()
    };
    let snowman = "\u{2603}".as_bytes();
    assert_eq!(converted(with("latin1"), snowman), snowman);
    assert_eq!(converted(with("UTF-16"), b"\xff"), b"\xff");
    assert_eq!(
        converted(with("cp1252"), "\u{81}".as_bytes()),
        "\u{81}".as_bytes()
    );
    assert_eq!(
        converted(with("SHIFT-JIS"), "\u{ff5e}".as_bytes()),
        "\u{ff5e}".as_bytes()
    );
    assert_eq!(
        converted(with("SHIFT-JIS"), "\u{301c}".as_bytes()),
        b"\x81\x60"
    );
    assert_eq!(converted(with("UTF-16LE-BOM"), b"a"), b"\xff\xfea\0");
    let private = with("cp932").apply("\u{e000}".into(), Oid::ZERO_SHA1, Purpose::Archive);
    assert_eq!(private, Err(ConversionError::Character('\u{e000}')));
}
