//! Names and links of members, judged before and after they are on disk.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::Stop;
use crate::error::ExtractProblem;

/// Follows each link component by component and refuses one that leaves `root` on the way.
///
/// The names alone do not tell: `a/../..` climbs further when `a` is itself a link.
pub(crate) fn check_links(root: &Path, links: &[PathBuf]) -> Result<(), Stop> {
    for link in links {
        let mut steps = 0;
        if !stays_inside(root, link, &mut steps) {
            let target = fs::read_link(root.join(link)).unwrap_or_default();
            return Err(Stop::member(
                link.as_os_str().as_bytes(),
                ExtractProblem::LinkEscapes {
                    target: target.to_string_lossy().into_owned(),
                },
            ));
        }
    }
    Ok(())
}

/// Resolves `path` below `root`; a circle or a missing file stays inside, as it leads nowhere.
fn stays_inside(root: &Path, path: &Path, steps: &mut u32) -> bool {
    let mut pending: Vec<std::ffi::OsString> = reversed(path);
    let mut at = PathBuf::new();
    while let Some(part) = pending.pop() {
        *steps += 1;
        if *steps > 4096 {
            return true;
        }
        if part == ".." {
            if !at.pop() {
                return false;
            }
            continue;
        }
        let next = at.join(&part);
        match fs::read_link(root.join(&next)) {
            Ok(target) if target.is_absolute() => return false,
            Ok(target) => pending.extend(reversed(&target)),
            Err(_) => at = next,
        }
    }
    true
}

fn reversed(path: &Path) -> Vec<std::ffi::OsString> {
    path.components()
        .rev()
        .filter(|part| !matches!(part, Component::CurDir))
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

/// Judges a link by names alone, before it is made.
pub(super) fn climbs_out(link: &Path, target: &[u8]) -> bool {
    let mut depth = link.components().count() - 1;
    for part in Path::new(OsStr::from_bytes(target)).components() {
        match part {
            Component::ParentDir if depth == 0 => return true,
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    false
}

/// Turns a member's name into a path below the root; empty is the root itself.
///
/// # Errors
/// [`ExtractProblem::BadPath`], [`ExtractProblem::Climbs`], [`ExtractProblem::Absolute`].
pub(super) fn relative(name: &[u8]) -> Result<PathBuf, ExtractProblem> {
    if name.is_empty() || name.contains(&0) {
        return Err(ExtractProblem::BadPath);
    }
    let mut path = PathBuf::new();
    for part in Path::new(OsStr::from_bytes(name)).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => return Err(ExtractProblem::Climbs),
            Component::RootDir | Component::Prefix(_) => return Err(ExtractProblem::Absolute),
        }
    }
    Ok(path)
}
