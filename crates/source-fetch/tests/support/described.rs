//! What a tool unpacks beside what is unpacked here.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{World, run, skipped};

/// Kind and mode, size, seconds of the time, link target, content, number of links.
pub type Described = (u32, u64, i64, Option<PathBuf>, Vec<u8>, u64);

/// What is in no archive is dated now, a little later for each tool.
fn seconds(time: i64) -> i64 {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let is_now = (now.cast_signed() - time).abs() < 3600;
    if is_now { i64::MAX } else { time }
}

pub fn describe(root: &Path) -> BTreeMap<PathBuf, Described> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_file() {
                fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            let (size, links) = if meta.is_dir() {
                (0, 0)
            } else {
                (meta.len(), meta.nlink())
            };
            let described = (
                meta.mode(),
                size,
                seconds(meta.mtime()),
                fs::read_link(&path).ok(),
                content,
                links,
            );
            found.insert(path.strip_prefix(root).unwrap().to_owned(), described);
            if meta.is_dir() {
                pending.push(path);
            }
        }
    }
    found
}

pub async fn compare(world: &World, archive: &str, unpack: &[&str]) {
    let (program, arguments) = unpack.split_first().unwrap();
    let there = world.path("expected");
    fs::create_dir(&there).unwrap();
    let packed = world.path("start").join(archive).display().to_string();
    let arguments: Vec<_> = arguments
        .iter()
        .map(|part| part.replace("{}", &packed))
        .collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    run(&there, program, &arguments).unwrap();
    world.fetch(&[skipped(archive)]).await.unwrap();
    fs::remove_file(world.src(archive)).unwrap();
    let (expected, got) = (describe(&there), describe(&world.src("")));
    assert_eq!(
        expected.keys().collect::<Vec<_>>(),
        got.keys().collect::<Vec<_>>(),
        "{archive}"
    );
    for (path, described) in &expected {
        assert!(
            described == &got[path],
            "{archive}: {} differs: {:?} {:?}",
            path.display(),
            (described.0, described.1, described.2),
            (got[path].0, got[path].1, got[path].2)
        );
    }
}

pub fn installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}
