//! Trees that are made from bytes, and what must hold for each.
//!
//! What is made is noted while it is made, without asking the library.
// Escaped: the names drive terminals.
#![allow(clippy::unwrap_used, clippy::unnecessary_debug_formatting)]

mod make;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use untrusted_tree::{
    Kind, Limits, Tree, TreeError, Visit, change_owner, copy, copy_file, remove, usage,
};

use make::{Made, Node, make};

/// Whom trees are handed over to; nobody on any host.
const SOMEBODY: u32 = 3_000_000_001;

fn carry_on() -> bool {
    false
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Makes two trees and checks what copying, measuring, handing over and removing them does.
pub(crate) fn check(bytes: &[u8]) {
    // Copies wait for the disk, of which hundreds need none.
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    };
    let path = |name: &str| place.path().join(name);
    let outside = path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    let before = look(&outside);

    let trees = [path("first"), path("second")];
    let made = make(bytes, [&trees[0], &trees[1]], &outside);
    for (tree, made) in trees.iter().zip(&made) {
        if made.is_readable || is_root() {
            check_walk(tree, made);
            check_usage(tree, made);
            check_files(tree, made, &path("single"));
        }
    }
    if is_root() || made.iter().all(|made| made.is_readable) {
        check_copy(&trees, &made, &path("copy"));
    }
    if is_root() {
        for (tree, made) in trees.iter().zip(&made) {
            check_owner(tree, made);
        }
    }
    for tree in trees.iter().chain([&path("copy"), &path("single")]) {
        remove(tree, &carry_on).unwrap();
        assert!(tree.symlink_metadata().is_err());
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    assert_eq!(look(&outside), before);
}

/// All that can be said about what must not be touched.
fn look(outside: &Path) -> (usize, u32, u32, u32, u64, Vec<u8>) {
    let count = fs::read_dir(outside).unwrap().count();
    let secret = fs::metadata(outside.join("secret")).unwrap();
    let text = fs::read(outside.join("secret")).unwrap();
    let directory = fs::metadata(outside).unwrap().mode();
    (
        count,
        directory,
        secret.mode(),
        secret.uid(),
        secret.nlink(),
        text,
    )
}

fn listing(root: &Path) -> BTreeMap<PathBuf, Kind> {
    let tree = Tree::open(root).unwrap();
    let mut walk = tree.walk(&Limits::default(), &carry_on).unwrap();
    let mut found = BTreeMap::new();
    let mut left = 0;
    while let Some(visit) = walk.next().unwrap() {
        match visit {
            Visit::Entry(entry) => {
                let path = walk.relative_path(&entry);
                assert!(found.insert(path, entry.kind).is_none(), "twice");
                if entry.kind == Kind::Directory {
                    assert!(walk.descend(&entry).unwrap());
                }
            }
            Visit::Leave(_) => left += 1,
        }
    }
    let directories = found.values().filter(|kind| **kind == Kind::Directory);
    assert_eq!(left, directories.count());
    found
}

fn check_walk(root: &Path, made: &Made) {
    let expected: BTreeMap<PathBuf, Kind> = made
        .nodes
        .iter()
        .map(|(path, node)| (path.clone(), node.kind()))
        .collect();
    assert_eq!(listing(root), expected);
}

fn check_usage(root: &Path, made: &Made) {
    let used = usage(root, &Limits::default(), &carry_on).unwrap();
    assert_eq!(used.entries, made.nodes.len() as u64);
    let data: u64 = made.nodes.values().map(Node::data).sum();
    // What a file system adds for each file and each stretch of data is far less.
    let most = 2 * data + (256 << 10) * (used.entries + 1);
    assert!(used.bytes <= most, "{} of {most} bytes", used.bytes);
}

/// What opening, resolving and copying single files does for each path.
fn check_files(root: &Path, made: &Made, single: &Path) {
    let tree = Tree::open(root).unwrap();
    let real = root.canonicalize().unwrap();
    for (path, node) in &made.nodes {
        let opened = tree.open_file(path);
        assert_eq!(
            opened.is_ok(),
            matches!(node, Node::File { .. }),
            "{path:?}"
        );
        let length = root.join(path).as_os_str().len();
        if length > 3500 || path.components().count() > 60 {
            continue;
        }
        if let Ok(resolved) = tree.resolve(path)
            && let Ok(canonical) = root.join(path).canonicalize()
        {
            assert_eq!(canonical, real.join(resolved), "{path:?}");
        }
        if node.kind() != Kind::Link {
            assert_eq!(&tree.resolve(path).unwrap(), path);
        }
        remove(single, &carry_on).unwrap();
        let copied = copy_file(root.join(path), single, 0o600, &carry_on);
        match node {
            Node::File { .. } => {
                copied.unwrap();
                check_content(&File::open(single).unwrap(), node);
            }
            _ => assert!(copied.is_err() && single.symlink_metadata().is_err()),
        }
    }
}

fn check_content(file: &File, node: &Node) {
    let Node::File { length, pieces, .. } = node else {
        panic!("{node:?} is a file");
    };
    let metadata = file.metadata().unwrap();
    assert_eq!(metadata.len(), *length);
    let most = 2 * node.data() + (256 << 10) * (pieces.len() as u64 + 1);
    assert!(metadata.blocks() * 512 <= most);
    for (offset, bytes) in pieces {
        let mut found = vec![0; bytes.len()];
        file.read_exact_at(&mut found, *offset).unwrap();
        assert_eq!(&found, bytes);
    }
    // Between and behind the pieces there is nothing.
    for offset in [0, length / 3, length.saturating_sub(1)] {
        let in_piece = |(start, bytes): &(u64, Vec<u8>)| {
            (*start..start + bytes.len() as u64).contains(&offset)
        };
        let mut found = [0];
        if file.read_at(&mut found, offset).unwrap() == 1 && !pieces.iter().any(in_piece) {
            assert_eq!(found, [0]);
        }
    }
}

fn check_copy(trees: &[PathBuf; 2], made: &[Made; 2], to: &Path) {
    let mut expected = BTreeMap::new();
    let mut collisions = Vec::new();
    for made in made {
        for (path, node) in &made.nodes {
            if node.kind() == Kind::Other {
                continue;
            }
            match expected.insert(path.clone(), node.clone()) {
                Some(Node::Directory) if node.kind() == Kind::Directory => {}
                Some(_) => collisions.push(path.clone()),
                None => {}
            }
        }
    }
    let is_long = |path: &PathBuf| path.as_os_str().len() > 3072;
    // Sockets and pipes, which are left out, are looked at too.
    let has_long = made.iter().any(|made| made.nodes.keys().any(is_long));
    fs::create_dir(to).unwrap();
    let opened = trees.each_ref().map(|tree| Tree::open(tree).unwrap());
    let into = Tree::open(to).unwrap();
    let all: Vec<&Tree> = opened.iter().collect();
    let copied = match copy(&all, &into, &Limits::default(), &carry_on) {
        Ok(copied) => copied,
        Err(TreeError::Collision {
            path,
            first: 1,
            second: 2,
        }) if collisions.contains(&path) => return,
        Err(TreeError::Limit { .. }) if has_long => return,
        Err(error) => panic!("{error:?}"),
    };
    assert!(collisions.is_empty() && !has_long);
    let others = made
        .iter()
        .flat_map(|made| made.nodes.values())
        .filter(|node| node.kind() == Kind::Other);
    assert_eq!(copied.left_out, others.count() as u64);
    let kinds: BTreeMap<PathBuf, Kind> = expected
        .iter()
        .map(|(path, node)| (path.clone(), node.kind()))
        .collect();
    assert_eq!(listing(to), kinds);
    for (path, node) in &expected {
        let path = to.join(path);
        let metadata = path.symlink_metadata().unwrap();
        let mode = metadata.mode() & 0o7777;
        match node {
            Node::Directory => assert_eq!(mode, 0o755),
            Node::File { mode: original, .. } => {
                assert_eq!(mode, original & 0o777 | 0o600);
                assert_eq!(metadata.nlink(), 1);
                check_content(&File::open(&path).unwrap(), node);
            }
            Node::Link(target) => {
                assert_eq!(fs::read_link(&path).unwrap().as_os_str(), target);
            }
            Node::Other => panic!("copied {path:?}"),
        }
    }
}

fn check_owner(root: &Path, made: &Made) {
    change_owner(root, 0, SOMEBODY, SOMEBODY, &carry_on).unwrap();
    assert_eq!(fs::metadata(root).unwrap().uid(), SOMEBODY);
    for (path, node) in &made.nodes {
        let path = root.join(path);
        if path.as_os_str().as_bytes().len() > 4000 {
            continue;
        }
        let metadata = path.symlink_metadata().unwrap();
        let goes = node.kind() == Kind::Directory || metadata.nlink() == 1;
        assert_eq!(metadata.uid() == SOMEBODY, goes, "{path:?}");
    }
}
