//! The escapes of `$'…'`. Source: bash(1), "QUOTING".

use std::borrow::Cow;

/// Decodes the text between the quotes of `$'…'`.
///
/// An unknown escape keeps its backslash. As in bash, whatever follows an escape that gives a NUL
/// byte is dropped, and `\u` and `\U` give UTF-8.
pub(crate) fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'\\') {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            decoded.push(byte);
            continue;
        }
        let Some((&escape, tail)) = rest.split_first() else {
            decoded.push(b'\\');
            break;
        };
        rest = tail;
        let value = match escape {
            b'a' => 0x07,
            b'b' => 0x08,
            b'e' | b'E' => 0x1b,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            b'\\' | b'\'' | b'"' | b'?' => escape,
            b'0'..=b'7' => {
                let (number, used) = number(&text[text.len() - rest.len() - 1..], 8, 3);
                rest = &text[text.len() - rest.len() - 1 + used..];
                low_byte(number)
            }
            b'x' => match number(rest, 16, 2) {
                (_, 0) => {
                    decoded.extend_from_slice(b"\\x");
                    continue;
                }
                (number, used) => {
                    rest = &rest[used..];
                    low_byte(number)
                }
            },
            b'u' | b'U' => {
                let (number, used) = number(rest, 16, if escape == b'u' { 4 } else { 8 });
                if used == 0 {
                    decoded.extend_from_slice(&[b'\\', escape]);
                    continue;
                }
                rest = &rest[used..];
                if number == 0 {
                    return Cow::Owned(decoded);
                }
                push_scalar(number, &mut decoded);
                continue;
            }
            b'c' if rest.is_empty() => {
                decoded.extend_from_slice(b"\\c");
                continue;
            }
            b'c' => {
                let control = rest[0];
                rest = &rest[1..];
                if control == b'\\' {
                    rest = rest.strip_prefix(b"\\").unwrap_or(rest);
                }
                if control == b'?' {
                    0x7f
                } else {
                    control.to_ascii_uppercase() & 0x1f
                }
            }
            _ => {
                decoded.extend_from_slice(&[b'\\', escape]);
                continue;
            }
        };
        if value == 0 {
            return Cow::Owned(decoded);
        }
        decoded.push(value);
    }
    Cow::Owned(decoded)
}

/// Reads up to `limit` digits; the value and how many there were.
fn number(text: &[u8], radix: u32, limit: usize) -> (u32, usize) {
    text.iter()
        .take(limit)
        .map_while(|&byte| char::from(byte).to_digit(radix))
        .fold((0, 0), |(value, used), digit| {
            (value * radix + digit, used + 1)
        })
}

fn low_byte(number: u32) -> u8 {
    number.to_le_bytes()[0]
}

fn push_scalar(number: u32, decoded: &mut Vec<u8>) {
    // bash encodes whatever the number is; surrogates and beyond keep the same shape in U+FFFD.
    let scalar = char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER);
    decoded.extend_from_slice(scalar.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_as_bash_does() {
        for (text, expected) in [
            ("plain", "plain"),
            (r"a\nb\tc", "a\nb\tc"),
            (r"\'\\\q", "'\\\\q"),
            (r"\101\x41\u0041\U00000041", "AAAA"),
            (r"\x", r"\x"),
            (r"\cA", "\u{1}"),
            (r"\u00e9", "é"),
            (r"one\0two", "one"),
            (r"tail\", r"tail\"),
        ] {
            assert_eq!(decode(text.as_bytes()), expected.as_bytes(), "{text}");
        }
    }
}
