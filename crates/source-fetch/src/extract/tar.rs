//! tar: ustar, GNU and pax members, sparse files of all four forms.
//!
//! Only the header fields are read by the tar crate: it reads long names and pax records of any
//! length into memory and cannot hand sparse files out as such.

use std::io::{self, Read};

use tar::{GnuExtSparseHeader, Header};

use super::attributes::Mtime;
use super::tree::Tree;
use super::{Stop, damaged};
use crate::error::ExtractProblem;

const BLOCK: u64 = 512;
const MAX_NAME: u64 = 64 * 1024;
const MAX_PAX: u64 = 1024 * 1024;
const MAX_SEGMENTS: usize = 65_536;

/// What the records before a member say about it.
#[derive(Debug, Default)]
struct Extra {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    mtime: Option<Mtime>,
    sparse: PaxSparse,
}

#[derive(Debug, Default)]
struct PaxSparse {
    major: Option<u64>,
    name: Option<Vec<u8>>,
    real_size: Option<u64>,
    offsets: Vec<u64>,
    lengths: Vec<u64>,
    used: bool,
}

/// One member's header with what stood before it.
struct Member {
    kind: u8,
    name: Vec<u8>,
    link: Vec<u8>,
    mode: u32,
    mtime: Mtime,
    size: u64,
}

/// Tells whether `block`, the first 512 bytes, is a tar header.
pub(super) fn is_tar(block: &[u8]) -> bool {
    block.len() >= 512 && block[..512].iter().any(|byte| *byte != 0) && header_of(block).is_some()
}

/// Unpacks until the end of the archive; what follows is not read.
pub(super) fn extract(input: &mut dyn Read, tree: &mut Tree<'_>) -> Result<(), Stop> {
    let mut extra = Extra::default();
    loop {
        let mut block = [0; 512];
        match fill(input, &mut block)? {
            0 => break,
            512 => {}
            _ => return Err(Stop::archive(damaged("it ends within a header"))),
        }
        if block.iter().all(|byte| *byte == 0) {
            break;
        }
        let header = header_of(&block)
            .ok_or_else(|| Stop::archive(damaged("a header's checksum is wrong")))?;
        match header.as_bytes()[156] {
            b'L' => extra.name = Some(text(input, tree, header, MAX_NAME)?),
            b'K' => extra.link = Some(text(input, tree, header, MAX_NAME)?),
            b'x' | b'X' => pax(&read_whole(input, tree, header, MAX_PAX)?, &mut extra)?,
            // Global records and volume labels describe the archive, not a member.
            b'g' => drop(read_whole(input, tree, header, MAX_PAX)?),
            // A label may have no size at all.
            b'V' => tree.skip(input, padded(size_of(header).unwrap_or(0)))?,
            _ => member(input, tree, header, std::mem::take(&mut extra))?,
        }
    }
    Ok(())
}

fn member(
    input: &mut dyn Read,
    tree: &mut Tree<'_>,
    header: &Header,
    extra: Extra,
) -> Result<(), Stop> {
    let sparse = extra.sparse;
    let member = Member {
        kind: header.as_bytes()[156],
        name: sparse
            .name
            .clone()
            .or(extra.name)
            .unwrap_or_else(|| header.path_bytes().into_owned()),
        link: extra.link.unwrap_or_else(|| {
            header
                .link_name_bytes()
                .map(std::borrow::Cow::into_owned)
                .unwrap_or_default()
        }),
        mode: header.mode().unwrap_or(0o644),
        mtime: extra.mtime.unwrap_or_else(|| header_mtime(header)),
        size: match extra.size {
            Some(size) => size,
            None => size_of(header)?,
        },
    };
    let Some(path) = tree.enter(&member.name)? else {
        return if matches!(member.kind, b'5' | b'D') {
            Ok(())
        } else {
            Err(Stop::member(&member.name, ExtractProblem::BadPath))
        };
    };
    let attributes = (member.mode, member.mtime);
    match member.kind {
        b'0' | 0 | b'7' if member.name.ends_with(b"/") => {
            tree.directory(&member.name, &path, member.mode, member.mtime)?;
            tree.skip(input, padded(member.size))
        }
        b'0' | 0 | b'7' if sparse.used => pax_sparse(input, tree, &member, &path, &sparse),
        b'0' | 0 | b'7' => {
            tree.file(&member.name, &path, attributes, member.size, input)?;
            tree.skip(input, padding(member.size))
        }
        b'S' => gnu_sparse(input, tree, header, &member, &path),
        // Links have no content in the archive, whatever their size field says.
        b'1' => tree.hard_link(&member.name, &path, &member.link),
        b'2' => tree.symlink(&member.name, &path, &member.link, member.mtime),
        b'5' => tree.directory(&member.name, &path, member.mode, member.mtime),
        b'D' => {
            tree.directory(&member.name, &path, member.mode, member.mtime)?;
            tree.skip(input, padded(member.size))
        }
        b'3' => special(&member, "character device"),
        b'4' => special(&member, "block device"),
        b'6' => special(&member, "named pipe"),
        b'M' => special(&member, "part of a multi-volume archive"),
        _ => special(&member, "member of unknown type"),
    }
}

