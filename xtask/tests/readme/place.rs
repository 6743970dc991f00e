//! A home, a recipe and the sample catalog, in which commands run.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::{program_of, root};

/// The worker that the blocks provision.
pub(crate) const WORKER: &str = "sample-worker-rbee";

const RECIPE: &str = "pkgname=sample\npkgver=1.0\npkgrel=1\npkgdesc='A sample'\narch=('any')\n\
    url='https://samples.invalid'\nlicense=('MIT')\npackage() {\n  install -d \"$pkgdir/usr\"\n}\n";

/// A server that runs until its process is told to stop, or is dropped.
pub(crate) struct Server {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Server {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    /// The URL in the next line that begins with `label`.
    pub(crate) fn url(&mut self, label: &str) -> String {
        let mut line = String::new();
        while self.out.read_line(&mut line).unwrap() > 0 {
            if line.starts_with(label)
                && let Some(at) = line.find("http://")
            {
                return line[at..].trim().to_owned();
            }
            line.clear();
        }
        panic!("the server ended without a line `{label}`");
    }

    /// Ctrl-C; whether it ended well.
    pub(crate) fn interrupt(mut self) -> bool {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGINT).unwrap();
        self.child.wait().unwrap().success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) struct Place {
    folder: TempDir,
    catalog: String,
}

impl Place {
    /// With the sample catalog of `cargo xtask catalog`, at a port of its own.
    pub(crate) fn with_catalog() -> (Self, Server) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("PKGBUILD"), RECIPE).unwrap();
        let mut place = Self {
            folder,
            catalog: String::new(),
        };
        let mut command = place.command(env!("CARGO_BIN_EXE_xtask"));
        let mut server = Server::start(command.args(["catalog", "--port", "0"]));
        place.catalog = server.url("catalog, second generation");
        (place, server)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn catalog(&self) -> &str {
        &self.catalog
    }

    /// A program that sees this home and this catalog.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .current_dir(root())
            .env("WORKER_CATALOG_URL", &self.catalog)
            .env("WORKER_BIN_DIR", self.path("workers"))
            .env("XDG_DATA_HOME", self.path("data"))
            .env("XDG_CACHE_HOME", self.path("cache"));
        command
    }

    /// Runs a command of the README with what a reader would fill in filled in; `None` where that
    /// cannot be known.
    pub(crate) fn run(&self, command: &str) -> Option<Output> {
        let mut words = Vec::new();
        for word in command.split_whitespace().skip(2) {
            words.push(match word {
                "FILE" | "FILE…" | "FILE..." => self.path("PKGBUILD").display().to_string(),
                "[ID]" => continue,
                "ID" => WORKER.to_owned(),
                "DIR" => self.path("srcdir").display().to_string(),
                // What a reader keeps in the build's directory stays in this test's own.
                _ => {
                    let own = self.folder.path().join("workers");
                    word.replace("target/workers", &own.display().to_string())
                }
            });
        }
        let placeholder = |word: &String| {
            word.contains(['[', '…', '<', '|']) || word.chars().all(|c| c.is_ascii_uppercase())
        };
        if words.iter().any(placeholder) {
            return None;
        }
        let mut program = self.command(program_of(command));
        Some(program.args(words).output().unwrap())
    }
}
