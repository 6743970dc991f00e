//! Clocks that jump, before and during a provision.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use worker_provisioner::ProvisionPhase;

use super::child::Child;
use super::lane::{Catalog, Courses, Flavor, Lane, WORKER};
use super::report::{Finding, Row, Standing, run_all, thin};

const SHIM: &str = include_str!("clock.c");

const DAY: i64 = 24 * 60 * 60;
/// In seconds; the last is about as far back as 1970.
const SHIFTS: [i64; 6] = [0, DAY, -DAY, 3650 * DAY, -3650 * DAY, -20_000 * DAY];

#[derive(Debug)]
struct Case {
    /// The clock while the old version is installed.
    old: i64,
    /// The clock when the provision of the new one starts.
    new: i64,
    /// To where it jumps when this phase begins.
    jump: i64,
    phase: ProvisionPhase,
    /// Whether the process is killed then.
    kill: bool,
    /// The clock of the rollback.
    rollback: i64,
}

/// Installs, kills and rolls back with clocks that are wrong by up to decades and jump.
pub(crate) fn run(
    lanes: &[Lane<'_>],
    courses: &Courses,
    folder: &Path,
    most: usize,
    rng: &mut Rng,
) -> Result<Vec<Row>> {
    let title = "clock jumps";
    let shim = match compile(folder) {
        Ok(shim) => shim,
        Err(error) => return Ok(vec![Row::skipped(title, &format!("{error:#}"))]),
    };
    let Some(lane) = lanes.first() else {
        return Ok(Vec::new());
    };
    if !is_shifted(lane, &shim)? {
        let why = "this program's clock cannot be shifted here";
        return Ok(vec![Row::skipped(title, why)]);
    }
    let mut cases = Vec::new();
    for (phase, _) in &courses.binary.phases {
        for kill in [false, true] {
            for _ in 0..2 {
                let mut shift = || SHIFTS[rng.usize(..SHIFTS.len())];
                cases.push(Case {
                    old: shift(),
                    new: shift(),
                    jump: shift(),
                    phase: *phase,
                    kill,
                    rollback: shift(),
                });
            }
        }
    }
    thin(&mut cases, most, rng);
    Ok(vec![run_all(lanes, title, &cases, |lane, case| {
        jump(lane, case, &shim)
    })])
}

fn compile(folder: &Path) -> Result<PathBuf> {
    let (source, shim) = (folder.join("clock.c"), folder.join("clock.so"));
    fs::write(&source, SHIM)?;
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-o"])
        .args([&shim, &source])
        .arg("-ldl")
        .output()
        .context("no C compiler for the shifted clock")?;
    ensure!(
        output.status.success(),
        "the shifted clock does not compile: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(shim)
}

fn set(lane: &Lane<'_>, shift: i64) -> Result<PathBuf> {
    use std::io::Write as _;
    let path = lane.site.folder("clock");
    // Written in place: a running process has the file mapped.
    let mut file = fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)?;
    file.write_all(&shift.to_ne_bytes())?;
    Ok(path)
}

fn shifted(mut command: Command, shim: &Path, clock: &Path) -> Command {
    command.env("LD_PRELOAD", shim).env("FAULTS_CLOCK", clock);
    command
}

/// Whether a child tells the shifted time in its events.
fn is_shifted(lane: &Lane<'_>, shim: &Path) -> Result<bool> {
    lane.reset(true)?;
    let clock = set(lane, 3650 * DAY)?;
    let command = lane.provision(Catalog::New, Flavor::Binary);
    let mut child = Child::start(shifted(command, shim, &clock))?;
    let told = child.next_event().map(|event| event.time.as_second());
    child.finish()?;
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)?
        .as_secs()
        .cast_signed();
    Ok(told.is_some_and(|told| told > now + 3000 * DAY))
}

fn jump(lane: &Lane<'_>, case: &Case, shim: &Path) -> Result<Finding> {
    lane.reset(false)?;
    let clock = set(lane, case.old)?;
    let provision = |catalog| {
        let command = lane.provision(catalog, Flavor::Binary);
        Child::start(shifted(command, shim, &clock))
    };
    let ended = provision(Catalog::Old)?.finish()?;
    ensure!(
        ended.status.success(),
        "the old version: {}",
        ended.describe()
    );
    set(lane, case.new)?;
    let mut child = provision(Catalog::New)?;
    child.until(case.phase);
    child.stopped(|| set(lane, case.jump))?;
    let mut finding = Finding::default();
    if case.kill {
        child.kill()?;
    } else {
        let ended = child.finish()?;
        if !ended.status.success() {
            finding.lose(format!("the new version: {}", ended.describe()));
        }
    }
    finding = lane.judge(Flavor::Binary, true).after(finding);
    if let Err(error) = roll_back_and_forth(lane, case, shim, &clock) {
        finding.lose(format!("{error:#}"));
    }
    finding
        .left
        .extend(lane.site.left_behind(&[WORKER], false)?);
    Ok(finding)
}

fn roll_back_and_forth(lane: &Lane<'_>, case: &Case, shim: &Path, clock: &Path) -> Result<()> {
    set(lane, case.rollback)?;
    let command = lane.worker(&["rollback", WORKER]);
    let ended = Child::start(shifted(command, shim, clock))?.finish()?;
    ensure!(ended.status.success(), "rollback: {}", ended.describe());
    ensure!(
        lane.standing()? == Standing::Old,
        "the rollback did not bring the old worker back"
    );
    lane.verify()?;
    let ended = lane.run(Catalog::New, Flavor::Binary)?;
    ensure!(ended.status.success(), "once more: {}", ended.describe());
    ensure!(
        lane.standing()? == Standing::New,
        "the new worker did not come back"
    );
    lane.verify()
}
