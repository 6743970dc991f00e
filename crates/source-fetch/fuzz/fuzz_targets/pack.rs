//! No pack makes the indexer panic, hang or leave anything.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

static MIRROR: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir_all(folder.path().join("objects/pack")).expect("a mirror");
    folder
});

fuzz_target!(|pack: &[u8]| source_fetch::git::fuzzing::pack(MIRROR.path(), pack));
