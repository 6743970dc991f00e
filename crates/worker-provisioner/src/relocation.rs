//! A package is made for `/`, and stored elsewhere: what changes so that it works there, and what
//! cannot work.

mod elf;
mod references;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use untrusted_tree::{Kind, Limits, Tree, TreeError, Visit};

use crate::error::ProvisionError;
use elf::Dynamic;
use references::Script;

/// What was changed of a package, and what its program is started with, so that it works where it is
/// stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Relocation {
    /// Directories of the tree, relative to its root, in which the loader looks for libraries that the
    /// program would otherwise not find (ld.so(8), "`LD_LIBRARY_PATH`").
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub library_dirs: Vec<PathBuf>,
    /// Directories of the tree in which Python looks for the program's modules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub python_dirs: Vec<PathBuf>,
    /// What was changed: links into the package that were absolute, and `#!` lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rewritten: Vec<PathBuf>,
}

impl Relocation {
    /// Whether the program is started with nothing in its environment.
    pub(crate) fn is_plain(&self) -> bool {
        self.library_dirs.is_empty() && self.python_dirs.is_empty()
    }

    /// The variables that the program is started with, and the directories each lists first.
    pub(crate) fn variables(&self) -> [(&'static str, &[PathBuf]); 2] {
        [
            ("LD_LIBRARY_PATH", &self.library_dirs),
            ("PYTHONPATH", &self.python_dirs),
        ]
    }

    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// A package tree that is about to be stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Staged<'a> {
    /// The worker.
    pub(crate) id: &'a str,
    /// Where it is, out of the build's reach.
    pub(crate) root: &'a Path,
    /// Where it will be.
    pub(crate) home: &'a Path,
    /// The program, relative to the root.
    pub(crate) program: &'a Path,
    /// The build directory, which is about to go.
    pub(crate) startdir: &'a Path,
}

/// The most problems and warnings that are told.
const MAX_TOLD: usize = 20;

/// The most bytes that are kept of what the loader is told by all files of a tree.
const MAX_KEPT: usize = 64 << 20;

/// What was found of a tree.
#[derive(Debug, Default)]
struct Found {
    kept: usize,
    relocation: Relocation,
    problems: Vec<String>,
    warnings: Vec<String>,
    /// Where each library is, by its name.
    libraries: BTreeMap<String, BTreeSet<PathBuf>>,
    programs: BTreeMap<PathBuf, Dynamic>,
}

/// Makes a package work where it will be stored; the answer has what was done, and warnings.
///
/// # Errors
/// [`ProvisionError::NotRelocatable`] with everything that cannot work there,
/// [`ProvisionError::Cancelled`], [`ProvisionError::Io`].
pub(crate) fn relocate(
    staged: Staged<'_>,
    cancelled: &dyn Fn() -> bool,
) -> Result<(Relocation, Vec<String>), ProvisionError> {
    let failed = |source: TreeError| ProvisionError::tree("read", staged.root, source);
    let tree = Tree::open(staged.root).map_err(failed)?;
    let mut found = Found::default();
    let mut walk = tree.walk(&Limits::default(), cancelled).map_err(failed)?;
    // Changed only once the walk is over, which would not see what it expects.
    let (mut links, mut lines) = (Vec::new(), Vec::new());
    while let Some(visit) = walk.next().map_err(failed)? {
        let Visit::Entry(entry) = visit else { continue };
        let path = walk.relative_path(&entry);
        match entry.kind {
            Kind::Directory => {
                walk.descend(&entry).map_err(failed)?;
            }
            Kind::Link => {
                let target = walk.read_link(&entry).map_err(failed)?;
                found.note_library(&path);
                if target.starts_with(staged.startdir) {
                    found.problem(format!(
                        "`{}` is a link into the build directory: link to its place in the package",
                        path.display()
                    ));
                } else if let Some(own) = inside(&tree, &target) {
                    links.push((path, own));
                }
            }
            _ => {
                let mode = walk.mode(&entry).map_err(failed)?;
                let file = walk.open_file(&entry).map_err(failed)?;
                let io = |source| ProvisionError::io("read", &staged.root.join(&path), source);
                let needle = staged.startdir.as_os_str().as_encoded_bytes();
                let names_build_dir =
                    references::holds(&file, needle, cancelled).map_err(|source| {
                        if cancelled() {
                            ProvisionError::Cancelled
                        } else {
                            io(source)
                        }
                    })?;
                if let Some(script) = Script::read(&file).map_err(io)? {
                    let is_started = mode & 0o111 != 0;
                    if let Some(line) = found.script(staged, &tree, &path, &script, is_started) {
                        lines.push((path, line));
                    }
                } else {
                    let dynamic = elf::dynamic(&file);
                    found.file(staged, path, dynamic, names_build_dir);
                }
            }
        }
    }
    for (path, target) in links {
        relink(staged.root, &path, &target)
            .map_err(|source| ProvisionError::io("link", &staged.root.join(&path), source))?;
        found.relocation.rewritten.push(path);
    }
    for (path, line) in lines {
        references::replace_line(&staged.root.join(&path), &line)
            .map_err(|source| ProvisionError::io("write", &staged.root.join(&path), source))?;
        found.relocation.rewritten.push(path);
    }
    // One that leads outside is refused for that.
    let program = tree
        .resolve(staged.program)
        .unwrap_or_else(|_| staged.program.to_owned());
    found.search(&program);
    found.python(staged.root, &program);
    let listed = found
        .relocation
        .variables()
        .into_iter()
        .flat_map(|(_, directories)| directories)
        .map(|directory| staged.home.join(directory))
        // A colon would make two directories of one, of which anybody could own the second.
        .find(|path| path.as_os_str().as_encoded_bytes().contains(&b':'));
    if let Some(directory) = listed {
        found.problem(format!(
            "what it loads is found by a list with colons between directories, and `{}` has one in its name",
            directory.display()
        ));
    }
    if !found.problems.is_empty() {
        return Err(ProvisionError::NotRelocatable {
            id: staged.id.to_owned(),
            problems: found.problems,
        });
    }
    found.relocation.rewritten.sort();
    Ok((found.relocation, found.warnings))
}

impl Found {
    fn problem(&mut self, text: String) {
        if self.problems.len() < MAX_TOLD {
            self.problems.push(text);
        }
    }