fn special(member: &Member, kind: &'static str) -> Result<(), Stop> {
    Err(Stop::member(&member.name, ExtractProblem::Special { kind }))
}

/// The old GNU form: the map is in the header and in blocks after it.
fn gnu_sparse(
    input: &mut dyn Read,
    tree: &mut Tree<'_>,
    header: &Header,
    member: &Member,
    path: &std::path::Path,
) -> Result<(), Stop> {
    let bad = |reason| Stop::member(&member.name, damaged(reason));
    let gnu = header
        .as_gnu()
        .ok_or_else(|| bad("a sparse member is not GNU"))?;
    let real_size = gnu
        .real_size()
        .map_err(|_| bad("a sparse size is not a number"))?;
    let mut segments = Vec::new();
    let mut add = |entry: &tar::GnuSparseHeader| -> Result<(), Stop> {
        if !entry.is_empty() {
            let offset = entry
                .offset()
                .map_err(|_| bad("a sparse map is not numbers"))?;
            let length = entry
                .length()
                .map_err(|_| bad("a sparse map is not numbers"))?;
            segments.push((offset, length));
        }
        if segments.len() > MAX_SEGMENTS {
            return Err(bad("a sparse map is too long"));
        }
        Ok(())
    };
    gnu.sparse.iter().try_for_each(&mut add)?;
    let mut more = gnu.is_extended();
    while more {
        let mut next = GnuExtSparseHeader::new();
        tree.charge(&member.name, BLOCK)?;
        read_exact(input, next.as_mut_bytes())?;
        next.sparse.iter().try_for_each(&mut add)?;
        more = next.is_extended();
    }
    write_sparse(input, tree, member, path, &segments, real_size, member.size)
}

/// The pax forms 0.0, 0.1 (map in the records) and 1.0 (map before the content).
fn pax_sparse(
    input: &mut dyn Read,
    tree: &mut Tree<'_>,
    member: &Member,
    path: &std::path::Path,
    sparse: &PaxSparse,
) -> Result<(), Stop> {
    let bad = |reason| Stop::member(&member.name, damaged(reason));
    let real_size = sparse
        .real_size
        .ok_or_else(|| bad("a sparse member has no size"))?;
    if sparse.major == Some(1) {
        let (segments, used) = read_map(input, member.size).map_err(|stop| match stop {
            None => bad("a sparse map is not numbers"),
            Some(error) => Stop::read(error),
        })?;
        let left = member
            .size
            .checked_sub(used)
            .ok_or_else(|| bad("a sparse map is too long"))?;
        return write_sparse(input, tree, member, path, &segments, real_size, left);
    }
    if sparse.offsets.len() != sparse.lengths.len() {
        return Err(bad("a sparse map has an odd number of entries"));
    }
    let segments = sparse
        .offsets
        .iter()
        .copied()
        .zip(sparse.lengths.iter().copied());
    write_sparse(
        input,
        tree,
        member,
        path,
        &segments.collect::<Vec<_>>(),
        real_size,
        member.size,
    )
}

