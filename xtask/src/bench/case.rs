//! What of ours is measured, each in a process of its own; the last line printed is JSON figures.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use build_sandbox::{BuildSpec, Event, Isolation, IsolationChoice, Network, Sandbox, Writable};
use clap::{Args, Subcommand, ValueEnum};
use network_policy::SourcePolicy;
use source_fetch::{
    Checksum, Directories, ExtractLimits, HttpPolicy, Policy, SourceRequest, fetch_all,
};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio_util::sync::CancellationToken;

use super::create_case::CreateCase;
use super::inputs;
use super::meter::{Figures, PEAK};
use super::provision_case::ProvisionCase;
use super::statistics::Spread;
use crate::srcinfo;

/// Runs one measured case.
#[derive(Debug, Args)]
pub(crate) struct Case {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    Srcinfo(Srcinfo),
    Fetch(Fetch),
    Startup(Startup),
    Stream(Stream),
    Provision(ProvisionCase),
    Create(CreateCase),
}

/// `.SRCINFO` of every recipe in a folder, so many times over.
#[derive(Debug, Args)]
struct Srcinfo {
    folder: PathBuf,
    #[arg(long, default_value_t = 1)]
    times: u32,
}

/// Sources fetched into `srcdir`; with `--again` a second time from the cache into another.
#[derive(Debug, Args)]
struct Fetch {
    /// A source; one of the form `SHA256=SOURCE` has a digest.
    #[arg(required = true)]
    sources: Vec<String>,
    #[arg(long)]
    root: PathBuf,
    #[arg(long)]
    history: bool,
    #[arg(long)]
    again: bool,
}

/// How a phase is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Starter {
    Namespaces,
    Landlock,
    Group,
    Bash,
    Bwrap,
}

/// `bash -c true` so many times, one after the other.
#[derive(Debug, Args)]
struct Startup {
    starter: Starter,
    #[arg(long)]
    root: PathBuf,
    #[arg(long)]
    times: u32,
}

/// A file of lines read from the output of `cat`, so many times over.
#[derive(Debug, Args)]
struct Stream {
    reader: StreamReader,
    #[arg(long)]
    root: PathBuf,
    #[arg(long)]
    file: PathBuf,
    #[arg(long)]
    times: u32,
    #[arg(long)]
    lines: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StreamReader {
    Sandbox,
    Lines,
    /// Nothing but the reading itself, which nobody can be faster than.
    Bytes,
}

impl Case {
    /// Runs the case and prints its figures.
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let mut figures = match self.kind {
            Kind::Srcinfo(case) => case.run()?,
            Kind::Fetch(case) => case.run().await?,
            Kind::Startup(case) => case.run().await?,
            Kind::Stream(case) => case.run().await?,
            Kind::Provision(case) => case.run().await?,
            Kind::Create(case) => case.run()?,
        };
        // Of this process alone: what it starts is not ours.
        figures.insert(PEAK.to_owned(), own_peak_kib()?);
        println!("{}", serde_json::to_string(&figures)?);
        Ok(ExitCode::SUCCESS)
    }
}

fn own_peak_kib() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .context("the kernel does not tell the peak memory")
}

/// A figure called `name`.
pub(crate) fn figure(name: &str, value: f64) -> Figures {
    BTreeMap::from([(name.to_owned(), value)])
}

impl Srcinfo {
    fn run(&self) -> Result<Figures> {
        let mut texts = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let file = entry?.path().join("PKGBUILD");
            texts.push((std::fs::read(&file)?, file));
        }
        let mut each = vec![0.0; texts.len()];
        for _ in 0..self.times {
            for ((text, file), seconds) in texts.iter().zip(&mut each) {
                let started = Instant::now();
                let printed = srcinfo::print(text, srcinfo::folder_of(file));
                *seconds += started.elapsed().as_secs_f64() / f64::from(self.times);
                ensure!(printed.is_some(), "no .SRCINFO of `{}`", file.display());
            }
        }
        let spread = Spread::of(each.iter().copied()).context("no recipe there")?;
        let mut figures = figure("median", spread.median);
        figures.insert("all".to_owned(), each.iter().sum());
        Ok(figures)
    }
}

impl Fetch {
    async fn run(&self) -> Result<Figures> {
        let mut requests = Vec::new();
        for text in &self.sources {
            let (digest, source) = match text.split_once('=') {
                Some((digest, source)) if digest.len() == 64 => (digest, source),
                _ => ("SKIP", text.as_str()),
            };
            let checksum = Checksum::parse("sha256sums", digest)?;
            let mut request = SourceRequest::new(source.parse()?).with_checksum(checksum);
            request.needs_history = self.history;
            requests.push(request);
        }
        let started = Instant::now();
        self.fetch(&requests, "first").await?;
        let mut figures = figure("first", started.elapsed().as_secs_f64());
        if self.again {
            let started = Instant::now();
            self.fetch(&requests, "again").await?;
            figures.insert("again".to_owned(), started.elapsed().as_secs_f64());
        }
        Ok(figures)
    }

    async fn fetch(&self, requests: &[SourceRequest], name: &str) -> Result<()> {
        let directories = Directories {
            srcdir: self.root.join(name),
            cache: self.root.join("cache"),
            startdir: self.root.clone(),
        };
        let policy = Policy {
            // The bench's own servers.
            network: e2e_tests::sample::source_hosts()
                .into_iter()
                .fold(SourcePolicy::default(), SourcePolicy::allow_host)
                .allow_insecure(true)
                .allow_files(true),
            http: HttpPolicy::default(),
            extract: ExtractLimits {
                // The inputs are made up and pack better than what is met outside.
                max_ratio: 10_000,
                ..ExtractLimits::default()
            },
            ..Policy::default()
        };
        let token = CancellationToken::new();
        fetch_all(
            requests,
            &directories,
            &policy,
            &token,
            &source_fetch::Silent,
        )
        .await?;
        Ok(())
    }
}

