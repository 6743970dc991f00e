//! A working copy that needs nothing outside itself.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use git2::{Oid, Repository};
use tokio_util::sync::CancellationToken;

use super::error::GitProblem;
use super::history::History;
use super::local::link_store;
use super::mirror::{Head, Mirror, References, Resolved, packed_refs, shallow_file};
use super::options::GitLimits;
use super::pack::io_problem;
use super::tree::{self, Listing};
use crate::source::GitReference;

mod files;
mod index;

/// Where a checkout without history says which commits lack their parents; under the name `shallow` git would take the
/// history for whole.
const CUT: &str = "history-cut";
/// The branch makepkg puts a chosen revision on: `source/git.sh`.
const BRANCH: &str = "refs/heads/makepkg";

/// A checkout that is whole but not yet in its place; removed when dropped.
#[derive(Debug)]
pub(super) struct Prepared {
    directory: Unfinished,
    destination: PathBuf,
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl Prepared {
    /// Moves the checkout to its destination in one step.
    pub(super) fn publish(self) -> Result<(), GitProblem> {
        let Self {
            directory,
            destination,
            ..
        } = self;
        // `rename` would silently take the place of an empty directory, which is as good as none.
        match fs::rename(directory.path(), &destination) {
            Ok(()) => {
                // Nothing is left there to be removed.
                directory.forget();
                Ok(())
            }
            Err(error) if destination.exists() => {
                drop(error);
                Err(GitProblem::Exists { path: destination })
            }
            Err(error) => Err(io_problem("create", destination)(error)),
        }
    }
}

/// A checkout that is removed when dropped, however deep its directories are.
#[derive(Debug)]
struct Unfinished(PathBuf);

impl Unfinished {
    fn path(&self) -> &Path {
        &self.0
    }

    fn forget(mut self) {
        self.0 = PathBuf::new();
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.0.as_os_str().is_empty() {
            return;
        }
        if let Err(error) = untrusted_tree::remove(&self.0, &|| false) {
            tracing::warn!(%error, "an unfinished checkout was not removed");
        }
    }
}

/// What a checkout is made from.
pub(super) struct Plan<'a> {
    pub(super) mirror: &'a Mirror,
    pub(super) url: &'a str,
    pub(super) reference: &'a GitReference,
    pub(super) history: History,
    pub(super) resolved: Resolved,
    pub(super) limits: &'a GitLimits,
    pub(super) token: &'a CancellationToken,
}

