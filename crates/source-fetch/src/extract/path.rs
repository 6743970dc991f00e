//! Names and links of members, judged before and after they are on disk.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::Stop;
use crate::error::ExtractProblem;

/// Steps that following all links of an archive may take, and more for each link.
///
/// Real archives need some twenty for each. Links that name one another twice need twice as many
/// steps with each further link, so that following them all would never end.
const STEPS: u64 = 65_536;
const STEPS_FOR_A_LINK: u64 = 128;

/// Follows each link component by component and refuses one that leaves `root` on the way, or whose
/// way is too long to tell.
///
/// The names alone do not tell: `a/../..` climbs further when `a` is itself a link.
pub(crate) fn check_links(
    root: &Path,
    links: &[PathBuf],
    token: &CancellationToken,
) -> Result<(), Stop> {
    let mut left = STEPS.saturating_add(STEPS_FOR_A_LINK.saturating_mul(links.len() as u64));
    for link in links {
        if token.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        let problem = match follow(root, link, &mut left) {
            Way::Inside => continue,
            Way::Outside => {
                let target = fs::read_link(root.join(link)).unwrap_or_default();
                ExtractProblem::LinkEscapes {
                    target: target.to_string_lossy().into_owned(),
                }
            }
            Way::TooLong => ExtractProblem::LinkTooLong,
        };
        return Err(Stop::member(link.as_os_str().as_bytes(), problem));
    }
    Ok(())
}

/// Where a link leads.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    Inside,
    Outside,
    TooLong,
}

/// Resolves `path` below `root`; a circle or a missing file stays inside, as it leads nowhere.
fn follow(root: &Path, path: &Path, left: &mut u64) -> Way {
    let mut pending: Vec<std::ffi::OsString> = reversed(path);
    let mut at = PathBuf::new();
    // The links whose targets are still being resolved, each with what was pending before it.
    let mut resolving: Vec<(PathBuf, usize)> = Vec::new();
    while let Some(part) = pending.pop() {
        let Some(fewer) = left.checked_sub(1) else {
            return Way::TooLong;
        };
        *left = fewer;
        while resolving
            .last()
            .is_some_and(|(_, before)| pending.len() < *before)
        {
            resolving.pop();
        }
        if part == ".." {
            if !at.pop() {
                return Way::Outside;
            }
            continue;
        }
        let next = at.join(&part);
        match fs::read_link(root.join(&next)) {
            Ok(target) if target.is_absolute() => return Way::Outside,
            // Resolving it needs itself resolved first.
            Ok(_) if resolving.iter().any(|(link, _)| *link == next) => return Way::Inside,
            Ok(target) => {
                resolving.push((next, pending.len()));
                pending.extend(reversed(&target));
            }
            // The system takes no path this long either, and calls a link there is none.
            Err(error) if error.raw_os_error() == Some(TOO_LONG) => return Way::TooLong,
            Err(_) => at = next,
        }
    }
    Way::Inside
}

const TOO_LONG: i32 = rustix::io::Errno::NAMETOOLONG.raw_os_error();

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

/// A name without the letter of a drive, and the slashes behind that: bsdtar's `strip_absolute_path`. A path that is absolute
/// without a drive is none of Windows, and stays.
fn without_drive(name: &[u8]) -> &[u8] {
    let mut rest = name;
    while let [letter, b':', behind @ ..] = rest
        && letter.is_ascii_alphabetic()
    {
        let slashes = behind
            .iter()
            .take_while(|byte| matches!(byte, b'/' | b'\\'));
        rest = &behind[slashes.count()..];
    }
    rest
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
    for part in Path::new(OsStr::from_bytes(without_drive(name))).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => return Err(ExtractProblem::Climbs),
            Component::RootDir | Component::Prefix(_) => return Err(ExtractProblem::Absolute),
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::symlink;

    use super::*;

    fn ways(links: &[(&str, &str)]) -> Vec<Way> {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("d/e")).unwrap();
        for (name, target) in links {
            symlink(target, root.path().join(name)).unwrap();
        }
        let mut left = STEPS;
        let follow = |(name, _): &(&str, &str)| follow(root.path(), Path::new(name), &mut left);
        links.iter().map(follow).collect()
    }

    #[test]
    fn circles_lead_nowhere_and_detours_outside_are_found() {
        assert_eq!(ways(&[("a", "b"), ("b", "a")]), [Way::Inside, Way::Inside]);
        assert_eq!(ways(&[("a", "a/..")]), [Way::Inside]);
        assert_eq!(ways(&[("a", "d/e"), ("b", "a/../../..")])[1], Way::Outside);
        // The same link twice, one after the other, is no circle.
        assert_eq!(
            ways(&[("a", "d"), ("b", "a/../a/../a/e/../../..")])[1],
            Way::Outside
        );
        assert_eq!(ways(&[("a", "d"), ("b", "a/../a/e")])[1], Way::Inside);
    }

    #[test]
    fn a_way_outside_cannot_hide_behind_a_long_one() {
        // Each resolves the one before it fourteen times and stays where it is.
        let mut links: Vec<(String, String)> = vec![("l0".to_owned(), "d/..".to_owned())];
        for level in 1..6 {
            let target = vec![format!("l{}", level - 1); 14].join("/");
            links.push((format!("l{level}"), target));
        }
        links.push(("leak".to_owned(), "l5/../etc/hostname".to_owned()));
        let links: Vec<(&str, &str)> = links
            .iter()
            .map(|(name, target)| (name.as_str(), target.as_str()))
            .collect();
        assert_ne!(ways(&links).last(), Some(&Way::Inside));
    }
}
