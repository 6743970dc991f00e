//! Starting a command, against bwrap and against bash alone, and the phases of one build.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use build_sandbox::{BuildSpec, Isolation, IsolationChoice, Network, Sandbox, Silent, Writable};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::{median, processor_time};

const ROUNDS: usize = 60;
/// Builds of each kind.
const BUILDS: usize = 20;
const PHASES: usize = 5;

/// One way to start `bash -c true`.
enum Starter {
    Ours(Isolation),
    Bash,
    Bwrap,
}

#[derive(Default)]
struct Samples {
    wall: Vec<Duration>,
    processor: Vec<Duration>,
}

impl Starter {
    fn name(&self) -> &'static str {
        match self {
            Self::Ours(tier) => tier.name(),
            Self::Bash => "bash",
            Self::Bwrap => "bwrap",
        }
    }
}

pub(crate) async fn run(sandbox: &Sandbox, spec: &BuildSpec, tiers: &[Isolation]) {
    let mut starters: Vec<Starter> = tiers.iter().copied().map(Starter::Ours).collect();
    starters.push(Starter::Bash);
    if bwrap(&spec.startdir)
        .status()
        .await
        .is_ok_and(|status| status.success())
    {
        starters.push(Starter::Bwrap);
    } else {
        println!("start-up: bwrap does not run here");
    }
    let mut samples: Vec<Samples> = starters.iter().map(|_| Samples::default()).collect();
    for round in 0..ROUNDS {
        for turn in 0..starters.len() {
            let index = (turn + round) % starters.len();
            let (before, started) = (processor_time(), Instant::now());
            start(sandbox, spec, &starters[index]).await;
            samples[index].wall.push(started.elapsed());
            samples[index]
                .processor
                .push(processor_time().saturating_sub(before));
        }
    }
    let mut figures = Vec::new();
    for (starter, samples) in starters.iter().zip(&mut samples) {
        let [wall, processor] = [&mut samples.wall, &mut samples.processor];
        figures.push((starter, median(wall) * 1e3, median(processor) * 1e3));
    }
    for (starter, wall, processor) in &figures {
        print!("start-up: {} {wall:.2} ms", starter.name());
        for (peer, peers, _) in &figures {
            match peer {
                Starter::Ours(_) => {}
                _ => print!("; {:.2} of {}", wall / peers, peer.name()),
            }
        }
        // What bwrap starts is not its child in the end, and so not counted.
        match starter {
            Starter::Bwrap => println!(),
            _ => println!("; {processor:.2} ms of a processor"),
        }
    }
    phases(sandbox, tiers).await;
}

async fn start(sandbox: &Sandbox, spec: &BuildSpec, starter: &Starter) {
    let command = ["/bin/bash", "-c", "true"].map(str::to_owned);
    let status = match starter {
        Starter::Ours(tier) => {
            let mut spec = spec.clone();
            spec.isolation = IsolationChoice::Exactly(*tier);
            let (network, writable) = (Network::None, Writable::Build);
            let token = CancellationToken::new();
            let run = sandbox.run_command(&spec, &command, network, writable, &token, &Silent);
            run.await.unwrap();
            return;
        }
        Starter::Bash => quiet(Command::new(&command[0]).args(&command[1..])).status(),
        Starter::Bwrap => bwrap(&spec.startdir).status(),
    };
    assert!(status.await.unwrap().success());
}

/// A whole build of one command, and one of five, each in new directories.
async fn phases(sandbox: &Sandbox, tiers: &[Isolation]) {
    for tier in tiers {
        let mut wall = [Vec::new(), Vec::new()];
        for build in 0..BUILDS {
            for turn in 0..2 {
                let which = (turn + build) % 2;
                let directory = tempfile::tempdir().unwrap();
                super::open_to_all(directory.path());
                let spec = BuildSpec::new(directory.path(), "demo");
                std::fs::write(&spec.recipe, "").unwrap();
                let started = Instant::now();
                for _ in 0..[1, PHASES][which] {
                    start(sandbox, &spec, &Starter::Ours(*tier)).await;
                }
                wall[which].push(started.elapsed());
            }
        }
        let [one, five] = wall.map(|mut wall| median(&mut wall) * 1e3);
        println!(
            "start-up: {tier}, a build of {PHASES} commands {five:.2} ms, of one {one:.2} ms, ratio {:.2}",
            five / one
        );
    }
}

fn quiet(command: &mut Command) -> &mut Command {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .stdin(Stdio::null())
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
    quiet(&mut command);
    command
}
