//! Groups 3 and 4: git beside the `git` program, downloads beside curl, sha256sum and tar.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use e2e_tests::git_server::GitServer;

use super::Session;
use super::file_server::FileServer;
use super::inputs;
use super::meter::{Contender, Figures, PEAK, WALL, case, interleave, metered};
use super::report::{Goal, Measured, Peer, Row};
use super::statistics::Spread;

/// Most memory of a fetch, in MiB.
const MEMORY: Goal = Goal::AtMost(64.0);

/// A git repository over smart HTTP: shallow, in full, and again.
pub(crate) async fn git(session: &mut Session) -> Result<Vec<Row>> {
    if !session.machine.has("git") {
        session.skip("git is not installed");
        return Ok(Vec::new());
    }
    let folder = session.folder("git")?;
    let (files, commits) = session.pick((2_400, 800), (800, 200));
    let bare = inputs::repository(&folder, "sources.git", files, commits)?;
    let size = format!("{} MB", folder_bytes(&bare)? / 1_000_000);
    let server = GitServer::start(&folder).await?;
    let url = server.url("sources.git");
    let ours = |name: &'static str, history: bool| {
        let (url, folder) = (url.clone(), folder.clone());
        Contender::new(move |round| {
            let mut command = case("fetch")?;
            command
                .arg(format!("git+{url}#branch=main"))
                .arg("--root")
                .arg(apart_from_others(&folder, name, round)?)
                .arg("--again");
            if history {
                command.arg("--history");
            }
            Ok(command)
        })
    };
    let git = |name: &'static str, arguments: &'static [&'static str]| {
        let (url, folder) = (url.clone(), folder.clone());
        Contender::new(move |round| {
            let mut command = metered("git")?;
            command.args(["clone", "-q"]).args(arguments).arg(&url);
            command.arg(apart_from_others(&folder, name, round)?.join("clone"));
            inputs::apart(&mut command);
            Ok(command)
        })
    };
    let mirror = folder.join("mirror.git");
    let status = inputs::git(&folder)
        .args(["clone", "-q", "--mirror", &url])
        .arg(&mirror)
        .status()?;
    ensure!(status.success(), "`git clone --mirror` failed");
    // What makepkg does for a source that it has already.
    let update = Contender::new(|round| {
        let mut command = metered("sh")?;
        let script = "git -C \"$1\" fetch -q --all -p && git clone -q \"$1\" \"$2\"";
        command.args(["-c", script, "update"]).arg(&mirror);
        command.arg(apart_from_others(&folder, "update", round)?.join("clone"));
        inputs::apart(&mut command);
        Ok(command)
    });
    let tree = folder.join("tree");
    let status = inputs::git(&folder)
        .args(["clone", "-q"])
        .args([&mirror, &tree])
        .status()?;
    ensure!(status.success(), "`git clone` of the mirror failed");
    let create = Contender::new(|round| {
        let mut command = case("create")?;
        command.arg(&tree).arg("--root");
        command.arg(apart_from_others(&folder, "create", round)?);
        Ok(command)
    });
    let [shallow, full, shallow_git, full_git, update_git, create] = interleave(
        session.rounds(),
        [
            ours("shallow", false),
            ours("full", true),
            git("shallow-git", &["--depth", "1", "-b", "main"]),
            git("full-git", &[]),
            update,
            create,
        ],
    )?;
    untrusted_tree::remove(&folder, &|| false)?;
    let gits = [shallow_git, full_git, update_git];
    git_rows(&size, [shallow, full], gits, &create)
}

