//! Packs made by the git program, indexed here and by it.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use super::*;

fn git(directory: &Path, arguments: &[&str], input: &str) -> Vec<u8> {
    let mut child = Command::new("git")
        .args(["-c", "user.name=T", "-c", "user.email=t@example.org"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let feed = std::thread::spawn(move || {
        let _ = io::Write::write_all(&mut stdin, input.as_bytes());
    });
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    assert!(output.status.success(), "git {arguments:?}");
    output.stdout
}

fn lines(count: usize, changed: usize) -> String {
    let mut text = String::new();
    for line in 0..count {
        // Lines that no compression takes away.
        let mixed = (line as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let _ = writeln!(
            text,
            "{line} {mixed:x} {}",
            if line == changed { "new" } else { "" }
        );
    }
    text
}

/// A repository whose history is a long chain of deltas, with objects that do not fit what is kept, and one that is
/// hashed in pieces.
fn repository(root: &Path) -> PathBuf {
    let work = root.join("work");
    fs::create_dir(&work).unwrap();
    git(&work, &["init", "-q", "-b", "main"], "");
    for version in 0..40 {
        fs::write(work.join("small"), lines(300, version)).unwrap();
        if version % 10 == 0 {
            fs::write(work.join("large"), lines(150_000, version)).unwrap();
        }
        git(&work, &["add", "."], "");
        git(&work, &["commit", "-q", "-m", &format!("v{version}")], "");
    }
    git(&work, &["repack", "-adfq", "--depth=50", "--window=50"], "");
    work
}

fn mirror(root: &Path) -> PathBuf {
    git(root, &["init", "-q", "--bare", "mirror"], "");
    root.join("mirror")
}

fn pack(work: &Path, options: &[&str], revisions: &str) -> Vec<u8> {
    let mut arguments = vec!["pack-objects", "-q", "--stdout", "--revs", "--depth=50"];
    arguments.extend(options);
    git(work, &arguments, revisions)
}

fn receive(mirror: &Path, pack: &[u8], step: usize) -> Result<Quarantine, GitProblem> {
    let counters = Counters::default();
    let (sender, receiver) = mpsc::channel(4);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for chunk in pack.chunks(step) {
                if sender.blocking_send(Bytes::copy_from_slice(chunk)).is_err() {
                    break;
                }
            }
            counters.complete.store(true, Ordering::Release);
            drop(sender);
        });
        let token = CancellationToken::new();
        let received = Quarantine::receive(mirror, "u", receiver, &counters, 100_000, &token);
        if let Ok(Quarantine { name: Some(_), .. }) = &received {
            let announced = counters.total_objects.load(Ordering::Relaxed);
            assert_eq!(counters.objects.load(Ordering::Relaxed), announced);
        }
        received
    })
}

/// Installs what was received and compares its index with the one git makes.
fn assert_same_index(mirror: &Path, received: Quarantine) -> PathBuf {
    let name = received.name.clone().unwrap();
    received.install(mirror).unwrap();
    let pack = mirror.join(format!("objects/pack/pack-{name}.pack"));
    let theirs = mirror.join("theirs.idx");
    git(
        mirror,
        &[
            "index-pack",
            "--no-rev-index",
            "-o",
            theirs.to_str().unwrap(),
            pack.to_str().unwrap(),
        ],
        "",
    );
    assert!(fs::read(&theirs).unwrap() == fs::read(pack.with_extension("idx")).unwrap());
    fs::remove_file(theirs).unwrap();
    pack
}

#[test]
fn the_index_is_the_one_git_makes() {
    let root = tempfile::tempdir().unwrap();
    let work = repository(root.path());
    for (name, options) in [("offsets", &["--delta-base-offset"][..]), ("ids", &[])] {
        let place = root.path().join(name);
        fs::create_dir(&place).unwrap();
        let mirror = mirror(&place);
        let whole = pack(&work, options, "main\n");
        let received = receive(&mirror, &whole, 65_000).unwrap();
        let file = assert_same_index(&mirror, received);
        assert!(fs::read(file).unwrap() == whole);
    }
}

