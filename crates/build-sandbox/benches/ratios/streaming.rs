//! A gigabyte of lines against tokio's `lines()` and `cat`.

use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use build_sandbox::{BuildSpec, Event, Network, Sandbox, Writable};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::{median, processor_time};

const ROUNDS: usize = 5;
const FILE_BYTES: usize = 80 * 800_000;
const FILES: usize = 16;

pub(crate) async fn run(sandbox: &Sandbox, spec: &BuildSpec) {
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
    let mut spent = [Duration::ZERO; 3];
    for round in 0..ROUNDS {
        let count = AtomicU64::new(0);
        let reporter = |event: Event<'_>| {
            if matches!(event, Event::Output { .. }) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        };
        let (before, started) = (processor_time(), Instant::now());
        sandbox
            .run_command(
                spec,
                &command,
                Network::None,
                Writable::Build,
                &token,
                &reporter,
            )
            .await
            .unwrap();
        ours.push(started.elapsed());
        spent[0] += processor_time().saturating_sub(before);
        assert_eq!(count.into_inner(), expected);
        if round == 0 {
            let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            let peak = status
                .lines()
                .find(|line| line.starts_with("VmHWM"))
                .unwrap_or("unknown");
            println!("memory after 1 GB: {peak} (at most 16 MiB)");
        }

        let (before, started) = (processor_time(), Instant::now());
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
        spent[1] += processor_time().saturating_sub(before);
        assert_eq!(seen, expected);

        let (before, started) = (processor_time(), Instant::now());
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
        spent[2] += processor_time().saturating_sub(before);
    }
    let speed = |samples: &mut [Duration]| total / median(samples);
    let (ours, lines, cat) = (speed(&mut ours), speed(&mut lines), speed(&mut cat));
    println!(
        "streaming: {ours:.0} MB/s, `lines()` {lines:.0}, `cat` {cat:.0}; ratios {:.2} (at least 3) and {:.2} (at least 0.7)",
        ours / lines,
        ours / cat
    );
    let [ours, lines, cat] = spent.map(|time| time.as_secs_f64() / ROUNDS as f64 / total * 1e3);
    println!(
        "processor time of writer and reader: {ours:.2} s/GB, `lines()` {lines:.2}, `cat` {cat:.2}"
    );
}
