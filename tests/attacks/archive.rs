//! Archives whose members reach out of the folder that they are unpacked into.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use e2e_tests::release;

use crate::archive_bytes::{Tar, ar, zip};
use crate::harness::{Attack, Verdict};
use crate::scene::{PROGRAM, Place, recipe};
use crate::server::{Answer, Host};

const KIND: &str = "archive";

/// What the recipe looks for in `srcdir`, from where it is; says `gone-wrong` when it finds any.
const LOOK: &str = "  if [ -n \"$(find \"$srcdir\" -type b -o -type c -o -type p -o -type s -o -perm /6000 | head -1)\" ]; \
    then echo gone''-wrong special; fi\n  \
    find \"$srcdir\" -mindepth 1 -type l | while IFS= read -r link; do \
    [ \"$link\" = \"$srcdir/@FILE@\" ] && continue; to=$(readlink -m \"$link\"); \
    case $to in \"$srcdir\"|\"$srcdir\"/*) ;; *) echo gone''-wrong link \"$to\";; esac; done\n  \
    if [ \"$(find \"$srcdir\" -links +1 -type f | wc -l)\" -gt 0 ]; then echo many-names; fi\n  true";

type Make = fn(&Path) -> Vec<u8>;

/// Each makes an archive that writes `@/mine` or `@/new`, or leads to it, for the folder `@`.
fn cases() -> Vec<(&'static str, &'static str, Make)> {
    fn at(victim: &Path, name: &str) -> String {
        victim.join(name).display().to_string()
    }
    fn up(victim: &Path, name: &str) -> String {
        format!("{}{}", "../".repeat(20), &at(victim, name)[1..])
    }
    vec![
        ("tar: the path is absolute", "a.tar", |v| {
            Tar::new().file(&at(v, "new"), b"evil").end()
        }),
        ("tar: the path climbs", "a.tar", |v| {
            Tar::new().file(&up(v, "new"), b"evil").end()
        }),
        ("tar: the path climbs out of a folder", "a.tar", |v| {
            let name = format!("a/b/../../{}", up(v, "new"));
            Tar::new()
                .directory("a/b")
                .long_name(&name)
                .file("x", b"evil")
                .end()
        }),
        ("tar: a link, then a file through it", "a.tar", |v| {
            let link = Tar::new().symlink("out", &v.display().to_string());
            link.file("out/new", b"evil").end()
        }),
        (
            "tar: a link that climbs, then a file through it",
            "a.tar",
            |v| {
                Tar::new()
                    .symlink("out", &up(v, ""))
                    .file("out/new", b"evil")
                    .end()
            },
        ),
        (
            "tar: a link to a file, then a file of that name",
            "a.tar",
            |v| {
                let link = Tar::new().symlink("out", &at(v, "mine"));
                link.file("out", b"evil").end()
            },
        ),
        (
            "tar: a folder, then a link of that name, then a file in it",
            "a.tar",
            |v| {
                let first = Tar::new().directory("out");
                first
                    .symlink("out", &v.display().to_string())
                    .file("out/new", b"evil")
                    .end()
            },
        ),
        (
            "tar: a hard link to a file outside, then a file of that name",
            "a.tar",
            |v| {
                let link = Tar::new().hard_link("out", &at(v, "mine"));
                link.file("out", b"evil").end()
            },
        ),
        ("tar: a hard link that climbs", "a.tar", |v| {
            Tar::new()
                .hard_link("out", &up(v, "mine"))
                .file("out", b"evil")
                .end()
        }),
        ("tar: a hard link to a link that leads out", "a.tar", |v| {
            let link = Tar::new().symlink("way", &at(v, "mine"));
            link.hard_link("out", "way").file("out", b"evil").end()
        }),
        (
            "tar: links that each are harmless and together lead out",
            "a.tar",
            |v| {
                let links = Tar::new().directory("a/b").symlink("a/b/up", "../..");
                let links = links.symlink("out", &format!("a/b/up/{}", up(v, "")));
                links.file("out/new", b"evil").end()
            },
        ),
        (
            "tar: links that take thousands of steps to follow",
            "a.tar",
            |v| {
                // Few links, which the kernel follows, and many steps.
                let links = Tar::new().directory("d").symlink("l", &"d/../".repeat(110));
                let leak = format!("{}{}", "l/".repeat(20), up(v, ""));
                links.symlink("out", &leak).file("out/new", b"evil").end()
            },
        ),
        ("tar: an extended header names another path", "a.tar", |v| {
            Tar::new()
                .pax("path", &up(v, "new"))
                .file("harmless", b"evil")
                .end()
        }),
        ("tar: an extended header names another link", "a.tar", |v| {
            let link = Tar::new().pax("linkpath", &v.display().to_string());
            link.symlink("out", "harmless")
                .file("out/new", b"evil")
                .end()
        }),
        ("tar: a long name climbs", "a.tar", |v| {
            Tar::new()
                .long_name(&up(v, "new"))
                .file("harmless", b"evil")
                .end()
        }),
        ("tar: a folder is called `..`", "a.tar", |v| {
            let way = Tar::new().directory("..").directory("../..");
            way.file(&up(v, "new"), b"evil").end()
        }),
        ("zip: the path climbs", "a.zip", |v| {
            zip(&[(&up(v, "new"), 0o100_644, b"evil")])
        }),
        ("zip: the path is absolute", "a.zip", |v| {
            zip(&[(&at(v, "new"), 0o100_644, b"evil")])
        }),
        ("zip: a link, then a file through it", "a.zip", |v| {
            let target = v.display().to_string();
            zip(&[
                ("out", 0o120_777, target.as_bytes()),
                ("out/new", 0o100_644, b"evil"),
            ])
        }),
        (
            "zip: a link to a file, then a file of that name",
            "a.zip",
            |v| {
                let target = at(v, "mine");
                zip(&[
                    ("out", 0o120_777, target.as_bytes()),
                    ("out", 0o100_644, b"evil"),
                ])
            },
        ),
        ("ar: the path climbs", "a.deb", |v| {
            // A name of sixteen bytes is too short for the way to the victim; one step is enough.
            let _ = v;
            ar(&[("../new", b"evil")])
        }),
    ]
}

