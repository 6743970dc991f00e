//! Trees that somebody hostile has made.
#![allow(clippy::unwrap_used)]

use std::fs::{self, File, Permissions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, mkdirat, openat};
use untrusted_tree::{
    Kind, Limits, Tree, TreeError, Visit, change_owner, copy, copy_file, remove, usage,
};

fn carry_on() -> bool {
    false
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Makes `depth` directories, each in the one before, and a file in the last.
fn nest(root: &Path, depth: usize) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut here: OwnedFd = File::open(root).unwrap().into();
    for _ in 0..depth {
        mkdirat(&here, c"d", Mode::RWXU).unwrap();
        here = openat(here.as_fd(), c"d", flags, Mode::empty()).unwrap();
    }
    let flags = OFlags::CREATE | OFlags::WRONLY;
    openat(&here, c"file", flags, Mode::RUSR).unwrap();
}

fn copy_to(trees: &[&Path], to: &Path) -> Result<untrusted_tree::Copied, TreeError> {
    let trees: Vec<Tree> = trees.iter().map(|path| Tree::open(path).unwrap()).collect();
    fs::create_dir(to).unwrap();
    let to = Tree::open(to).unwrap();
    copy(
        &trees.iter().collect::<Vec<_>>(),
        &to,
        &Limits::default(),
        &carry_on,
    )
}

/// Every path below `root`, with what it is.
fn listing(root: &Path) -> Vec<(PathBuf, Kind)> {
    let tree = Tree::open(root).unwrap();
    let mut walk = tree.walk(&Limits::default(), &carry_on).unwrap();
    let mut found = Vec::new();
    while let Some(visit) = walk.next().unwrap() {
        if let Visit::Entry(entry) = visit {
            found.push((walk.relative_path(&entry), entry.kind));
            if entry.kind == Kind::Directory {
                assert!(walk.descend(&entry).unwrap());
            }
        }
    }
    found.sort_by(|left, right| left.0.cmp(&right.0));
    found
}

#[test]
fn tens_of_thousands_of_levels_are_walked_measured_and_removed() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    fs::create_dir(&root).unwrap();
    nest(&root, 30_000);

    let used = usage(&root, &Limits::default(), &carry_on).unwrap();
    assert_eq!(used.entries, 30_001);
    let shallow = Limits::default().with_depth(500);
    let refused = usage(&root, &shallow, &carry_on).unwrap_err();
    assert!(matches!(refused, TreeError::Limit { limit: 500, .. }));
    if is_root() {
        change_owner(&root, 0, 12_345, 12_345, &carry_on).unwrap();
        assert_eq!(fs::metadata(&root).unwrap().uid(), 12_345);
        assert_eq!(fs::metadata(root.join("d/d/d")).unwrap().uid(), 12_345);
    }
    // What nobody could name by an absolute path is not copied.
    let refused = copy_to(&[&root], &place.path().join("copy")).unwrap_err();
    assert!(matches!(refused, TreeError::Limit { .. }), "{refused}");

    remove(&root, &carry_on).unwrap();
    assert!(!root.exists());
}

#[test]
fn a_deep_tree_needs_few_descriptors() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    fs::create_dir(&root).unwrap();
    nest(&root, 900);
    // Sub-directories on both sides of each, so that reading goes on after coming back.
    for depth in [0, 10, 40, 200, 400] {
        let mut here = root.clone();
        here.extend(std::iter::repeat_n("d", depth));
        for name in ["a", "z"] {
            fs::create_dir(here.join(name)).unwrap();
            fs::write(here.join(name).join("file"), name).unwrap();
        }
    }
    let tree = Tree::open(&root).unwrap();
    let open = || fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let before = open();
    let mut walk = tree.walk(&Limits::default(), &carry_on).unwrap();
    let (mut most, mut entries) = (0, 0);
    while let Some(visit) = walk.next().unwrap() {
        if let Visit::Entry(entry) = visit {
            entries += 1;
            if entry.kind == Kind::Directory {
                walk.descend(&entry).unwrap();
                most = most.max(open().saturating_sub(before));
            }
        }
    }
    assert_eq!(entries, 900 + 1 + 20);
    // Other tests of this process open files too.
    assert!(most < 300, "{most} descriptors");
    let copied = copy_to(&[&root], &place.path().join("copy")).unwrap();
    assert_eq!(copied.entries, 921);
    assert_eq!(listing(&root), listing(&place.path().join("copy")));
    remove(&root, &carry_on).unwrap();
    assert!(!root.exists());
}

#[test]
fn a_walk_out_of_a_directory_that_was_moved_is_an_error_however_often_it_is_asked() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    fs::create_dir(&root).unwrap();
    nest(&root, 100);
    let tree = Tree::open(&root).unwrap();
    let mut walk = tree.walk(&Limits::default(), &carry_on).unwrap();
    // Down to the file; the directories near the root are closed by then.
    while let Some(Visit::Entry(entry)) = walk.next().unwrap() {
        if entry.kind != Kind::Directory {
            break;
        }
        walk.descend(&entry).unwrap();
    }
    let elsewhere = place.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::rename(root.join("d/d/d/d"), elsewhere.join("d")).unwrap();
    let refused = loop {
        match walk.next() {
            Ok(visit) => assert!(visit.is_some(), "the end was reached"),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, TreeError::Changed { .. }), "{refused}");
    for _ in 0..3 {
        assert!(matches!(walk.next(), Err(TreeError::Changed { .. })));
    }
}