#[test]
fn a_thin_pack_is_completed() {
    let root = tempfile::tempdir().unwrap();
    let work = repository(root.path());
    let mirror = mirror(root.path());
    let first = pack(&work, &["--delta-base-offset"], "main~5\n");
    let received = receive(&mirror, &first, 65_000).unwrap();
    assert_same_index(&mirror, received);
    let options = ["--thin", "--delta-base-offset"];
    let thin = pack(&work, &options, "main\n^main~5\n");
    for step in [thin.len(), 7] {
        let received = receive(&mirror, &thin, step).unwrap();
        let file = assert_same_index(&mirror, received);
        let completed = fs::read(&file).unwrap();
        let count = |pack: &[u8]| u32::from_be_bytes(pack[8..12].try_into().unwrap());
        assert!(count(&completed) > count(&thin));
        git(&mirror, &["verify-pack", file.to_str().unwrap()], "");
        fs::remove_file(file.with_extension("idx")).unwrap();
    }
    // Without the first pack there is nothing to build on.
    for file in fs::read_dir(mirror.join("objects/pack")).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    let problem = receive(&mirror, &thin, 65_000).unwrap_err();
    assert!(
        matches!(&problem, GitProblem::Protocol { source: ProtocolError::Pack(reason), .. } if reason.contains("no base")),
        "{problem:?}"
    );
}

#[test]
fn no_byte_of_a_pack_can_change_unnoticed() {
    let root = tempfile::tempdir().unwrap();
    let work = root.path().join("work");
    fs::create_dir(&work).unwrap();
    git(&work, &["init", "-q", "-b", "main"], "");
    for version in 0..3 {
        fs::write(work.join("a"), lines(12, version)).unwrap();
        git(&work, &["add", "."], "");
        git(&work, &["commit", "-q", "-m", "v"], "");
    }
    let whole = pack(&work, &["--delta-base-offset"], "main\n");
    let mirror = mirror(root.path());
    for at in 0..whole.len() {
        let bits = [0x01, 0x80, 0xff][at % 3];
        let mut damaged = whole.clone();
        damaged[at] ^= bits;
        assert!(receive(&mirror, &damaged, 4096).is_err(), "{at} {bits:x}");
        // With a checksum that fits, what comes out may be another pack, but never a panic or a hang.
        let end = damaged.len() - 20;
        let sum: [u8; 20] = <sha1::Sha1 as sha1::Digest>::digest(&damaged[..end]).into();
        damaged[end..].copy_from_slice(&sum);
        if let Ok(other) = receive(&mirror, &damaged, 4096) {
            let name = other.name.clone().unwrap();
            let file = other.directory.path().join(format!("pack-{name}.pack"));
            git(
                &mirror,
                &["index-pack", "-o", "other.idx", file.to_str().unwrap()],
                "",
            );
            fs::remove_file(mirror.join("other.idx")).unwrap();
        }
        assert!(receive(&mirror, &whole[..at], 4096).is_err(), "{at}");
    }
    assert!(receive(&mirror, &whole, 4096).is_ok());
}

/// Runs the first pass over a pack.
fn scan(pack: Vec<u8>, counters: &Counters, token: &CancellationToken) -> (File, Scanned) {
    let (sender, receiver) = mpsc::channel(1);
    sender.try_send(Bytes::from(pack)).unwrap();
    drop(sender);
    let file = tempfile::tempfile().unwrap();
    let mut incoming = Incoming::new(receiver, &file, counters, token);
    let count = incoming.header().unwrap();
    let scanned = incoming.entries(count).unwrap();
    (file, scanned)
}

#[test]
fn bases_that_are_not_kept_are_made_again() {
    let root = tempfile::tempdir().unwrap();
    let work = repository(root.path());
    let (counters, token) = (Counters::default(), CancellationToken::new());
    let whole = pack(&work, &["--delta-base-offset"], "main\n");
    let (file, scanned) = scan(whole, &counters, &token);
    let mut bases: Vec<u64> = Vec::new();
    for entry in &scanned.entries {
        if let format::Content::DeltaAt(base) = entry.content {
            bases.push(base);
        }
    }
    let deltas = bases.len();
    bases.sort_unstable();
    assert!(
        bases.windows(2).any(|pair| pair[0] == pair[1]),
        "no base has two deltas"
    );
    let ids = |keep| {
        let resolver = Resolver::new(&file, &scanned.entries, &counters, &token).keeping(keep);
        let mut found = resolver.inside(&scanned.ids).unwrap();
        found.sort_unstable();
        found
    };
    let kept = ids(usize::MAX);
    assert_eq!(kept.len(), deltas);
    assert_eq!(kept, ids(0));
}

#[test]
fn a_cancelled_token_stops_before_the_next_delta() {
    let root = tempfile::tempdir().unwrap();
    let work = repository(root.path());
    let whole = pack(&work, &["--delta-base-offset"], "main\n");
    let (counters, token) = (Counters::default(), CancellationToken::new());
    let (file, scanned) = scan(whole, &counters, &token);
    let whole = counters.objects.load(Ordering::Relaxed);
    assert!(whole < scanned.entries.len() as u64);
    token.cancel();
    let resolver = Resolver::new(&file, &scanned.entries, &counters, &token);
    assert!(resolver.inside(&scanned.ids).is_err());
    assert_eq!(counters.objects.load(Ordering::Relaxed), whole);
}
