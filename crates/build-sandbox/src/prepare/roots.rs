//! The part of a root that all builds share, made when it is first needed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::unistd::{Gid, Uid};

use super::view::{EMPTY, Shown, shared, tree};
use super::{System, path_text, text};
use crate::config::Config;
use crate::error::SandboxError;
use crate::sys::Root;
use crate::sys::plan::{Prepared, RootPlan};
use crate::users;

/// Empty directories that one root can have for mount points.
const EMPTY_MAX: usize = 64;
/// How deep below `/` they may be: whoever shares the root sees their names.
const DEPTH_MAX: usize = 2;
/// Each run has these for itself; the second leads to the first.
const OWN: [&str; 2] = ["/tmp", "/var/tmp"];

/// The root that was made last. Without one, or where it does not fit, a run makes its own.
#[derive(Debug, Default)]
pub(crate) struct Roots {
    allowed: AtomicBool,
    making: AtomicBool,
    made: Mutex<Option<Made>>,
}

/// Held by the one who makes a root.
struct Making<'a>(&'a AtomicBool);

impl<'a> Making<'a> {
    fn begin(making: &'a AtomicBool) -> Option<Self> {
        (!making.swap(true, Ordering::Acquire)).then_some(Self(making))
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[derive(Clone, Debug)]
struct Made {
    system: Arc<System>,
    taken: Arc<Taken>,
    /// Directories in which nothing is shown.
    empty: BTreeSet<PathBuf>,
    /// Whether one was tried to make with them.
    tried: bool,
    /// Absent where the host refused it.
    root: Option<Arc<Root>>,
}

/// Where something is shown.
#[derive(Debug)]
struct Taken(BTreeSet<PathBuf>);

/// What a plan needs to make use of prepared roots.
#[derive(Clone, Copy)]
pub(crate) struct Offer<'a> {
    pub(crate) roots: &'a Roots,
    pub(crate) config: &'a Config,
    pub(crate) cancelled: &'a dyn Fn() -> bool,
}

impl Roots {
    /// Says whether a trial run in a copy of a prepared root went well; before that none is made.
    pub(crate) fn allow(&self, allowed: bool) {
        self.allowed.store(allowed, Ordering::Relaxed);
    }

    /// The root that is at hand.
    #[cfg(all(test, target_os = "linux"))]
    pub(crate) fn at_hand(&self) -> Option<Arc<Root>> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.as_ref().and_then(|made| made.root.clone())
    }

    /// Puts descriptors of something else in the place of the root that was made.
    #[cfg(all(test, target_os = "linux"))]
    pub(crate) fn spoil(&self) -> bool {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let root = made.as_mut().and_then(|made| made.root.as_mut());
        root.is_some_and(|root| {
            *root = Arc::new(Root::spoilt());
            true
        })
    }
}

impl Offer<'_> {
    /// A prepared root in which `own` can be mounted, if there is one.
    pub(super) fn get(&self, system: &Arc<System>, own: &[Shown]) -> Option<Prepared> {
        if !self.roots.allowed.load(Ordering::Relaxed) {
            return None;
        }
        let last = || {
            self.roots
                .made
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let known = last()
            .as_ref()
            .filter(|made| Arc::ptr_eq(&made.system, system))
            .cloned();
        let mut made = known.unwrap_or_else(|| Made {
            system: Arc::clone(system),
            taken: Arc::new(Taken::by(system)),
            empty: BTreeSet::new(),
            tried: false,
            root: None,
        });
        let points = made.taken.points(own)?;
        if !made.tried || !points.is_subset(&made.empty) {
            // Whoever comes while it is made does without rather than wait.
            let _making = Making::begin(&self.roots.making)?;
            made.empty.extend(points.iter().cloned());
            made.tried = true;
            made.root = self.make(&made);
            if made.root.is_none() && (self.cancelled)() {
                // That says nothing of the host.
                return None;
            }
            *last() = Some(made.clone());
        }
        let root = made.root?;
        // What is mounted there itself needs no room for mount points.
        let whole = |path: &PathBuf| own.iter().any(|shown| shown.target == *path);
        let covers = points.into_iter().filter(|path| !whole(path));
        let covers: Result<_, _> = covers.map(|path| path_text(&path)).collect();
        Some(Prepared {
            root,
            covers: covers.ok()?,
        })
    }

    fn make(&self, made: &Made) -> Option<Arc<Root>> {
        let fits = made.empty.len() <= EMPTY_MAX && !made.taken.below(Path::new(OWN[0]));
        let plan = fits.then(|| self.plan(made).ok()).flatten()?;
        match Root::prepare(&plan, self.cancelled) {
            Ok(root) => Some(Arc::new(root)),
            Err((step, error)) => {
                tracing::debug!(step, %error, "no root is prepared, so each run makes its own");
                None
            }
        }
    }

    fn plan(&self, made: &Made) -> Result<RootPlan, SandboxError> {
        let usual = EMPTY.iter().map(PathBuf::from);
        let directories = usual.chain(made.empty.iter().cloned()).collect();
        let (user, group) = (Uid::effective(), Gid::effective());
        let privileged = user.is_root();
        let map = |own: u32| {
            let mut lines = format!("{own} {own} 1\n");
            if privileged {
                for range in users::ranges(self.config) {
                    let first = (*range.start()).max(1);
                    if first <= *range.end() {
                        let count = range.end() - first + 1;
                        let _ = writeln!(lines, "{first} {first} {count}");
                    }
                }
            }
            text(lines)
        };
        Ok(RootPlan {
            identity: (user.as_raw(), group.as_raw()),
            maps: [map(user.as_raw())?, map(group.as_raw())?],
            deny_groups: !privileged,
            tree: tree(shared(&made.system), directories, &made.system)?,
        })
    }
}

