//! The attribute `ident`: git's `convert.c`, which does it in two ways that differ where text only begins like `$Id$`.

use std::io::Write;

use git2::Oid;

/// git's `ident_to_worktree`: every `$Id$` and `$Id: ... $` becomes one with the id of the file.
pub(super) fn whole(bytes: &[u8], id: Oid) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(dollar) = rest.iter().position(|byte| *byte == b'$') {
        let (before, after) = rest.split_at(dollar + 1);
        out.extend_from_slice(before);
        rest = after;
        let Some(behind) = after.strip_prefix(b"Id") else {
            continue;
        };
        match behind {
            [b'$', behind @ ..] => rest = behind,
            [b':', content @ ..] => {
                let Some(end) = content.iter().position(|byte| *byte == b'$') else {
                    break;
                };
                let inner = &content[..end];
                // A blank inside is of another system's making.
                let foreign = inner
                    .get(1..)
                    .and_then(|inner| inner.iter().position(|byte| *byte == b' '))
                    .is_some_and(|blank| blank + 2 < inner.len());
                if inner.contains(&b'\n') || foreign {
                    continue;
                }
                rest = &content[end + 1..];
            }
            _ => continue,
        }
        // Writing into memory does not fail.
        let _ = write!(out, "Id: {id} $");
    }
    out.extend_from_slice(rest);
    out
}

/// git's `ident_filter_fn`, as it is, with what it does where one beginning follows another.
pub(super) fn streamed(bytes: &[u8], id: Oid) -> Vec<u8> {
    const HEAD: &[u8; 4] = b"$Id\0";
    let expansion = format!(": {id} $");
    let mut out = Vec::with_capacity(bytes.len());
    // What is not written yet, and how much of the head came before the next byte.
    let (mut left, mut seen) = (Vec::new(), 0);
    let mut is_inside = false;
    for &byte in bytes {
        if is_inside {
            left.push(byte);
            if byte != b'\n' && byte != b'$' {
                continue;
            }
            if byte == b'$' && !is_foreign(&left) {
                left.truncate(3);
                left.extend(expansion.as_bytes());
            }
            out.append(&mut left);
            (is_inside, seen) = (false, 0);
            continue;
        }
        if HEAD.get(seen) == Some(&byte) {
            seen += 1;
            continue;
        }
        left.extend(&HEAD[..seen]);
        if seen == 3 && byte != b':' && byte != b'$' {
            left.push(byte);
            seen = 0;
            continue;
        }
        if seen == 3 && byte == b':' {
            left.push(byte);
            is_inside = true;
            continue;
        }
        if seen == 3 {
            left.extend(expansion.as_bytes());
        } else {
            left.push(byte);
        }
        out.append(&mut left);
        seen = 0;
    }
    if !is_inside {
        left.extend(&HEAD[..seen]);
    }
    out.append(&mut left);
    out
}

/// Whether an `$Id: ... $` has a blank inside, so is of another system's making.
fn is_foreign(text: &[u8]) -> bool {
    let end = text.iter().position(|byte| *byte == 0);
    let text = &text[..end.unwrap_or(text.len())];
    let Some(inner) = text.strip_prefix(b"$Id: ") else {
        return false;
    };
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let behind = inner.iter().skip(1).map(Some).chain([None]);
    inner
        .iter()
        .zip(behind)
        .any(|(byte, next)| blank(byte) && next != Some(&b'$'))
}
