//! Git fetches beside the real `git`, over the same server, in one run.
//!
//! `cargo bench -p source-fetch --bench git` prints medians and ratios; an argument sets the number of rounds.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[path = "../tests/git_support/mod.rs"]
mod git_support;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use git_support::{Place, Server, branch, git, isolated, request};
use source_fetch::git::History;

/// A small deterministic generator (xorshift), so that every run measures the same repository.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// About 60 MB of packed objects: 2,400 text files that change over 800 commits.
fn repository(root: &Path) -> PathBuf {
    let bare = root.join("r.git");
    git(root, &["init", "-q", "--bare", "-b", "main", "r.git"]);
    let mut import = isolated("git")
        .args(["fast-import", "--quiet", "--done"])
        .current_dir(&bare)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = std::io::BufWriter::new(import.stdin.take().unwrap());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let words: Vec<String> = (0..6000)
        .map(|_| {
            (0..2 + random.below(9))
                .map(|_| char::from(b'a' + u8::try_from(random.below(26)).unwrap()))
                .collect()
        })
        .collect();
    let line = |random: &mut Random| {
        let mut line = String::new();
        for _ in 0..4 + random.below(9) {
            let _ = write!(
                line,
                "{} ",
                words[usize::try_from(random.below(6000)).unwrap()]
            );
        }
        line
    };
    let mut files: Vec<Vec<String>> = (0..2400)
        .map(|_| {
            (0..20 + random.below(380))
                .map(|_| line(&mut random))
                .collect()
        })
        .collect();
    for commit in 0..800 {
        writeln!(
            out,
            "commit refs/heads/main\ncommitter A <a@example.org> {} +0000",
            1_600_000_000 + commit * 3600
        )
        .unwrap();
        writeln!(out, "data 6\nchange").unwrap();
        let changed: Vec<usize> = if commit == 0 {
            (0..files.len()).collect()
        } else {
            (0..40)
                .map(|_| usize::try_from(random.below(2400)).unwrap())
                .collect()
        };
        for index in changed {
            for _ in 0..random.below(20) {
                let at = usize::try_from(random.below(files[index].len() as u64)).unwrap();
                files[index][at] = line(&mut random);
            }
            let text = files[index].join("\n");
            writeln!(
                out,
                "M 100644 inline src/m{:02}/f{index:04}.txt\ndata {}\n{text}",
                index % 48,
                text.len()
            )
            .unwrap();
        }
        if commit % 100 == 99 {
            writeln!(out, "tag v{}\nfrom refs/heads/main\ntagger A <a@example.org> 1700000000 +0000\ndata 1\nx", commit / 100).unwrap();
        }
    }
    writeln!(out, "done").unwrap();
    drop(out);
    assert!(import.wait().unwrap().success());
    git(
        &bare,
        &["repack", "-adfq", "--window=10", "--write-bitmap-index"],
    );
    bare
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn clone(url: &str, to: &Path, arguments: &[&str]) -> Duration {
    let mut all = vec!["clone", "-q"];
    all.extend_from_slice(arguments);
    all.extend_from_slice(&[url, to.to_str().unwrap()]);
    let time = timed(|| drop(git(Path::new("/"), &all)));
    fs::remove_dir_all(to).unwrap();
    time
}

fn main() {
    let rounds = std::env::args()
        .skip(1)
        .find_map(|a| a.parse().ok())
        .unwrap_or(7);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let root = tempfile::tempdir().unwrap();
    let bare = repository(root.path());
    println!(
        "repository: {}",
        git(&bare, &["count-objects", "-vH"]).replace('\n', ", ")
    );
    let server = Server::plain(root.path());
    let http = server.url("r.git");
    let local = format!("file://{}", bare.display());
    let target = root.path().join("clone");
    let cases = [
        (
            "shallow over http",
            http.as_str(),
            History::Shallow,
            &["--depth", "1", "-b", "main"][..],
        ),
        ("full over http", http.as_str(), History::Full, &[]),
        ("full from this machine", local.as_str(), History::Full, &[]),
    ];
    for (name, url, history, arguments) in cases {
        let (mut ours, mut theirs, mut again) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            theirs.push(clone(url, &target, arguments));
            let place = Place::new();
            let request = request(url, branch("main"), history);
            ours.push(timed(|| {
                drop(runtime.block_on(place.provide(&request, "a")).unwrap());
            }));
            again.push(timed(|| {
                drop(runtime.block_on(place.provide(&request, "b")).unwrap());
            }));
        }
        let (ours, theirs, again) = (median(&mut ours), median(&mut theirs), median(&mut again));
        println!(
            "{name}: {ours:.0?}, `git clone {}` {theirs:.0?}, ratio {:.2}; second run {again:.0?}, ratio to the first {:.2}",
            arguments.join(" "),
            ours.as_secs_f64() / theirs.as_secs_f64(),
            again.as_secs_f64() / ours.as_secs_f64(),
        );
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status
        .lines()
        .filter(|line| line.starts_with("VmHWM") || line.starts_with("RssAnon"))
    {
        println!("{line}");
    }
}
