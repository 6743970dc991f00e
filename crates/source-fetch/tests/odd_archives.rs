//! Archives that are seldom seen, beside what bsdtar unpacks, as makepkg calls it.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use source_fetch::{Directories, Policy, SourceRequest, fetch_all};
use support::archive::{Tar, ZipMember, bzip2, gzip, header, seal, xz, zip, zstd};
use support::described::{compare, describe, installed};
use support::{World, chain, noise, run, skipped};
use tokio_util::sync::CancellationToken;

const BSDTAR: [&str; 4] = ["bsdtar", "--no-same-permissions", "-xf", "{}"];

/// Unpacks an archive with bsdtar and here.
async fn as_bsdtar(name: &str, archive: &[u8]) {
    if !installed("bsdtar") {
        run(Path::new("/"), "bsdtar", &["--version"]);
        return;
    }
    let world = World::new();
    world.start_file(name, archive);
    compare(&world, name, &BSDTAR).await;
}

fn some_tar() -> Vec<u8> {
    Tar::new()
        .directory("d/")
        .file("d/a", b"one\n")
        .file("d/b", &noise(3000))
        .end()
}

#[tokio::test]
async fn names_of_windows_become_directories() {
    let with = |name: &'static str, system| {
        let mut member = ZipMember::new(name, 0, b"text\n");
        member.system = system;
        member
    };
    for (name, members) in [
        (
            "backslashes.zip",
            vec![with("pkg\\bin\\tool.txt", 0), with("pkg\\doc\\", 0)],
        ),
        (
            "drive.zip",
            vec![with("C:\\pkg\\tool.txt", 0), with("d:/e.txt", 0)],
        ),
        ("both.zip", vec![with("pkg/a\\b.txt", 0)]),
        ("unix.zip", vec![with("pkg\\kept.txt", 3)]),
    ] {
        as_bsdtar(name, &zip(&members)).await;
    }
    let tar = Tar::new().file("c:/x/y", b"y").file("a:b", b"b").end();
    as_bsdtar("drive.tar", &tar).await;
    let result = {
        let world = World::new();
        world.start_file("up.zip", &zip(&[with("C:\\..\\..\\up", 0)]));
        world.fetch(&[skipped("up.zip")]).await
    };
    assert!(chain(&result.unwrap_err()).contains("climbs out"));
}

