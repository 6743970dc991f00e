//! The sample worker's source as a bare git repository with a tag and later commits.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use git2::{IndexAddOption, ObjectType, Repository, RepositoryInitOptions, Signature, Time};

/// The folder that holds the sample worker's project.
pub fn worker_source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/worker")
}

/// Creates `<root>/<name>`: the sample worker, tagged `v0.3.0`, one commit past the tag.
///
/// Dates and names are fixed, so every run gives the same commit ids.
///
/// # Errors
/// When the folder cannot be written.
pub fn create(root: &Path, name: &str) -> Result<PathBuf> {
    let work = root.join(format!("{name}.work"));
    copy_project(&worker_source(), &work)?;
    let mut options = RepositoryInitOptions::new();
    options.initial_head("main");
    let repository = Repository::init_opts(&work, &options)?;
    let first = commit(&repository, "Add the sample worker", 1_700_000_000)?;
    let tagger = signature(1_700_000_100)?;
    let target = repository.find_object(first, Some(ObjectType::Commit))?;
    repository.tag("v0.3.0", &target, &tagger, "sample worker 0.3.0", false)?;
    std::fs::write(
        work.join("README.md"),
        "# sample worker\n\nAnswers prompts over HTTP.\n",
    )?;
    commit(&repository, "Say what the worker is for", 1_700_000_200)?;

    let bare = root.join(name);
    std::fs::rename(repository.path(), &bare)?;
    Repository::open(&bare)?
        .config()?
        .set_bool("core.bare", true)?;
    std::fs::remove_dir_all(&work)?;
    Ok(bare)
}

fn commit(repository: &Repository, message: &str, seconds: i64) -> Result<git2::Oid> {
    let mut index = repository.index()?;
    index.add_all(["*"], IndexAddOption::DEFAULT, None)?;
    index.write()?;
    let tree = repository.find_tree(index.write_tree()?)?;
    let author = signature(seconds)?;
    let parent = repository
        .head()
        .ok()
        .map(|head| head.peel_to_commit())
        .transpose()?;
    let parents: Vec<_> = parent.iter().collect();
    Ok(repository.commit(Some("HEAD"), &author, &author, message, &tree, &parents)?)
}

fn signature(seconds: i64) -> Result<Signature<'static>> {
    Ok(Signature::new(
        "rbee samples",
        "samples@rbee.invalid",
        &Time::new(seconds, 0),
    )?)
}

fn copy_project(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)
        .with_context(|| format!("no sample worker at {}", from.display()))?
    {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            if entry.file_name() != "target" {
                copy_project(&entry.path(), &target)?;
            }
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_bare_and_reproducible() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let first = Repository::open(create(folder.path(), "one.git")?)?;
        let second = Repository::open(create(folder.path(), "two.git")?)?;
        assert!(first.is_bare());
        assert_eq!(first.head()?.target(), second.head()?.target());
        assert!(first.find_reference("refs/tags/v0.3.0").is_ok());
        Ok(())
    }
}
