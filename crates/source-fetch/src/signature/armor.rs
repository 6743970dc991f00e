//! ASCII armour: RFC 9580, 6.2.

use std::io::Read;

use pgp::armor::{Dearmor, DearmorOptions};

/// Tells binary `OpenPGP` data by the bit that starts every packet.
pub(super) fn is_binary(data: &[u8]) -> bool {
    data.first().is_some_and(|byte| byte & 0x80 != 0)
}

/// The content of every block of this kind, one after another; text around the blocks is ignored,
/// as gpg does.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn decode(data: &[u8], kind: &str) -> Result<Vec<Vec<u8>>, String> {
    let begin = format!("-----BEGIN PGP {kind}-----");
    let end = format!("-----END PGP {kind}-----");
    let (mut blocks, mut start, mut at) = (Vec::new(), None, 0);
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        let after = at + line.len();
        match (start, line.trim_ascii_end()) {
            (None, text) if text == begin.as_bytes() => start = Some(at),
            (Some(from), text) if text == end.as_bytes() => {
                blocks.push(block(&data[from..after])?);
                start = None;
            }
            _ => {}
        }
        at = after;
    }
    if start.is_some() {
        return Err("its armour ends early".to_owned());
    }
    Ok(blocks)
}

fn block(text: &[u8]) -> Result<Vec<u8>, String> {
    let options = DearmorOptions::new().set_limit(text.len().max(1024));
    let mut content = Vec::new();
    Dearmor::with_options(text, options)
        .read_to_end(&mut content)
        .map_err(|error| format!("its armour is damaged: {error}"))?;
    if content.is_empty() {
        return Err("its armour is empty".to_owned());
    }
    Ok(content)
}