impl Taken {
    fn by(system: &System) -> Self {
        let mut taken: BTreeSet<PathBuf> = ["/dev", "/proc"].map(PathBuf::from).into();
        taken.extend(shared(system).into_iter().map(|shown| shown.target));
        taken.extend(system.files.iter().map(|(path, _)| path.clone()));
        taken.extend(system.links.iter().map(|(_, path)| path.clone()));
        taken.extend(system.masked.iter().cloned());
        Self(taken)
    }

    /// Whether something is shown at `path` or below.
    fn below(&self, path: &Path) -> bool {
        let onwards = (Bound::Included(path), Bound::Unbounded);
        let next = self.0.range::<Path, _>(onwards).next();
        next.is_some_and(|next| next.starts_with(path))
    }

    /// The empty directories in which `own` can be mounted. Nothing if there cannot be all of them.
    fn points(&self, own: &[Shown]) -> Option<BTreeSet<PathBuf>> {
        let mut points = BTreeSet::new();
        for shown in own {
            let target = &shown.target;
            if OWN.iter().any(|own| target.starts_with(own)) {
                continue;
            }
            if target.ancestors().any(|above| self.0.contains(above)) {
                return None;
            }
            let mut outer: Vec<&Path> = target.ancestors().collect();
            outer.reverse();
            // Not `/` itself.
            let mut outer = outer.into_iter().skip(1).take(DEPTH_MAX);
            points.insert(outer.find(|path| !self.below(path))?.to_owned());
        }
        Some(points)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(target: &str) -> Shown {
        Shown {
            source: "/source".into(),
            target: target.into(),
            writable: false,
            optional: false,
        }
    }

    #[test]
    fn mount_points_are_made_where_nothing_is_shown() {
        let taken = [
            "/dev",
            "/usr",
            "/opt/kit",
            "/var/lib/texmf",
            "/home/user/bin/x",
        ];
        let taken = Taken(taken.map(PathBuf::from).into());
        for (target, point) in [
            ("/work/a/b", Some("/work")),
            ("/work", Some("/work")),
            ("/var/cache/a/b", Some("/var/cache")),
            ("/opt/other", Some("/opt/other")),
            ("/optional", Some("/optional")),
            ("/tmp/a", Some("")),
            ("/var/tmp/a", Some("")),
            // Something is shown there, or below.
            ("/usr/local/a", None),
            ("/usr", None),
            ("/opt", None),
            ("/var", None),
            ("/dev/shm", None),
            // Too deep for a name that all may see.
            ("/home/user/builds/a", None),
            ("/", None),
        ] {
            let expected = point.map(|point| match point {
                "" => BTreeSet::new(),
                point => [PathBuf::from(point)].into(),
            });
            assert_eq!(taken.points(&[at(target)]), expected, "{target}");
        }
    }
}
