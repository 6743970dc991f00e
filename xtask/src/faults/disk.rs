//! Disks that fill up and folders that become read-only.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use worker_provisioner::ProvisionPhase;

use super::child::Child;
use super::lane::{Catalog, Course, Courses, Flavor, Lane};
use super::report::{Finding, Row, run_all, thin};
use super::site::FOLDERS;

/// The options of a file system with room for everything.
const ROOMY: &str = "size=512m,nr_inodes=100000,mode=0755";

/// The least a file system can have; 0 would mean no limit.
const PAGE: u64 = 4096;

/// Small file systems on a lane's folders, taken away when dropped.
///
/// They need root and a mount namespace of our own.
#[derive(Debug)]
struct Mounts(Vec<PathBuf>);

impl Mounts {
    fn on(lanes: &[Lane<'_>]) -> Result<Self> {
        let mut mounts = Self(Vec::new());
        for lane in lanes {
            for folder in FOLDERS {
                let path = lane.site.folder(folder);
                mount(&["-t", "tmpfs", "-o", ROOMY, "tmpfs"], &path)?;
                mounts.0.push(path);
            }
        }
        Ok(mounts)
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        for path in &self.0 {
            unmount(path);
        }
    }
}

fn unmount(path: &Path) {
    let _ = Command::new("umount").arg("--lazy").arg(path).status();
}

fn mount<S: AsRef<OsStr> + std::fmt::Debug>(arguments: &[S], path: &Path) -> Result<()> {
    let output = Command::new("mount")
        .args(arguments)
        .arg(path)
        .output()
        .context("failed to run `mount`")?;
    ensure!(
        output.status.success(),
        "mount {arguments:?} {}: {}",
        path.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// Leaves `free` bytes, and no new files either when `inodes` is set.
///
/// A process stops a moment after it is told to, and what it has written meanwhile no longer fits.
fn fill(path: &Path, free: u64, inodes: bool) -> Result<()> {
    for _ in 0..20 {
        if fill_once(path, free, inodes).is_ok() {
            return Ok(());
        }
    }
    fill_once(path, free, inodes)
}

fn fill_once(path: &Path, free: u64, inodes: bool) -> Result<()> {
    let status = nix::sys::statvfs::statvfs(path)?;
    let used = (status.blocks() - status.blocks_free()) * status.fragment_size();
    let mut options = format!("remount,size={}", (used + free).max(PAGE));
    if inodes {
        let files = status.files() - status.files_free();
        options = format!("{options},nr_inodes={}", files.max(1));
    }
    mount(&["-o", &options], path)
}

fn empty_again(lane: &Lane<'_>) -> Result<()> {
    let options = format!("remount,rw,{ROOMY}");
    FOLDERS
        .iter()
        .try_for_each(|folder| mount(&["-o", &options], &lane.site.folder(folder)))
}

#[derive(Debug)]
struct Full {
    folder: &'static str,
    /// When it fills up: before the start, or when a phase begins.
    phase: Option<ProvisionPhase>,
    /// Bytes that are left.
    free: u64,
    inodes: bool,
    flavor: Flavor,
    had_old: bool,
}

#[derive(Debug)]
struct ReadOnly {
    folder: &'static str,
    /// When it becomes so: before the start, or when a phase begins.
    phase: Option<ProvisionPhase>,
    had_old: bool,
}

/// Fills each folder's disk at every phase, then makes each folder read-only at every phase.
pub(crate) fn run(
    lanes: &[Lane<'_>],
    courses: &Courses,
    most: usize,
    rng: &mut Rng,
) -> Result<Vec<Row>> {
    let mut cases = full(&courses.binary, Flavor::Binary, rng);
    cases.extend(full(&courses.binary, Flavor::Binary, rng));
    thin(&mut cases, most, rng);
    let mut built = full(&courses.source, Flavor::Source, rng);
    thin(&mut built, most / 4, rng);
    cases.extend(built);
    let mut read_only = Vec::new();
    for phase in moments(&courses.binary) {
        for folder in FOLDERS {
            read_only.extend([false, true].map(|had_old| ReadOnly {
                folder,
                phase,
                had_old,
            }));
        }
    }
    thin(&mut read_only, most, rng);
    let _mounts = Mounts::on(lanes)?;
    Ok(vec![
        run_all(
            lanes,
            "disk full (cache, work, store, bin)",
            &cases,
            fill_up,
        ),
        run_all(lanes, "read-only folder", &read_only, make_read_only),
    ])
}

/// Before the start, and the beginning of each phase.
fn moments(course: &Course) -> impl Iterator<Item = Option<ProvisionPhase>> {
    let phases = course.phases.iter().map(|(phase, _)| Some(*phase));
    std::iter::once(None).chain(phases)
}

fn full(course: &Course, flavor: Flavor, rng: &mut Rng) -> Vec<Full> {
    let mut cases = Vec::new();
    for phase in moments(course) {
        for folder in FOLDERS {
            // Anything from nothing to 4 MiB, each order of magnitude as likely as another.
            let free = if rng.bool() { 0 } else { 1 << rng.u32(12..23) };
            cases.push(Full {
                folder,
                phase,
                free,
                inodes: rng.bool(),
                flavor,
                had_old: rng.bool(),
            });
        }
    }
    cases
}

fn fill_up(lane: &Lane<'_>, case: &Full) -> Result<Finding> {
    lane.reset(case.had_old)?;
    let path = lane.site.folder(case.folder);
    let fill = || fill(&path, case.free, case.inodes);
    if case.phase.is_none() {
        fill()?;
    }
    let mut child = Child::start(lane.provision(Catalog::New, case.flavor))?;
    if let Some(phase) = case.phase
        && child.until(phase)
    {
        child.stopped(fill)?;
    }
    let ended = child.finish()?;
    let early = lane.left_at_once(&ended);
    empty_again(lane)?;
    Ok(lane.judge(case.flavor, case.had_old).after(early))
}

/// A read-only view that covers a folder until dropped. Files that are open under it stay writable,
/// as they do when an administrator does this, so that it takes effect at once.
struct Cover<'a>(&'a Path);

impl<'a> Cover<'a> {
    fn over(path: &'a Path) -> Result<Self> {
        // Made aside, where nobody writes meanwhile, and put in place in one step.
        let aside = path.with_extension("aside");
        std::fs::create_dir_all(&aside)?;
        mount(&["--bind".as_ref(), path.as_os_str()], &aside)?;
        let covered = mount(&["-o", "remount,bind,ro"], &aside)
            .and_then(|()| mount(&["--bind".as_ref(), aside.as_os_str()], path));
        unmount(&aside);
        covered.map(|()| Self(path))
    }
}

impl Drop for Cover<'_> {
    fn drop(&mut self) {
        unmount(self.0);
    }
}

fn make_read_only(lane: &Lane<'_>, case: &ReadOnly) -> Result<Finding> {
    lane.reset(case.had_old)?;
    let path = lane.site.folder(case.folder);
    let cover = || Cover::over(&path);
    let mut covered = case.phase.is_none().then(cover).transpose()?;
    let mut child = Child::start(lane.provision(Catalog::New, Flavor::Binary))?;
    if let Some(phase) = case.phase
        && child.until(phase)
    {
        covered = Some(child.stopped(cover)?);
    }
    let ended = child.finish()?;
    let mut early = lane.left_at_once(&ended);
    if case.phase.is_some() {
        // Nothing can be removed from where nothing can be written; the next run has to.
        early.left.clear();
    }
    drop(covered);
    Ok(lane.judge(Flavor::Binary, case.had_old).after(early))
}
