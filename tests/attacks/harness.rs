//! What an attack is, how all of them run, and the table of what came out.

use std::fmt::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use tokio::runtime::Runtime;
use worker_provisioner::Isolation;

use crate::scene::{self, Place};

/// The user and group of the second round; no account has it by default.
pub(crate) const ORDINARY: u32 = 61_501;
/// Holds a secret in the environment of the process that provisions.
pub(crate) const SECRET_VARIABLE: &str = "ATTACKS_SECRET";
/// A folder that the attacked user owns, outside home and `/tmp`.
pub(crate) const PRIVATE_VARIABLE: &str = "ATTACKS_PRIVATE";
/// The program with the commands for a terminal.
pub(crate) const COMMANDS_VARIABLE: &str = "ATTACKS_COMMANDS";
/// Narrows the table down.
const ONLY_VARIABLE: &str = "ATTACKS_ONLY";
/// Attacks under way at once.
const AT_ONCE: usize = 4;
/// An attack that takes longer than this has won: nobody waits that long.
const PATIENCE: Duration = Duration::from_mins(2);

/// Where an attack is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tiers {
    /// In each tier of this host.
    Each,
    /// In each tier that promises more than the end of all processes.
    Walled,
    /// Once, in the strongest, as the tier has no part in it.
    Once,
}

/// Whom an attack is tried on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Anybody,
    /// Root alone: it needs a second user, or rights that only root has to lose.
    Root,
}

/// What came of an attempt.
#[derive(Debug)]
pub(crate) enum Verdict {
    Judged {
        /// Whether it works where nobody stands in its way.
        control: bool,
        /// Whether it worked here.
        won: bool,
        /// What was seen.
        seen: String,
    },
    /// This host lacks what the attack needs.
    Skipped(String),
}

pub(crate) type Attempt = Pin<Box<dyn Future<Output = Verdict> + Send>>;

/// One line of the table.
#[derive(Clone)]
pub(crate) struct Attack {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) tiers: Tiers,
    pub(crate) on: On,
    pub(crate) run: std::sync::Arc<dyn Fn(Place) -> Attempt + Send + Sync>,
}

impl Attack {
    pub(crate) fn new<F>(
        kind: &'static str,
        name: impl Into<String>,
        run: impl Fn(Place) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Verdict> + Send + 'static,
    {
        Self {
            kind,
            name: name.into(),
            tiers: Tiers::Once,
            on: On::Anybody,
            run: std::sync::Arc::new(move |place| Box::pin(run(place))),
        }
    }

    pub(crate) fn in_tiers(mut self, tiers: Tiers) -> Self {
        self.tiers = tiers;
        self
    }

    pub(crate) fn on_root(mut self) -> Self {
        self.on = On::Root;
        self
    }
}

pub(crate) fn is_root() -> bool {
    scene::user_id() == 0
}

/// Runs a test of this program again, with a secret in its environment and command line, as `user`.
pub(crate) fn again(test: &str, user: Option<u32>) {
    let folder = tempfile::Builder::new()
        .prefix("attacks-")
        .tempdir()
        .unwrap();
    open_to_all(folder.path());
    let program = folder.path().join("attacks");
    // The target directory may lie where no other user can go.
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let commands = commands().map(|path| {
        let copy = folder.path().join("rbee-worker");
        std::fs::copy(path, &copy).unwrap();
        copy
    });
    let home = folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let private = private_folder();
    let mut command = Command::new(&program);
    let secret = format!("environment-{}-{}", std::process::id(), user.unwrap_or(0));
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .arg(format!("none-{secret}"))
        .env(SECRET_VARIABLE, &secret)
        .env("HOME", &home)
        .env("TMPDIR", folder.path())
        .env_remove("XDG_CACHE_HOME")
        .env_remove("XDG_DATA_HOME")
        .current_dir(folder.path());
    if let Some(commands) = commands {
        command.env(COMMANDS_VARIABLE, commands);
    }
    if let Some(private) = &private {
        command.env(PRIVATE_VARIABLE, private.path());
    }
    if let Some(user) = user {
        command.uid(user).gid(user);
        for path in [
            Some(home.as_path()),
            Some(folder.path()),
            private.as_ref().map(tempfile::TempDir::path),
        ] {
            if let Some(path) = path {
                chown(path, Some(user), Some(user)).unwrap();
            }
        }
    }
    let status = command.status().unwrap();
    scene::remove(&folder.keep());
    assert!(
        status.success(),
        "attacks won, or controls failed: see the table"
    );
}

/// The program `rbee-worker`, which `cargo test --workspace` builds beside this one.
fn commands() -> Option<PathBuf> {
    let tests = std::env::current_exe().ok()?;
    let path = tests.parent()?.parent()?.join("rbee-worker");
    path.is_file().then_some(path)
}

/// A folder as a service has one for its state, where this process may make one.
fn private_folder() -> Option<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix("worker-attacks-")
        .tempdir_in("/var/lib")
        .ok()
}

