//! Repositories made by the real `git`, a server of them, and a place for what is fetched.
#![allow(dead_code, unused_imports, clippy::unwrap_used)]

mod server;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use network_policy::{Access, HttpClients, SourcePolicy};
use source_fetch::GitReference;
use source_fetch::git::{
    self, GitCheckout, GitOptions, GitProblem, GitRequest, GitRevision, History,
};
use tokio_util::sync::CancellationToken;

pub(crate) use server::{Action, Seen, Server};

/// Runs `git` in `directory`, away from every configuration of the machine; returns what it printed.
pub(crate) fn git(directory: &Path, arguments: &[&str]) -> String {
    git_with(directory, arguments, b"")
}

pub(crate) fn git_with(directory: &Path, arguments: &[&str], input: &[u8]) -> String {
    let mut child = isolated("git")
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub(crate) fn isolated(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "A")
        .env("GIT_AUTHOR_EMAIL", "a@example.org")
        .env("GIT_COMMITTER_NAME", "A")
        .env("GIT_COMMITTER_EMAIL", "a@example.org")
        .env("GIT_AUTHOR_DATE", "2024-01-01T00:00:00Z")
        .env("GIT_COMMITTER_DATE", "2024-01-01T00:00:00Z");
    command
}

/// The history of [`sample`] for git-fast-import(1), which needs one process for all of it.
fn history() -> String {
    let mut stream = String::new();
    let mut commit = |branch: &str, mark: u32, from: u32, files: &[(&str, &str, &str)]| {
        let _ = write!(
            stream,
            "commit refs/heads/{branch}\nmark :{mark}\n\
             committer A <a@example.org> 1704067200 +0000\ndata 4\nmore\n"
        );
        if from > 0 {
            let _ = writeln!(stream, "from :{from}");
        }
        for (mode, path, content) in files {
            let length = content.len();
            let _ = write!(stream, "M {mode} inline {path}\ndata {length}\n{content}\n");
        }
        stream.push('\n');
    };
    let (file, program, link) = ("100644", "100755", "120000");
    let first = [
        (file, "README", "one\n"),
        (file, "src/deep/a b.txt", &"x".repeat(5000)),
        (program, "run.sh", "#!/bin/sh\n"),
        (file, "ünïcode", "u\n"),
        (file, "empty", ""),
        (link, "link", "src/deep"),
        (link, "dangling", "/nonexistent"),
    ];
    commit("main", 1, 0, &first);
    commit("main", 2, 1, &[(file, "README", "two\n")]);
    commit("feature/x", 3, 2, &[(file, "feature", "f\n")]);
    for n in 0..5 {
        let content = format!("three {n}\n");
        let from = if n == 0 { 2 } else { 3 + n };
        commit("main", 4 + n, from, &[(file, "README", &content)]);
    }
    stream.push_str(
        "reset refs/tags/light\nfrom :1\n\n\
         tag v1.0\nfrom :2\ntagger A <a@example.org> 1704067200 +0000\ndata 4\none\n\n",
    );
    stream
}

/// A repository with tags, a second branch, an executable, links and odd names, in `root/name.git`.
pub(crate) fn sample(root: &Path, name: &str) -> PathBuf {
    let work = root.join(format!("{name}-work"));
    fs::create_dir_all(&work).unwrap();
    git(&work, &["init", "-q", "-b", "main"]);
    git_with(&work, &["fast-import", "--quiet"], history().as_bytes());
    git(&work, &["reset", "-q", "--hard"]);
    let bare = root.join(format!("{name}.git"));
    let (from, to) = (work.to_str().unwrap(), bare.to_str().unwrap());
    git(root, &["clone", "-q", "--bare", from, to]);
    bare
}

pub(crate) fn work_of(bare: &Path) -> PathBuf {
    PathBuf::from(bare.to_str().unwrap().replace(".git", "-work"))
}

/// Adds a commit to the working repository behind a sample and pushes it.
pub(crate) fn advance(bare: &Path, text: &str) -> String {
    let work = work_of(bare);
    fs::write(work.join("README"), text).unwrap();
    git(&work, &["commit", "-q", "-a", "-m", text]);
    git(
        &work,
        &["push", "-q", "-f", bare.to_str().unwrap(), "main", "--tags"],
    );
    git(&work, &["rev-parse", "HEAD"])
}

