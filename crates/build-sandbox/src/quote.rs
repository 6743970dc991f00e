/// Quotes a byte string as one word of bash.
///
/// Single quotes take every byte literally but themselves, whatever the locale, so a quote becomes
/// `'\''`. Bash words cannot hold a NUL; it is the caller's duty to refuse one before.
/// Source: bash(1), "QUOTING".
pub fn quote(text: &[u8]) -> Vec<u8> {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_-+=./:,@%".contains(b);
    if !text.is_empty() && text[0] != b'=' && text.iter().all(plain) {
        return text.to_vec();
    }
    let mut word = Vec::with_capacity(text.len() + 2);
    word.push(b'\'');
    for &byte in text {
        if byte == b'\'' {
            word.extend_from_slice(br"'\''");
        } else {
            word.push(byte);
        }
    }
    word.push(b'\'');
    word
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::process::Command;

    use proptest::prelude::*;

    use super::quote;

    fn through_bash(words: &[Vec<u8>]) -> Vec<u8> {
        use std::os::unix::ffi::OsStringExt;
        let mut script = b"printf '%s\\0'".to_vec();
        for word in words {
            script.push(b' ');
            script.extend_from_slice(&quote(word));
        }
        let output = Command::new("bash")
            .args(["--noprofile", "--norc", "-c"])
            .arg(std::ffi::OsString::from_vec(script))
            .env("HOME", "/nowhere")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }

    #[test]
    fn awkward_words_survive_bash() {
        let words: Vec<Vec<u8>> = [
            "", "'", "''", "a'b", "$HOME", "`id`", "$(id)", "\\", "a\\'b", "\n", "!x", "~",
            "~root", "*", "{a,b}", "a b", "#x", "=cmd", "a=b", "-n", "\u{e9}", "\t", "\r",
        ]
        .iter()
        .map(|s| s.as_bytes().to_vec())
        .chain([vec![0xff, 0xfe], vec![0xc3], (1..=255).collect()])
        .collect();
        let expected: Vec<u8> = words
            .iter()
            .flat_map(|w| w.iter().copied().chain([0]))
            .collect();
        assert_eq!(through_bash(&words), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_bytes_survive_bash(words in prop::collection::vec(prop::collection::vec(1u8.., 0..64), 1..32)) {
            let expected: Vec<u8> = words.iter().flat_map(|w| w.iter().copied().chain([0])).collect();
            prop_assert_eq!(through_bash(&words), expected);
        }
    }
}
