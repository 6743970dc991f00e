//! What the fuzz targets call: what is behind the public API, without a runtime, a cache or a server.

use std::fs::{self, File};
use std::io::{Seek as _, Write as _};
use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::extract::{self, Job};
use crate::policy::ExtractLimits;

/// Bytes that one archive may unpack to here.
const MAX_BYTES: u64 = 4 << 20;

/// Unpacks `archive` as if it were called `name` and panics when anything beside its folder has
/// changed, or when it holds more than it may.
pub fn extract(name: &str, archive: &[u8]) {
    let Ok(outside) = tempfile::tempdir() else {
        return;
    };
    let (root, sentinel) = (outside.path().join("root"), outside.path().join("sentinel"));
    let prepared = fs::create_dir(&root)
        .and_then(|()| fs::write(&sentinel, "untouched"))
        .and_then(|()| {
            let mut file = tempfile::tempfile_in(outside.path())?;
            file.write_all(archive)?;
            file.rewind()?;
            Ok(file)
        });
    // A full disk of the fuzzer's is no finding.
    let Ok(file) = prepared else { return };
    unpack(name, &root, file);
    let content = fs::read(&sentinel).unwrap_or_default();
    assert_eq!(content, b"untouched", "a file outside was written to");
    let mut names: Vec<_> = fs::read_dir(outside.path())
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["root", "sentinel"], "something appeared outside");
    assert!(
        size(&root) <= MAX_BYTES,
        "more was unpacked than is allowed"
    );
}

fn unpack(name: &str, root: &Path, file: File) {
    let job = Job {
        name: name.to_owned(),
        root: root.to_owned(),
        limits: ExtractLimits {
            max_entries: 1_000,
            max_bytes: MAX_BYTES,
            ..ExtractLimits::default()
        },
        token: CancellationToken::new(),
    };
    if let Err(stop) = extract::from_file(&job, file) {
        // What is told of it is for people and must not fail either.
        assert!(!stop.into_error(name).to_string().is_empty());
    }
}

fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size(&entry.path()),
        Ok(metadata) if metadata.is_file() => metadata.len(),
        _ => 0,
    });
    sizes.sum()
}

/// Gives every header of a tar archive the checksum that it should have, since chance finds none.
pub fn with_tar_checksums(archive: &mut [u8]) {
    const BLOCK: usize = 512;
    const CHECKSUM: std::ops::Range<usize> = 148..156;
    const SIZE: std::ops::Range<usize> = 124..135;
    let mut at = 0;
    while let Some(header) = archive.get_mut(at..at + BLOCK) {
        header[257..262].copy_from_slice(b"ustar");
        header[CHECKSUM].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let digits = std::str::from_utf8(&header[SIZE]).unwrap_or_default();
        let size = usize::from_str_radix(digits.trim(), 8).unwrap_or(0);
        at = at
            .saturating_add(BLOCK)
            .saturating_add(size.next_multiple_of(BLOCK));
    }
}

/// Gives the headers of a 7z file the checksums that they should have, since chance finds none.
pub fn with_7z_checksums(archive: &mut [u8]) {
    const START: std::ops::Range<usize> = 12..32;
    let crc32 = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
    let Some(start) = archive.get(START) else {
        return;
    };
    let number = |at: usize| {
        let bytes = start
            .get(at..at + 8)
            .and_then(|bytes| bytes.try_into().ok());
        usize::try_from(bytes.map_or(0, u64::from_le_bytes)).unwrap_or(usize::MAX)
    };
    let begin = number(0).saturating_add(START.end);
    let end = begin.saturating_add(number(8));
    if let Some(header) = archive.get(begin..end) {
        let sum = crc32.checksum(header).to_le_bytes();
        archive[28..32].copy_from_slice(&sum);
    }
    let sum = crc32.checksum(&archive[START]).to_le_bytes();
    archive[8..12].copy_from_slice(&sum);
}

