//! `git+ssh` through the person's own `ssh` program, with its agent, configuration and known hosts.

use std::net::IpAddr;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::git::error::{GitProblem, printable};
use crate::git::options::GitOptions;

/// The running program; dropping it kills its whole process group, proxies included.
pub(crate) struct Process {
    child: Child,
    stderr: Option<ChildStderr>,
    shown: String,
}

pub(super) fn spawn(
    (host, port, path): (&str, Option<u16>, &str),
    address: Option<IpAddr>,
    shown: &str,
    options: &GitOptions,
) -> Result<(Process, ChildStdin, ChildStdout), GitProblem> {
    let fail = |source| GitProblem::Io {
        action: "start",
        path: options
            .ssh
            .first()
            .map(std::path::PathBuf::from)
            .unwrap_or_default(),
        source,
    };
    let mut words = options.ssh.iter();
    let program = words.next().map_or_else(|| "ssh".into(), Clone::clone);
    let mut command = Command::new(program);
    command
        .args(words)
        // Batch mode: a question would wait for an answer nobody gives.
        .args(["-o", "BatchMode=yes", "-o", "SendEnv=GIT_PROTOCOL"])
        .env("GIT_PROTOCOL", "version=2")
        .env_remove("SSH_ASKPASS")
        .env_remove("SSH_ASKPASS_REQUIRE");
    if let Some(port) = port {
        command.args(["-p", &port.to_string()]);
    }
    if let Some(address) = address {
        // The judged address and no other; its key is still that of the name.
        let name = host.rsplit('@').next().unwrap_or(host);
        let known_as = match port {
            None | Some(22) => name.to_owned(),
            Some(port) => format!("[{name}]:{port}"),
        };
        command
            .args(["-o", &format!("HostName={address}")])
            .args(["-o", &format!("HostKeyAlias={known_as}")])
            .args(["-o", "CheckHostIP=no"]);
    }
    let mut child = command
        .args(["--", host])
        .arg(format!("git-upload-pack {}", quoted(path)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(fail)?;
    let closed = || fail(std::io::ErrorKind::BrokenPipe.into());
    let stdin = child.stdin.take().ok_or_else(closed)?;
    let stdout = child.stdout.take().ok_or_else(closed)?;
    let stderr = child.stderr.take();
    let process = Process {
        child,
        stderr,
        shown: shown.to_owned(),
    };
    Ok((process, stdin, stdout))
}

/// Quotes for the remote shell the way git does: single quotes, and `'\''` for one inside.
fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', "'\\''").replace('!', "'\\!'"))
}

impl Process {
    /// Waits a moment for the program's own account of what went wrong.
    pub(super) async fn explain(&mut self, error: GitProblem) -> GitProblem {
        let mut tail = Vec::new();
        let account = async {
            if let Some(stderr) = self.stderr.take() {
                let _ = stderr.take(4096).read_to_end(&mut tail).await;
            }
            self.child.wait().await
        };
        match tokio::time::timeout(Duration::from_secs(2), account).await {
            Ok(Ok(status)) if !status.success() => GitProblem::Ssh {
                url: self.shown.clone(),
                status,
                stderr: printable(&tail),
            },
            _ => error,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // `id` is none once the child has been reaped, so the number cannot belong to another group.
        if let Some(id) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn the_remote_shell_sees_one_word() {
        assert_eq!(quoted("/a b"), "'/a b'");
        assert_eq!(quoted("/a'; touch x; '"), r"'/a'\''; touch x; '\'''");
        assert_eq!(quoted("/a!b"), r"'/a'\!'b'");
    }
}