#[test]
fn a_link_of_one_tree_is_no_way_for_another() {
    let place = tempfile::tempdir().unwrap();
    let victim = place.path().join("victim");
    fs::create_dir_all(victim.join(".ssh")).unwrap();
    let (first, second) = (place.path().join("a"), place.path().join("b"));
    for (index, (link, other)) in [
        // A link where the other has a directory.
        ("out", "out/.ssh/authorized_keys"),
        // A link where the other has a file.
        (".ssh", ".ssh"),
    ]
    .into_iter()
    .enumerate()
    {
        for tree in [&first, &second] {
            remove(tree, &carry_on).unwrap();
            fs::create_dir(tree).unwrap();
        }
        symlink(&victim, first.join(link)).unwrap();
        fs::create_dir_all(second.join(other).parent().unwrap()).unwrap();
        fs::write(second.join(other), "evil").unwrap();
        for (round, order) in [[&first, &second], [&second, &first]]
            .into_iter()
            .enumerate()
        {
            let to = place.path().join(format!("copy {index} {round}"));
            let refused = copy_to(&order.map(PathBuf::as_path), &to).unwrap_err();
            let TreeError::Collision {
                path,
                first,
                second,
            } = refused
            else {
                panic!("{refused}");
            };
            assert_eq!((path.as_path(), first, second), (Path::new(link), 1, 2));
        }
    }
    assert_eq!(listing(&victim), [(PathBuf::from(".ssh"), Kind::Directory)]);
}

#[test]
fn trees_share_directories_and_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    let (first, second) = (place.path().join("a"), place.path().join("b"));
    fs::create_dir_all(first.join("usr/bin")).unwrap();
    fs::create_dir_all(second.join("usr/bin")).unwrap();
    fs::write(first.join("usr/bin/one"), "1").unwrap();
    fs::write(second.join("usr/bin/two"), "2").unwrap();
    let copied = copy_to(&[&first, &second], &place.path().join("both")).unwrap();
    assert_eq!(copied.bytes, 2);
    assert_eq!(
        fs::read(place.path().join("both/usr/bin/two")).unwrap(),
        b"2"
    );
    // The same bytes twice are two packages with one file, which pacman refuses too.
    fs::write(second.join("usr/bin/one"), "1").unwrap();
    let refused = copy_to(&[&first, &second], &place.path().join("clash")).unwrap_err();
    assert!(refused.to_string().contains("usr/bin/one"), "{refused}");
}

#[test]
fn modes_lose_what_lends_a_user_and_odd_files_are_left_out() {
    let place = tempfile::tempdir().unwrap();
    let from = place.path().join("from");
    fs::create_dir(&from).unwrap();
    fs::write(from.join("program"), "x").unwrap();
    fs::set_permissions(from.join("program"), Permissions::from_mode(0o6755)).unwrap();
    fs::write(from.join("closed"), "x").unwrap();
    fs::set_permissions(from.join("closed"), Permissions::from_mode(0o444)).unwrap();
    symlink("/dev/zero", from.join("link")).unwrap();
    let fifo = from.join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        Mode::RWXU,
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(from.join("socket")).unwrap();
    let to = place.path().join("to");
    let copied = copy_to(&[&from], &to).unwrap();
    assert_eq!((copied.entries, copied.left_out), (3, 2));
    let mode = |name: &str| fs::symlink_metadata(to.join(name)).unwrap().mode() & 0o7777;
    assert_eq!((mode("program"), mode("closed")), (0o755, 0o644));
    assert_eq!(
        fs::read_link(to.join("link")).unwrap(),
        Path::new("/dev/zero")
    );

    // Opening waits for neither, and follows no link.
    let tree = Tree::open(&from).unwrap();
    for name in ["fifo", "socket", "link", "../to/program", "/etc/passwd"] {
        let refused = tree.open_file(name).unwrap_err();
        let is_refused = matches!(
            refused,
            TreeError::NotAFile { .. } | TreeError::NotADirectory { .. }
        );
        assert!(is_refused, "{name}: {refused}");
    }
    assert!(matches!(
        Tree::open(from.join("link")).unwrap_err(),
        TreeError::NotADirectory { .. }
    ));
    assert!(copy_file(from.join("link"), to.join("zero"), 0o600, &carry_on).is_err());
}

