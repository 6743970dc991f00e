//! Keys and signatures made by the real `gpg`, in a home of their own.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A moment in the past, as gpg takes it.
pub const LONG_AGO: &str = "20200101T000000!";

/// A gpg home; its agent ends with it.
pub struct Gpg {
    home: tempfile::TempDir,
}

impl Gpg {
    /// `None`, and a word about it, when gpg is not installed.
    pub fn new() -> Option<Self> {
        if Command::new("gpg").arg("--version").output().is_err() {
            let _ = writeln!(std::io::stderr(), "skipped: `gpg` is not installed");
            return None;
        }
        let home = tempfile::Builder::new().prefix("gpg").tempdir().unwrap();
        Some(Self { home })
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new("gpg");
        command
            .args(["--homedir", self.home().to_str().unwrap()])
            .args(["--batch", "--yes", "--quiet", "--no-tty"])
            .args(["--pinentry-mode", "loopback", "--passphrase", ""])
            .env("LC_ALL", "C");
        command
    }

    /// Runs gpg over `input` and returns what it prints.
    pub fn run(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut child = self
            .command()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "gpg {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    /// Makes a key; returns its fingerprint.
    pub fn key(&self, name: &str, kind: &str, usage: &str, extra: &[&str]) -> String {
        let arguments = [extra, &["--quick-gen-key", name, kind, usage, "never"]].concat();
        self.run(&arguments, b"");
        self.fingerprints(name).remove(0)
    }

    pub fn subkey(&self, fingerprint: &str, kind: &str, usage: &str, expire: &str, extra: &[&str]) {
        let add = ["--quick-add-key", fingerprint, kind, usage, expire];
        self.run(&[extra, &add].concat(), b"");
    }

    /// The fingerprints of a key and its subkeys.
    pub fn fingerprints(&self, name: &str) -> Vec<String> {
        let listing = self.run(&["--with-colons", "--list-keys", name], b"");
        String::from_utf8(listing)
            .unwrap()
            .lines()
            .filter_map(|line| line.strip_prefix("fpr:"))
            .map(|line| line.split(':').nth(8).unwrap().to_owned())
            .collect()
    }

    /// A detached signature over `content` by the key of this user or fingerprint.
    pub fn sign(&self, key: &str, extra: &[&str], content: &[u8]) -> Vec<u8> {
        let arguments = [extra, &["-u", key, "--detach-sign", "-o", "-"]].concat();
        self.run(&arguments, content)
    }

    pub fn export(&self, extra: &[&str], keys: &[&str]) -> Vec<u8> {
        self.run(&[extra, &["--export"], keys].concat(), b"")
    }

    /// Takes the certificate of revocation that gpg made with the key.
    pub fn revoke(&self, fingerprint: &str) -> Vec<u8> {
        let path = self
            .home()
            .join(format!("openpgp-revocs.d/{fingerprint}.rev"));
        let text = fs::read_to_string(path).unwrap().replace(":-----", "-----");
        self.run(&["--import"], text.as_bytes());
        text.into_bytes()
    }

    pub fn revoke_first_subkey(&self, fingerprint: &str) {
        let answers = "key 1\nrevkey\ny\n0\n\ny\nsave\n";
        self.run(
            &["--no-batch", "--command-fd", "0", "--edit-key", fingerprint],
            answers.as_bytes(),
        );
    }

    pub fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.home().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf")
            .args(["--homedir", self.home().to_str().unwrap(), "--kill", "all"])
            .status();
    }
}
