//! What every build sees of the host: system directories, and of `/etc` and `/var/lib` what builds
//! need. Everything else is left out, and so is what not every user may read.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::unistd::Uid;

use crate::config::Config;

/// System directories. On a merged `/usr` most are links.
const TOP: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/nix/var/nix/profiles",
    "/gnu/store",
    "/var/guix/profiles",
    "/run/current-system",
    "/run/opengl-driver",
    // Build systems count processors and memory nodes.
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    // What tools keep outside of `/usr`: formats of TeX, package data bases of compilers, catalogs of
    // SGML and XML, and which packages are installed, for `pacman -Q`.
    "/var/lib/gems",
    "/var/lib/ghc",
    "/var/lib/ocaml",
    "/var/lib/pacman/local",
    "/var/lib/sgml-base",
    "/var/lib/texmf",
    "/var/lib/xml-core",
];

/// Of `/etc`, by what needs it. A name that ends in `*` stands for every name with that beginning.
/// What may hold credentials (`gitconfig`, `netrc`, `npmrc`, `pip.conf`, `wgetrc`) or says who the
/// host is (`hostname`, `machine-id`, `fstab`) is not in it; a mount shows it to a build that needs
/// it.
const ETC: &[&str] = &[
    // Names of users, hosts and services.
    "ethertypes",
    "gai.conf",
    "group",
    "host.conf",
    "hosts",
    "networks",
    "nsswitch.conf",
    "passwd",
    "protocols",
    "resolv.conf",
    "rpc",
    "services",
    "shells",
    // The loader.
    "ld-musl-*",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    // Certificates and rules of cryptography.
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "pki/ca-trust/extracted",
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "pki/tls/openssl.cnf",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
    // Which system this is.
    "*-release",
    "alternatives",
    "debian_version",
    "static",
    // Time, language and terminals.
    "inputrc",
    "locale.alias",
    "locale.conf",
    "localtime",
    "terminfo",
    "timezone",
    // Tools.
    "OpenCL",
    "bash.bashrc",
    "dpkg",
    "fonts",
    "java*",
    "magic",
    "magic.mime",
    "makepkg.conf",
    "makepkg.conf.d",
    "maven",
    "mime.types",
    "mtab",
    "pacman.conf",
    "perl",
    "profile",
    "profile.d",
    "python*",
    "sgml",
    "texmf",
    "vulkan",
    "xdg",
    "xml",
];

/// A larger file is mounted instead of copied.
const COPIED_MAX: u64 = 256 << 10;
/// Entries that are looked at for private ones; what is not reached is left out.
const LOOKED_AT: usize = 1_000_000;

/// What is shown of the host.
#[derive(Debug, Default)]
pub(crate) struct System {
    /// Directories and files: where they are, and where they are seen.
    pub(super) shown: Vec<(PathBuf, PathBuf)>,
    /// Links: what they hold, and where they are.
    pub(super) links: Vec<(PathBuf, PathBuf)>,
    /// Small files with their text.
    pub(super) files: Vec<(PathBuf, Vec<u8>)>,
    /// Private entries below `shown`.
    pub(super) masked: Vec<PathBuf>,
    /// Where `/etc/resolv.conf` leads, often into `/run`.
    pub(super) resolver: Option<PathBuf>,
    allowed: OnceLock<Vec<(PathBuf, bool)>>,
    looked_at: usize,
}

/// How long what was read of the host is used again.
const FRESH: Duration = Duration::from_mins(1);

/// The last answer of [`System::read`].
#[derive(Debug, Default)]
pub(crate) struct Systems(Mutex<Option<Answer>>);

#[derive(Debug)]
struct Answer {
    read: Instant,
    path: Vec<PathBuf>,
    system: Arc<System>,
}

impl Systems {
    /// What is shown of the host, at most a minute old.
    pub(crate) fn get(&self, config: &Config, path: &[PathBuf]) -> Arc<System> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = &*last
            && answer.read.elapsed() < FRESH
            && answer.path == path
        {
            return Arc::clone(&answer.system);
        }
        let system = Arc::new(System::read(config, path));
        *last = Some(Answer {
            read: Instant::now(),
            path: path.to_vec(),
            system: Arc::clone(&system),
        });
        system
    }
}

