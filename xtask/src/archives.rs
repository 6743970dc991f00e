//! `cargo xtask archives`: what is unpacked here, held against what bsdtar(1) unpacks, which makepkg calls.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};
use source_fetch::{Directories, FetchError, Policy, SourceRequest, fetch_all};
use tokio_util::sync::CancellationToken;

/// Unpack every archive below a directory here and with bsdtar, and compare names, modes, times, links and bytes.
///
/// Exit status: 0 when nothing differs. What is refused here and not by bsdtar is listed, and is no difference.
#[derive(Debug, clap::Args)]
pub(crate) struct Archives {
    /// Where the archives are, at any depth; other files are passed over.
    directory: PathBuf,
    /// Stop after so many archives.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// Kind and mode, size, time, target of a link, number of names, digest.
type Described = (u32, u64, i64, Option<PathBuf>, u64, Option<Vec<u8>>);

#[derive(Default)]
struct Count {
    archives: usize,
    entries: usize,
    different: usize,
    refused: usize,
}

impl Archives {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let token = interrupt::token()?;
        if Command::new("bsdtar").arg("--version").output().is_err() {
            bail!("there is no `bsdtar` to compare with; it is in the package libarchive-tools");
        }
        let mut count = Count::default();
        let mut pending = vec![self.directory.clone()];
        while let Some(path) = pending.pop() {
            if path.is_dir() {
                let entries = fs::read_dir(&path)
                    .with_context(|| format!("failed to list `{}`", path.display()))?;
                let mut below: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
                below.sort_by(|one, other| other.cmp(one));
                pending.extend(below);
                continue;
            }
            if token.is_cancelled() || self.limit.is_some_and(|limit| count.archives >= limit) {
                break;
            }
            if path.is_file() {
                compare(&path, &token, &mut count).await?;
            }
        }
        println!(
            "{} archives with {} entries: {} different, {} refused here alone",
            count.archives, count.entries, count.different, count.refused
        );
        Ok(match count.different {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        })
    }
}

async fn compare(path: &Path, token: &CancellationToken, count: &mut Count) -> Result<()> {
    let place = tempfile::tempdir()?;
    let expected = place.path().join("expected");
    fs::create_dir(&expected)?;
    let unpacked = Command::new("bsdtar")
        .args(["--no-same-owner", "--no-same-permissions", "-xf"])
        .arg(fs::canonicalize(path)?)
        .arg("-C")
        .arg(&expected)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if !unpacked.success() {
        return remove(place);
    }
    count.archives += 1;
    let theirs = describe(&expected)?;
    count.entries += theirs.len();
    // A name of its own, so that what is in the archive can be told from it.
    let name = "\u{fffc}the-archive";
    let start = place.path().join("start");
    fs::create_dir(&start)?;
    fs::copy(path, start.join(name))?;
    let directories = Directories {
        srcdir: place.path().join("src"),
        cache: place.path().join("cache"),
        startdir: start,
    };
    let request = SourceRequest::new(name.parse()?);
    let policy = Policy {
        allow_no_digest: true,
        ..Policy::default()
    };
    match fetch_all(&[request], &directories, &policy, token, &|_| {}).await {
        Ok(_) => {
            fs::remove_file(directories.srcdir.join(name))?;
            let ours = describe(&directories.srcdir)?;
            if let Some(difference) = difference(&theirs, &ours) {
                count.different += 1;
                println!("different: {}: {difference}", path.display());
            }
        }
        Err(FetchError::Cancelled) => {}
        Err(error) => {
            count.refused += 1;
            println!(
                "refused: {}: {:#}",
                path.display(),
                anyhow::Error::from(error)
            );
        }
    }
    remove(place)
}

/// Archives may hold directories that nobody may write to.
fn remove(place: tempfile::TempDir) -> Result<()> {
    let path = place.keep();
    untrusted_tree::remove(&path, &|| false)
        .map_err(std::io::Error::from)
        .with_context(|| format!("failed to remove `{}`", path.display()))
}

fn difference(
    theirs: &BTreeMap<PathBuf, Described>,
    ours: &BTreeMap<PathBuf, Described>,
) -> Option<String> {
    let missing = theirs.keys().find(|path| !ours.contains_key(*path));
    if let Some(path) = missing {
        return Some(format!("`{}` is missing", path.display()));
    }
    let surplus = ours.keys().find(|path| !theirs.contains_key(*path));
    if let Some(path) = surplus {
        return Some(format!("`{}` is there besides", path.display()));
    }
    theirs
        .iter()
        .find(|(path, described)| ours.get(*path) != Some(described))
        .map(|(path, described)| {
            format!(
                "`{}` is {:?} and not {described:?}",
                path.display(),
                ours.get(path)
            )
        })
}

fn describe(root: &Path) -> Result<BTreeMap<PathBuf, Described>> {
    let now = UNIX_EPOCH.elapsed()?.as_secs().cast_signed();
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let meta = fs::symlink_metadata(&path)?;
            // What is in no archive is dated now, by each tool a little later.
            let is_now = (now - meta.mtime()).abs() < 3600;
            let time = if is_now { i64::MAX } else { meta.mtime() };
            let (size, names) = if meta.is_dir() {
                (0, 0)
            } else {
                (meta.len(), meta.nlink())
            };
            let digest = if meta.is_file() {
                Some(digest(&path)?)
            } else {
                None
            };
            let target = fs::read_link(&path).ok();
            let relative = path.strip_prefix(root)?.to_owned();
            found.insert(relative, (meta.mode(), size, time, target, names, digest));
            if meta.is_dir() {
                pending.push(path);
            }
        }
    }
    Ok(found)
}

fn digest(path: &Path) -> Result<Vec<u8>> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(hasher.finalize().to_vec());
        }
        hasher.update(&buffer[..count]);
    }
}