    fn warn(&mut self, text: String) {
        if self.warnings.len() < MAX_TOLD {
            self.warnings.push(text);
        }
    }

    fn note_library(&mut self, path: &Path) {
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(name) = name.filter(|name| name.contains(".so")) {
            let directory = path.parent().unwrap_or(Path::new("")).to_owned();
            self.libraries
                .entry(name.to_owned())
                .or_default()
                .insert(directory);
        }
    }

    /// A program, a library or data.
    fn file(
        &mut self,
        staged: Staged<'_>,
        path: PathBuf,
        dynamic: Option<Dynamic>,
        names_build_dir: bool,
    ) {
        self.note_library(&path);
        let below = |directory: &String| Path::new(directory).starts_with(staged.startdir);
        let is_led_there = dynamic.as_ref().is_some_and(|dynamic| {
            dynamic.search.iter().any(below) || dynamic.interpreter.as_ref().is_some_and(below)
        });
        if is_led_there {
            self.problem(format!(
                "`{}` looks for libraries in the build directory: install it with `cmake --install` or the like, or take its RUNPATH away",
                path.display()
            ));
        } else if names_build_dir {
            // As makepkg does: `lint_package/build_references.sh`.
            self.warn(format!("`{}` names the build directory", path.display()));
        }
        if let Some(dynamic) = dynamic {
            self.kept += dynamic.size();
            if self.kept <= MAX_KEPT {
                self.programs.insert(path, dynamic);
            }
        }
    }

    /// A script; the answer is a `#!` line in the place of its own.
    fn script(
        &mut self,
        staged: Staged<'_>,
        tree: &Tree,
        path: &Path,
        script: &Script,
        is_started: bool,
    ) -> Option<String> {
        if let Some(line) = script.line_with(staged.startdir) {
            let text = format!(
                "line {line} of `{}` names the build directory: name the file's place in the package, relative to the script",
                path.display()
            );
            if is_started {
                self.problem(text);
            } else {
                self.warn(text);
            }
            return None;
        }
        // The host is asked only for what the package has.
        let is_own = |named: &Path| inside(tree, named).is_some() && !named.exists();
        let interpreter = Path::new(&script.interpreter);
        let mut rewritten = None;
        if is_own(interpreter) {
            let own = staged
                .home
                .join(interpreter.strip_prefix("/").unwrap_or(interpreter));
            rewritten = references::shebang(&own, &script.argument);
            if rewritten.is_none() {
                self.problem(format!(
                    "line 1 of `{}` names an interpreter of the package, which will be at `{}`, too long or odd for a `#!` line",
                    path.display(),
                    own.display()
                ));
            }
        }
        if path == staged.program
            && let Some((line, named)) = script.first_named(is_own)
        {
            self.problem(format!(
                "line {line} of `{}` names `{}`, which is in the package and will not be there: name it relative to the script, as in `\"$(dirname \"$(readlink -f \"$0\")\")/...\"`",
                path.display(),
                named.display()
            ));
        }
        rewritten
    }