impl System {
    /// Looks at the host. `path` are the directories of a `PATH`: a tool kit below `/opt` that it
    /// names is shown whole, another directory by itself unless it is below a hidden one.
    pub(crate) fn read(config: &Config, path: &[PathBuf]) -> Self {
        let mut system = Self::default();
        for top in TOP {
            system.add(Path::new(top));
        }
        let names: Vec<_> = fs::read_dir("/etc")
            .into_iter()
            .flatten()
            .flatten()
            .collect();
        for pattern in ETC {
            let matches = |name: &str| match (pattern.strip_suffix('*'), pattern.strip_prefix('*'))
            {
                (Some(start), _) => name.starts_with(start),
                (_, Some(end)) => name.ends_with(end),
                _ => false,
            };
            if pattern.contains('*') {
                let found = names
                    .iter()
                    .filter(|entry| entry.file_name().to_str().is_some_and(matches));
                for entry in found {
                    system.add(&entry.path());
                }
            } else {
                system.add(&Path::new("/etc").join(pattern));
            }
        }
        for named in path.iter().filter_map(|path| named(config, path)) {
            let Ok(real) = fs::canonicalize(&named) else {
                continue;
            };
            if !system.shows(&real) {
                system.add(&real);
            }
            if real != named && !system.shows(&named) {
                system.shown.push((real, named));
            }
        }
        system.resolver = fs::canonicalize("/etc/resolv.conf").ok();
        if !Uid::effective().is_root() {
            // A build of root has a user that owns nothing; another caller's has the caller's.
            for index in 0..system.shown.len() {
                let Some((real, _)) = system.shown.get(index) else {
                    break;
                };
                let root = match real.to_str() {
                    // What packages install is for everybody, and too much to look at.
                    Some("/usr") => PathBuf::from("/usr/local"),
                    Some("/nix/store" | "/gnu/store") => continue,
                    Some(path) if path.starts_with("/sys/") => continue,
                    _ => real.clone(),
                };
                system.find_private(root);
            }
        }
        system
    }

    fn shows(&self, path: &Path) -> bool {
        self.shown.iter().any(|(_, shown)| path.starts_with(shown))
    }

    fn add(&mut self, path: &Path) {
        let Ok(metadata) = fs::symlink_metadata(path) else {
            return;
        };
        if metadata.is_symlink() {
            if let Ok(target) = fs::read_link(path) {
                self.links.push((target, path.to_owned()));
            }
        } else if is_private(&metadata) {
        } else if metadata.is_dir() {
            self.shown.push((path.to_owned(), path.to_owned()));
        } else if metadata.is_file() && metadata.len() <= COPIED_MAX {
            if let Ok(text) = fs::read(path) {
                self.files.push((path.to_owned(), text));
            }
        } else if metadata.is_file() {
            self.shown.push((path.to_owned(), path.to_owned()));
        }
    }

    /// Notes what not every user may read or enter below a directory.
    fn find_private(&mut self, root: PathBuf) {
        let mut pending = vec![root];
        while let Some(directory) = pending.pop() {
            let entries = match fs::read_dir(&directory) {
                Ok(entries) if self.looked_at < LOOKED_AT => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => continue,
                _ => {
                    self.masked.push(directory);
                    continue;
                }
            };
            for entry in entries.flatten() {
                self.looked_at += 1;
                let Ok(metadata) = entry.metadata() else {
                    continue;
                };
                if metadata.is_symlink() {
                } else if is_private(&metadata) {
                    self.masked.push(entry.path());
                } else if metadata.is_dir() {
                    pending.push(entry.path());
                }
            }
        }
    }

    /// The paths that a tier without a view of its own allows, and whether only names may be read
    /// there, since something below is private.
    pub(super) fn allowed(&self) -> &[(PathBuf, bool)] {
        self.allowed.get_or_init(|| self.find_allowed())
    }

    fn find_allowed(&self) -> Vec<(PathBuf, bool)> {
        let mut allowed: Vec<(PathBuf, bool)> = self
            .files
            .iter()
            .map(|(path, _)| (path.clone(), false))
            .collect();
        let mut pending: Vec<PathBuf> = self.shown.iter().map(|(real, _)| real.clone()).collect();
        while let Some(path) = pending.pop() {
            if self.masked.contains(&path) {
                continue;
            }
            let whole = !self.masked.iter().any(|masked| masked.starts_with(&path));
            if !whole {
                // A rule follows links, and what they lead to has rules of its own.
                let entries = fs::read_dir(&path).into_iter().flatten().flatten();
                let entries =
                    entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()));
                pending.extend(entries.map(|entry| entry.path()));
            }
            allowed.push((path, !whole));
        }
        allowed
    }
}

/// What has to be shown for an entry of a `PATH` outside of the system directories.
fn named(config: &Config, path: &Path) -> Option<PathBuf> {
    if let Ok(below) = path.strip_prefix("/opt") {
        let kit = below.components().next()?;
        return Some(Path::new("/opt").join(kit));
    }
    let hidden = config.hidden.iter().any(|hidden| path.starts_with(hidden));
    // Not `/` itself, nor a system directory that holds more than programs.
    (!hidden && path.components().count() > 2).then(|| path.to_owned())
}

fn is_private(metadata: &fs::Metadata) -> bool {
    let everybody = if metadata.is_dir() { 0o001 } else { 0o004 };
    metadata.mode() & everybody == 0
}
