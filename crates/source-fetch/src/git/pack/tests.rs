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

/// A repository of nine objects.
fn small_repository(root: &Path) -> PathBuf {
    let work = root.join("work");
    fs::create_dir(&work).unwrap();
    git(&work, &["init", "-q", "-b", "main"], "");
    for version in 0..3 {
        fs::write(work.join("a"), lines(12, version)).unwrap();
        git(&work, &["add", "."], "");
        git(&work, &["commit", "-q", "-m", "v"], "");
    }
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
fn objects_are_read_as_they_were_written() {
    let root = tempfile::tempdir().unwrap();
    let work = repository(root.path());
    let check = ["cat-file", "--batch-all-objects", "--batch-check"];
    let listing = String::from_utf8(git(&work, &check, "")).unwrap();
    for (name, options) in [("offsets", &["--delta-base-offset"][..]), ("ids", &[])] {
        let place = root.path().join(name);
        fs::create_dir(&place).unwrap();
        let mirror = mirror(&place);
        let received = receive(&mirror, &pack(&work, options, "main\n"), 65_000).unwrap();
        received.install(&mirror).unwrap();
        let packs = Packs::open(&mirror.join("objects")).unwrap();
        let token = CancellationToken::new();
        let mut reader = Reader::new(&packs, &token);
        for line in listing.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let (id, size): (Oid, usize) = (words[0].parse().unwrap(), words[2].parse().unwrap());
            let place = packs.locate(&[id]).unwrap()[0].unwrap();
            let (kind, data) = reader.object(place).unwrap();
            assert_eq!((kind.str(), data.len()), (words[1], size));
            assert_eq!(scan::id(kind, &data).unwrap(), id);
            let mut pieces = Vec::new();
            let is_blob = reader.blob(place, id, |length, piece| {
                assert_eq!(length, size as u64);
                pieces.extend_from_slice(piece);
                Ok(())
            });
            assert_eq!(is_blob.unwrap(), kind == ObjectType::Blob);
            assert!(pieces.is_empty() || pieces == data);
            if kind == ObjectType::Blob {
                let other = scan::id(ObjectType::Blob, b"another").unwrap();
                assert!(reader.blob(place, other, |_, _| Ok(())).is_err());
            }
        }
        let absent = scan::id(ObjectType::Blob, b"absent").unwrap();
        assert_eq!(packs.locate(&[absent]).unwrap(), [None]);
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
    let work = small_repository(root.path());
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

#[test]
fn a_file_is_right_or_refused_whatever_became_of_the_pack() {
    let root = tempfile::tempdir().unwrap();
    let work = small_repository(root.path());
    let ids: Vec<Oid> = ["main:a", "main~1:a", "main~2:a"]
        .iter()
        .map(|name| git(&work, &["rev-parse", name], ""))
        .map(|id| String::from_utf8(id).unwrap().trim().parse().unwrap())
        .collect();
    let mirror = mirror(root.path());
    let received = receive(
        &mirror,
        &pack(&work, &["--delta-base-offset"], "main\n"),
        4096,
    );
    let file = assert_same_index(&mirror, received.unwrap());
    let read = || -> io::Result<usize> {
        let packs = Packs::open(&mirror.join("objects"))?;
        let token = CancellationToken::new();
        let mut reader = Reader::new(&packs, &token);
        let mut right = 0;
        for (version, (id, place)) in ids.iter().zip(packs.locate(&ids)?).enumerate() {
            let Some(place) = place else { continue };
            let mut content = Vec::new();
            let is_blob = reader.blob(place, *id, |_, piece| {
                content.extend_from_slice(piece);
                Ok(())
            })?;
            if is_blob {
                assert!(content == lines(12, 2 - version).into_bytes());
                right += 1;
            }
        }
        Ok(right)
    };
    assert_eq!(read().unwrap(), ids.len());
    for path in [file.clone(), file.with_extension("idx")] {
        let whole = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let mut refused = 0;
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= [0x01, 0x80, 0xff][at % 3];
            fs::write(&path, damaged).unwrap();
            refused += usize::from(read().is_err());
        }
        assert!(refused > 0);
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let _ = read();
        }
        fs::write(&path, whole).unwrap();
    }
    assert_eq!(read().unwrap(), ids.len());
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

/// A pack of entries given by the header in front of each and what it inflates to.
fn made_up(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut pack = b"PACK\0\0\0\x02".to_vec();
    pack.extend(u32::try_from(entries.len()).unwrap().to_be_bytes());
    for (header, content) in entries {
        pack.extend(header);
        let mut encoder = flate2::write::ZlibEncoder::new(pack, flate2::Compression::fast());
        io::Write::write_all(&mut encoder, content).unwrap();
        pack = encoder.finish().unwrap();
    }
    let sum: [u8; 20] = <sha1::Sha1 as sha1::Digest>::digest(&pack).into();
    pack.extend(sum);
    pack
}

fn blob(content: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let header = format::whole_header(ObjectType::Blob, content.len() as u64);
    (header, content.to_vec())
}

/// A delta of less than sixteen bytes against an object.
fn delta_of(base: &[u8], delta: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut header = vec![7 << 4 | u8::try_from(delta.len()).unwrap()];
    header.extend(scan::id(ObjectType::Blob, base).unwrap().as_bytes());
    (header, delta.to_vec())
}

#[test]
fn an_object_that_many_deltas_make_is_followed_once() {
    let root = tempfile::tempdir().unwrap();
    let mirror = mirror(root.path());
    let content = |level: u8| [b'x', level];
    let mut entries = vec![blob(&content(0)), blob(&content(0))];
    for level in 0..100 {
        // Both make the same object, so that the ways to the last one double with each level.
        let (base, next) = (content(level), content(level + 1));
        entries.push(delta_of(&base, &[2, 2, 2, next[0], next[1]]));
        entries.push(delta_of(&base, &[2, 2, 0x91, 0, 1, 1, next[1]]));
    }
    let problem = receive(&mirror, &made_up(&entries), 4096).unwrap_err();
    assert!(
        matches!(&problem, GitProblem::Protocol { source: ProtocolError::Pack(reason), .. } if reason.contains("twice")),
        "{problem:?}"
    );
}

#[test]
fn packs_that_ask_for_too_much_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let mirror = mirror(root.path());
    // One short delta that promises 2^40 bytes, and one that is itself said to be as long.
    let bomb = [1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20, 0x90, 1];
    let promised = made_up(&[blob(b"a"), delta_of(b"a", &bomb)]);
    let mut long = delta_of(b"a", &bomb);
    long.0 = format::whole_header(ObjectType::Commit, 1 << 40);
    long.0[0] |= 7 << 4;
    long.0
        .extend(scan::id(ObjectType::Blob, b"a").unwrap().as_bytes());
    let announced = made_up(&[blob(b"a"), long]);
    for pack in [promised, announced] {
        let problem = receive(&mirror, &pack, 4096).unwrap_err();
        let is_refused = matches!(
            problem,
            GitProblem::Limit { .. } | GitProblem::Protocol { .. }
        );
        assert!(is_refused, "{problem:?}");
    }
    // A chain in which every object is the base of the next.
    let content = |level: u16| level.to_be_bytes();
    let chain = |length: u16| {
        let mut entries = vec![blob(&content(0))];
        for level in 0..length {
            let next = content(level + 1);
            entries.push(delta_of(&content(level), &[2, 2, 2, next[0], next[1]]));
        }
        made_up(&entries)
    };
    assert!(receive(&mirror, &chain(4095), 4096).is_ok());
    assert!(receive(&mirror, &chain(4200), 4096).is_err());
    // What has no base, or only itself.
    let orphan = made_up(&[delta_of(b"nowhere", &[7, 1, 1, b'a'])]);
    let circle = made_up(&[delta_of(b"a", &[1, 1, 1, b'a'])]);
    for pack in [orphan, circle] {
        assert!(receive(&mirror, &pack, 4096).is_err());
    }
}
