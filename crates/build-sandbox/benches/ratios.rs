//! Start-up against bwrap, and streaming against tokio's `lines()` and `cat`, run in turns.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss
)]

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use build_sandbox::{
    BuildSpec, Config, Event, Isolation, IsolationChoice, Network, Sandbox, Silent,
};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

const ROUNDS: usize = 60;
const STREAM_ROUNDS: usize = 5;
const FILE_BYTES: usize = 80 * 800_000;
const FILES: usize = 16;

fn median(samples: &mut [Duration]) -> f64 {
    samples.sort_unstable();
    samples[samples.len() / 2].as_secs_f64()
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let mut spec = BuildSpec::new(directory.path(), "demo");
        std::fs::write(&spec.recipe, "").unwrap();
        spec.isolation = IsolationChoice::Auto;
        let sandbox = Sandbox::new(Config::default());
        let tier = sandbox.probe().await.strongest();
        println!("tier: {tier}");
        stream(&sandbox, &spec).await;
        if tier == Isolation::Namespaces {
            start_up(&sandbox, &spec).await;
        } else {
            println!("start-up skipped: no namespaces here");
        }
    });
}

async fn start_up(sandbox: &Sandbox, spec: &BuildSpec) {
    let token = CancellationToken::new();
    let command = ["/bin/bash", "-c", "true"].map(str::to_owned);
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let started = Instant::now();
        sandbox
            .run_command(spec, &command, Network::None, &token, &Silent)
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

/// The same view and namespaces; without the Landlock and seccomp that ours has besides.
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

async fn stream(sandbox: &Sandbox, spec: &BuildSpec) {
    std::fs::create_dir_all(&spec.srcdir).unwrap();
    let file = spec.srcdir.join("lines");
    let line = [&[b'x'; 79][..], b"\n"].concat();
    {
        use std::io::Write;
        let mut writer = std::io::BufWriter::new(std::fs::File::create(&file).unwrap());
        for _ in 0..FILE_BYTES / line.len() {
            writer.write_all(&line).unwrap();
        }
    }
    let name = file.to_str().unwrap().to_owned();
    let mut command = vec!["/bin/cat".to_owned()];
    command.extend(std::iter::repeat_n(name, FILES));
    let expected = (FILE_BYTES / line.len() * FILES) as u64;
    let total = (FILE_BYTES * FILES) as f64 / 1e6;
    let token = CancellationToken::new();
    let (mut ours, mut lines, mut cat) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..STREAM_ROUNDS {
        let count = AtomicU64::new(0);
        let reporter = |event: Event<'_>| {
            if matches!(event, Event::Output { .. }) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        };
        let started = Instant::now();
        sandbox
            .run_command(spec, &command, Network::None, &token, &reporter)
            .await
            .unwrap();
        ours.push(started.elapsed());
        assert_eq!(count.into_inner(), expected);
        if round == 0 {
            let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            let peak = status
                .lines()
                .find(|line| line.starts_with("VmHWM"))
                .unwrap_or("unknown");
            println!("memory after 1 GB: {peak} (at most 16 MiB)");
        }

        let started = Instant::now();
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut reader = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0u64;
        while reader.next_line().await.unwrap().is_some() {
            seen += 1;
        }
        child.wait().await.unwrap();
        lines.push(started.elapsed());
        assert_eq!(seen, expected);

        let started = Instant::now();
        let mut child = std::process::Command::new(&command[0])
            .args(&command[1..])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut sink = std::process::Command::new("/bin/cat")
            .stdin(child.stdout.take().unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        child.wait().unwrap();
        sink.wait().unwrap();
        cat.push(started.elapsed());
    }
    let speed = |samples: &mut [Duration]| total / median(samples);
    let (ours, lines, cat) = (speed(&mut ours), speed(&mut lines), speed(&mut cat));
    println!(
        "streaming: {ours:.0} MB/s, `lines()` {lines:.0}, `cat` {cat:.0}; ratios {:.2} (at least 3) and {:.2} (at least 0.7)",
        ours / lines,
        ours / cat
    );
}
