//! Archives that must not be unpacked, each with what is said about it.
#![allow(clippy::unwrap_used)]

mod cases;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cases::{Case, damage, other_formats, over_limits, paths};
use source_fetch::ExtractLimits;
use support::archive::{Tar, zstd};
use support::{World, chain, skipped};

/// Everything below a directory, with what a change would alter.
fn listing(root: &Path) -> BTreeMap<PathBuf, (u32, u64, i64)> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                pending.push(path.clone());
            }
            found.insert(path, (meta.mode(), meta.len(), meta.mtime()));
        }
    }
    found.retain(|path, _| !path.starts_with(root.join("cache")));
    found
}

async fn refuse(cases: Vec<Case>, limits: ExtractLimits) {
    for (name, bytes, expected) in cases {
        let mut world = World::new();
        world.policy.extract = limits.clone();
        fs::write(world.path("x"), "outside").unwrap();
        world.start_file(name, &bytes);
        let before = listing(world.root.path());
        let result = world.fetch(&[skipped(name)]).await;
        let text = chain(&result.expect_err(name));
        for part in expected.iter().chain([&"failed to extract"]) {
            assert!(text.contains(part), "{name}: {text}");
        }
        world.check_clean();
        let mut after = listing(world.root.path());
        // Its time changes with the staging directory's coming and going.
        for path in [world.path("start"), world.root.path().to_owned()] {
            if let (Some(before), Some(after)) = (before.get(&path), after.get_mut(&path)) {
                after.2 = before.2;
            }
        }
        assert_eq!(before, after, "{name}");
    }
}

#[tokio::test]
async fn members_that_lead_outside_are_refused() {
    let cases = paths();
    assert!(cases.len() >= 35);
    refuse(cases, ExtractLimits::default()).await;
}

#[tokio::test]
async fn damaged_archives_are_refused() {
    refuse(damage(), ExtractLimits::default()).await;
}

#[tokio::test]
async fn other_formats_are_as_strict() {
    refuse(other_formats(), ExtractLimits::default()).await;
}

#[tokio::test]
async fn limits_are_kept() {
    let limits = ExtractLimits {
        max_entries: 10,
        max_bytes: 1 << 20,
        case_insensitive: Some(true),
        ..ExtractLimits::default()
    };
    refuse(over_limits(), limits).await;
}

#[tokio::test]
async fn a_bomb_is_stopped_by_its_ratio() {
    let bomb = zstd(&Tar::new().file("zeros", &vec![0; 80 << 20]).end());
    let cases: Vec<Case> = vec![("bomb.tar.zst", bomb, &["`zeros`", "more than 250 times"])];
    refuse(cases, ExtractLimits::default()).await;
}

#[tokio::test]
async fn two_archives_cannot_join_links_to_get_out() {
    let world = World::new();
    world.start_file(
        "a.tar",
        &Tar::new()
            .directory("d/e")
            .symlink("d/e/l", "up/../x")
            .end(),
    );
    world.start_file(
        "b.tar",
        &Tar::new().directory("d/e").symlink("d/e/up", "../..").end(),
    );
    let error = world
        .fetch(&[skipped("a.tar"), skipped("b.tar")])
        .await
        .unwrap_err();
    assert!(chain(&error).contains("leads outside"), "{error}");
    world.check_clean();
}

#[tokio::test]
async fn special_permission_bits_are_dropped() {
    let world = World::new();
    world.start_file(
        "a.tar",
        &Tar::new()
            .with_mode("su", 0o6755, b"x")
            .with_mode("t", 0o1644, b"x")
            .end(),
    );
    world.fetch(&[skipped("a.tar")]).await.unwrap();
    assert_eq!(
        fs::metadata(world.src("su")).unwrap().mode() & 0o7777,
        0o755
    );
    assert_eq!(fs::metadata(world.src("t")).unwrap().mode() & 0o7777, 0o644);
}
