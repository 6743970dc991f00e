//! The least that a checkout can cost, as a measured case.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Args;

use super::case::figure;
use super::meter::Figures;

/// The folders and files of a tree created anew from memory, on all processors.
#[derive(Debug, Args)]
pub(crate) struct CreateCase {
    /// The tree; what is below `.git` does not count.
    tree: PathBuf,
    #[arg(long)]
    root: PathBuf,
}

/// A folder and its files; nobody else creates files in it, since the kernel locks a folder for
/// each of them.
struct Folder {
    path: PathBuf,
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl CreateCase {
    pub(crate) fn run(&self) -> Result<Figures> {
        let mut folders = Vec::new();
        read(&self.tree, &self.root.join("created"), &mut folders)?;
        let threads = std::thread::available_parallelism()?.get();
        let next = AtomicUsize::new(0);
        let started = Instant::now();
        for folder in &folders {
            fs::create_dir(&folder.path)?;
        }
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads)
                .map(|_| scope.spawn(|| create(&folders, &next)))
                .collect();
            running.into_iter().try_for_each(|thread| {
                let ended = thread.join().ok().context("a thread panicked")?;
                ended.context("cannot create the files")
            })
        })?;
        Ok(figure("seconds", started.elapsed().as_secs_f64()))
    }
}

/// The tree at `from` as it will be at `to`, parents first.
fn read(from: &Path, to: &Path, folders: &mut Vec<Folder>) -> Result<()> {
    let mut folder = Folder {
        path: to.to_owned(),
        files: Vec::new(),
    };
    let mut below = Vec::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            if entry.file_name() != ".git" {
                below.push((path, target));
            }
        } else {
            folder.files.push((target, fs::read(path)?));
        }
    }
    folders.push(folder);
    for (from, to) in below {
        read(&from, &to, folders)?;
    }
    Ok(())
}

fn create(folders: &[Folder], next: &AtomicUsize) -> std::io::Result<()> {
    while let Some(folder) = folders.get(next.fetch_add(1, Ordering::Relaxed)) {
        for (path, bytes) in &folder.files {
            fs::File::create_new(path)?.write_all(bytes)?;
        }
    }
    Ok(())
}