/// A cache and a place for checkouts.
pub(crate) struct Place {
    pub directory: tempfile::TempDir,
    pub options: GitOptions,
    pub token: CancellationToken,
}

impl Place {
    pub(crate) fn new() -> Self {
        // All of these servers are on this machine.
        let own = SourcePolicy::default()
            .allow_host("127.0.0.1".parse().unwrap())
            .allow_host("localhost".parse().unwrap())
            // For a program that stands for `ssh`.
            .allow_host("example.invalid".parse().unwrap())
            .allow_insecure(true)
            .allow_ssh(true)
            .allow_files(true);
        let clients = HttpClients::new(own, Access::default(), |builder| builder);
        let mut options = GitOptions::new(clients);
        options.retry.attempts = 1;
        options.retry.backoff = Duration::from_millis(1);
        Self {
            directory: tempfile::tempdir().unwrap(),
            options,
            token: CancellationToken::new(),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.root().join("cache")
    }

    pub(crate) fn srcdir(&self) -> PathBuf {
        self.root().join("srcdir")
    }

    pub(crate) async fn fetch(&self, request: &GitRequest) -> Result<GitRevision, GitProblem> {
        git::fetch(request, &self.cache(), &self.options, &self.token, &|_| {}).await
    }

    /// Fetches and checks out to `srcdir/<name>`.
    pub(crate) async fn provide(
        &self,
        request: &GitRequest,
        name: &str,
    ) -> Result<GitCheckout, GitProblem> {
        let revision = self.fetch(request).await?;
        revision
            .check_out(&self.srcdir().join(name), &self.token)
            .await
    }

    /// Whatever lies beside finished things: nothing may be left after a failure.
    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![self.srcdir(), self.cache()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.starts_with("incoming-")
                    || name.starts_with("tmp_")
                    || entry.path().parent() == Some(&self.srcdir())
                {
                    found.push(entry.path());
                } else if entry.path().is_dir() {
                    open.push(entry.path());
                }
            }
        }
        found
    }
}

pub(crate) fn request(url: &str, reference: GitReference, history: History) -> GitRequest {
    GitRequest {
        url: url.to_owned(),
        reference,
        history,
        signed: false,
    }
}

pub(crate) fn branch(name: &str) -> GitReference {
    GitReference::Branch(name.to_owned())
}

pub(crate) fn tag(name: &str) -> GitReference {
    GitReference::Tag(name.to_owned())
}

pub(crate) fn commit(id: &str) -> GitReference {
    GitReference::Commit(id.to_owned())
}

/// Whether git refuses this.
pub(crate) fn fails(directory: &Path, arguments: &[&str]) -> bool {
    let output = isolated("git")
        .args(arguments)
        .current_dir(directory)
        .output();
    !output.unwrap().status.success()
}

/// Every file below `top` but `.git`: path, mode, and link target or content.
pub(crate) fn listing(top: &Path) -> Vec<(PathBuf, u32, Vec<u8>)> {
    use std::os::unix::fs::PermissionsExt;
    let mut found = Vec::new();
    let mut open = vec![top.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let relative = path.strip_prefix(top).unwrap().to_owned();
            if relative == Path::new(".git") {
                continue;
            }
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_symlink() {
                fs::read_link(&path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else if metadata.is_dir() {
                open.push(path);
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            found.push((relative, metadata.permissions().mode(), content));
        }
    }
    found.sort();
    found
}

/// A process that ends with the test.
pub(crate) struct Running(pub std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What every checkout must be: clean, whole, and on its own.
pub(crate) fn assert_sound(checkout: &Path) {
    assert_eq!(git(checkout, &["status", "--porcelain"]), "");
    // Without history the checkout is as good as a shallow one, which git is not told.
    let (cut, shallow) = (
        checkout.join(".git/history-cut"),
        checkout.join(".git/shallow"),
    );
    if cut.exists() {
        fs::copy(&cut, &shallow).unwrap();
    }
    git(checkout, &["fsck", "--strict"]);
    if cut.exists() {
        fs::remove_file(shallow).unwrap();
    }
    assert!(!checkout.join(".git/objects/info/alternates").exists());
    for hook in fs::read_dir(checkout.join(".git/hooks"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = hook.file_name();
        assert_eq!(name, "README.sample", "hooks in a fresh checkout");
    }
}
