//! ar, and so `.deb`: the members come out as files, as `bsdtar -xf` leaves them.
//!
//! The `ar` crate reads a name table of any announced size into memory, so the five fields are
//! read here.

use std::io::Read;

use super::attributes::Mtime;
use super::tree::Tree;
use super::{Stop, damaged};

const MAX_NAMES: u64 = 1024 * 1024;

pub(super) fn extract(input: &mut dyn Read, tree: &mut Tree<'_>) -> Result<(), Stop> {
    let mut magic = [0; 8];
    input.read_exact(&mut magic).map_err(Stop::read)?;
    let mut names = Vec::new();
    loop {
        let mut header = [0; 60];
        let mut filled = 0;
        while filled < header.len() {
            match input.read(&mut header[filled..]).map_err(Stop::read)? {
                0 => break,
                count => filled += count,
            }
        }
        if filled == 0 {
            return Ok(());
        }
        if filled < header.len() || &header[58..] != b"`\n" {
            return Err(Stop::archive(damaged("a member header is malformed")));
        }
        let mut size = field(&header[48..58], 10)?;
        let padding = size % 2;
        let raw = header[..16].trim_ascii_end();
        let name = if raw == b"//" {
            tree.charge(b"", size)?;
            names = read_bounded(input, size)?;
            tree.skip(input, padding)?;
            continue;
        } else if raw == b"/" || raw == b"/SYM64/" {
            tree.skip(input, size.saturating_add(padding))?;
            continue;
        } else if let Some(length) = raw.strip_prefix(b"#1/") {
            let length = field(length, 10)?;
            size = size
                .checked_sub(length)
                .ok_or_else(|| Stop::archive(damaged("a member name is longer than the member")))?;
            let mut name = read_bounded(input, length)?;
            let end = name.iter().position(|byte| *byte == 0);
            name.truncate(end.unwrap_or(name.len()));
            name
        } else if raw.len() > 1 && raw[0] == b'/' && raw[1..].iter().all(u8::is_ascii_digit) {
            long_name(&names, field(&raw[1..], 10)?)?
        } else {
            raw.strip_suffix(b"/").unwrap_or(raw).to_vec()
        };
        let mtime = Mtime {
            seconds: i64::try_from(field(&header[16..28], 10)?).unwrap_or(0),
            nanoseconds: 0,
        };
        let mode = u32::try_from(field(&header[40..48], 8)?).unwrap_or(0o644);
        let path = tree
            .enter(&name)?
            .ok_or_else(|| Stop::member(&name, crate::error::ExtractProblem::BadPath))?;
        tree.file(&name, &path, (mode, mtime), size, input)?;
        tree.skip(input, padding)?;
    }
}

fn long_name(names: &[u8], offset: u64) -> Result<Vec<u8>, Stop> {
    let rest = usize::try_from(offset)
        .ok()
        .and_then(|offset| names.get(offset..))
        .ok_or_else(|| Stop::archive(damaged("a long name is not in the name table")))?;
    let end = rest
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(rest.len());
    let name = &rest[..end];
    Ok(name.strip_suffix(b"/").unwrap_or(name).to_vec())
}

fn field(text: &[u8], radix: u32) -> Result<u64, Stop> {
    let text = std::str::from_utf8(text.trim_ascii()).unwrap_or("?");
    if text.is_empty() {
        return Ok(0);
    }
    u64::from_str_radix(text, radix)
        .map_err(|_| Stop::archive(damaged("a member header holds no number")))
}

fn read_bounded(input: &mut dyn Read, size: u64) -> Result<Vec<u8>, Stop> {
    if size > MAX_NAMES {
        return Err(Stop::archive(damaged("a name table is too long")));
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    input.read_exact(&mut bytes).map_err(Stop::read)?;
    Ok(bytes)
}
