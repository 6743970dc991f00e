//! The archives and what is said about them; tables, long and flat.
#![allow(clippy::too_many_lines)]

use crate::support::archive::{Tar, ZipMember, ar, bzip2, gzip, header, lz4, seal, xz, zip, zstd};
use crate::support::noise;

/// File name, content, and what the error says.
pub(crate) type Case = (&'static str, Vec<u8>, &'static [&'static str]);

fn tar(label: &'static str, tar: Tar, expected: &'static [&'static str]) -> Case {
    (label, tar.end(), expected)
}

pub(crate) fn paths() -> Vec<Case> {
    const OUT: &[&str] = &["leads outside"];
    const CLIMBS: &[&str] = &["climbs out with `..`"];
    const THROUGH: &[&str] = &["goes through something that is not a directory"];
    const NO_FILE: &[&str] = &["is no earlier file"];
    let t = Tar::new;
    vec![
        tar(
            "absolute.tar",
            t().file("/tmp/x", b"x"),
            &["`/tmp/x`", "its path is absolute"],
        ),
        tar(
            "double-slash.tar",
            t().file("//x", b"x"),
            &["its path is absolute"],
        ),
        tar(
            "parent.tar",
            t().file("../x", b"x"),
            &["`../x`", "climbs out"],
        ),
        tar(
            // Each link names the one before it fourteen times.
            "detour.tar",
            (1..6)
                .fold(t().directory("d").symlink("l0", "d/.."), |tar, level| {
                    let target = vec![format!("l{}", level - 1); 14].join("/");
                    tar.symlink(&format!("l{level}"), &target)
                })
                .symlink("leak", "l5/../etc/hostname"),
            &["where it leads cannot be told"],
        ),
        tar("inner-parent.tar", t().file("a/../../x", b"x"), CLIMBS),
        tar("harmless-parent.tar", t().file("a/../x", b"x"), CLIMBS),
        tar("trailing-parent.tar", t().directory("a/.."), CLIMBS),
        tar("directory-parent.tar", t().directory("../d/"), CLIMBS),
        tar(
            "link-absolute.tar",
            t().symlink("l", "/etc"),
            &["`l`", "`/etc` leads outside"],
        ),
        tar("link-parent.tar", t().symlink("l", "../x"), OUT),
        tar("link-just-parent.tar", t().symlink("l", ".."), OUT),
        tar(
            "link-nested.tar",
            t().directory("a").symlink("a/l", "../../x"),
            OUT,
        ),
        tar(
            "link-detour.tar",
            t().directory("a").symlink("l", "a/../../x"),
            OUT,
        ),
        tar("link-empty.tar", t().symlink("l", ""), OUT),
        tar(
            "link-by-link.tar",
            t().directory("d")
                .symlink("d/here", ".")
                .symlink("l", "d/here/../../x"),
            OUT,
        ),
        tar(
            "link-later.tar",
            t().directory("a/b")
                .symlink("a/b/l", "up/../x")
                .symlink("a/b/up", "../.."),
            OUT,
        ),
        tar(
            "through-link.tar",
            t().directory("s").symlink("d", "s").file("d/x", b"x"),
            THROUGH,
        ),
        tar(
            "through-file.tar",
            t().file("f", b"1").file("f/x", b"x"),
            THROUGH,
        ),
        tar(
            "directory-on-link.tar",
            t().directory("s").symlink("d", "s").directory("d"),
            THROUGH,
        ),
        tar("hard-absolute.tar", t().hard_link("h", "/etc/passwd"), OUT),
        tar("hard-parent.tar", t().hard_link("h", "../x"), OUT),
        tar("hard-missing.tar", t().hard_link("h", "nothing"), NO_FILE),
        tar(
            "hard-directory.tar",
            t().directory("d").hard_link("h", "d"),
            NO_FILE,
        ),
        tar(
            "hard-self.tar",
            t().file("h", b"1").hard_link("h", "h"),
            NO_FILE,
        ),
        tar(
            "hard-through-link.tar",
            t().directory("s")
                .file("s/f", b"1")
                .symlink("d", "s")
                .hard_link("h", "d/f"),
            NO_FILE,
        ),
        tar(
            "character.tar",
            t().add(b'3', "null", "", b""),
            &["`null`", "character device"],
        ),
        tar(
            "block.tar",
            t().add(b'4', "sda", "", b""),
            &["block device"],
        ),
        tar("pipe.tar", t().add(b'6', "p", "", b""), &["named pipe"]),
        tar(
            "unknown.tar",
            t().add(b'Z', "z", "", b""),
            &["unknown type"],
        ),
        tar("volume.tar", t().add(b'M', "m", "", b""), &["multi-volume"]),
        tar("no-name.tar", t().file("", b"x"), &["not usable"]),
        tar("dot.tar", t().file(".", b"x"), &["not usable"]),
        tar(
            "pax-absolute.tar",
            t().pax(&[("path", "/x")]).file("a", b"x"),
            &["absolute"],
        ),
        tar(
            "pax-parent.tar",
            t().pax(&[("path", "../x")]).file("a", b"x"),
            CLIMBS,
        ),
        tar(
            "pax-nul.tar",
            t().pax(&[("path", "a\0b")]).file("a", b"x"),
            &["not usable"],
        ),
        tar(
            "pax-link.tar",
            t().pax(&[("linkpath", "../../x")]).symlink("l", "a"),
            OUT,
        ),
        tar(
            "deep.tar",
            t().add(b'L', "l", "", "a/".repeat(32_000).as_bytes())
                .directory("a"),
            &["not usable"],
        ),
        tar(
            "long-name.tar",
            t().add(b'L', "l", "", b"../x\0").file("a", b"x"),
            CLIMBS,
        ),
        tar(
            "long-link.tar",
            t().add(b'K', "l", "", b"/x\0").symlink("l", "a"),
            OUT,
        ),
    ]
}

pub(crate) fn damage() -> Vec<Case> {
    let t = Tar::new;
    let good = t().file("a", b"content").end();
    let noisy = t().file("a", &noise(20_000)).end();
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() / 2].to_vec();
    let flip = |mut bytes: Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        bytes
    };
    let mut bad_size = header(b'0', "a", "", 0, 0o644);
    bad_size[124..136].copy_from_slice(b"not a number");
    seal(&mut bad_size);
    let mut bad_second = t().file("a", b"1").file("b", b"2").end();
    bad_second[1024] = b'!';
    vec![
        tar(
            "long-name-size.tar",
            t().lying(b'L', "l", 70_000, b""),
            &["too long"],
        ),
        tar(
            "pax-size.tar",
            t().lying(b'x', "l", 2 << 20, b""),
            &["too long"],
        ),
        tar(
            "pax-record.tar",
            t().add(b'x', "p", "", b"99 path=a\n").file("a", b""),
            &["pax record"],
        ),
        tar(
            "pax-number.tar",
            t().pax(&[("size", "-1")]).file("a", b""),
            &["not a number"],
        ),
        (
            "bad-size.tar",
            t().raw(&bad_size).end(),
            &["size is not a number"],
        ),
        ("bad-checksum.tar", bad_second, &["checksum is wrong"]),
        (
            "cut-header.tar",
            t().file("a", b"1").raw(&[1; 100]).bytes(),
            &["within a header"],
        ),
        (
            "cut-content.tar",
            t().lying(b'0', "a", 5000, b"short").bytes(),
            &["`a`", "ends early"],
        ),
        (
            "huge-size.tar",
            t().lying(b'0', "a", 1 << 62, b"x").bytes(),
            &["ends early"],
        ),
        ("cut.tar.gz", cut(gzip(&noisy)), &["damaged"]),
        (
            "flipped.tar.gz",
            flip(gzip(&noisy)),
            &["reading or writing failed"],
        ),
        ("cut.tar.xz", cut(xz(&noisy)), &["damaged"]),
        (
            "flipped.tar.xz",
            flip(xz(&noisy)),
            &["reading or writing failed"],
        ),
        ("cut.tar.zst", cut(zstd(&noisy)), &["damaged"]),
        (
            "flipped.tar.zst",
            flip(zstd(&noisy)),
            &["reading or writing failed"],
        ),
        ("cut.tar.bz2", cut(bzip2(&noisy)), &["damaged"]),
        (
            "flipped.tar.bz2",
            flip(bzip2(&noisy)),
            &["reading or writing failed"],
        ),
        (
            "flipped.tar.lz4",
            flip(lz4(&noisy)),
            &["reading or writing failed"],
        ),
        ("cut.gz", cut(gzip(&noise(9000))), &["failed to extract"]),
        (
            "x.7z",
            b"7z\xbc\xaf\x27\x1c\0\x04".to_vec(),
            &["failed to extract"],
        ),
        (
            "x.rar",
            b"Rar!\x1a\x07\0".to_vec(),
            &["`rar` is not supported"],
        ),
        (
            "x.rpm",
            b"\xed\xab\xee\xdb\x03\0".to_vec(),
            &["`rpm` is not supported"],
        ),
        (
            "sparse.tar",
            sparse(&[("0", "100"), ("50", "100")], "200", 200),
            &["does not fit"],
        ),
        (
            "sparse-end.tar",
            sparse(&[("100", "200")], "200", 200),
            &["does not fit"],
        ),
        (
            "sparse-sum.tar",
            sparse(&[("0", "100")], "200", 150),
            &["does not fit"],
        ),
        (
            "sparse-overflow.tar",
            sparse(&[("18446744073709551615", "9")], "9", 9),
            &["does not fit"],
        ),
        (
            "sparse-map.tar",
            sparse_map(b"x\n"),
            &["map is not numbers"],
        ),
        (
            "sparse-count.tar",
            sparse_map(b"99999999\n"),
            &["map is not numbers"],
        ),
        (
            "whole.tar.after",
            [b"PK\x03\x04".as_slice(), &good].concat(),
            &["damaged"],
        ),
    ]
}

fn sparse(map: &[(&str, &str)], real: &str, stored: usize) -> Vec<u8> {
    let text = map
        .iter()
        .map(|(offset, length)| format!("{offset},{length}"))
        .collect::<Vec<_>>()
        .join(",");
    Tar::new()
        .pax(&[("GNU.sparse.size", real), ("GNU.sparse.map", &text)])
        .file("a", &vec![b'x'; stored])
        .end()
}

fn sparse_map(map: &[u8]) -> Vec<u8> {
    let mut content = map.to_vec();
    content.resize(512, 0);
    Tar::new()
        .pax(&[
            ("GNU.sparse.major", "1"),
            ("GNU.sparse.minor", "0"),
            ("GNU.sparse.realsize", "9"),
        ])
        .file("a", &content)
        .end()
}

pub(crate) fn other_formats() -> Vec<Case> {
    let file = |name| ZipMember::new(name, 0o100_644, b"x");
    let encrypted = ZipMember {
        flags: 1,
        content: &[0; 20],
        ..file("secret")
    };
    let wrong = ZipMember {
        crc: Some(1),
        ..file("a")
    };
    let good = zip(&[file("a")]);
    let mut lying = zip(&[file("a")]);
    let end = lying.len() - 22;
    lying[end + 8..end + 12].copy_from_slice(&[0xff; 4]);
    let deep = [b"0123456789".as_slice(); 1].concat();
    vec![
        (
            "absolute.zip",
            zip(&[file("/x")]),
            &["its path is absolute"],
        ),
        ("parent.zip", zip(&[file("../x")]), &["climbs out"]),
        ("inner.zip", zip(&[file("a/../../x")]), &["climbs out"]),
        (
            "link.zip",
            zip(&[ZipMember::new("l", 0o120_777, b"/etc")]),
            &["leads outside"],
        ),
        (
            "link-up.zip",
            zip(&[ZipMember::new("l", 0o120_777, b"../x")]),
            &["leads outside"],
        ),
        (
            "device.zip",
            zip(&[ZipMember::new("d", 0o020_644, b"")]),
            &["character device"],
        ),
        (
            "pipe.zip",
            zip(&[ZipMember::new("p", 0o010_644, b"")]),
            &["named pipe"],
        ),
        ("encrypted.zip", zip(&[encrypted]), &["encrypted"]),
        ("crc.zip", zip(&[wrong]), &["`a`", "failed"]),
        ("cut.zip", good[..good.len() - 30].to_vec(), &["damaged"]),
        ("lying.zip", lying, &["failed to extract `lying.zip`"]),
        ("parent.deb", ar(&[("../x", b"x")]), &["climbs out"]),
        ("absolute.deb", ar(&[("/abs", b"x")]), &["absolute"]),
        (
            "no-table.deb",
            ar(&[("/17", b"x")]),
            &["not in the name table"],
        ),
        (
            "no-header.deb",
            [ar(&[("a", b"xy")]), deep].concat(),
            &["header is malformed"],
        ),
        (
            "cut.deb",
            ar(&[("a", b"0123456789")])[..72].to_vec(),
            &["ends early"],
        ),
    ]
}

fn records() -> Vec<u8> {
    let value = "1".repeat(2_000);
    (0..600)
        .fold(Tar::new(), |tar, _| tar.pax(&[("comment", &value)]))
        .end()
}

pub(crate) fn over_limits() -> Vec<Case> {
    let many = (0..20).fold(Tar::new(), |tar, index| {
        tar.file(&format!("f{index}"), b"x")
    });
    let long = noise(3 << 20);
    vec![
        ("entries.tar", many.end(), &["more than 10 members"]),
        (
            "bytes.tar",
            Tar::new().file("big", &long).end(),
            &["`big`", "more than 1048576 bytes"],
        ),
        (
            "bytes.tar.gz",
            gzip(&Tar::new().file("big", &long).end()),
            &["more than 1048576 bytes"],
        ),
        (
            // Records of nothing, before a member that never comes.
            "records.tar.gz",
            gzip(&records()),
            &["more than 1048576 bytes"],
        ),
        (
            "label.tar",
            Tar::new().add(b'V', "label", "", &long).end(),
            &["more than 1048576 bytes"],
        ),
        (
            "dump.tar",
            Tar::new().add(b'D', "dump/", "", &long).end(),
            &["more than 1048576 bytes"],
        ),
        (
            "table.deb",
            ar(&[("/", &long)]),
            &["more than 1048576 bytes"],
        ),
        ("bytes.gz", gzip(&long), &["more than 1048576 bytes"]),
        (
            "bytes.zip",
            zip(&[ZipMember::new("big", 0o644, &long)]),
            &["more than 1048576 bytes"],
        ),
        (
            "hole.tar",
            sparse(&[("0", "1")], "1099511627776", 1),
            &["more than 1048576 bytes"],
        ),
        (
            "case.tar",
            Tar::new()
                .file("a/Makefile", b"1")
                .file("a/makefile", b"2")
                .end(),
            &["only by case"],
        ),
        (
            "case-directory.tar",
            Tar::new().file("A/x", b"1").file("a/y", b"2").end(),
            &["only by case"],
        ),
        (
            "case.zip",
            zip(&[
                ZipMember::new("X", 0o644, b"1"),
                ZipMember::new("x", 0o644, b"2"),
            ]),
            &["only by case"],
        ),
    ]
}
