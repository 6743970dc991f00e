//! Somebody exchanges names while a tree is handled.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{RenameFlags, renameat_with};
use untrusted_tree::{Limits, Tree, TreeError, change_owner, copy, remove, usage};

const ROUNDS: usize = 400;

fn carry_on() -> bool {
    false
}

/// Something outside that must stay as it is, and a tree in which a directory and a link to it
/// change places all the time while `work` is done to the tree, again and again.
fn while_exchanged(work: impl Fn(&Path, &Path)) {
    let place = tempfile::tempdir().unwrap();
    let outside = place.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    let owner = fs::metadata(outside.join("secret")).unwrap().uid();
    let root = place.path().join("root");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                if let Ok(directory) = File::open(&root) {
                    let fd = directory.as_fd();
                    let _ = renameat_with(fd, c"d", fd, c"link", RenameFlags::EXCHANGE);
                }
            }
        });
        for _ in 0..ROUNDS {
            // Never written to where it is exchanged.
            let fresh = place.path().join("fresh");
            fs::create_dir_all(&fresh).unwrap();
            fs::write(fresh.join("secret"), "own").unwrap();
            fs::write(fresh.join("other"), "own").unwrap();
            let _ = fs::create_dir(&root);
            let _ = fs::rename(&fresh, root.join("d"));
            let _ = symlink(&outside, root.join("link"));
            work(&root, place.path());
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let kept = fs::metadata(outside.join("secret")).unwrap();
    assert_eq!((kept.uid(), kept.len()), (owner, 6));
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn removal_takes_nothing_else() {
    while_exchanged(|root, _| {
        // Changed under its feet it may give up; it must not go astray.
        let _ = remove(root, &carry_on);
    });
}

#[test]
fn copying_reads_nothing_else() {
    while_exchanged(|root, place| {
        let to = place.join("to");
        remove(&to, &carry_on).unwrap();
        fs::create_dir(&to).unwrap();
        let Ok(tree) = Tree::open(root) else { return };
        let result = copy(
            &[&tree],
            &Tree::open(&to).unwrap(),
            &Limits::default(),
            &carry_on,
        );
        if let Err(error) = result {
            let is_noticed = matches!(
                error,
                TreeError::Changed { .. } | TreeError::Io { .. } | TreeError::Collision { .. }
            );
            assert!(is_noticed, "{error}");
        }
        for name in ["d", "link"] {
            let Ok(found) = Tree::open(to.join(name)) else {
                continue;
            };
            let Ok(file) = found.open_file("secret") else {
                continue;
            };
            let text = std::io::read_to_string(file).unwrap();
            assert!(text.is_empty() || text == "own", "{text}");
        }
    });
}

#[test]
fn nothing_else_is_handed_over_or_counted() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can hand files over");
        return;
    }
    while_exchanged(|root, _| {
        let _ = change_owner(root, 0, 12_345, 12_345, &carry_on);
        let used = usage(root, &Limits::default(), &carry_on);
        if let Ok(used) = used {
            assert!(used.entries <= 8, "{used:?}");
        }
    });
}
