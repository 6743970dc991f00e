//! `?signed` commits and tags, made by the real `git` and `gpg`.
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use source_fetch::{FetchError, SignatureProblem, SourceRequest};
use support::gpg::Gpg;
use support::{World, chain};

type Expected = fn(&SignatureProblem) -> bool;

/// A repository whose commits and tags are signed on demand.
struct Signed {
    gpg: Gpg,
    directory: tempfile::TempDir,
    key: String,
}

impl Signed {
    fn new() -> Option<Self> {
        let gpg = Gpg::new()?;
        let key = gpg.key("signer", "ed25519", "cert", &[]);
        gpg.subkey(&key, "ed25519", "sign", "never", &[]);
        let directory = tempfile::tempdir().unwrap();
        let script = format!(
            "#!/bin/sh\nexec gpg --homedir {} --batch --pinentry-mode loopback --passphrase '' \"$@\"\n",
            gpg.home().display()
        );
        let program = gpg.write("program", script.as_bytes());
        std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let this = Self {
            gpg,
            directory,
            key,
        };
        this.git(&["init", "-q", "-b", "main"], b"");
        Some(this)
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn git(&self, arguments: &[&str], input: &[u8]) -> String {
        let program = format!("gpg.program={}/program", self.gpg.home().display());
        let mut child = Command::new("git")
            .args([
                "-c",
                &program,
                "-c",
                &format!("user.signingKey={}", self.key),
            ])
            .args(["-c", "user.name=T", "-c", "user.email=t@example.org"])
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .current_dir(self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    }

    fn commit(&self, text: &str, sign: bool) -> String {
        std::fs::write(self.path().join("file"), text).unwrap();
        self.git(&["add", "file"], b"");
        let sign = if sign { "-S" } else { "--no-gpg-sign" };
        self.git(&["commit", "-q", sign, "-m", text], b"");
        self.git(&["rev-parse", "HEAD"], b"")
    }

    /// The raw text of an object.
    fn object(&self, id: &str) -> String {
        let kind = self.git(&["cat-file", "-t", id], b"");
        self.git(&["cat-file", &kind, id], b"") + "\n"
    }

    /// Stores a made-up object under a reference.
    fn store(&self, kind: &str, text: &str, reference: &str) {
        let arguments = ["hash-object", "-t", kind, "-w", "--stdin"];
        let id = self.git(&arguments, text.as_bytes());
        self.git(&["update-ref", reference, &id], b"");
    }

    fn keyring(&self) -> PathBuf {
        self.gpg.write("keyring", &self.gpg.export(&[], &[]))
    }

    async fn fetch(&self, fragment: &str, valid: &str) -> Result<String, FetchError> {
        let mut world = World::new();
        world.policy.keyring = Some(self.keyring());
        world.policy.valid_pgp_keys = vec![valid.to_owned()];
        let source = format!(
            "code::git+file://{}{fragment}?signed",
            self.path().display()
        );
        let request = SourceRequest::new(source.parse().unwrap());
        let result = world.fetch(&[request]).await;
        if result.is_err() {
            world.check_clean();
        }
        let fetched = result?;
        let signer = fetched[0].verification.signed_by.clone().unwrap();
        assert_eq!(signer.fingerprint, self.key);
        Ok(std::fs::read_to_string(world.src("code/file")).unwrap())
    }
}

#[tokio::test]
async fn signed_commits_and_tags_pass() {
    let Some(signed) = Signed::new() else { return };
    let first = signed.commit("first", true);
    signed.git(&["tag", "-s", "v1", "-m", "one"], b"");
    signed.commit("unsigned", false);
    signed.git(
        &["tag", "-s", "v2", "-m", "signed tag, unsigned commit"],
        b"",
    );
    signed.git(&["tag", "-s", "of-a-tag", "-m", "twice", "v1"], b"");
    signed.commit("last", true);
    for (fragment, content) in [
        ("", "last"),
        ("#branch=main", "last"),
        (&format!("#commit={first}"), "first"),
        (&format!("#commit={}", &first[..12]), "first"),
        ("#tag=v1", "first"),
        ("#tag=v2", "unsigned"),
        ("#tag=of-a-tag", "first"),
    ] {
        let result = signed.fetch(fragment, &signed.key).await;
        assert_eq!(
            result.unwrap_or_else(|e| panic!("{fragment}: {}", chain(&e))),
            content
        );
    }
}

#[tokio::test]
async fn forged_commits_and_tags_are_refused() {
    let Some(signed) = Signed::new() else { return };
    let good = signed.commit("good", true);
    signed.git(&["tag", "-s", "v1", "-m", "one"], b"");
    signed.git(&["tag", "light"], b"");
    signed.git(&["tag", "-a", "plain", "-m", "annotated, not signed"], b"");
    let evil = signed.commit("evil", false);
    signed.git(&["branch", "unsigned"], b"");
    let (commit, tag) = (signed.object(&good), signed.object("v1"));
    let tree = |id: &str| signed.git(&["rev-parse", &format!("{id}^{{tree}}")], b"");
    // Another tree under the good commit's signature.
    let tampered = commit.replace(&tree(&good), &tree(&evil));
    signed.store("commit", &tampered, "refs/heads/tampered");
    signed.store(
        "commit",
        &commit.replace("good", "goof"),
        "refs/heads/reworded",
    );
    // The good commit's signature in a commit without one.
    let start = commit.find("gpgsig ").unwrap();
    let end = commit.find("\n\n").unwrap() + 1;
    let evil_text =
        signed
            .object(&evil)
            .replacen("\n\n", &format!("\n{}\n", &commit[start..end]), 1);
    signed.store("commit", &evil_text, "refs/heads/copied");
    let cut =
        commit[..start].to_owned() + "gpgsig -----BEGIN PGP SIGNATURE-----\n" + &commit[end..];
    signed.store("commit", &cut, "refs/heads/cut");
    // The tag of the good commit, leading elsewhere, and under another name.
    signed.store("tag", &tag.replace(&good, &evil), "refs/tags/v1");
    signed.store("tag", &tag, "refs/tags/v9");
    signed.store("tag", &tag.replace("tag v1", "tag v3"), "refs/tags/v3");
    let at = tag.find("-----BEGIN").unwrap();
    signed.store(
        "tag",
        &(tag[..at].replace("tag v1", "tag v4") + "-----BEGIN PGP SIGNATURE-----\n"),
        "refs/tags/v4",
    );
    // A commit's signature on a tag.
    let of_commit = commit[start + 7..end].replace("\n ", "\n");
    signed.store(
        "tag",
        &(tag[..at].replace("tag v1", "tag v5") + &of_commit),
        "refs/tags/v5",
    );

    let bad: Expected = |problem| matches!(problem, SignatureProblem::Bad { .. });
    let unsigned: Expected = |problem| matches!(problem, SignatureProblem::Unsigned { .. });
    let malformed: Expected = |problem| matches!(problem, SignatureProblem::Malformed { .. });
    for (fragment, is_expected) in [
        ("#branch=tampered", bad),
        ("#branch=reworded", bad),
        ("#branch=copied", bad),
        ("#branch=cut", malformed),
        ("#branch=unsigned", unsigned),
        (&format!("#commit={evil}"), unsigned),
        ("", unsigned),
        ("#tag=light", unsigned),
        ("#tag=plain", unsigned),
        ("#tag=v1", bad),
        ("#tag=v3", bad),
        ("#tag=v4", malformed),
        ("#tag=v5", bad),
    ] {
        let Err(error) = signed.fetch(fragment, &signed.key).await else {
            panic!("{fragment} is accepted");
        };
        let FetchError::Signature { problem, .. } = &error else {
            panic!("{fragment}: {}", chain(&error));
        };
        assert!(is_expected(problem), "{fragment}: {}", chain(&error));
    }
    let error = signed.fetch("#tag=v9", &signed.key).await.unwrap_err();
    assert!(chain(&error).contains("forged"), "{}", chain(&error));
    let error = signed
        .fetch(&format!("#commit={good}"), &"0".repeat(40))
        .await
        .unwrap_err();
    assert!(chain(&error).contains("validpgpkeys"), "{}", chain(&error));
    signed.gpg.revoke(&signed.key);
    let error = signed
        .fetch(&format!("#commit={good}"), &signed.key)
        .await
        .unwrap_err();
    assert!(chain(&error).contains("revoked"), "{}", chain(&error));
}