#[cfg(test)]
#[allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "the other tests use the rest"
)]
#[path = "../tests/support/archive.rs"]
mod archive;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Read as _;

    use super::*;

    use super::archive::{Tar, ZipMember, ar, bzip2, compress, cpio, gzip, lzma, zip, zstd};

    fn tar() -> Vec<u8> {
        let tar = Tar::new().file("a/file", b"content").file("a/other", b"");
        tar.file("b", b"x").symlink("link", "a/file").end()
    }

    /// `7z a -mhc=off -m0=LZMA x.7z a b`, with two files.
    const SEVEN_ZIP: &[&str] = &[
        "377abcaf271c000472e82e250e000000000000008a000000000000004b7bb2ca00319bca19daeda4",
        "e97354b9a0000104060001090e00070b01000123030101055d001000000c0900080d0209080a01ef",
        "d8239d8316dc8c000005030e0180190b00000000000000000000001117006100000061002f006600",
        "69006c006500000062000000190400000000141a010002f4ad2b2a7fdd0102f4ad2b2a7fdd0102f4",
        "ad2b2a7fdd01150e01001080ed412080a4812080a4810000",
    ];

    #[test]
    fn the_seeds_are_archives() {
        let packed = hex::decode(SEVEN_ZIP.concat()).unwrap();
        for (name, bytes, found) in [
            ("x.7z", packed, "a/file"),
            ("x.tar.Z", compress(&tar()), "a/file"),
            ("x.tar.lzma", lzma(&tar()), "a/file"),
            ("x.cpio", cpio(&[("a/file", b"content")]), "a/file"),
        ] {
            let root = tempfile::tempdir().unwrap();
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            unpack(name, root.path(), file);
            assert!(root.path().join(found).is_file(), "{name}");
        }
    }

    /// The fuzz targets' work for a moment: every seed, and each damaged in many ways.
    #[test]
    fn damaged_archives_do_no_harm() {
        let tar = tar();
        let members = ["a/file", "b"].map(|name| ZipMember::new(name, 0o100_644, b"content"));
        let seeds: [(&str, Vec<u8>); 11] = [
            ("x.tar", tar.clone()),
            ("x.zip", zip(&members)),
            (
                "x.deb",
                ar(&[("debian-binary", b"2.0\n"), ("data", b"odd")]),
            ),
            ("x.tar.gz", gzip(&tar)),
            ("x.tar.bz2", bzip2(&tar)),
            ("x.tar.zst", zstd(&tar)),
            ("x.tar.lzma", lzma(&tar)),
            ("x.tar.Z", compress(&tar)),
            ("x.cpio", cpio(&[("a/file", b"content"), ("b", b"x")])),
            ("x.7z", hex::decode(SEVEN_ZIP.concat()).unwrap()),
            ("x.pyz", [&b"#!x\n"[..], &zip(&members)].concat()),
        ];
        let mut random = fastrand::Rng::with_seed(7);
        for (name, seed) in &seeds {
            extract(name, seed);
            for _ in 0..60 {
                let mut bytes = seed.clone();
                for _ in 0..random.usize(1..8) {
                    let at = random.usize(..bytes.len());
                    bytes[at] = random.u8(..);
                }
                if random.bool() {
                    bytes.truncate(random.usize(1..=bytes.len()));
                }
                match *name {
                    "x.tar" => with_tar_checksums(&mut bytes),
                    "x.7z" => with_7z_checksums(&mut bytes),
                    _ => {}
                }
                extract(name, &bytes);
            }
        }
    }

    #[test]
    fn a_single_file_stops_at_the_limit() {
        let content = vec![0; usize::try_from(MAX_BYTES).unwrap() + 1];
        extract("x.gz", &gzip(&content));
        extract("x.zst", &zstd(&content));
    }

    #[test]
    fn a_checksum_is_mended() {
        let whole = tar();
        let mut bytes = whole.clone();
        bytes[148..156].fill(0);
        with_tar_checksums(&mut bytes);
        let mut archive = ::tar::Archive::new(&bytes[..]);
        let first = archive.entries().unwrap().next().unwrap();
        let mut text = String::new();
        first.unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
    }
}
