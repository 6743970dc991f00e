//! Start-up of a command against bwrap.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use build_sandbox::{BuildSpec, Network, Sandbox, Silent, Writable};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::median;

const ROUNDS: usize = 60;

pub(crate) async fn run(sandbox: &Sandbox, spec: &BuildSpec) {
    let token = CancellationToken::new();
    let command = ["/bin/bash", "-c", "true"].map(str::to_owned);
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let started = Instant::now();
        sandbox
            .run_command(
                spec,
                &command,
                Network::None,
                Writable::Build,
                &token,
                &Silent,
            )
            .await
            .unwrap();
        ours.push(started.elapsed());
        let started = Instant::now();
        match bwrap(&spec.startdir).status().await {
            Ok(status) => assert!(status.success()),
            Err(error) => {
                println!("start-up skipped: bwrap: {error}");
                return;
            }
        }
        peer.push(started.elapsed());
    }
    let (ours, peer) = (median(&mut ours) * 1e3, median(&mut peer) * 1e3);
    println!(
        "start-up: {ours:.1} ms, bwrap {peer:.1} ms, ratio {:.2} (at most 1.0)",
        ours / peer
    );
}

/// The same namespaces over a read-only root with the same directories covered; without the allow
/// list, Landlock and seccomp that ours has.
fn bwrap(directory: &Path) -> Command {
    let mut command = Command::new("bwrap");
    command.args([
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--clearenv",
        "--setenv",
        "LC_ALL",
        "C.UTF-8",
        "--ro-bind",
        "/",
        "/",
    ]);
    for hidden in ["/tmp", "/var/tmp", "/home", "/root", "/run"] {
        command.args(["--tmpfs", hidden]);
    }
    command
        .args(["--proc", "/proc", "--dev", "/dev", "--bind"])
        .args([directory, directory]);
    command
        .arg("--chdir")
        .arg(directory)
        .args(["/bin/bash", "-c", "true"]);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .stdin(Stdio::null());
    command
}