fn git_rows(
    size: &str,
    ours: [Vec<Figures>; 2],
    gits: [Vec<Figures>; 3],
    create: &[Figures],
) -> Result<Vec<Row>> {
    let ([shallow, full], [shallow_git, full_git, update_git]) = (ours, gits);
    let own = |runs: &[Figures], name| measured(runs, name, 1.0);
    // No checkout can be faster than that.
    let created = peer("its files created from memory", create, "seconds")?;
    let peer = |name: &str, runs: &[Figures]| peer(name, runs, WALL);
    let what = |how: &str| format!("git source of {size} over HTTP, {how}");
    let first = |runs: &[Figures]| {
        Ok::<_, anyhow::Error>(Peer {
            name: "ours, the first time".to_owned(),
            time: own(runs, "first")?.time,
            peak_kib: None,
        })
    };
    Ok(vec![
        Row::time(
            3,
            what("shallow"),
            own(&shallow, "first")?,
            peer("git clone --depth 1", &shallow_git)?,
        )
        .goal(Goal::AtMost(0.9)),
        Row::time(
            3,
            what("in full"),
            own(&full, "first")?,
            peer("git clone", &full_git)?,
        )
        .goal(Goal::AtMost(1.0)),
        Row::time(
            3,
            what("shallow, again"),
            own(&shallow, "again")?,
            first(&shallow)?,
        )
        .goal(Goal::AtMost(0.1)),
        Row::time(3, what("shallow, again"), own(&shallow, "again")?, created),
        Row::time(
            3,
            what("in full, again"),
            own(&full, "again")?,
            first(&full)?,
        )
        .goal(Goal::AtMost(0.1)),
        Row::time(
            3,
            what("in full, again"),
            own(&full, "again")?,
            peer("git fetch, git clone of the mirror", &update_git)?,
        ),
        Row::memory(7, what("in full"), own(&full, "first")?).goal(MEMORY),
    ])
}

/// A tarball each way of packing, and eight files from a server that limits each connection.
pub(crate) async fn tarball(session: &mut Session) -> Result<Vec<Row>> {
    for program in ["curl", "sha256sum", "tar"] {
        if !session.machine.has(program) {
            session.skip(&format!("{program} is not installed"));
            return Ok(Vec::new());
        }
    }
    let folder = session.folder("tarballs")?;
    let (files, bytes) = session.pick((4_000, 1 << 30), (500, 48 << 20));
    inputs::tree(&folder, "tree", files, bytes)?;
    for ending in ["zst", "gz"] {
        if ending == "zst" && !session.machine.has("zstd") {
            session.skip("zstd is not installed");
            continue;
        }
        let archive = inputs::pack(&folder, "tree", ending)?;
        let rows = one_tarball(session, &folder, &archive, bytes).await?;
        session.add(rows)?;
        fs::remove_file(archive)?;
    }
    untrusted_tree::remove(folder.join("tree"), &|| false)?;
    let rows = eight_files(session, &folder).await?;
    untrusted_tree::remove(&folder, &|| false)?;
    Ok(rows)
}

async fn one_tarball(
    session: &Session,
    folder: &Path,
    archive: &Path,
    bytes: usize,
) -> Result<Vec<Row>> {
    let server = FileServer::start(folder, None).await?;
    let name = archive
        .file_name()
        .and_then(|name| name.to_str())
        .context("no name")?;
    let (url, digest) = (server.url(name), inputs::sha256(archive)?);
    let packed = fs::metadata(archive)?.len() >> 20;
    let [ours, theirs] = interleave(
        session.rounds(),
        [
            Contender::new(|round| {
                let mut command = case("fetch")?;
                command.arg(format!("{digest}={url}"));
                command.arg("--root").arg(fresh(folder, "ours", round)?);
                Ok(command)
            }),
            Contender::new(|round| {
                let script = "curl -sSf -o \"$2\" \"$1\" && echo \"$3  $2\" | sha256sum -c --quiet && tar -xf \"$2\"";
                let mut command = metered("sh")?;
                command.args(["-c", script, "fetch", &url, name, &digest]);
                command.current_dir(fresh(folder, "peer", round)?);
                Ok(command)
            }),
        ],
    )?;
    let what = format!(
        "{name}, {packed} MiB, {} MiB unpacked: fetch, verify, extract",
        bytes >> 20
    );
    let own = measured(&ours, "first", 1.0)?;
    Ok(vec![
        Row::time(
            4,
            &what,
            own,
            peer("curl, sha256sum -c, tar -x", &theirs, WALL)?,
        )
        .goal(Goal::AtMost(0.6)),
        Row::memory(7, &what, own).goal(MEMORY),
    ])
}