fn write_sparse(
    input: &mut dyn Read,
    tree: &mut Tree<'_>,
    member: &Member,
    path: &std::path::Path,
    segments: &[(u64, u64)],
    real_size: u64,
    stored: u64,
) -> Result<(), Stop> {
    let bad = || Stop::member(&member.name, damaged("a sparse map does not fit the file"));
    let mut end = 0_u64;
    let mut sum = 0_u64;
    for (offset, length) in segments {
        if *offset < end {
            return Err(bad());
        }
        end = offset.checked_add(*length).ok_or_else(bad)?;
        sum += length;
    }
    if end > real_size || sum != stored || i64::try_from(real_size).is_err() {
        return Err(bad());
    }
    let attributes = (member.mode, member.mtime);
    tree.sparse_file(&member.name, path, attributes, segments, real_size, input)?;
    tree.skip(input, padding(stored))
}

type Map = (Vec<(u64, u64)>, u64);

/// Reads the map of form 1.0: decimal lines, padded to whole blocks; returns the bytes it took.
fn read_map(input: &mut dyn Read, limit: u64) -> Result<Map, Option<io::Error>> {
    let mut numbers = Vec::new();
    let mut current: Option<u64> = None;
    let mut used = 0;
    let mut wanted = usize::MAX;
    while numbers.len() < wanted {
        let mut block = [0; 512];
        if used >= limit {
            return Err(None);
        }
        input.read_exact(&mut block).map_err(Some)?;
        used += BLOCK;
        for byte in block {
            match byte {
                b'0'..=b'9' => {
                    let digit = u64::from(byte - b'0');
                    let value = current.unwrap_or(0).checked_mul(10).ok_or(None)?;
                    current = Some(value.checked_add(digit).ok_or(None)?);
                }
                b'\n' => numbers.push(current.take().ok_or(None)?),
                _ => return Err(None),
            }
            if wanted == usize::MAX && numbers.len() == 1 {
                let count = usize::try_from(numbers[0]).map_err(|_| None)?;
                if count > MAX_SEGMENTS {
                    return Err(None);
                }
                wanted = 1 + 2 * count;
            }
            if numbers.len() == wanted {
                break;
            }
        }
    }
    let segments = numbers[1..].chunks(2).map(|pair| (pair[0], pair[1]));
    Ok((segments.collect(), used))
}

fn pax(records: &[u8], extra: &mut Extra) -> Result<(), Stop> {
    let mut rest = records;
    while !rest.is_empty() {
        let malformed = || Stop::archive(damaged("a pax record is malformed"));
        let (key, value, after) = pax_record(rest).ok_or_else(malformed)?;
        rest = after;
        match key {
            b"path" => extra.name = Some(value.to_owned()),
            b"linkpath" => extra.link = Some(value.to_owned()),
            b"size" => extra.size = Some(number(value)?),
            b"mtime" => extra.mtime = parse_time(value),
            key => {
                if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    pax_sparse_record(key, value, &mut extra.sparse)?;
                }
            }
        }
    }
    Ok(())
}

/// The first of several records, `LENGTH KEY=VALUE` and a line break, and what follows: POSIX, "pax Extended Header". A value
/// may hold line breaks of its own.
fn pax_record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
    let (record, after) = records.split_at_checked(length)?;
    let text = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = text.iter().position(|byte| *byte == b'=')?;
    Some((&text[..equals], &text[equals + 1..], after))
}

fn pax_sparse_record(key: &[u8], value: &[u8], sparse: &mut PaxSparse) -> Result<(), Stop> {
    sparse.used = true;
    match key {
        b"major" => sparse.major = Some(number(value)?),
        b"name" => sparse.name = Some(value.to_owned()),
        b"size" | b"realsize" => sparse.real_size = Some(number(value)?),
        b"offset" => sparse.offsets.push(number(value)?),
        b"numbytes" => sparse.lengths.push(number(value)?),
        b"map" => {
            for (index, part) in value.split(|byte| *byte == b',').enumerate() {
                let list = if index % 2 == 0 {
                    &mut sparse.offsets
                } else {
                    &mut sparse.lengths
                };
                list.push(number(part)?);
            }
        }
        _ => {}
    }
    if sparse.offsets.len().max(sparse.lengths.len()) > MAX_SEGMENTS {
        return Err(Stop::archive(damaged("a sparse map is too long")));
    }
    Ok(())
}