    /// Finds where the loader must look for the libraries that the program needs and the package
    /// has, beyond where it looks by itself.
    fn search(&mut self, program: &Path) {
        let mut pending = VecDeque::from([program.to_owned()]);
        let mut seen = BTreeSet::new();
        while let Some(path) = pending.pop_front() {
            let Some(dynamic) = self.programs.get(&path) else {
                continue;
            };
            if !seen.insert(path.clone()) {
                continue;
            }
            let beside = path.parent().unwrap_or(Path::new(""));
            for name in &dynamic.needed {
                let Some(directories) = self.libraries.get(name) else {
                    continue;
                };
                let by_itself = dynamic.search.iter().find_map(|directory| {
                    let own = expand(directory, beside)?;
                    directories.contains(&own).then_some(own)
                });
                if let Some(directory) = by_itself {
                    pending.push_back(directory.join(name));
                    continue;
                }
                let named = dynamic.search.iter().find_map(|directory| {
                    let own = Path::new(directory).strip_prefix("/").ok()?;
                    directories.contains(own).then(|| own.to_owned())
                });
                let chosen = named.or_else(|| preferred(directories).cloned());
                if let Some(directory) = chosen {
                    pending.push_back(directory.join(name));
                    if !self.relocation.library_dirs.contains(&directory) {
                        self.relocation.library_dirs.push(directory);
                    }
                }
            }
        }
    }

    /// Finds the directories of modules of a program in Python.
    fn python(&mut self, root: &Path, program: &Path) {
        let is_python = untrusted_tree::open_file(root.join(program))
            .ok()
            .and_then(|file| Script::read(&file).ok()?)
            .is_some_and(|script| {
                script.interpreter.contains("python") || script.argument.contains("python")
            });
        if !is_python {
            return;
        }
        for lib in ["usr/lib", "usr/local/lib"] {
            let Ok(entries) = fs::read_dir(root.join(lib)) else {
                continue;
            };
            for entry in entries.flatten() {
                let name = entry.file_name();
                let is_version = name.to_string_lossy().starts_with("python3");
                for packages in ["site-packages", "dist-packages"] {
                    let below = Path::new(lib).join(&name).join(packages);
                    if is_version && root.join(&below).is_dir() {
                        self.relocation.python_dirs.push(below);
                    }
                }
            }
        }
        self.relocation.python_dirs.sort();
    }
}

/// What an absolute path names in the tree, without links; nothing for what is not there.
fn inside(tree: &Tree, path: &Path) -> Option<PathBuf> {
    let below = path.strip_prefix("/").ok()?;
    let resolved = tree.resolve(below).ok()?;
    let is_deep = resolved.components().count() > 1;
    let is_there = tree.path().join(&resolved).symlink_metadata().is_ok();
    // A directory that every package has is no part of this one.
    let is_common = [
        "usr",
        "opt",
        "etc",
        "var",
        "usr/bin",
        "usr/lib",
        "usr/share",
    ]
    .iter()
    .any(|common| resolved == Path::new(common));
    (is_there && is_deep && !is_common).then(|| below.to_owned())
}

/// A directory of a search path relative to the tree's root, when it stays there: ld.so(8), "$ORIGIN".
fn expand(directory: &str, beside: &Path) -> Option<PathBuf> {
    let rest = directory
        .strip_prefix("$ORIGIN")
        .or_else(|| directory.strip_prefix("${ORIGIN}"))?;
    let mut path = beside.to_owned();
    for part in Path::new(rest.trim_start_matches('/')).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir if path.pop() => {}
            Component::ParentDir => return None,
            _ => {}
        }
    }
    Some(path)
}

/// Of several directories with one library that where libraries usually are.
fn preferred(directories: &BTreeSet<PathBuf>) -> Option<&PathBuf> {
    let usual = ["usr/lib", "usr/local/lib", "usr/lib64", "lib", "lib64"];
    let usual = usual
        .iter()
        .find_map(|usual| directories.get(Path::new(usual)));
    usual.or_else(|| directories.first())
}

/// Makes the link at `path`, relative to `root`, lead to `target` by a relative path.
fn relink(root: &Path, path: &Path, target: &Path) -> std::io::Result<()> {
    let depth = path.components().count().saturating_sub(1);
    let mut relative: PathBuf = std::iter::repeat_n("..", depth).collect();
    relative.push(target);
    let link = root.join(path);
    fs::remove_file(&link)?;
    symlink(relative, link)
}