/// Members that are dangerous by what they are.
fn specials() -> Vec<(&'static str, Vec<u8>)> {
    let t = Tar::new;
    vec![
        ("tar: a device", t().add(b'3', b"null", "", b"").end()),
        ("tar: a block device", t().add(b'4', b"disk", "", b"").end()),
        ("tar: a pipe", t().add(b'6', b"pipe", "", b"").end()),
        (
            "tar: a link that leads to a file of the host",
            t().symlink("l", "/etc/hostname").end(),
        ),
        (
            "tar: a link to itself",
            t().symlink("out", "out").file("out/x", b"x").end(),
        ),
        (
            "zip: a link that leads to a file of the host",
            zip(&[("l", 0o120_777, b"/etc/hostname")]),
        ),
        (
            "tar: a file with a set-user-id bit",
            t().moded("helper", 0o6755, b"#!/bin/sh\n").end(),
        ),
    ]
}

pub(crate) fn attacks() -> Vec<Attack> {
    let reaching = cases()
        .into_iter()
        .map(|(name, file, make)| Attack::new(KIND, name, move |place| unpack(place, file, make)));
    let special = specials()
        .into_iter()
        .map(|(name, bytes)| Attack::new(KIND, name, move |place| special(place, bytes.clone())));
    let others = [
        Attack::new(KIND, "tar: 20,000 folders in one another", deep),
        Attack::new(
            KIND,
            "tar: a member claims more than the archive holds",
            claims,
        ),
    ];
    reaching.chain(special).chain(others).collect()
}

/// The lines of a recipe that name `file` of this host as its one source.
pub(crate) fn sources(host: &Host, file: &str, bytes: &[u8]) -> String {
    let url = host.url(&format!("/{file}"));
    format!(
        "source=('{url}')\nsha256sums=('{}')",
        release::sha256(bytes)
    )
}

async fn host_of(file: &str, bytes: Vec<u8>) -> Host {
    let host = Host::start().await;
    let sources = sources(&host, file, &bytes);
    let look = LOOK.replace("@FILE@", file);
    host.put(&format!("/{file}"), Answer::bytes(bytes));
    host.offer(&recipe(&format!(
        "{sources}\npackage() {{\n{look}\n{PROGRAM}\n}}"
    )));
    host
}

fn untouched(victim: &Path) -> bool {
    let mine = fs::read(victim.join("mine")).unwrap_or_default();
    mine == b"mine" && victim.read_dir().unwrap().count() == 1
}

async fn unpack(place: Place, file: &'static str, make: Make) -> Verdict {
    let [attacked, plain] = ["v", "u"].map(|name| {
        let folder = place.folder(name);
        fs::write(folder.join("mine"), "mine").unwrap();
        folder
    });
    let host = host_of(file, make(&attacked)).await;
    let outcome = place.provision(&host).await;
    let looked = outcome.tells("gone-wrong");
    let strays = place.path("tmp").read_dir().unwrap().count() > 0;

    let into = place.folder("unpacked/here");
    naive(file, &make(&plain), &into);
    let control = !untouched(&plain) || place.path("unpacked/new").exists();
    outcome.judged(control, !untouched(&attacked) || looked || strays)
}

