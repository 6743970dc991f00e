//! Answers kept on disk.
//!
//! One answer is one file, written beside its place and renamed over it, so that any number of
//! processes may read and write without a lock: each sees a whole old or a whole new answer. A
//! digest finds what a crash or a full disk left torn.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use http_cache_semantics::CachePolicy;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The layout's name; another layout gets another folder.
const LAYOUT: &str = "catalog-1";
/// What is being written, until it is renamed.
const PARTIAL: &str = ".partial-";
/// A bound on the first two lines: the digest of what follows, then URL and headers.
const HEAD_BYTES: u64 = 1 << 20;
/// A SHA-256 digest in hexadecimal digits.
const DIGEST_CHARS: usize = 64;

/// A folder of answers.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    dir: PathBuf,
    answers: usize,
}

/// A kept answer.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) policy: CachePolicy,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Vec<u8>,
    /// When it was stored, by the clock of the machine that stored it.
    pub(crate) stored: SystemTime,
}

#[derive(Serialize, Deserialize)]
struct Head {
    url: String,
    content_type: Option<String>,
    stored: u64,
    policy: CachePolicy,
}

impl Store {
    pub(crate) fn new(dir: &Path, answers: usize) -> Self {
        Self {
            dir: dir.join(LAYOUT),
            answers: answers.max(1),
        }
    }

    /// The kept answer for a URL, if there is a whole one of at most `limit` bytes. Blocks.
    pub(crate) fn load(&self, url: &str, identity: &str, limit: u64) -> Option<Kept> {
        let path = self.path(url, identity);
        // Opening a pipe would wait for a writer.
        if !fs::symlink_metadata(&path).ok()?.is_file() {
            return None;
        }
        let mut bytes = Vec::new();
        let bound = HEAD_BYTES + limit;
        fs::File::open(&path)
            .ok()?
            .take(bound + 1)
            .read_to_end(&mut bytes)
            .ok()?;
        let (seal, rest) = bytes.split_at_checked(DIGEST_CHARS)?;
        if seal != digest(rest.strip_prefix(b"\n")?).as_bytes() {
            tracing::debug!(%url, "ignoring a damaged cache file");
            return None;
        }
        let start = DIGEST_CHARS + 1;
        let end = start + memchr::memchr(b'\n', &bytes[start..])?;
        let head: Head = serde_json::from_slice(&bytes[start..end]).ok()?;
        let body = bytes.split_off(end + 1);
        if head.url != url || body.len() as u64 > limit {
            return None;
        }
        Some(Kept {
            policy: head.policy,
            content_type: head.content_type,
            body,
            stored: SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(head.stored))?,
        })
    }

    /// Keeps an answer, in place of an older one for the same URL. Blocks.
    pub(crate) fn save(&self, url: &str, identity: &str, kept: &Kept) -> io::Result<()> {
        let head = Head {
            url: url.to_owned(),
            content_type: kept.content_type.clone(),
            stored: kept
                .stored
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs(),
            policy: kept.policy.clone(),
        };
        let mut bytes = serde_json::to_vec(&head)?;
        bytes.push(b'\n');
        bytes.extend_from_slice(&kept.body);
        let seal = format!("{}\n", digest(&bytes));
        private_dir(&self.dir)?;
        let mut file = self.partial()?;
        file.write_all(seal.as_bytes())?;
        file.write_all(&bytes)?;
        file.persist(self.path(url, identity))
            .map_err(|error| error.error)?;
        self.prune();
        Ok(())
    }

    /// A file to write to, locked while its writer lives.
    fn partial(&self) -> io::Result<tempfile::NamedTempFile> {
        loop {
            let file = tempfile::Builder::new()
                .prefix(PARTIAL)
                .tempfile_in(&self.dir)?;
            // Between the two calls another process may have taken it for a dead one's.
            if file.as_file().try_lock().is_ok() && file.path().exists() {
                return Ok(file);
            }
        }
    }

    /// Removes what dead processes left and, beyond the limit, the oldest answers. What another
    /// process removes meanwhile is no loss.
    fn prune(&self) {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return;
        };
        let mut answers = Vec::new();
        for entry in entries.flatten() {
            let Ok(modified) = entry.metadata().and_then(|meta| meta.modified()) else {
                continue;
            };
            if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
                let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
                // The system releases a lock when its owner dies, whatever the clock says.
                if is_file && fs::File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok())
                {
                    let _ = fs::remove_file(entry.path());
                }
            } else {
                answers.push((modified, entry.path()));
            }
        }
        if answers.len() > self.answers {
            answers.sort();
            for (_, path) in &answers[..answers.len() - self.answers] {
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Answers for different credentials have different names, and the name tells neither.
    fn path(&self, url: &str, identity: &str) -> PathBuf {
        let name = Sha256::new()
            .chain_update(url)
            .chain_update([0])
            .chain_update(identity)
            .finalize();
        self.dir.join(hex::encode(name))
    }
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Licensed answers are nobody else's business.
fn private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn kept(body: &str) -> Kept {
        let request = http::Request::new(());
        let response = http::Response::new(());
        Kept {
            policy: CachePolicy::new(&request, &response),
            content_type: Some("text/plain".to_owned()),
            body: body.as_bytes().to_vec(),
            stored: SystemTime::now(),
        }
    }

    #[test]
    fn gives_back_what_was_kept_to_whom_it_was_kept_for() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path(), 8);
        store.save("u", "me", &kept("a\nb")).unwrap();
        assert_eq!(store.load("u", "me", 3).unwrap().body, b"a\nb");
        assert!(store.load("u", "me", 2).is_none(), "over the limit");
        assert!(store.load("u", "you", 3).is_none());
        assert!(store.load("v", "me", 3).is_none());
    }

    #[test]
    fn one_wrong_byte_anywhere_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path(), 8);
        store.save("u", "", &kept("body")).unwrap();
        let path = store.path("u", "");
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert!(store.load("u", "", 99).is_none(), "byte {at}");
            fs::write(&path, &good[..at]).unwrap();
            assert!(store.load("u", "", 99).is_none(), "cut at {at}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_no_answer() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(&dir.path().join("new"), 8);
        store.save("u", "", &kept("body")).unwrap();
        let mode = fs::metadata(&store.dir).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let path = store.path("u", "");
        fs::remove_file(&path).unwrap();
        symlink("/dev/zero", &path).unwrap();
        assert!(store.load("u", "", 99).is_none());
    }

    #[test]
    fn abandoned_partial_files_go() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path(), 8);
        store.save("u", "", &kept("body")).unwrap();
        let (old, new) = (store.dir.join(".partial-a"), store.dir.join(".partial-b"));
        fs::File::create(&old).unwrap();
        let living = fs::File::create(&new).unwrap();
        living.lock().unwrap();
        living.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        store.save("v", "", &kept("body")).unwrap();
        assert!(!old.exists() && new.exists());
    }
}
