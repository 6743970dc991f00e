//! What is unpacked, beside what tar, unzip, ar and the packers themselves unpack.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use support::described::{compare, installed};
use support::{World, noise, run, skipped};

fn sample(root: &Path) {
    let top = root.join("pkg-1.0");
    let long = top.join("d".repeat(120)).join("e".repeat(120));
    fs::create_dir_all(&long).unwrap();
    fs::write(long.join("long"), "long name\n").unwrap();
    fs::create_dir(top.join("closed")).unwrap();
    fs::write(top.join("closed/file"), "x").unwrap();
    fs::write(top.join("run"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(top.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(top.join("secret"), "s").unwrap();
    fs::set_permissions(top.join("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(top.join("empty"), "").unwrap();
    fs::write(top.join("noise"), noise(100_000)).unwrap();
    fs::write(top.join("unié ñ"), "name\n").unwrap();
    fs::hard_link(top.join("noise"), top.join("same")).unwrap();
    symlink("closed/file", top.join("link")).unwrap();
    symlink("missing", top.join("dangling")).unwrap();
    let sparse = fs::File::create(top.join("sparse")).unwrap();
    std::os::unix::fs::FileExt::write_at(&sparse, b"end", 3 << 20).unwrap();
    // One that ends in a hole, and one that is nothing else.
    let hollow = fs::File::create(top.join("hollow")).unwrap();
    std::os::unix::fs::FileExt::write_at(&hollow, b"begin", 0).unwrap();
    hollow.set_len(2 << 20).unwrap();
    fs::File::create(top.join("hole"))
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    fs::set_permissions(top.join("closed"), fs::Permissions::from_mode(0o555)).unwrap();
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_234_567_890);
    for name in ["run", "closed"] {
        fs::File::open(top.join(name))
            .unwrap()
            .set_modified(old)
            .unwrap();
    }
}

#[tokio::test]
async fn tar_in_every_form_is_as_tar_unpacks_it() {
    let forms: [(&str, &str, &[&str]); 10] = [
        ("gnu.tar", "tar", &["--format=gnu", "-cf"]),
        ("pax.tar", "tar", &["--format=posix", "-cf"]),
        ("sparse.tar", "tar", &["--format=gnu", "-S", "-cf"]),
        (
            "sparse0.tar",
            "tar",
            &["--format=posix", "--sparse-version=0.1", "-S", "-cf"],
        ),
        (
            "sparse1.tar",
            "tar",
            &["--format=posix", "--sparse-version=1.0", "-S", "-cf"],
        ),
        ("a.tar.gz", "gzip", &["-czf"]),
        ("a.tar.bz2", "bzip2", &["-cjf"]),
        ("a.tar.xz", "xz", &["-cJf"]),
        ("a.tar.zst", "zstd", &["--zstd", "-cf"]),
        ("a.tar.lz4", "lz4", &["-I", "lz4", "-cf"]),
    ];
    for (name, program, arguments) in forms {
        if !installed(program) {
            run(Path::new("/"), program, &["--version"]);
            continue;
        }
        let world = World::new();
        fs::create_dir(world.path("tree")).unwrap();
        sample(&world.path("tree"));
        let target = world.path("start").join(name).display().to_string();
        let arguments = [arguments, &[&target, "pkg-1.0"]].concat();
        run(&world.path("tree"), "tar", &arguments).unwrap();
        let unpack = [
            "tar",
            "--no-same-permissions",
            "--no-same-owner",
            "-xf",
            "{}",
        ];
        if name.ends_with("lz4") {
            compare(
                &world,
                name,
                &[
                    "tar",
                    "-I",
                    "lz4",
                    "--no-same-permissions",
                    "--no-same-owner",
                    "-xf",
                    "{}",
                ],
            )
            .await;
        } else {
            compare(&world, name, &unpack).await;
        }
    }
}

#[tokio::test]
async fn zip_and_ar_are_as_their_tools_unpack_them() {
    let world = World::new();
    let tree = world.path("tree");
    fs::create_dir_all(tree.join("d")).unwrap();
    fs::write(tree.join("d/text"), "text\n".repeat(100)).unwrap();
    fs::write(tree.join("d/run"), noise(5000)).unwrap();
    fs::set_permissions(tree.join("d/run"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("text", tree.join("d/link")).unwrap();
    let target = world.path("start/a.zip").display().to_string();
    if run(&tree, "zip", &["-qry", &target, "d"]).is_some() && installed("bsdtar") {
        compare(
            &world,
            "a.zip",
            &["bsdtar", "--no-same-permissions", "-xf", "{}"],
        )
        .await;
    }
    let world = World::new();
    let tree = world.path("tree");
    fs::create_dir(&tree).unwrap();
    for name in [
        "debian-binary",
        "control.tar.gz",
        "a-member-with-a-long-name",
    ] {
        fs::write(tree.join(name), noise(name.len())).unwrap();
    }
    let target = world.path("start/a.deb").display().to_string();
    let members = [
        "debian-binary",
        "control.tar.gz",
        "a-member-with-a-long-name",
    ];
    if run(&tree, "ar", &[&["rc", &target][..], &members].concat()).is_some() {
        compare(&world, "a.deb", &["ar", "xo", "{}"]).await;
    }
}

#[tokio::test]
async fn single_packed_files_lose_their_ending() {
    for (program, ending) in [
        ("gzip", "gz"),
        ("bzip2", "bz2"),
        ("xz", "xz"),
        ("zstd", "zst"),
    ] {
        let world = World::new();
        world.start_file("notes.txt", b"some text\n");
        if run(&world.path("start"), program, &["-q", "notes.txt"]).is_none() {
            continue;
        }
        let name = format!("notes.txt.{ending}");
        let mut request = skipped(&name);
        world.fetch(std::slice::from_ref(&request)).await.unwrap();
        assert_eq!(
            fs::read(world.src("notes.txt")).unwrap(),
            b"some text\n",
            "{ending}"
        );
        assert!(world.src(&name).exists());
        world.remove_src();
        request.no_extract = true;
        world.fetch(&[request]).await.unwrap();
        assert!(!world.src("notes.txt").exists());
    }
}
