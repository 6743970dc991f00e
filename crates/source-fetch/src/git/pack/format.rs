//! The entries of a pack: gitformat-pack(5).

use std::io::{self, BufRead};

use flate2::{Decompress, DecompressError, FlushDecompress, Status};
use git2::{ObjectType, Oid};

/// Bytes of the header: `PACK`, the version, the number of objects.
pub(super) const HEADER: usize = 12;
/// Bytes of an object id, and of the checksum at the end of a pack and of an index.
pub(super) const ID: usize = 20;
/// Largest object that is a delta or the base of one, as both must be in memory. git makes deltas only below
/// `core.bigFileThreshold`, 512 MiB by default.
pub(super) const MAX_IN_MEMORY: u64 = 512 << 20;
/// Only one thread at a time has a delta or a base larger than this.
pub(super) const LARGE: u64 = 16 << 20;
/// Largest directory, as it must be in memory whole. One of a million files takes half of it.
pub(in crate::git) const MAX_TREE: u64 = 64 << 20;
/// Largest commit or tag.
const MAX_COMMIT: u64 = 16 << 20;
/// Whole objects beyond this go by piece by piece.
pub(super) const WHOLE: u64 = 1 << 20;
/// More deltas in a row are not followed. git makes no longer chain: `pack.depth` is at most 4095.
pub(super) const MAX_DEPTH: usize = 4096;
/// An allocation never runs ahead of what has arrived by more than this or by doubling.
const GROWTH: usize = 256 << 10;

/// What an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// The object itself.
    Whole(ObjectType),
    /// A delta against the entry that begins at this offset.
    DeltaAt(u64),
    /// A delta against this object, which a thin pack leaves out.
    DeltaOf(Oid),
}

/// Reads what precedes the compressed bytes of the entry at `offset`: what it holds, and how many bytes it inflates to.
pub(super) fn header(from: &mut impl BufRead, offset: u64) -> io::Result<(Content, u64)> {
    let first = byte(from)?;
    let mut size = u64::from(first & 15);
    let (mut shift, mut more) = (4, first & 0x80 != 0);
    while more {
        let next = byte(from)?;
        let bits = u64::from(next & 0x7f);
        if shift > 60 || bits << shift >> shift != bits {
            return Err(damaged("an object's size has no end"));
        }
        size |= bits << shift;
        (shift, more) = (shift + 7, next & 0x80 != 0);
    }
    let content = match first >> 4 & 7 {
        1 => Content::Whole(ObjectType::Commit),
        2 => Content::Whole(ObjectType::Tree),
        3 => Content::Whole(ObjectType::Blob),
        4 => Content::Whole(ObjectType::Tag),
        6 => Content::DeltaAt(base(from, offset)?),
        7 => {
            let mut id = [0; ID];
            from.read_exact(&mut id)?;
            Content::DeltaOf(Oid::from_bytes(&id).map_err(io::Error::other)?)
        }
        _ => return Err(damaged("an object has no known type")),
    };
    Ok((content, size))
}

fn base(from: &mut impl BufRead, offset: u64) -> io::Result<u64> {
    let outside = || damaged("a delta's base lies outside");
    let mut next = byte(from)?;
    let mut distance = u64::from(next & 0x7f);
    while next & 0x80 != 0 {
        next = byte(from)?;
        distance = (distance + 1)
            .checked_mul(128)
            .map(|distance| distance + u64::from(next & 0x7f))
            .filter(|distance| *distance < offset)
            .ok_or_else(outside)?;
    }
    match offset.checked_sub(distance) {
        Some(base) if distance > 0 => Ok(base),
        _ => Err(outside()),
    }
}

fn byte(from: &mut impl BufRead) -> io::Result<u8> {
    let byte = *from
        .fill_buf()?
        .first()
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    from.consume(1);
    Ok(byte)
}

/// Fails for an object of a kind that is read whole and has no business being so large.
pub(super) fn check_size(kind: ObjectType, size: u64) -> io::Result<()> {
    let limit = match kind {
        ObjectType::Tree => MAX_TREE,
        ObjectType::Commit | ObjectType::Tag => MAX_COMMIT,
        _ => u64::MAX,
    };
    if size > limit {
        return Err(damaged(
            "a directory is larger than 64 MiB, or a commit or tag larger than 16 MiB",
        ));
    }
    Ok(())
}