async fn eight_files(session: &Session, folder: &Path) -> Result<Vec<Row>> {
    const LIMIT: u32 = 50_000_000;
    let bytes = session.pick(64usize << 20, 8 << 20);
    let mut sources = Vec::new();
    let server = FileServer::start(folder, Some(LIMIT)).await?;
    for index in 0..8 {
        let name = format!("file{index}.bin");
        let path = folder.join(&name);
        inputs::file(&path, index + 7, bytes)?;
        sources.push((server.url(&name), inputs::sha256(&path)?));
    }
    let [ours, theirs] = interleave(
        session.rounds(),
        [
            Contender::new(|round| {
                let mut command = case("fetch")?;
                for (url, digest) in &sources {
                    command.arg(format!("{digest}={url}"));
                }
                command.arg("--root").arg(fresh(folder, "ours", round)?);
                Ok(command)
            }),
            Contender::new(|round| {
                let mut command = metered("sh")?;
                command.args([
                    "-c",
                    "for url; do curl -sSf -O \"$url\" || exit; done",
                    "fetch",
                ]);
                command.args(sources.iter().map(|(url, _)| url));
                command.current_dir(fresh(folder, "peer", round)?);
                Ok(command)
            }),
        ],
    )?;
    let what = format!("eight files of {} MiB, 50 MB/s a connection", bytes >> 20);
    let own = measured(&ours, "first", 1.0)?;
    Ok(vec![
        Row::time(
            4,
            &what,
            own,
            peer("curl, one by one, nothing verified", &theirs, WALL)?,
        )
        .goal(Goal::AtMost(0.5)),
        Row::memory(7, &what, own).goal(MEMORY),
    ])
}

/// The figure `name` of our runs, each divided by `parts`, with the peak memory.
pub(crate) fn measured(runs: &[Figures], name: &str, parts: f64) -> Result<Measured> {
    Ok(Measured {
        time: Spread::named(runs, name, parts).with_context(|| format!("no figure `{name}`"))?,
        peak_kib: Spread::named(runs, PEAK, 1.0).map(|peak| peak.max),
    })
}

/// The figure `figure` of a peer's runs.
pub(crate) fn peer(name: &str, runs: &[Figures], figure: &str) -> Result<Peer> {
    Ok(Peer {
        name: name.to_owned(),
        time: Spread::named(runs, figure, 1.0).with_context(|| format!("no figure `{figure}`"))?,
        peak_kib: Spread::peak_kib(runs),
    })
}

/// An empty folder for a round; that of the round before goes, so that the disk does not fill.
pub(crate) fn fresh(folder: &Path, name: &str, round: usize) -> Result<PathBuf> {
    if let Some(before) = round.checked_sub(1) {
        let before = folder.join(format!("{name}-{before}"));
        if before.exists() {
            untrusted_tree::remove(before, &|| false)?;
        }
    }
    let path = folder.join(format!("{name}-{round}"));
    if path.exists() {
        untrusted_tree::remove(&path, &|| false)?;
    }
    apart_from_others(folder, name, round)
}

/// An empty folder for a round, beside those of the rounds before.
///
/// For rounds that create thousands of small files: ext4 passes over every inode number that was freed in the last
/// seconds, one by one, so after the removal of the round before the same files take ten times as long.
pub(crate) fn apart_from_others(folder: &Path, name: &str, round: usize) -> Result<PathBuf> {
    let path = folder.join(format!("{name}-{round}"));
    fs::create_dir_all(&path)?;
    Ok(path)
}

fn folder_bytes(folder: &Path) -> Result<u64> {
    let output = Command::new("du").args(["-sb"]).arg(folder).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace()
        .next()
        .and_then(|bytes| bytes.parse().ok())
        .context("`du` gave no size")
}
