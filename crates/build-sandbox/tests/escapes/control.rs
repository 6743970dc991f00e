//! The same attempts without a sandbox, as an ordinary user.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::attempt::Attempt;
use super::host::{Host, Privates, as_ordinary_user};
use super::support;

/// Whether each attempt works.
pub(crate) fn run(host: &Host, privates: &Privates, all: &[&Attempt]) -> Vec<bool> {
    let work = tempfile::tempdir().unwrap();
    let marker = format!("control-{}", std::process::id());
    let [(_, outs), (_, opens), ..] = host.variables();
    let worked = (0..all.len())
        .map(|index| {
            let home = work.path().join(index.to_string());
            for directory in [home.join("src"), home.join("pkg")] {
                fs::create_dir_all(&directory).unwrap();
                for open in [work.path(), &home, &directory] {
                    fs::set_permissions(open, fs::Permissions::from_mode(0o777)).unwrap();
                }
            }
            let script = format!(
                "export PARENT=$PPID; if ( {} ) >/dev/null 2>&1; then echo worked; else echo refused; fi",
                all[index].2
            );
            // The parent of the shell stands in for the supervisor.
            let mut command = Command::new("timeout");
            command
                .args(["-s", "KILL", "10", "bash", "-c", &script])
                .current_dir(home.join("src"))
                .envs(host.variables())
                .env("OUT", format!("{outs}/{index}"))
                .env("OPEN", format!("{opens}/{index}"))
                .env("srcdir", home.join("src"))
                .env("pkgdir", home.join("pkg"))
                .env("HOST_SECRET", "secret")
                .env(Privates::VARIABLE, privates.names())
                .env(support::MARKER, &marker)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null());
            let mut child = as_ordinary_user(&mut command).spawn().unwrap();
            let mut text = String::new();
            // A line, not the end of the pipe: an attempt may have stopped the one who holds it.
            let mut stdout = BufReader::new(child.stdout.take().unwrap());
            stdout.read_line(&mut text).unwrap();
            let _ = child.kill();
            let _ = child.wait();
            text == "worked\n"
        })
        .collect();
    for pid in support::survivors(&marker) {
        let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
    }
    worked
}
