//! A system service without a home.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::Command;

#[test]
fn without_a_home_nothing_below_a_directory_for_temporary_files_is_trusted() {
    let root = tempfile::tempdir().unwrap();
    let (temporary, state) = (root.path().join("tmp"), root.path().join("state"));
    // What somebody has made there first.
    fs::create_dir_all(temporary.join("rbee")).unwrap();
    fs::write(temporary.join("rbee/store"), "planted").unwrap();
    let list = |service: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rbee-worker"));
        command.args(["list"]).env_clear().env("TMPDIR", &temporary);
        if service {
            command.env("STATE_DIRECTORY", &state);
            command.env("CACHE_DIRECTORY", root.path().join("cache"));
        }
        command.output().unwrap()
    };
    let output = list(true);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("no worker is installed"), "{text}");
    let output = list(false);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !error.contains("planted") && !error.contains("rbee/store"),
        "{error}"
    );
    if !output.status.success() {
        assert!(error.contains("STATE_DIRECTORY"), "{error}");
    }
}
