//! cpio in its four forms: the old binary one in either byte order, `odc`, `newc` and `crc` (cpio(5) of libarchive).

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use super::attributes::Mtime;
use super::tree::Tree;
use super::{Stop, damaged};
use crate::error::ExtractProblem;

const MAX_NAME: u64 = 64 * 1024;
const MAX_TARGET: u64 = 4096;
/// Files that wait for the member that has their content, in the `newc` forms.
const MAX_LINKS: usize = 65_536;

/// What a header says.
struct Member {
    device: u64,
    inode: u64,
    mode: u32,
    links: u64,
    mtime: i64,
    name_length: u64,
    size: u64,
    /// What names and contents are filled up to.
    padding: u64,
    /// Bytes of the header, which the padding of the name counts too.
    header: u64,
    /// Each of several names comes without content but the last.
    content_is_last: bool,
}

/// Whether an archive begins so.
pub(super) fn is_cpio(head: &[u8]) -> bool {
    let begins = |magic: &[u8]| head.starts_with(magic);
    let digits = |count: usize| {
        head.get(6..6 + count)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    // Two bytes say little, so the old form must make sense too.
    let old = |word: fn([u8; 2]) -> u16| {
        let field = |at: usize| head.get(at..at + 2).map(|two| word([two[0], two[1]]));
        matches!(field(6), Some(mode) if matches!(mode & 0o170_000, 0o040_000 | 0o100_000 | 0o120_000))
            && matches!(field(20), Some(1..=1024))
    };
    (begins(b"070707") && digits(70))
        || ((begins(b"070701") || begins(b"070702")) && digits(104))
        || (begins(b"\xc7\x71") && old(u16::from_le_bytes))
        || (begins(b"\x71\xc7") && old(u16::from_be_bytes))
}

/// Unpacks until the end of the archive; what follows is not read.
pub(super) fn extract(input: &mut dyn Read, tree: &mut Tree<'_>) -> Result<(), Stop> {
    let mut links = Links::default();
    loop {
        let member = header(input)?;
        if member.name_length == 0 || member.name_length > MAX_NAME {
            return Err(Stop::archive(damaged("a name is empty or too long")));
        }
        tree.charge(b"", member.header + member.name_length)?;
        let mut name = read(input, member.name_length)?;
        skip_padding(
            input,
            tree,
            member.header + member.name_length,
            member.padding,
        )?;
        let end = name.iter().position(|byte| *byte == 0);
        name.truncate(end.unwrap_or(name.len()));
        if name == b"TRAILER!!!" {
            return Ok(());
        }
        one(input, tree, &member, &name, &mut links)?;
        skip_padding(input, tree, member.size, member.padding)?;
    }
}

fn one(
    input: &mut dyn Read,
    tree: &mut Tree<'_>,
    member: &Member,
    name: &[u8],
    links: &mut Links,
) -> Result<(), Stop> {
    let kind = member.mode & 0o170_000;
    let mtime = Mtime {
        seconds: member.mtime,
        nanoseconds: 0,
    };
    let Some(path) = tree.enter(name)? else {
        return tree.skip(input, member.size);
    };
    let special = match kind {
        0o040_000 => {
            tree.directory(name, &path, member.mode, mtime)?;
            return tree.skip(input, member.size);
        }
        0o120_000 => {
            if member.size > MAX_TARGET {
                return Err(Stop::member(
                    name,
                    damaged("the target of a link is too long"),
                ));
            }
            let target = read(input, member.size)?;
            return tree.symlink(name, &path, &target, mtime);
        }
        0o020_000 => "character device",
        0o060_000 => "block device",
        0o010_000 => "named pipe",
        0o140_000 => "socket",
        _ => {
            if member.links > 1 {
                return links.member(input, tree, member, (name, &path, mtime));
            }
            return tree.file(name, &path, (member.mode, mtime), member.size, input);
        }
    };
    Err(Stop::member(
        name,
        ExtractProblem::Special { kind: special },
    ))
}

/// The names so far of each file that has several, by its device and number.
#[derive(Default)]
struct Links {
    names: HashMap<(u64, u64), Vec<Vec<u8>>>,
    count: usize,
}

impl Links {
    fn member(
        &mut self,
        input: &mut dyn Read,
        tree: &mut Tree<'_>,
        member: &Member,
        (name, path, mtime): (&[u8], &Path, Mtime),
    ) -> Result<(), Stop> {
        self.count += 1;
        if self.count > MAX_LINKS {
            return Err(Stop::member(
                name,
                damaged("too many files have several names"),
            ));
        }
        let key = (member.device, member.inode);
        let earlier = self.names.entry(key).or_default();
        let first = earlier.first().cloned();
        earlier.push(name.to_vec());
        match first {
            Some(first) if member.size == 0 || !member.content_is_last => {
                tree.hard_link(name, path, &first)?;
                tree.skip(input, member.size)
            }
            None => tree.file(name, path, (member.mode, mtime), member.size, input),
            Some(_) => {
                // The earlier names came without content, and are made again.
                tree.file(name, path, (member.mode, mtime), member.size, input)?;
                let count = earlier.len() - 1;
                for other in &earlier[..count] {
                    if other != name
                        && let Some(path) = tree.enter(other)?
                    {
                        tree.hard_link(other, &path, name)?;
                    }
                }
                Ok(())
            }
        }
    }
}

fn header(input: &mut dyn Read) -> Result<Member, Stop> {
    let magic = read(input, 6)?;
    if magic.starts_with(b"\xc7\x71") {
        return binary(input, &magic, u16::from_le_bytes);
    }
    if magic.starts_with(b"\x71\xc7") {
        return binary(input, &magic, u16::from_be_bytes);
    }
    match magic.as_slice() {
        b"070707" => {
            let text = read(input, 70)?;
            let field = |at: usize, length: usize| number(&text[at..at + length], 8);
            Ok(Member {
                device: field(0, 6)?,
                inode: field(6, 6)?,
                mode: small(field(12, 6)?),
                links: field(30, 6)?,
                mtime: i64::try_from(field(42, 11)?).unwrap_or(0),
                name_length: field(53, 6)?,
                size: field(59, 11)?,
                padding: 1,
                header: 76,
                content_is_last: false,
            })
        }
        b"070701" | b"070702" => {
            let text = read(input, 104)?;
            let field = |index: usize| number(&text[index * 8..index * 8 + 8], 16);
            Ok(Member {
                device: (field(7)? << 32) | field(8)?,
                inode: field(0)?,
                mode: small(field(1)?),
                links: field(4)?,
                mtime: i64::try_from(field(5)?).unwrap_or(0),
                name_length: field(11)?,
                size: field(6)?,
                padding: 4,
                header: 110,
                content_is_last: true,
            })
        }
        _ => Err(Stop::archive(damaged("a member header is malformed"))),
    }
}

fn binary(input: &mut dyn Read, magic: &[u8], word: fn([u8; 2]) -> u16) -> Result<Member, Stop> {
    let mut bytes = magic.to_vec();
    bytes.extend(read(input, 20)?);
    let field = |index: usize| u64::from(word([bytes[index * 2], bytes[index * 2 + 1]]));
    // The more significant half comes first, in either order.
    let long = |index: usize| (field(index) << 16) | field(index + 1);
    Ok(Member {
        device: field(1),
        inode: field(2),
        mode: small(field(3)),
        links: field(6),
        mtime: i64::try_from(long(8)).unwrap_or(0),
        name_length: field(10),
        size: long(11),
        padding: 2,
        header: 26,
        content_is_last: false,
    })
}

fn small(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

fn number(text: &[u8], radix: u32) -> Result<u64, Stop> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| u64::from_str_radix(text.trim_matches([' ', '\0']), radix).ok())
        .ok_or_else(|| Stop::archive(damaged("a member header holds no number")))
}

fn read(input: &mut dyn Read, length: u64) -> Result<Vec<u8>, Stop> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    input.read_exact(&mut bytes).map_err(Stop::read)?;
    Ok(bytes)
}

fn skip_padding(
    input: &mut dyn Read,
    tree: &mut Tree<'_>,
    length: u64,
    to: u64,
) -> Result<(), Stop> {
    tree.skip(input, (to - length % to) % to)
}