/// Inflates exactly `size` bytes into `out`.
pub(super) fn inflate(
    state: &mut Decompress,
    from: &mut impl BufRead,
    size: u64,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let size = usize::try_from(size)
        .ok()
        .filter(|size| *size as u64 <= MAX_IN_MEMORY)
        .ok_or(io::ErrorKind::FileTooLarge)?;
    out.clear();
    state.reset(true);
    loop {
        if out.len() == out.capacity() || out.capacity() == 0 {
            // One more than needed, so that the end of the stream is seen and a longer one noticed.
            out.reserve((size + 1 - out.len()).min(out.len().max(GROWTH)));
        }
        let had = out.len();
        let (status, used) = step(state, from, |state, input| {
            state.decompress_vec(input, out, FlushDecompress::None)
        })?;
        if out.len() > size {
            return Err(wrong_size());
        }
        match status {
            Status::StreamEnd if out.len() == size => return Ok(()),
            Status::StreamEnd => return Err(wrong_size()),
            _ if used == 0 && out.len() == had && out.len() < out.capacity() => {
                return Err(not_zlib());
            }
            _ => {}
        }
    }
}

/// Inflates exactly `size` bytes and hands them to `sink` in pieces no longer than `piece`.
pub(super) fn inflate_through(
    state: &mut Decompress,
    from: &mut impl BufRead,
    size: u64,
    piece: &mut [u8],
    mut sink: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    state.reset(true);
    loop {
        let before = state.total_out();
        let (status, used) = step(state, from, |state, input| {
            state.decompress(input, piece, FlushDecompress::None)
        })?;
        let made = usize::try_from(state.total_out() - before).unwrap_or(0);
        if state.total_out() > size {
            return Err(wrong_size());
        }
        sink(&piece[..made])?;
        match status {
            Status::StreamEnd if state.total_out() == size => return Ok(()),
            Status::StreamEnd => return Err(wrong_size()),
            _ if used == 0 && made == 0 => return Err(not_zlib()),
            _ => {}
        }
    }
}

/// Lets `inflate` have what is there, and returns how far it came and how many bytes it took.
fn step(
    state: &mut Decompress,
    from: &mut impl BufRead,
    inflate: impl FnOnce(&mut Decompress, &[u8]) -> Result<Status, DecompressError>,
) -> io::Result<(Status, usize)> {
    let input = from.fill_buf()?;
    if input.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let before = state.total_in();
    let status = inflate(state, input).map_err(|_| not_zlib())?;
    let used = usize::try_from(state.total_in() - before).unwrap_or(0);
    from.consume(used);
    Ok((status, used))
}

/// Applies a delta: gitformat-pack(5), "Deltified representation".
pub(super) fn apply(base: &[u8], delta: &[u8]) -> io::Result<Vec<u8>> {
    let short = || damaged("a delta is cut off");
    let (base_size, rest) = varint(delta).ok_or_else(short)?;
    let (size, mut rest) = varint(rest).ok_or_else(short)?;
    if base_size != base.len() as u64 {
        return Err(damaged("a delta does not fit its base"));
    }
    let size = usize::try_from(size)
        .ok()
        .filter(|size| *size as u64 <= MAX_IN_MEMORY)
        .ok_or(io::ErrorKind::FileTooLarge)?;
    let mut out = Vec::with_capacity(size.min(base.len() + delta.len()));
    while let Some((&op, tail)) = rest.split_first() {
        rest = tail;
        let piece = if op & 0x80 != 0 {
            let mut number = |bits: std::ops::Range<u8>| {
                let mut value = 0;
                for bit in bits.clone() {
                    if op >> bit & 1 == 1 {
                        let (&byte, tail) = rest.split_first()?;
                        rest = tail;
                        value |= usize::from(byte) << (8 * (bit - bits.start));
                    }
                }
                Some(value)
            };
            let start = number(0..4).ok_or_else(short)?;
            let length = match number(4..7).ok_or_else(short)? {
                0 => 0x10000,
                length => length,
            };
            base.get(start..)
                .and_then(|from| from.get(..length))
                .ok_or_else(|| damaged("a delta copies from outside its base"))?
        } else if op > 0 {
            let (piece, tail) = rest.split_at_checked(usize::from(op)).ok_or_else(short)?;
            rest = tail;
            piece
        } else {
            return Err(damaged("a delta has a reserved instruction"));
        };
        if out.len() + piece.len() > size {
            return Err(wrong_size());
        }
        out.extend_from_slice(piece);
    }
    if out.len() == size {
        Ok(out)
    } else {
        Err(wrong_size())
    }
}

