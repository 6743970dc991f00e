//! What the attempts are aimed at: files, a program of the same user, and listening sockets.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use build_sandbox::Isolation;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use tempfile::TempDir;

pub(crate) struct Host {
    /// Below `/tmp`, which the strongest tier covers.
    outs: TempDir,
    /// Elsewhere, where it is only read-only; `None` if this user can write nowhere else.
    opens: Option<TempDir>,
    program: Child,
    tcp: TcpListener,
    udp: UdpSocket,
    abstract_name: String,
    _abstract: UnixListener,
    _by_path: Vec<UnixListener>,
    _leaked: fs::File,
    segment: String,
    count: usize,
}

/// An ordinary user for a test that runs as root; a build has a user that nobody has.
pub(crate) const NOBODY: u32 = 65534;

/// Runs a command as an ordinary user.
pub(crate) fn as_ordinary_user(command: &mut Command) -> &mut Command {
    if nix::unistd::Uid::effective().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn fill(directory: &Path) {
    fs::create_dir(directory).unwrap();
    for (name, mode) in [("secret", 0o644), ("target", 0o666)] {
        fs::write(directory.join(name), "secret\n").unwrap();
        open_to_all(&directory.join(name), mode);
        if nix::unistd::Uid::effective().is_root() {
            std::os::unix::fs::chown(directory.join(name), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    open_to_all(directory, 0o777);
}

impl Host {
    /// A directory for each attempt, so that none changes what another finds.
    pub(crate) fn new(count: usize) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let outs = tempfile::Builder::new()
            .prefix("outside-")
            .tempdir()
            .unwrap();
        let opens = ["/srv", "/opt", "/var/lib"].iter().find_map(|parent| {
            let mut builder = tempfile::Builder::new();
            builder
                .prefix("build-sandbox-test-")
                .tempdir_in(parent)
                .ok()
        });
        let mut by_path = Vec::new();
        for directory in [Some(&outs), opens.as_ref()].into_iter().flatten() {
            open_to_all(directory.path(), 0o777);
            for index in 0..count {
                fill(&directory.path().join(index.to_string()));
            }
        }
        for index in 0..count {
            let path = outs.path().join(index.to_string()).join("socket");
            by_path.push(UnixListener::bind(&path).unwrap());
            open_to_all(&path, 0o777);
        }
        let program = as_ordinary_user(&mut Command::new("sleep"))
            .arg("1000")
            .env("HOST_SECRET", "secret")
            .current_dir("/")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        // A descriptor that any other child of this program gets.
        let leaked = fs::File::open(outs.path().join("0/secret")).unwrap();
        fcntl(&leaked, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let segment = format!("0x{:x}", 0x4000_0000 + std::process::id() * 16 + number);
        shared_memory(&segment);
        let abstract_name = format!("build-sandbox-test-{}-{number}", std::process::id());
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        Self {
            outs,
            opens,
            program,
            tcp: TcpListener::bind("127.0.0.1:0").unwrap(),
            udp: UdpSocket::bind("127.0.0.1:0").unwrap(),
            _abstract: UnixListener::bind_addr(&address).unwrap(),
            abstract_name,
            _by_path: by_path,
            _leaked: leaked,
            segment,
            count,
        }
    }

    pub(crate) fn variables(&self) -> [(String, String); 7] {
        let opens = self.opens.as_ref().unwrap_or(&self.outs);
        [
            ("OUTS", self.outs.path().display().to_string()),
            ("OPENS", opens.path().display().to_string()),
            ("HOST", self.program.id().to_string()),
            ("TCP", self.tcp.local_addr().unwrap().port().to_string()),
            ("UDP", self.udp.local_addr().unwrap().port().to_string()),
            ("SEGMENT", self.segment.clone()),
            ("ABSTRACT", self.abstract_name.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
    }

    pub(crate) fn assert_contents_untouched(&self, tier: Isolation) {
        for (directory, entries) in [(Some(&self.outs), 3), (self.opens.as_ref(), 2)] {
            let Some(directory) = directory else { continue };
            for index in 0..self.count {
                let path = directory.path().join(index.to_string());
                let text = fs::read_to_string(path.join("target")).unwrap_or_default();
                assert_eq!(text, "secret\n", "{tier}: {}", path.display());
                let found = fs::read_dir(&path).unwrap().count();
                assert_eq!(found, entries, "{tier}: {}", path.display());
            }
        }
    }
}

/// Files that only an ordinary user may read, one in each place where services keep theirs.
pub(crate) struct Privates(Vec<PathBuf>, String);

impl Privates {
    /// The user's own: only root can make them, for a test that it runs as that user.
    pub(crate) fn new() -> Self {
        if let Ok(names) = std::env::var(Self::VARIABLE) {
            return Self(Vec::new(), names);
        }
        let mut made = Vec::new();
        for parent in ["/etc", "/srv", "/opt", "/var/lib", "/usr/local/share"] {
            let path =
                Path::new(parent).join(format!("build-sandbox-private-{}", std::process::id()));
            if nix::unistd::Uid::effective().is_root() && fs::write(&path, "secret\n").is_ok() {
                open_to_all(&path, 0o600);
                std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
                made.push(path);
            }
        }
        let names: Vec<_> = made.iter().map(|path| path.display().to_string()).collect();
        Self(made, names.join(" "))
    }

    pub(crate) const VARIABLE: &str = "PRIVATES";

    pub(crate) fn names(&self) -> &str {
        &self.1
    }
}

impl Drop for Privates {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

fn shared_memory(key: &str) {
    let script = "shmget(hex($ARGV[0]), 4096, 01666) // die $!";
    let mut perl = Command::new("perl");
    let status = as_ordinary_user(perl.args(["-e", script, key]))
        .current_dir("/")
        .status();
    assert!(status.unwrap().success());
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = Command::new("ipcrm").args(["-M", &self.segment]).status();
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