fn number(text: &[u8]) -> Result<u64, Stop> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Stop::archive(damaged("a pax record is not a number")))
}

fn parse_time(text: &[u8]) -> Option<Mtime> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    if whole.starts_with('-') && nanoseconds > 0 {
        return Some(Mtime {
            seconds: seconds.checked_sub(1)?,
            nanoseconds: 1_000_000_000 - nanoseconds,
        });
    }
    Some(Mtime {
        seconds,
        nanoseconds,
    })
}

fn header_mtime(header: &Header) -> Mtime {
    Mtime {
        seconds: time_field(&header.as_bytes()[136..148]).unwrap_or(0),
        nanoseconds: 0,
    }
}

/// A time of a header: octal digits, or GNU's binary form, which may be negative.
fn time_field(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 == 0 {
        let text = field.split(|byte| *byte == 0).next()?.trim_ascii();
        return i64::from_str_radix(std::str::from_utf8(text).ok()?, 8).ok();
    }
    // Seven bits, of which the first is the sign.
    let start = i128::from(first & 0x3f) - i128::from(first & 0x40);
    let value = rest.iter().fold(start, |value, byte| {
        value.saturating_mul(256).saturating_add((*byte).into())
    });
    Some(i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX }))
}

/// Returns the header when its checksum, over bytes taken as unsigned or signed, is right.
fn header_of(block: &[u8]) -> Option<&Header> {
    let header = Header::from_byte_slice(block.get(..512)?);
    let stored = header.cksum().ok()?;
    let covered = || {
        let blanks = std::iter::repeat_n(&b' ', 8);
        block[..148].iter().chain(blanks).chain(&block[156..512])
    };
    let unsigned: u32 = covered().map(|byte| u32::from(*byte)).sum();
    let signed: i32 = covered().map(|byte| i32::from(byte.cast_signed())).sum();
    (stored == unsigned || i64::from(stored) == i64::from(signed)).then_some(header)
}

fn size_of(header: &Header) -> Result<u64, Stop> {
    header
        .entry_size()
        .ok()
        .filter(|size| i64::try_from(*size).is_ok())
        .ok_or_else(|| Stop::member(&header.path_bytes(), damaged("its size is not a number")))
}

fn text(
    input: &mut dyn Read,
    tree: &mut Tree<'_>,
    header: &Header,
    limit: u64,
) -> Result<Vec<u8>, Stop> {
    let mut bytes = read_whole(input, tree, header, limit)?;
    let end = bytes.iter().position(|byte| *byte == 0);
    bytes.truncate(end.unwrap_or(bytes.len()));
    Ok(bytes)
}

/// Reads what a header that is no member is followed by, which counts as content: there may be any number of them.
fn read_whole(
    input: &mut dyn Read,
    tree: &mut Tree<'_>,
    header: &Header,
    limit: u64,
) -> Result<Vec<u8>, Stop> {
    let size = size_of(header)?;
    if size > limit {
        return Err(Stop::archive(damaged("a name or a pax record is too long")));
    }
    tree.charge(b"", size.max(BLOCK))?;
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    read_exact(input, &mut bytes)?;
    tree.skip(input, padding(size))?;
    Ok(bytes)
}

fn padding(size: u64) -> u64 {
    (BLOCK - size % BLOCK) % BLOCK
}

fn padded(size: u64) -> u64 {
    size.saturating_add(padding(size))
}

fn read_exact(input: &mut dyn Read, buffer: &mut [u8]) -> Result<(), Stop> {
    input.read_exact(buffer).map_err(Stop::read)
}

fn fill(input: &mut dyn Read, buffer: &mut [u8]) -> Result<usize, Stop> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Stop::read(error)),
        }
    }
    Ok(filled)
}