/// Makes a checkout beside `destination`.
pub(super) fn prepare(plan: &Plan<'_>, destination: &Path) -> Result<Prepared, GitProblem> {
    if fs::symlink_metadata(destination).is_ok_and(|m| !m.is_dir())
        || fs::read_dir(destination).is_ok_and(|mut entries| entries.next().is_some())
    {
        return Err(GitProblem::Exists {
            path: destination.to_owned(),
        });
    }
    let parent = destination.parent().unwrap_or(destination);
    fs::create_dir_all(parent).map_err(io_problem("create", parent))?;
    let name = destination
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    let directory = tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .permissions(Permissions::from_mode(0o777))
        .tempdir_in(parent)
        .map_err(io_problem("create a directory in", parent))?;
    let directory = Unfinished(directory.keep());

    let listing = Listing {
        repository: plan.mirror.repository(),
        mirror: plan.mirror.path(),
        url: plan.url,
        max: plan.limits.files,
        token: plan.token,
    };
    let mut entries = tree::list(&listing, plan.resolved.commit)?;
    files::set_conversions(plan, &mut entries)?;
    initialise(plan, directory.path())?;
    let (mirror, token) = (plan.mirror.path(), plan.token.child_token());
    let bytes = std::thread::scope(|scope| {
        let copied = scope.spawn(|| copy_objects(mirror, directory.path(), &token));
        let written = files::write(plan, directory.path(), &entries);
        if written.is_err() {
            token.cancel();
        }
        match copied.join() {
            Ok(copied) => written.and_then(|bytes| copied.map(|()| bytes)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })?;
    Ok(Prepared {
        directory,
        destination: destination.to_owned(),
        files: entries.len() as u64,
        bytes,
    })
}

/// Gives the checkout objects of its own: copies, not links, since what a build does to its `.git` must not reach
/// the cache.
fn copy_objects(
    mirror: &Path,
    directory: &Path,
    token: &CancellationToken,
) -> Result<(), GitProblem> {
    let (from, to) = (mirror.join("objects"), directory.join(".git/objects"));
    link_store(&from, &to, token, false)
}

/// The `.git` of the checkout, but for its objects, with the references `git clone` would leave.
fn initialise(plan: &Plan<'_>, directory: &Path) -> Result<(), GitProblem> {
    let git = |source| GitProblem::Library {
        url: plan.url.to_owned(),
        action: "create the checkout",
        source,
    };
    let mirror_head = plan.mirror.head()?;
    let default_branch = match &mirror_head {
        Head::Branch(name) => name.strip_prefix("refs/heads/"),
        Head::Detached(_) => None,
    };
    let head = match (plan.reference, default_branch) {
        (GitReference::Default, Some(branch)) => Some(format!("refs/heads/{branch}")),
        (GitReference::Default, None) => None,
        _ => Some(BRANCH.to_owned()),
    };
    let mut options = git2::RepositoryInitOptions::new();
    options
        .external_template(false)
        .initial_head(head.as_deref().unwrap_or("main"));
    let repository = Repository::init_opts(directory, &options).map_err(git)?;
    let git_directory = directory.join(".git");

    let shallow: BTreeSet<Oid> = plan
        .mirror
        .shallow()?
        .into_iter()
        .filter(|id| plan.mirror.has(*id))
        .collect();
    let write = |name: &str, text: &[u8]| {
        let path = git_directory.join(name);
        fs::write(&path, text).map_err(io_problem("write", path))
    };
    if !shallow.is_empty() {
        // Where history was left out, git is not told where it ends, so that a build which counts or describes commits
        // fails and does not get a wrong answer.
        let name = match plan.history {
            History::Shallow => CUT,
            History::Full => "shallow",
        };
        write(name, shallow_file(&shallow).as_bytes())?;
    }

    let mut references = references(plan, default_branch)?;
    if let Some(name) = &head {
        references.insert(name.clone().into_bytes(), plan.resolved.commit);
    } else {
        write("HEAD", format!("{}\n", plan.resolved.commit).as_bytes())?;
    }
    write("packed-refs", &packed_refs(&references))?;
    if let Some(branch) = default_branch
        && references.contains_key(format!("refs/remotes/origin/{branch}").as_bytes())
    {
        let remotes = git_directory.join("refs/remotes/origin");
        fs::create_dir_all(&remotes).map_err(io_problem("create", &remotes))?;
        write(
            "refs/remotes/origin/HEAD",
            format!("ref: refs/remotes/origin/{branch}\n").as_bytes(),
        )?;
    }

    let configure = || -> Result<(), git2::Error> {
        let mut config = repository.config()?.open_level(git2::ConfigLevel::Local)?;
        // The person's own setting must not change what is built.
        config.set_bool("core.autocrlf", false)?;
        config.set_str("remote.origin.url", plan.url)?;
        config.set_str("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")?;
        if let (GitReference::Default, Some(branch)) = (plan.reference, default_branch) {
            config.set_str(&format!("branch.{branch}.remote"), "origin")?;
            config.set_str(
                &format!("branch.{branch}.merge"),
                &format!("refs/heads/{branch}"),
            )?;
        }
        Ok(())
    };
    configure().map_err(git)
}

/// With full history all that the mirror has, else only what was asked for: the rest may be out of date.
fn references(plan: &Plan<'_>, default_branch: Option<&str>) -> Result<References, GitProblem> {
    let wanted = match plan.reference {
        GitReference::Default => default_branch.map(|branch| format!("refs/heads/{branch}")),
        other => other.full_name(),
    };
    let mut references = References::new();
    for (name, id) in plan.mirror.references()? {
        if plan.history == History::Shallow
            && wanted
                .as_ref()
                .is_none_or(|wanted| *wanted.as_bytes() != *name)
        {
            continue;
        }
        if let Some(branch) = name.strip_prefix(b"refs/heads/") {
            if plan.history == History::Full
                && default_branch.is_some_and(|default| default.as_bytes() == branch)
            {
                references.insert(name.clone(), id);
            }
            references.insert([b"refs/remotes/origin/", branch].concat(), id);
        } else if name.starts_with(b"refs/tags/") {
            references.insert(name, id);
        }
    }
    Ok(references)
}

/// The commits without parents that a repository names.
pub(super) fn read_shallow(git_directory: &Path) -> Result<Vec<Oid>, GitProblem> {
    let path = git_directory.join("shallow");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(io_problem("read", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_unfinished_checkout_is_removed_at_any_depth() {
        let root = tempfile::tempdir().unwrap();
        let directory = Unfinished(root.path().join("work"));
        // Past the descriptors of most processes, within the longest path.
        let deep: PathBuf = std::iter::repeat_n("d", 1700).collect();
        fs::create_dir_all(directory.path().join(deep)).unwrap();
        let read_only = Permissions::from_mode(0o500);
        fs::set_permissions(directory.path().join("d/d"), read_only).unwrap();
        drop(directory);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
