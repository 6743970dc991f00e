//! The commands of the program, against a real catalog.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use e2e_tests::catalog_server::CatalogServer;
use e2e_tests::sample;
use serde_json::Value;

const ID: &str = "demo";

/// A catalog with one worker, and a home.
struct World {
    root: tempfile::TempDir,
    catalog: CatalogServer,
}

fn recipe(version: &str) -> String {
    format!(
        "pkgname=demo-bin\npkgver={version}\npkgrel=1\npkgdesc='Demo'\narch=('any')\n\
         license=('GPL-3.0-or-later')\npackage() {{\n  \
         printf '#!/bin/sh\\necho demo {version}\\n' > demo\n  \
         install -Dm755 demo \"$pkgdir/usr/bin/demo\"\n}}\n"
    )
}

impl World {
    async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let content = sample::prebuilt_catalog(ID, &recipe("1.0"));
        Self {
            root,
            catalog: CatalogServer::start(0, content).await.unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rbee-worker"));
        command
            .args(arguments)
            .env("HOME", self.root.path())
            .env("WORKER_CATALOG_URL", self.catalog.base_url())
            .env("WORKER_BIN_DIR", self.path("bin"))
            .env("XDG_DATA_HOME", self.path("data"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("WORKER_SOURCE_HOSTS")
            .env_remove("WORKER_KEYRING");
        command
    }

    /// Runs a command to its end, off the runtime that the catalog runs on.
    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }

    /// What a command that ends well prints.
    async fn said(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        let text = self.said(arguments).await;
        serde_json::from_str(text.lines().last().unwrap()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_installed_looked_after_and_removed() {
    let world = World::new().await;
    assert!(world.said(&["search", "DEMO", "gguf"]).await.contains(ID));
    assert!(
        !world
            .said(&["search", "nothing-like-it"])
            .await
            .contains("1.0")
    );
    assert!(world.said(&["show", ID]).await.contains("cpu"));

    let artifact = world
        .json(&["install", ID, "--backend", "cpu", "--json"])
        .await;
    let path = PathBuf::from(artifact["path"].as_str().unwrap());
    assert_eq!(path, world.path("bin/demo-cpu"));
    assert!(world.said(&["list"]).await.contains("demo-cpu"));
    let info = world.said(&["info", ID]).await;
    assert!(info.contains("1.0-1") && info.contains("sha256"), "{info}");
    assert!(
        world
            .said(&["outdated"])
            .await
            .contains("as the catalog has it")
    );

    // Somebody changes the program: it comes back from the store, with its plain name.
    fs::write(&path, "changed").unwrap();
    fs::remove_file(world.path("bin/demo")).unwrap();
    let output = world.run(&["verify"]).await;
    assert_eq!(output.status.code(), Some(1));
    let asked = world.catalog.requests().len();
    world.said(&["repair", ID]).await;
    assert_eq!(world.catalog.requests().len(), asked, "nobody is asked");
    assert!(world.said(&["verify"]).await.contains("intact"));

    // A newer version.
    let newer = sample::prebuilt_catalog(ID, &recipe("1.1"));
    world.catalog.replace(newer);
    let outdated = world.json(&["outdated", "--json"]).await;
    assert_eq!(outdated["updates"][0]["order"], "newer", "{outdated}");
    assert_eq!(outdated["updates"][0]["offered"], "1.1-1", "{outdated}");
    world.said(&["upgrade", "--all", "--dry-run"]).await;
    assert!(world.said(&["list"]).await.contains(" 1.0 "));
    world.said(&["upgrade", ID]).await;
    assert!(world.said(&["list"]).await.contains(" 1.1 "));
    let preview = world.said(&["gc", "--keep", "0", "--dry-run"]).await;
    assert!(preview.contains("would remove 1 versions"), "{preview}");
    world.said(&["rollback", ID]).await;
    assert!(world.said(&["list"]).await.contains(" 1.0 "));

    world.said(&["remove", ID]).await;
    assert!(!path.exists() && !world.path("bin/demo").exists());
    let output = world.run(&["upgrade", ID]).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("rbee-worker install demo"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_workers_are_installed_at_once_and_one_that_fails_stops_no_other() {
    let world = World::new().await;
    let mut content = sample::prebuilt_catalog(ID, &recipe("1.0"));
    let second = sample::prebuilt_catalog("second", &recipe("1.0").replace("demo", "second"));
    content.entries.extend(second.entries);
    content.pkgbuilds.extend(second.pkgbuilds);
    world.catalog.replace(content);
    let arguments = ["install", ID, "nobody", "second", "--backend", "cpu"];
    let output = world.run(&arguments).await;
    assert_eq!(output.status.code(), Some(3));
    let paths = String::from_utf8(output.stdout).unwrap();
    for name in ["demo-cpu", "second-cpu"] {
        assert!(world.path("bin").join(name).exists(), "{name}");
        assert!(paths.contains(name), "{paths}");
    }
    let both = ["install", ID, "second", "--backend", "cpu", "--json"];
    assert_eq!(world.json(&both).await.as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_one_line_of_json_with_a_name_and_the_exit_code_says_its_kind() {
    let world = World::new().await;
    for (arguments, status, code) in [
        (&["install", "nobody", "--json"][..], 3, "unknown-worker"),
        (&["install", "--", "-rf", "--json"], 2, ""),
        (&["install", "demo", "--backend", "nothing"], 2, ""),
    ] {
        let output = world.run(arguments).await;
        if code.is_empty() {
            assert_ne!(output.status.code(), Some(0), "{arguments:?}");
            continue;
        }
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(last["code"], code, "{text}");
        assert!(
            last["error"].is_string() && last["schema"].is_u64(),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn switches_win_over_the_environment_and_that_over_the_file() {
    let world = World::new().await;
    let config = world.path(".config");
    fs::create_dir(&config).unwrap();
    let file = config.join("rbee-worker.toml");
    let nowhere = "http://127.0.0.1:9";
    fs::write(
        &file,
        format!("catalog = \"{nowhere}\"\nbackend = \"cpu\"\nno-trial = true\nset-env = [\"A=1\", \"B=2\"]\n"),
    )
    .unwrap();
    // The environment names the catalog that is there, and the file the backend.
    world.said(&["install", ID]).await;
    assert!(world.path("bin/demo-cpu").exists());
    let info = world.said(&["info", ID]).await;
    assert!(info.contains("no trial"), "{info}");
    let shown = world.json(&["config", "show", "--json"]).await;
    let rows = shown["settings"].as_array().unwrap();
    let from = |name: &str| {
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        row["from"].as_str().unwrap().to_owned()
    };
    assert_eq!(from("catalog"), "$WORKER_CATALOG_URL");
    assert!(from("backend").ends_with("rbee-worker.toml"));

    let mut command = world.command(&["search"]);
    command.env_remove("WORKER_CATALOG_URL");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let told = String::from_utf8_lossy(&output.await.unwrap().stderr).into_owned();
    assert!(told.contains("127.0.0.1:9"), "the file's: {told}");
    let mut command = world.command(&["search", "--catalog", &world.catalog.base_url()]);
    command.env_remove("WORKER_CATALOG_URL");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    assert!(output.await.unwrap().status.success(), "a switch wins");

    for (text, mode, says) in [
        ("catalgo = \"x\"\n", 0o644, "catalgo"),
        ("backend = [\n", 0o644, "not understood"),
        ("backend = \"cpu\"\n", 0o666, "others may write it"),
    ] {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let output = world.run(&["list"]).await;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(says), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_is_wrong_and_how_to_mend_it() {
    let world = World::new().await;
    let findings = world.json(&["doctor", "--json"]).await;
    let findings = findings["findings"].as_array().unwrap().clone();
    let whats: Vec<_> = findings
        .iter()
        .map(|one| one["what"].as_str().unwrap())
        .collect();
    for what in [
        "directories",
        "isolation",
        "catalog",
        "programs",
        "builds",
        "tools",
    ] {
        assert!(whats.contains(&what), "{whats:?}");
    }
    let output = world
        .run(&["doctor", "--catalog", "http://127.0.0.1:9"])
        .await;
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("WORKER_CATALOG_URL"), "{text}");
}

/// Whether a program can be started.
fn has(program: &str) -> bool {
    let there = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !there {
        eprintln!("skipped: `{program}` is not installed");
    }
    there
}

#[tokio::test(flavor = "multi_thread")]
async fn shells_load_their_completions_and_man_reads_the_pages() {
    let world = World::new().await;
    for (shell, check) in [
        ("bash", "source /dev/stdin && complete -p rbee-worker"),
        (
            "zsh",
            "autoload -U compinit; compinit -u; source /dev/stdin",
        ),
        ("fish", "source -; complete -C 'rbee-worker inst'"),
    ] {
        let text = world.said(&["completions", shell]).await;
        assert!(text.contains("install"), "{shell}");
        if !has(shell) {
            continue;
        }
        let mut child = Command::new(shell)
            .args(["-c", check])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        assert!(
            child.wait_with_output().unwrap().status.success(),
            "{shell}"
        );
    }
    let pages = world.path("man");
    world.said(&["man", "--out", pages.to_str().unwrap()]).await;
    let page = pages.join("rbee-worker-install.1");
    assert!(fs::read_to_string(&page).unwrap().contains("bin\\-dir"));
    if has("man") {
        let output = Command::new("man")
            .args(["--warnings", "-l"])
            .arg(&page)
            .env("MANPAGER", "cat")
            .env("MANROFFOPT", "-c")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && text.contains("bin-dir"),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pipe_is_no_failure() {
    let world = World::new().await;
    for arguments in [
        &["--help"][..],
        &["man"],
        &["completions", "bash"],
        &["search"],
    ] {
        let mut command = world.command(arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
        let output = output.await.unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!told.contains("panicked"), "{arguments:?}: {told}");
        assert!(output.status.success(), "{arguments:?}: {told}");
    }
}
