//! Another user of the machine: this very program, started again with another user's id.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::scene::Place;

/// Who attacks: the user that daemons without one of their own run as.
pub(crate) const OTHER: u32 = 65_534;

const ROLE: &str = "ATTACKS_ROLE";
const AT: &str = "ATTACKS_AT";
const TO: &str = "ATTACKS_TO";

/// What the other user does without end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Role {
    /// Writes `planted` into every folder below the place that it may write to.
    Plant,
    /// Copies every file below the place that it may read to a folder of its own.
    Read,
    /// Exchanges every folder below the place that it may exchange with a link to the victim.
    Exchange,
}

/// A process of the other user; ended when dropped.
pub(crate) struct OtherUser(Child);

impl OtherUser {
    /// Starts one that works on what lies below `at`.
    pub(crate) fn start(place: &Place, role: Role, at: &Path, to: &Path) -> Self {
        let program = place.path("other-user");
        if !program.exists() {
            std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        }
        let mut command = Command::new(program);
        command
            .args(["--exact", "another_user", "--nocapture"])
            .env_remove(crate::harness::SECRET_VARIABLE)
            .env(ROLE, format!("{role:?}"))
            .env(AT, at)
            .env(TO, to)
            .uid(OTHER)
            .gid(OTHER)
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(e2e_tests::worker::when_not_busy(|| command.spawn()).unwrap())
    }
}

impl Drop for OtherUser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program as the other user and returns whether it ended well.
pub(crate) fn as_other(program: &str, arguments: &[&Path]) -> bool {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .uid(OTHER)
        .gid(OTHER)
        .current_dir("/");
    command.stderr(Stdio::null()).status().unwrap().success()
}

/// What the started process does.
pub(crate) fn play_the_other_user() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let at = PathBuf::from(std::env::var_os(AT).unwrap());
    let to = PathBuf::from(std::env::var_os(TO).unwrap());
    let act: fn(&Path, &Path) = match role.as_str() {
        "Plant" => |folder, _| {
            let _ = std::fs::write(folder.join("planted"), "planted");
        },
        "Read" => read,
        _ => exchange,
    };
    loop {
        every_folder(&at, 0, &mut |folder| act(folder, &to));
    }
}

fn every_folder(folder: &Path, depth: u32, act: &mut impl FnMut(&Path)) {
    if depth > 6 {
        return;
    }
    act(folder);
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            every_folder(&entry.path(), depth + 1, act);
        }
    }
}

fn read(folder: &Path, to: &Path) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let _ = std::fs::copy(entry.path(), to.join(entry.file_name()));
        }
    }
}

/// Puts a link to the victim for the folder and the folder back, some hundred times.
fn exchange(folder: &Path, to: &Path) {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(".link");
    let link = folder.with_file_name(name);
    if std::os::unix::fs::symlink(to, &link).is_err() {
        return;
    }
    for _ in 0..400 {
        let flags = nix::fcntl::RenameFlags::RENAME_EXCHANGE;
        let here = nix::fcntl::AT_FDCWD;
        let _ = nix::fcntl::renameat2(here, folder, here, &link, flags);
    }
    for path in [link.as_path(), folder] {
        if path.is_symlink() {
            let _ = std::fs::remove_file(path);
        }
    }
}
