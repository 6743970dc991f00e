//! From the token to the returned future, while other programs keep the processors busy.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use build_sandbox::{BuildSpec, Isolation, IsolationChoice, Network, Sandbox, Silent, Writable};
use tokio_util::sync::CancellationToken;

use super::quantile;

const ROUNDS: usize = 50;
const BUSY: usize = 4;
/// Seven processes, three of which left the session, all ignoring SIGTERM.
const BUILD: &str = "trap '' TERM; for i in 1 2 3; do setsid sleep 1000 & sleep 1000 & done; touch ready; while :; do :; done";

struct Load(Vec<Child>);

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) async fn run(sandbox: &Sandbox, spec: &BuildSpec, tiers: &[Isolation]) {
    let busy = (0..BUSY).map(|_| {
        let mut command = Command::new("/bin/bash");
        command.args(["-c", "while :; do :; done"]);
        command.stdin(Stdio::null()).spawn().unwrap()
    });
    let load = Load(busy.collect());
    for tier in tiers {
        for grace in [Duration::ZERO, Duration::from_millis(100)] {
            let mut spec = spec.clone();
            spec.isolation = IsolationChoice::Exactly(*tier);
            spec.grace = grace;
            let mut samples = Vec::new();
            for _ in 0..ROUNDS {
                samples.push(once(sandbox, &spec).await.saturating_sub(grace));
            }
            let [half, most, all] = [50, 99, 100].map(|percent| quantile(&mut samples, percent));
            println!(
                "cancel in {tier}, grace {grace:?}, {BUSY} busy processes: beyond the grace p50 {:.1} ms, p99 {:.1}, max {:.1} (below 100)",
                half * 1e3,
                most * 1e3,
                all * 1e3
            );
        }
    }
    drop(load);
}

async fn once(sandbox: &Sandbox, spec: &BuildSpec) -> Duration {
    let token = CancellationToken::new();
    let command = ["/bin/bash", "-c", BUILD].map(str::to_owned);
    let ready = spec.srcdir.join("ready");
    let _ = std::fs::remove_file(&ready);
    let run = sandbox.run_command(
        spec,
        &command,
        Network::None,
        Writable::Build,
        &token,
        &Silent,
    );
    let cancel = async {
        while !ready.exists() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let now = Instant::now();
        token.cancel();
        now
    };
    let (result, cancelled) = tokio::join!(async { (run.await, Instant::now()) }, cancel);
    let (result, ended) = result;
    assert!(result.is_err_and(|error| error.is_cancelled()));
    ended - cancelled
}