pub(crate) fn open_to_all(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

struct Row {
    kind: &'static str,
    name: String,
    tier: &'static str,
    verdict: Verdict,
    took: Duration,
}

/// Runs all attacks, prints the table, and fails when one won or a control did not.
pub(crate) fn run(attacks: Vec<Attack>) {
    let started = Instant::now();
    let runtime = Runtime::new().unwrap();
    let rows = runtime.block_on(async {
        let tiers = scene::tiers().await;
        let jobs = attacks.into_iter().filter(wanted).flat_map(|attack| {
            let tiers = tiers_of(attack.tiers, &tiers);
            tiers
                .into_iter()
                .map(move |tier| attempt(attack.clone(), tier))
        });
        let jobs: Vec<_> = jobs.collect();
        let mut rows: Vec<Row> = futures_util::stream::iter(jobs)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        rows.sort_by(|a, b| (a.kind, &a.name, a.tier).cmp(&(b.kind, &b.name, b.tier)));
        rows
    });
    runtime.shutdown_background();
    report(&rows, started.elapsed());
}

fn wanted(attack: &Attack) -> bool {
    let only = std::env::var(ONLY_VARIABLE).unwrap_or_default();
    let named = attack.kind.contains(&only) || attack.name.contains(&only);
    named && (attack.on == On::Anybody || is_root())
}

fn tiers_of(wanted: Tiers, tiers: &[Isolation]) -> Vec<Isolation> {
    let all = tiers.iter().copied();
    match wanted {
        Tiers::Each => all.collect(),
        Tiers::Walled => all.filter(|tier| *tier > Isolation::Group).collect(),
        Tiers::Once => all.max().into_iter().collect(),
    }
}

async fn attempt(attack: Attack, tier: Isolation) -> Row {
    let started = Instant::now();
    let place = Place::new(tier);
    let (run, root) = ((attack.run)(place.clone()), place);
    let verdict = match tokio::time::timeout(PATIENCE, tokio::spawn(run)).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(error)) => broken(format!("the attempt itself failed: {error}")),
        Err(_) => Verdict::Judged {
            control: true,
            won: true,
            seen: "no answer".to_owned(),
        },
    };
    drop(root);
    let once = attack.tiers == Tiers::Once;
    Row {
        kind: attack.kind,
        name: attack.name,
        tier: if once { "-" } else { tier.name() },
        verdict,
        took: started.elapsed(),
    }
}

fn broken(seen: String) -> Verdict {
    Verdict::Judged {
        control: false,
        won: false,
        seen,
    }
}

#[allow(clippy::print_stdout, reason = "the table is what the suite is for")]
fn report(rows: &[Row], took: Duration) {
    let user = if is_root() { "root" } else { "ordinary" };
    let mut text = String::from(
        "| kind | attack | tier | user | control | outcome | ms | seen |\n|---|---|---|---|---|---|---|---|\n",
    );
    let (mut lost, mut judged) = (Vec::new(), 0);
    for row in rows {
        let (control, outcome, seen) = match &row.verdict {
            Verdict::Judged { control, won, seen } => {
                judged += 1;
                let control = if *control { "works" } else { "FAILS" };
                (control, if *won { "WON" } else { "refused" }, seen.as_str())
            }
            Verdict::Skipped(reason) => ("-", "skipped", reason.as_str()),
        };
        if control == "FAILS" || outcome == "WON" {
            lost.push(row.name.clone());
        }
        let seen: String = seen.replace('|', "/").escape_debug().take(160).collect();
        let (kind, name, tier, took) = (row.kind, &row.name, row.tier, row.took.as_millis());
        let _ = writeln!(
            text,
            "| {kind} | {name} | {tier} | {user} | {control} | {outcome} | {took} | {seen} |"
        );
    }
    let of = rows.iter().map(|row| (row.kind, &row.name));
    let attacks = of.collect::<std::collections::BTreeSet<_>>().len();
    println!(
        "{text}{attacks} attacks, {judged} judged attempts, {} s",
        took.as_secs()
    );
    assert!(
        lost.is_empty(),
        "won or without a working control: {lost:#?}"
    );
}

/// The path of a program on this host.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    ["/usr/local/bin", "/usr/bin", "/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file())
}