#[tokio::test]
async fn what_precedes_and_follows_the_content_is_passed_over() {
    let tar = some_tar();
    // pzstd begins with a frame that is to be skipped.
    let mut skippable = b"\x50\x2a\x4d\x18\x04\0\0\0abcd".to_vec();
    skippable.extend(zstd(&tar));
    as_bsdtar("pzstd.tar.zst", &skippable).await;
    for length in [1, 2, 3, 9, 10, 100] {
        for filling in [0_u8, b'x', 0x1f] {
            let behind = vec![filling; length];
            for (ending, packed) in [("gz", gzip(&tar)), ("bz2", bzip2(&tar))] {
                let mut bytes = packed.clone();
                bytes.extend(&behind);
                as_bsdtar(&format!("behind.tar.{ending}"), &bytes).await;
                // Two streams, and something behind.
                let (first, last) = tar.split_at(1000);
                let pack = if ending == "gz" { gzip } else { bzip2 };
                let bytes = [pack(first), pack(last), behind.clone()].concat();
                as_bsdtar(&format!("two.tar.{ending}"), &bytes).await;
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_off_is_not_taken_for_garbage() {
    let tar = some_tar();
    for (ending, pack) in [("gz", gzip as fn(&[u8]) -> Vec<u8>), ("bz2", bzip2)] {
        let (first, last) = tar.split_at(1000);
        let last = pack(last);
        for left in [3, 10, 11, last.len() / 2, last.len() - 1] {
            let world = World::new();
            let name = format!("cut.tar.{ending}");
            world.start_file(&name, &[pack(first), last[..left].to_vec()].concat());
            let error = world.fetch(&[skipped(&name)]).await.unwrap_err();
            assert!(chain(&error).contains("extract"), "{ending} {left}");
        }
    }
}

#[tokio::test]
async fn old_ways_of_packing_are_unpacked() {
    let tar = some_tar();
    for (program, arguments, name) in [
        ("lzma", &["-k", "a.tar"][..], "a.tar.lzma"),
        ("xz", &["-k", "--format=lzma", "-9", "a.tar"], "a.tar.lzma"),
        ("compress", &["-f", "a.tar"], "a.tar.Z"),
        ("compress", &["-f", "-b", "12", "a.tar"], "a.tar.Z"),
    ] {
        for size in [0, 100, 70_000, 2_000_000] {
            let place = tempfile::tempdir().unwrap();
            let text: Vec<u8> = (0..size)
                .map(|n: u32| (n.wrapping_mul(n) >> 9).to_le_bytes()[0] & 31)
                .collect();
            let mut tar = tar.clone();
            tar.truncate(tar.len() - 1024);
            tar.extend(
                Tar::new()
                    .file("d/text", &text)
                    .file("d/noise", &noise(size as usize))
                    .end(),
            );
            fs::write(place.path().join("a.tar"), tar).unwrap();
            if run(place.path(), program, arguments).is_none() {
                continue;
            }
            let packed = fs::read(place.path().join(name)).unwrap();
            as_bsdtar(name, &packed).await;
        }
    }
    // A single file that is packed so is kept, as makepkg keeps it.
    let world = World::new();
    world.start_file(
        "a.txt.lzma",
        b"\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0zzzz",
    );
    world.fetch(&[skipped("a.txt.lzma")]).await.unwrap();
    assert!(world.src("a.txt.lzma").is_file() && !world.src("a.txt").exists());
}

#[tokio::test]
async fn cpio_is_unpacked_in_every_form() {
    if !installed("bsdtar") {
        return;
    }
    for form in ["odc", "newc", "bin", "pwb"] {
        let world = World::new();
        let tree = world.path("tree");
        fs::create_dir_all(tree.join("d/e")).unwrap();
        fs::write(tree.join("d/odd"), b"odd").unwrap();
        fs::write(tree.join("d/noise"), noise(70_000)).unwrap();
        fs::write(tree.join("d/e/run"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(tree.join("d/e/run"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(tree.join("d/empty"), b"").unwrap();
        fs::hard_link(tree.join("d/noise"), tree.join("d/same")).unwrap();
        fs::hard_link(tree.join("d/noise"), tree.join("d/e/again")).unwrap();
        if form != "pwb" {
            symlink("e/run", tree.join("d/link")).unwrap();
        }
        let name = format!("{form}.cpio");
        let target = world.path("start").join(&name).display().to_string();
        if run(&tree, "bsdtar", &["--format", form, "-cf", &target, "d"]).is_none() {
            continue;
        }
        compare(&world, &name, &BSDTAR).await;
        let packed = gzip(&fs::read(&target).unwrap());
        as_bsdtar(&format!("{form}.cpio.gz"), &packed).await;
    }
}

#[tokio::test]
async fn a_zip_behind_something_else_is_unpacked() {
    let members = [
        ZipMember::new("__main__.py", 0o100_644, b"print()\n"),
        ZipMember::new("d/x", 0o100_755, b"x"),
    ];
    for before in [
        &b"#!/usr/bin/env python3\n"[..],
        b"\x7fELF some program",
        &noise(100_000),
    ] {
        let bytes = [before, &zip(&members)].concat();
        as_bsdtar("tool.pyz", &bytes).await;
    }
    // What only holds the mark of an end is a file.
    for bytes in [
        b"text PK\x05\x06 and more of it, long enough for a record".to_vec(),
        [b"PK\x05\x06", &[0xff; 18][..]].concat(),
    ] {
        let world = World::new();
        world.start_file("text", &[b"some text ".to_vec(), bytes].concat());
        world.fetch(&[skipped("text")]).await.unwrap();
        assert_eq!(fs::read_dir(world.src("")).unwrap().count(), 1);
    }
}

#[tokio::test]
async fn a_directory_takes_the_place_of_the_archive_that_has_its_name() {
    for (name, archive) in [
        (
            "pkg-1.0",
            gzip(
                &Tar::new()
                    .directory("pkg-1.0/")
                    .file("pkg-1.0/a", b"a")
                    .end(),
            ),
        ),
        ("pkg-1.0", Tar::new().file("pkg-1.0/deep/a", b"a").end()),
        (
            "pkg-1.0",
            zip(&[ZipMember::new("pkg-1.0/a", 0o100_644, b"a")]),
        ),
    ] {
        let world = World::new();
        world.start_file(name, &archive);
        world.fetch(&[skipped(name)]).await.unwrap();
        assert!(world.src(name).is_dir());
    }
}

#[tokio::test]
async fn records_and_labels_of_tar_are_read_as_bsdtar_reads_them() {
    let tar = Tar::new()
        .pax(&[("comment", "two\nlines"), ("path", "named\nso")])
        .file("short", b"1")
        .pax(&[("SCHILY.xattr.user.x", "a=b\n=c\n")])
        .file("other", b"2")
        .end();
    as_bsdtar("lines.tar", &tar).await;
    if !installed("bsdtar") {
        return;
    }
    for form in ["gnu", "posix", "oldgnu"] {
        let world = World::new();
        let tree = world.path("tree");
        fs::create_dir_all(tree.join("d")).unwrap();
        fs::write(tree.join("d/a"), "a").unwrap();
        let name = format!("{form}.tar");
        let target = world.path("start").join(&name).display().to_string();
        let format = format!("--format={form}");
        if run(
            &tree,
            "tar",
            &[&format, "-V", "a label", "-cf", &target, "d"],
        )
        .is_some()
        {
            compare(&world, &name, &BSDTAR).await;
        }
        if run(
            &tree,
            "tar",
            &[&format, "-V", "a label", "-czf", &target, "d"],
        )
        .is_some()
        {
            as_bsdtar(&name, &fs::read(&target).unwrap()).await;
        }
    }
}

#[tokio::test]
async fn times_before_1970_and_far_ahead_are_kept() {
    let timed = |name: &str, field: [u8; 12]| {
        let mut block = header(b'0', name, "", 1, 0o644);
        block[136..148].copy_from_slice(&field);
        seal(&mut block);
        block.push(b'x');
        block.resize(1024, 0);
        block
    };
    let binary = |seconds: i64| {
        let mut field = [if seconds < 0 { 0xff } else { 0x80 }; 12];
        if seconds >= 0 {
            field[1..4].fill(0);
        }
        field[4..].copy_from_slice(&seconds.to_be_bytes());
        field
    };
    let mut tar = Tar::new()
        .raw(&timed("old", binary(-86_400)))
        .raw(&timed("older", binary(-1_000_000_000)))
        .raw(&timed("ahead", binary(8_589_934_592)));
    tar = tar.pax(&[("mtime", "-3")]).file("pax", b"x");
    as_bsdtar("times.tar", &tar.end()).await;
    let world = World::new();
    let far = Tar::new().raw(&timed("far", binary(i64::MAX))).end();
    world.start_file("far.tar", &far);
    world.fetch(&[skipped("far.tar")]).await.unwrap();
    assert_ne!(describe(&world.src(""))[Path::new("far")].2, 0);
}

#[tokio::test]
async fn zip_members_in_lzma_and_xz_are_unpacked() {
    let text = b"some text, again and again\n".repeat(20_000);
    let packed = xz(&text);
    let mut member = ZipMember::new("d/x.txt", 0o100_644, &text);
    member.packed = Some((95, &packed));
    as_bsdtar("xz.zip", &zip(&[member.clone()])).await;
    let mut wrong = member;
    wrong.crc = Some(7);
    let world = World::new();
    world.start_file("wrong.zip", &zip(&[wrong]));
    let error = world.fetch(&[skipped("wrong.zip")]).await.unwrap_err();
    assert!(chain(&error).contains("checksum"), "{}", chain(&error));
    let options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
    let stream = liblzma::stream::Stream::new_lzma_encoder(&options).unwrap();
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    encoder.write_all(&text).unwrap();
    let alone = encoder.finish().unwrap();
    let stored = [&[9, 20, 5, 0][..], &alone[..5], &alone[13..]].concat();
    let mut member = ZipMember::new("d/l.txt", 0o100_644, &text);
    member.flags = 2;
    member.packed = Some((14, &stored));
    as_bsdtar(
        "lzma.zip",
        &zip(&[member.clone(), ZipMember::new("d/last", 0o100_644, b"l")]),
    )
    .await;
    // A dictionary of 4 GiB, as a stranger may ask for.
    let mut huge = stored.clone();
    huge[5..9].fill(0xff);
    member.packed = Some((14, &huge));
    let world = World::new();
    world.start_file("huge.zip", &zip(&[member]));
    assert!(world.fetch(&[skipped("huge.zip")]).await.is_err());
}

#[tokio::test]
async fn seven_zip_is_unpacked() {
    for arguments in [
        &["-mx=1"][..],
        &["-mx=9"],
        &["-m0=LZMA"],
        &["-m0=LZMA2"],
        &["-m0=PPMd"],
        &["-m0=BZip2"],
        &["-m0=Deflate"],
        &["-m0=Copy"],
        &["-ms=off"],
        &["-mf=BCJ2"],
        &["-mf=BCJ", "-mhc=off"],
    ] {
        let world = World::new();
        let tree = world.path("tree");
        fs::create_dir_all(tree.join("d/empty")).unwrap();
        fs::write(tree.join("d/text"), "text\n".repeat(10_000)).unwrap();
        fs::write(tree.join("d/noise"), noise(70_000)).unwrap();
        fs::write(tree.join("d/nothing"), "").unwrap();
        fs::write(tree.join("d/a b"), "name\n").unwrap();
        fs::copy("/proc/self/exe", tree.join("d/program")).unwrap();
        fs::File::options()
            .write(true)
            .open(tree.join("d/program"))
            .unwrap()
            .set_len(3 << 20)
            .unwrap();
        symlink("text", tree.join("d/link")).unwrap();
        let target = world.path("start/a.7z").display().to_string();
        let all = [&["a", "-bd", "-snl"][..], arguments, &[&target, "d"]].concat();
        if run(&tree, "7z", &all).is_none() {
            return;
        }
        compare(&world, "a.7z", &["7z", "x", "-bd", "-y", "{}"]).await;
        // bsdtar fails at the filters that programs are packed with.
        fs::remove_file(tree.join("d/program")).unwrap();
        fs::remove_file(&target).unwrap();
        run(&tree, "7z", &all).unwrap();
        as_bsdtar("a.7z", &fs::read(&target).unwrap()).await;
    }
    let world = World::new();
    fs::write(world.path("secret"), "x").unwrap();
    let target = world.path("start/a.7z").display().to_string();
    for arguments in [&["-psecret"][..], &["-psecret", "-mhe=on"]] {
        let _ = fs::remove_file(&target);
        let source = world.path("secret").display().to_string();
        let all = [&["a", "-bd"][..], arguments, &[&target, &source]].concat();
        run(Path::new("/"), "7z", &all).unwrap();
        let error = world.fetch(&[skipped("a.7z")]).await.unwrap_err();
        assert!(chain(&error).contains("a.7z"), "{}", chain(&error));
    }
}

#[tokio::test]
async fn a_link_to_an_empty_directory_is_a_place_for_sources() {
    let world = World::new();
    world.start_file("a.tar", &some_tar());
    let (real, link) = (world.path("real"), world.path("link"));
    fs::create_dir(&real).unwrap();
    symlink(&real, &link).unwrap();
    let directories = Directories {
        srcdir: link.clone(),
        ..world.directories()
    };
    let token = CancellationToken::new();
    let sources = [SourceRequest::new("a.tar".parse().unwrap())];
    let policy = Policy {
        allow_no_digest: true,
        ..Policy::default()
    };
    fetch_all(&sources, &directories, &policy, &token, &|_| {})
        .await
        .unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read(real.join("d/a")).unwrap(), b"one\n");
    let error = fetch_all(&sources, &directories, &policy, &token, &|_| {})
        .await
        .unwrap_err();
    assert!(chain(&error).contains("not empty"));
}

/// For the test below: unpacks and checks out under a mask of its own, in a process of its own.
#[tokio::test]
async fn helper_for_the_umask() {
    let Some(root) = std::env::var_os("SOURCE_FETCH_UMASK_TEST") else {
        return;
    };
    let root = Path::new(&root);
    let directories = Directories {
        srcdir: root.join("start/src"),
        cache: root.join("cache"),
        startdir: root.join("start"),
    };
    let policy = Policy {
        network: network_policy::SourcePolicy::default().allow_files(true),
        allow_no_digest: true,
        ..Policy::default()
    };
    let git = format!("r::git+file://{}", root.join("made").display());
    let sources = [
        SourceRequest::new("a.tar".parse().unwrap()),
        SourceRequest::new(git.parse().unwrap()),
    ];
    let token = CancellationToken::new();
    fetch_all(&sources, &directories, &policy, &token, &|_| {})
        .await
        .unwrap();
}

#[test]
fn modes_do_not_depend_on_the_umask_of_the_caller() {
    let mut all = Vec::new();
    for mask in ["022", "077", "002", "000"] {
        let world = World::new();
        let tar = Tar::new()
            .directory("d/")
            .with_mode("d/run", 0o777, b"x")
            .file("deep/er/file", b"y")
            .end();
        world.start_file("a.tar", &tar);
        let made = world.path("made");
        fs::create_dir(&made).unwrap();
        fs::create_dir(made.join("sub")).unwrap();
        fs::write(made.join("sub/file"), "x").unwrap();
        fs::write(made.join("run"), "x").unwrap();
        fs::set_permissions(made.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
        for arguments in [
            &["init", "-q"][..],
            &["add", "-A"],
            &[
                "-c",
                "user.name=a",
                "-c",
                "user.email=a@b",
                "commit",
                "-qm",
                "x",
            ],
        ] {
            if run(&made, "git", arguments).is_none() {
                return;
            }
        }
        let script = format!("umask {mask}; exec \"$0\" helper_for_the_umask --exact");
        let status = std::process::Command::new("sh")
            .args(["-c", &script])
            .arg(std::env::current_exe().unwrap())
            .env("SOURCE_FETCH_UMASK_TEST", world.path(""))
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        let mut modes: Vec<_> = describe(&world.src(""))
            .into_iter()
            .filter(|(path, _)| !path.starts_with("r/.git"))
            .map(|(path, described)| (path, described.0))
            .collect();
        modes.push((
            "".into(),
            fs::metadata(world.src("")).unwrap().permissions().mode(),
        ));
        all.push((mask, modes));
    }
    let (_, expected) = &all[0];
    let run = expected
        .iter()
        .find(|(path, _)| path.ends_with("d/run"))
        .unwrap();
    assert_eq!(run.1 & 0o777, 0o755);
    for (mask, modes) in &all {
        assert_eq!(modes, expected, "{mask}");
    }
}