fn sandbox(root: &Path, ceiling: Isolation) -> Result<(Sandbox, BuildSpec)> {
    let mut spec = BuildSpec::new(root, "bench");
    std::fs::write(&spec.recipe, "")?;
    spec.isolation = IsolationChoice::Auto;
    spec.minimum = ceiling;
    let config = build_sandbox::Config {
        ceiling,
        ..build_sandbox::Config::default()
    };
    Ok((Sandbox::new(config), spec))
}

impl Startup {
    async fn run(&self) -> Result<Figures> {
        let tier = match self.starter {
            Starter::Namespaces => Some(Isolation::Namespaces),
            Starter::Landlock => Some(Isolation::Landlock),
            Starter::Group => Some(Isolation::Group),
            Starter::Bash | Starter::Bwrap => None,
        };
        let seconds = match tier {
            Some(tier) => self.ours(tier).await?,
            None => self.peers()?,
        };
        Ok(figure("seconds", seconds / f64::from(self.times)))
    }

    async fn ours(&self, tier: Isolation) -> Result<f64> {
        let (sandbox, spec) = sandbox(&self.root, tier)?;
        sandbox.probe().await;
        let command = ["/bin/bash", "-c", "true"].map(str::to_owned);
        let token = CancellationToken::new();
        let silent = &build_sandbox::Silent;
        let started = Instant::now();
        for _ in 0..self.times {
            sandbox
                .run_command(
                    &spec,
                    &command,
                    Network::None,
                    Writable::Build,
                    &token,
                    silent,
                )
                .await?;
        }
        Ok(started.elapsed().as_secs_f64())
    }

    fn peers(&self) -> Result<f64> {
        let started = Instant::now();
        for _ in 0..self.times {
            let status = peer(self.starter, &self.root).status()?;
            ensure!(status.success(), "the peer ended with {status}");
        }
        Ok(started.elapsed().as_secs_f64())
    }
}

/// bash alone, or in bwrap with the same namespaces and the same view of the file system.
fn peer(starter: Starter, root: &Path) -> Command {
    let mut command = if starter == Starter::Bwrap {
        let mut bwrap = Command::new("bwrap");
        bwrap
            .args(["--unshare-all", "--die-with-parent", "--new-session"])
            .args(["--clearenv", "--setenv", "PATH", "/usr/bin:/bin"])
            .args(["--ro-bind", "/", "/"]);
        for hidden in ["/home", "/root", "/run", "/tmp", "/var/tmp"] {
            bwrap.args(["--tmpfs", hidden]);
        }
        bwrap
            .args(["--proc", "/proc", "--dev", "/dev", "--bind"])
            .args([root, root])
            .arg("--chdir")
            .arg(root)
            .arg("/bin/bash");
        bwrap
    } else {
        Command::new("/bin/bash")
    };
    command
        .args(["-c", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

impl Stream {
    async fn run(&self) -> Result<Figures> {
        let file = self
            .file
            .to_str()
            .context("the file's name is not UTF-8")?
            .to_owned();
        let mut command = vec!["/bin/cat".to_owned()];
        command.extend((0..self.times).map(|_| file.clone()));
        let started = Instant::now();
        let seen = match self.reader {
            StreamReader::Sandbox => self.through_sandbox(&command).await?,
            StreamReader::Lines => through_lines(&command).await?,
            StreamReader::Bytes => through_nothing(&command)?,
        };
        let seconds = started.elapsed().as_secs_f64();
        let expected = self.lines * u64::from(self.times);
        ensure!(
            seen == expected,
            "{seen} lines arrived, {expected} were sent"
        );
        Ok(figure("seconds", seconds))
    }

    async fn through_sandbox(&self, command: &[String]) -> Result<u64> {
        let (sandbox, spec) = sandbox(&self.root, Isolation::Group)?;
        let count = AtomicU64::new(0);
        let reporter = |event: Event<'_>| {
            if matches!(event, Event::Output { .. }) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        };
        let token = CancellationToken::new();
        sandbox
            .run_command(
                &spec,
                command,
                Network::None,
                Writable::Build,
                &token,
                &reporter,
            )
            .await?;
        Ok(count.into_inner())
    }
}

/// Reads as the sandbox does, 64 KiB from a pipe of 1 MiB, and only counts.
fn through_nothing(command: &[String]) -> Result<u64> {
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdout = child
        .stdout
        .take()
        .context("`cat` has no standard output")?;
    nix::fcntl::fcntl(&stdout, nix::fcntl::FcntlArg::F_SETPIPE_SZ(1 << 20))?;
    let mut buffer = vec![0; 64 << 10];
    let mut bytes = 0;
    loop {
        match stdout.read(&mut buffer)? {
            0 => break,
            count => bytes += count,
        }
    }
    child.wait()?;
    Ok((bytes / inputs::LINE) as u64)
}

async fn through_lines(command: &[String]) -> Result<u64> {
    let mut child = tokio::process::Command::new(&command[0])
        .args(&command[1..])
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = child
        .stdout
        .take()
        .context("`cat` has no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    let mut seen = 0;
    while lines.next_line().await?.is_some() {
        seen += 1;
    }
    child.wait().await?;
    Ok(seen)
}