#[test]
fn holes_stay_holes() {
    let place = tempfile::tempdir().unwrap();
    let from = place.path().join("from");
    fs::create_dir(&from).unwrap();
    let mut file = File::create(from.join("huge")).unwrap();
    file.write_all(b"begin").unwrap();
    file.seek(SeekFrom::Start(32 << 30)).unwrap();
    file.write_all(b"middle").unwrap();
    file.set_len(64 << 30).unwrap();
    let to = place.path().join("to");
    let copied = copy_to(&[&from], &to).unwrap();
    assert!(copied.bytes < 1 << 20, "{copied:?}");
    let metadata = fs::metadata(to.join("huge")).unwrap();
    assert_eq!(metadata.len(), 64 << 30);
    assert!(metadata.blocks() < 1 << 11, "{} blocks", metadata.blocks());
    let mut huge = File::open(to.join("huge")).unwrap();
    let mut text = [0; 6];
    huge.seek(SeekFrom::Start(32 << 30)).unwrap();
    huge.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"middle");
    let used = usage(&from, &Limits::default(), &carry_on).unwrap();
    assert!(used.bytes < 1 << 20, "{used:?}");

    // Data counts against the limit, holes do not.
    fs::write(from.join("data"), vec![7; 3 << 20]).unwrap();
    let little = Limits::default().with_bytes(1 << 20);
    fs::create_dir(place.path().join("little")).unwrap();
    let refused = copy(
        &[&Tree::open(&from).unwrap()],
        &Tree::open(place.path().join("little")).unwrap(),
        &little,
        &carry_on,
    )
    .unwrap_err();
    assert!(matches!(refused, TreeError::Limit { what: "bytes", limit, .. } if limit == 1 << 20));
}

#[test]
fn cancelling_stops_at_the_next_step() {
    let place = tempfile::tempdir().unwrap();
    let from = place.path().join("from");
    fs::create_dir(&from).unwrap();
    for index in 0..100 {
        fs::write(from.join(index.to_string()), "x").unwrap();
    }
    let asked = std::cell::Cell::new(0);
    let soon = || {
        asked.set(asked.get() + 1);
        asked.get() > 20
    };
    let stopped = |result: Result<(), TreeError>| {
        assert!(matches!(result, Err(TreeError::Cancelled)));
        assert!(asked.replace(0) <= 21);
    };
    let to = place.path().join("to");
    fs::create_dir(&to).unwrap();
    let tree = Tree::open(&from).unwrap();
    let trees = [&tree];
    stopped(copy(&trees, &Tree::open(&to).unwrap(), &Limits::default(), &soon).map(drop));
    stopped(usage(&from, &Limits::default(), &soon).map(drop));
    stopped(change_owner(&from, u32::MAX - 1, 1, 1, &soon));
    stopped(remove(&from, &soon));
    // A single file is stopped in the middle too, and leaves nothing.
    let big = place.path().join("big");
    fs::write(&big, vec![1; 40 << 20]).unwrap();
    let target = place.path().join("big copy");
    let stopped = copy_file(&big, &target, 0o600, &|| {
        asked.set(asked.get() + 1);
        asked.get() > 1
    });
    // A file system that shares blocks is done in one step.
    assert!(stopped.is_ok() || !target.exists());
}

#[test]
fn removal_opens_what_is_closed_and_follows_no_link() {
    let place = tempfile::tempdir().unwrap();
    let outside = place.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "stays").unwrap();
    let root = place.path().join("root");
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::write(root.join("a/b/file"), "x").unwrap();
    symlink(&outside, root.join("a/link")).unwrap();
    symlink("nowhere", root.join("a/broken")).unwrap();
    for path in ["a/b", "a"] {
        fs::set_permissions(root.join(path), Permissions::from_mode(0o0)).unwrap();
    }
    remove(&root, &carry_on).unwrap();
    assert!(!root.exists());
    // A link is removed itself, a file too, and nothing is no error.
    let link = place.path().join("link");
    symlink(&outside, &link).unwrap();
    remove(&link, &carry_on).unwrap();
    assert!(link.symlink_metadata().is_err());
    remove(&link, &carry_on).unwrap();
    assert_eq!(fs::read(outside.join("file")).unwrap(), b"stays");
    remove(outside.join("file"), &carry_on).unwrap();
    assert!(!outside.join("file").exists());
}

#[test]
fn names_and_wide_directories_are_no_obstacle() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    fs::create_dir(&root).unwrap();
    let odd = ["-rf", "a\nb", "\u{1b}[2J", "\u{202e}x", " ", "*", "\\"];
    for name in odd {
        fs::create_dir(root.join(name)).unwrap();
        fs::write(root.join(name).join(name), name).unwrap();
    }
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"\xff\xfe")), "x").unwrap();
    fs::write(root.join("n".repeat(255)), "x").unwrap();
    for index in 0..5000 {
        fs::create_dir(root.join(format!("wide{index}"))).unwrap();
    }
    let to = place.path().join("to");
    copy_to(&[&root], &to).unwrap();
    assert_eq!(listing(&root).len(), 5000 + 2 * odd.len() + 2);
    assert_eq!(listing(&root), listing(&to));
    remove(&root, &carry_on).unwrap();
    remove(&to, &carry_on).unwrap();
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}