/// A loop over the members that joins paths and follows what is there.
fn naive(file: &str, bytes: &[u8], into: &Path) {
    let put = |name: &Path, content: &[u8]| {
        let target = into.join(name);
        // A walk of thousands of steps may fail once while others rename beside it.
        for _ in 0..3 {
            let _ = target.parent().map(fs::create_dir_all);
            if fs::write(&target, content).is_ok() {
                break;
            }
        }
    };
    let link = |name: &Path, to: &Path| {
        let name = into.join(name);
        let _ = fs::remove_file(&name);
        let _ = fs::remove_dir(&name);
        let _ = std::os::unix::fs::symlink(to, name);
    };
    match file.rsplit_once('.').unwrap().1 {
        "tar" => {
            let mut archive = tar::Archive::new(bytes);
            for member in archive.entries().unwrap() {
                let Ok(mut member) = member else { break };
                let name = member.path().unwrap().into_owned();
                let to = member
                    .link_name()
                    .unwrap()
                    .map(std::borrow::Cow::into_owned);
                let kind = member.header().entry_type();
                if kind.is_dir() {
                    let _ = fs::create_dir_all(into.join(name));
                } else if kind.is_symlink() {
                    link(&name, &to.unwrap());
                } else if kind.is_hard_link() {
                    let _ = fs::hard_link(into.join(to.unwrap()), into.join(name));
                } else if kind.is_fifo() || kind.is_character_special() || kind.is_block_special() {
                    let made = if kind.is_fifo() { "p" } else { "c 1 3" };
                    let mut mknod = std::process::Command::new("mknod");
                    let _ = mknod.arg(into.join(name)).args(made.split(' ')).output();
                } else {
                    let mut content = Vec::new();
                    let _ = member.read_to_end(&mut content);
                    put(&name, &content);
                    let mode = fs::Permissions::from_mode(member.header().mode().unwrap());
                    let _ = fs::set_permissions(into.join(name), mode);
                }
            }
        }
        "zip" => {
            for (name, mode, content) in zip_members(bytes) {
                if mode & 0o170_000 == 0o120_000 {
                    link(&name, Path::new(std::str::from_utf8(&content).unwrap()));
                } else {
                    put(&name, &content);
                }
            }
        }
        _ => put(Path::new("../new"), b"evil"),
    }
}

/// The stored members of an archive that [`zip`] has written.
fn zip_members(bytes: &[u8]) -> Vec<(PathBuf, u32, Vec<u8>)> {
    let number = |at: usize, size: usize| {
        let bytes = &bytes[at..at + size];
        bytes
            .iter()
            .rev()
            .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
    };
    let end = bytes.len() - 22;
    let mut at = number(end + 16, 4) as usize;
    let mut members = Vec::new();
    while at < end {
        let (length, size) = (number(at + 28, 2) as usize, number(at + 24, 4) as usize);
        let name = std::str::from_utf8(&bytes[at + 46..at + 46 + length]).unwrap();
        let start = number(at + 42, 4) as usize + 30 + length;
        let content = bytes[start..start + size].to_vec();
        members.push((PathBuf::from(name), number(at + 38, 4) >> 16, content));
        at += 46 + length;
    }
    members
}

async fn special(place: Place, bytes: Vec<u8>) -> Verdict {
    let is_zip = bytes.starts_with(b"PK");
    let file = if is_zip { "a.zip" } else { "a.tar" };
    let host = host_of(file, bytes.clone()).await;
    let outcome = place.provision(&host).await;
    let into = place.folder("unpacked");
    naive(file, &bytes, &into);
    let left = into.read_dir().unwrap().count() > 0;
    // Nobody but root makes a device; without one the archive has done what it can.
    let control = left || !crate::harness::is_root();
    outcome.judged(control, outcome.tells("gone-wrong"))
}

async fn deep(place: Place) -> Verdict {
    let name = "d/".repeat(20_000);
    let bytes = Tar::new().long_name(&name).directory("d").end();
    let host = host_of("a.tar", bytes).await;
    let outcome = place.provision(&host).await;
    let into = place.folder("unpacked");
    // A path to the innermost one is longer than any system call takes.
    let error = into.join(&name).metadata().map_err(|error| error.kind());
    let control = error.is_err_and(|kind| kind == std::io::ErrorKind::InvalidFilename);
    let left = place.path("tmp").read_dir().unwrap().count() > 0;
    let next = place
        .provision(&Host::with_recipe(&crate::scene::packaging("")).await)
        .await;
    outcome.judged(control, left || !next.installed())
}

async fn claims(place: Place) -> Verdict {
    let bytes = Tar::new().claiming("big", 1 << 32, b"short").end();
    let host = host_of("a.tar", bytes.clone()).await;
    let outcome = place.provision(&host).await;
    let into = place.folder("unpacked");
    naive("a.tar", &bytes, &into);
    let control = into.join("big").exists();
    outcome.judged(control, outcome.installed())
}
