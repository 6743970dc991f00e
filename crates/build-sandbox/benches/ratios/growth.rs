//! How cost grows with the output, with the processes of the host and with its mounts.

use std::fmt::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use build_sandbox::{BuildSpec, Isolation, IsolationChoice, Network, Sandbox, Silent, Writable};
use tokio_util::sync::CancellationToken;

use super::{median, processor_time};

const ROUNDS: usize = 15;

pub(crate) async fn run(sandbox: &Sandbox, spec: &BuildSpec, tiers: &[Isolation]) {
    output(sandbox, spec).await;
    for tier in tiers {
        let mut spec = spec.clone();
        spec.isolation = IsolationChoice::Exactly(*tier);
        let mut line = format!("start-up in {tier} by processes of the host:");
        for count in [0, 200, 2000] {
            let others = sleepers(count);
            let took = start_up(sandbox, &spec).await * 1e3;
            let _ = write!(line, " +{count} {took:.1} ms;");
            end(others);
        }
        println!("{line}");
    }
}

async fn output(sandbox: &Sandbox, spec: &BuildSpec) {
    let token = CancellationToken::new();
    let mut line = "processor time by output:".to_owned();
    for count in [100_000u64, 1_000_000, 10_000_000] {
        let script = format!("yes 'a line of output as a compiler prints it' | head -n {count}");
        let command = ["/bin/bash".to_owned(), "-c".to_owned(), script];
        let mut samples = Vec::new();
        for _ in 0..3 {
            let before = processor_time();
            let run = sandbox.run_command(
                spec,
                &command,
                Network::None,
                Writable::Build,
                &token,
                &Silent,
            );
            run.await.unwrap();
            samples.push(processor_time().saturating_sub(before));
        }
        let took = median(&mut samples) * 1e3;
        let _ = write!(line, " {count} lines {took:.0} ms;");
    }
    println!("{line}");
}

async fn start_up(sandbox: &Sandbox, spec: &BuildSpec) -> f64 {
    let token = CancellationToken::new();
    let command = ["/bin/bash", "-c", "true"].map(str::to_owned);
    let mut samples = Vec::<Duration>::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let run = sandbox.run_command(
            spec,
            &command,
            Network::None,
            Writable::Build,
            &token,
            &Silent,
        );
        run.await.unwrap();
        samples.push(started.elapsed());
    }
    median(&mut samples)
}

fn sleepers(count: usize) -> Vec<Child> {
    let sleeper = |_| {
        let mut command = Command::new("sleep");
        command.arg("1000").stdin(Stdio::null()).spawn().unwrap()
    };
    (0..count).map(sleeper).collect()
}

fn end(sleepers: Vec<Child>) {
    for mut child in sleepers {
        let _ = child.kill();
        let _ = child.wait();
    }
}
