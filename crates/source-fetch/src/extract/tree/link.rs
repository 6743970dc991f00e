//! Links of an archive, none of which may lead out of its root.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{Stop, Tree};
use crate::error::ExtractProblem;
use crate::extract::attributes::{Mtime, set_times};
use crate::extract::path::{climbs_out, relative};

impl Tree<'_> {
    /// Makes a symbolic link whose target must stay inside.
    pub(crate) fn symlink(
        &mut self,
        name: &[u8],
        path: &Path,
        target: &[u8],
        mtime: Mtime,
    ) -> Result<(), Stop> {
        let escapes = || ExtractProblem::LinkEscapes {
            target: String::from_utf8_lossy(target).into_owned(),
        };
        if target.is_empty() || target.contains(&0) || target.starts_with(b"/") {
            return Err(Stop::member(name, escapes()));
        }
        if climbs_out(path, target) {
            return Err(Stop::member(name, escapes()));
        }
        self.clear(name, path)?;
        self.keep(path)?;
        let full = self.root.join(path);
        std::os::unix::fs::symlink(OsStr::from_bytes(target), &full)
            .map_err(|error| self.stop(name, path, error))?;
        set_times(&full, mtime).map_err(|error| self.stop(name, path, error))?;
        self.links.insert(path.to_owned());
        Ok(())
    }

    /// Makes a hard link to an earlier file of the archive.
    pub(crate) fn hard_link(
        &mut self,
        name: &[u8],
        path: &Path,
        target: &[u8],
    ) -> Result<(), Stop> {
        let text = || String::from_utf8_lossy(target).into_owned();
        let inside = relative(target).map_err(|problem| {
            let problem = match problem {
                ExtractProblem::BadPath => ExtractProblem::LinkMissing { target: text() },
                _ => ExtractProblem::LinkEscapes { target: text() },
            };
            Stop::member(name, problem)
        })?;
        let missing = || Stop::member(name, ExtractProblem::LinkMissing { target: text() });
        if inside.as_os_str().is_empty() || self.walk(&inside).is_err() {
            return Err(missing());
        }
        let from = self.root.join(&inside);
        let kind = fs::symlink_metadata(&from).map_err(|_| missing())?;
        if kind.is_dir() || inside == path {
            return Err(missing());
        }
        self.clear(name, path)?;
        // linkat without AT_SYMLINK_FOLLOW: a hard link to a link stays a link.
        fs::hard_link(&from, self.root.join(path)).map_err(|error| self.stop(name, path, error))?;
        if kind.is_symlink() {
            self.keep(path)?;
            self.links.insert(path.to_owned());
        }
        Ok(())
    }
}
