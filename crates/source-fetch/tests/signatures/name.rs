//! What a signature signs, and whether it is verified at all.

use source_fetch::{Event, FetchError, SignatureProblem};

use crate::CONTENT;
use crate::support::gpg::Gpg;
use crate::support::{self, World, chain, skipped};

/// `tar` under its name and compressed with every program that is there.
fn pack(tar: &[u8]) -> Vec<(String, Vec<u8>)> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("foo.tar"), tar).unwrap();
    let mut packed = vec![("foo.tar".to_owned(), tar.to_owned())];
    for (program, ending, arguments) in [
        ("gzip", "gz", &["-k", "foo.tar"][..]),
        ("bzip2", "bz2", &["-k", "foo.tar"]),
        ("xz", "xz", &["-k", "-0", "foo.tar"]),
        ("zstd", "zst", &["-q", "-k", "foo.tar"]),
        ("lz4", "lz4", &["-q", "foo.tar", "foo.tar.lz4"]),
    ] {
        if support::run(directory.path(), program, arguments).is_some() {
            let name = format!("foo.tar.{ending}");
            packed.push((
                name.clone(),
                std::fs::read(directory.path().join(name)).unwrap(),
            ));
        }
    }
    packed
}

#[tokio::test]
async fn what_a_signature_signs() {
    let Some(gpg) = Gpg::new() else { return };
    let key = gpg.key("a", "ed25519", "sign", &[]);
    let keyring = gpg.write("keyring", &gpg.export(&[], &[]));
    let tar = support::noise(300_000);
    let packed = pack(&tar);
    let signature = gpg.sign("a", &["--armor"], &tar);
    let world = || {
        let mut world = World::new();
        world.policy.keyring = Some(keyring.clone());
        world.policy.valid_pgp_keys = vec![key.clone()];
        world.start_file("foo.tar.sign", &signature);
        world
    };
    for (name, content) in &packed {
        let good = world();
        good.start_file(name, content);
        let mut first = skipped(name);
        first.no_extract = true;
        let fetched = good.fetch(&[skipped("foo.tar.sign"), first.clone()]).await;
        let fetched = fetched.unwrap_or_else(|error| panic!("{name}: {}", chain(&error)));
        assert_eq!(
            fetched[1]
                .verification
                .signed_by
                .as_ref()
                .unwrap()
                .fingerprint,
            key
        );

        let mut cut = content.clone();
        cut.truncate(content.len() - 2000);
        let cut_short = world();
        cut_short.start_file(name, &cut);
        let error = cut_short
            .fetch(&[skipped("foo.tar.sign"), first.clone()])
            .await
            .unwrap_err();
        let FetchError::Signature { problem, .. } = &error else {
            panic!("{name}: {error:?}");
        };
        let is_expected = match problem {
            SignatureProblem::Content { .. } => *name != "foo.tar",
            SignatureProblem::Bad { .. } => true,
            _ => false,
        };
        assert!(is_expected, "{name}: {}", chain(&error));
        cut_short.check_clean();
    }
    let signed = |names: &[&str]| names.iter().map(|name| skipped(name)).collect::<Vec<_>>();
    let lrz = world();
    lrz.start_file("foo.tar.lrz", b"LRZI");
    let error = lrz
        .fetch(&signed(&["foo.tar.lrz", "foo.tar.sign"]))
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        FetchError::Signature {
            problem: SignatureProblem::Compression { .. },
            ..
        }
    ));
    let alone = world();
    let error = alone.fetch(&signed(&["foo.tar.sign"])).await.unwrap_err();
    assert!(
        chain(&error).contains("no source is named `foo.tar`"),
        "{}",
        chain(&error)
    );
    // The limits for archives hold here too.
    let mut bounded = world();
    let (name, content) = packed.last().unwrap();
    bounded.policy.extract.max_bytes = 100_000;
    bounded.start_file(name, content);
    let mut kept = skipped(name);
    kept.no_extract = true;
    let error = bounded
        .fetch(&[kept, skipped("foo.tar.sign")])
        .await
        .unwrap_err();
    assert!(
        chain(&error).contains("more than 100000 bytes"),
        "{}",
        chain(&error)
    );
}

#[tokio::test]
async fn signatures_are_verified_unless_the_caller_forgoes_it() {
    let mut world = World::new();
    world.start_file("foo", CONTENT);
    world.start_file("foo.sig", b"no signature at all");
    let sources = [skipped("foo"), skipped("foo.sig")];
    let error = world.fetch(&sources).await.unwrap_err();
    let text = chain(&error);
    assert!(
        text.contains("--keyring") && text.contains("foo.sig"),
        "{text}"
    );
    world.check_clean();
    world.policy.skip_pgp_check = true;
    let fetched = world.fetch(&sources).await.unwrap();
    assert!(
        fetched
            .iter()
            .all(|one| one.verification.signed_by.is_none())
    );
    let events = world.events.lock().unwrap();
    let skips = events
        .iter()
        .filter(|event| matches!(event, Event::SignatureSkipped { source } if source.index == 1));
    assert_eq!(skips.count(), 1);
}