/// How large the object is that a delta makes, as far as it says so.
pub(super) fn result_size(delta: &[u8]) -> u64 {
    let size = varint(delta).and_then(|(_, rest)| varint(rest));
    size.map_or(0, |(size, _)| size)
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

/// The header of an entry that holds a whole object.
pub(super) fn whole_header(kind: ObjectType, mut size: u64) -> Vec<u8> {
    let kind = match kind {
        ObjectType::Commit => 1,
        ObjectType::Tree => 2,
        ObjectType::Tag => 4,
        _ => 3,
    };
    #[expect(clippy::cast_possible_truncation, reason = "the rest is shifted down")]
    let mut low = |bits: u32| {
        let part = size as u8 & ((1 << bits) - 1);
        size >>= bits;
        (part, size > 0)
    };
    let (part, mut more) = low(4);
    let mut out = vec![kind << 4 | part | u8::from(more) << 7];
    while more {
        let (part, rest) = low(7);
        out.push(part | u8::from(rest) << 7);
        more = rest;
    }
    out
}

/// The contents contradict themselves.
pub(super) fn damaged(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn not_zlib() -> io::Error {
    damaged("an object does not inflate")
}

fn wrong_size() -> io::Error {
    damaged("an object is not as long as it says")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn headers_survive_the_way_there_and_back() {
        for size in [0, 1, 15, 16, 2047, 2048, 1 << 32, u64::MAX] {
            let bytes = whole_header(ObjectType::Tree, size);
            let read = header(&mut bytes.as_slice(), 12).unwrap();
            assert_eq!(read, (Content::Whole(ObjectType::Tree), size));
        }
    }

    #[test]
    fn headers_that_lie_are_refused() {
        let endless = [0xff; 30];
        let cases: [&[u8]; 8] = [
            b"",
            &endless,
            &[0x00],
            &[0x50],
            &[0x60, 0x00],
            &[0x60, 0x0c],
            &[
                0x60, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
            ],
            &[0x70, 1, 2, 3],
        ];
        for bytes in cases {
            // A distance of twelve from twelve would be the header of the pack, which is no entry; that is noticed later.
            let read = header(&mut &*bytes, 12);
            let is_fine = bytes == [0x60, 0x0c];
            assert_eq!(read.is_ok(), is_fine, "{bytes:x?}: {read:?}");
        }
    }

    #[test]
    fn deltas_are_applied_or_refused() {
        let base = b"0123456789";
        let cases: [(&[u8], Option<&[u8]>); 11] = [
            (&[10, 3, 0x91, 2, 3], Some(b"234")),
            (&[10, 5, 2, b'a', b'b', 0x91, 7, 3], Some(b"ab789")),
            (&[10, 0], Some(b"")),
            (&[], None),
            (&[10], None),
            (&[9, 3, 0x91, 2, 3], None),
            (&[10, 4, 0x91, 2, 3], None),
            (&[10, 2, 0x91, 2, 3], None),
            (&[10, 3, 0x91, 8, 3], None),
            (&[10, 3, 0x91, 2], None),
            (&[10, 3, 0], None),
        ];
        for (delta, expected) in cases {
            assert_eq!(apply(base, delta).ok().as_deref(), expected, "{delta:?}");
        }
        // Promises of more than may be in memory are not believed.
        let bomb = [10, 0x80, 0x80, 0x80, 0x80, 0x40, 0x80];
        assert_eq!(
            apply(base, &bomb).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
    }

    #[test]
    fn streams_of_the_wrong_length_are_refused() {
        use std::io::Write;
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        let content = vec![7; 300_000];
        encoder.write_all(&content).unwrap();
        let packed = encoder.finish().unwrap();
        let mut state = Decompress::new(true);
        for (size, is_fine) in [
            (300_000, true),
            (299_999, false),
            (300_001, false),
            (0, false),
        ] {
            let mut out = Vec::new();
            let whole = inflate(&mut state, &mut packed.as_slice(), size, &mut out);
            assert_eq!(whole.is_ok(), is_fine, "{size}");
            let mut pieces = Vec::new();
            let through = inflate_through(
                &mut state,
                &mut packed.as_slice(),
                size,
                &mut [0; 999],
                |piece| {
                    pieces.extend_from_slice(piece);
                    Ok(())
                },
            );
            assert_eq!(through.is_ok(), is_fine, "{size}");
            if is_fine {
                assert_eq!((&out, &pieces), (&content, &content));
            }
        }
        let cut = &packed[..packed.len() - 5];
        assert!(inflate(&mut state, &mut &*cut, 300_000, &mut Vec::new()).is_err());
    }
}
