//! `git+ssh` through the real `ssh` and a real `sshd`, where both are installed.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod git_support;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use git_support::{Place, Running, assert_sound, fails, git, request, sample, tag};
use source_fetch::GitReference;
use source_fetch::git::{GitProblem, History};

const SSHD: &str = "/usr/sbin/sshd";

/// Starts `sshd` for the current user and makes `place` use a matching client configuration.
fn serve(place: &mut Place) -> Option<(Running, u16)> {
    if !Path::new(SSHD).exists()
        || Command::new("ssh")
            .arg("-V")
            .stderr(Stdio::null())
            .status()
            .is_err()
    {
        eprintln!("skipped: `sshd` or `ssh` is not installed");
        return None;
    }
    let root = place.root().to_owned();
    for key in ["host", "user"] {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(root.join(key))
            .status();
        assert!(made.unwrap().success());
    }
    fs::copy(root.join("user.pub"), root.join("authorized")).unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let host_key = fs::read_to_string(root.join("host.pub")).unwrap();
    fs::write(root.join("known"), format!("[127.0.0.1]:{port} {host_key}")).unwrap();
    let path = std::env::var("PATH").unwrap();
    let at = root.display();
    fs::write(
        root.join("sshd_config"),
        format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nAuthorizedKeysFile {at}/authorized\n\
             PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nAcceptEnv GIT_PROTOCOL\n\
             SetEnv PATH={path}\n"
        ),
    )
    .unwrap();
    // As root it wants this directory; it is its own and harmless where it exists.
    let _ = fs::create_dir_all("/run/sshd");
    let child = Command::new(SSHD)
        .args(["-D", "-e", "-f"])
        .arg(root.join("sshd_config"))
        .stderr(Stdio::null())
        .spawn();
    let running = Running(child.unwrap());
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "sshd does not listen");
        std::thread::yield_now();
    }
    fs::write(
        root.join("ssh_config"),
        format!("IdentityFile {at}/user\nIdentitiesOnly yes\nUserKnownHostsFile {at}/known\nGlobalKnownHostsFile none\n"),
    )
    .unwrap();
    place.options.ssh = vec!["ssh".into(), "-F".into(), root.join("ssh_config").into()];
    Some((running, port))
}

#[tokio::test]
async fn ssh_fetches_and_explains_its_failures() {
    let mut place = Place::new();
    let bare = sample(place.root(), "r");
    let Some((_sshd, port)) = serve(&mut place) else {
        return;
    };
    let url = format!("ssh://127.0.0.1:{port}{}", bare.display());
    let shallow = place
        .provide(&request(&url, tag("v1.0"), History::Shallow), "shallow")
        .await
        .unwrap();
    assert_sound(&shallow.path);
    assert!(fails(&shallow.path, &["rev-list", "--count", "HEAD"]));
    let full = place
        .provide(&request(&url, GitReference::Default, History::Full), "full")
        .await
        .unwrap();
    assert_sound(&full.path);
    assert_eq!(full.commit, git(&bare, &["rev-parse", "main"]));

    let missing = place
        .fetch(&request(
            &format!("{url}x"),
            GitReference::Default,
            History::Full,
        ))
        .await;
    assert!(
        matches!(
            &missing,
            Err(GitProblem::Ssh { .. } | GitProblem::Remote { .. })
        ),
        "{missing:?}"
    );

    // An unknown host key is a question, and nothing may ask.
    fs::write(place.root().join("known"), "").unwrap();
    let unknown = place
        .fetch(&request(
            &format!("{url}y"),
            GitReference::Default,
            History::Full,
        ))
        .await;
    match unknown {
        Err(GitProblem::Ssh { stderr, .. }) => {
            assert!(stderr.contains("Host key verification failed"), "{stderr}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn cancelling_kills_ssh_and_what_it_started() {
    let mut place = Place::new();
    let mark = place.root().join("pids");
    let script = format!(
        "sleep 1000 & echo $$ $! > {0}.new; mv {0}.new {0}; wait",
        mark.display()
    );
    place.options.ssh = vec!["sh".into(), "-c".into(), script.into(), "ssh".into()];
    let request = request(
        "git@example.invalid:a/b",
        GitReference::Default,
        History::Full,
    );
    let token = place.token.clone();
    let seen = mark.clone();
    let canceller = std::thread::spawn(move || {
        while !seen.exists() {
            std::thread::yield_now();
        }
        token.cancel();
    });
    let result = place.fetch(&request).await;
    assert!(matches!(result, Err(GitProblem::Cancelled)), "{result:?}");
    canceller.join().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    for id in fs::read_to_string(&mark).unwrap().split_whitespace() {
        // A zombie that init has not reaped yet is as dead.
        let alive = || {
            fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| {
                !stat
                    .rsplit(')')
                    .next()
                    .unwrap_or_default()
                    .trim_start()
                    .starts_with('Z')
            })
        };
        while alive() {
            assert!(Instant::now() < deadline, "process {id} is still there");
            std::thread::yield_now();
        }
    }
}
