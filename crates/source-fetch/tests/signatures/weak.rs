//! Keys that are too weak, and keys that the caller does not accept.

use source_fetch::{Expired, Signer, Weakness};

use crate::support::gpg::{Gpg, LONG_AGO};
use crate::support::{World, chain, skipped};
use crate::{CONTENT, fetch};

async fn signer(gpg: &Gpg, key: &str, name: &str, extra: &[&str]) -> Signer {
    let keyring = gpg.write("keyring", &gpg.export(&[], &[]));
    let signature = gpg.sign(name, extra, CONTENT);
    let (_, result) = fetch(&keyring, &[key], ".sig", &signature).await;
    result.unwrap_or_else(|error| panic!("{name}: {}", chain(&error)))
}

#[tokio::test]
async fn weak_keys_are_told() {
    let Some(gpg) = Gpg::new() else { return };
    let past = ["--faked-system-time", "20180101T000000!"];
    let sha1 = ["--cert-digest-algo", "SHA1"];
    let sha1_then = [&past[..], &sha1].concat();
    let cases: [(&str, &str, &[&str], &[Weakness]); 6] = [
        ("good", "ed25519", &[], &[]),
        ("rsa", "rsa2048", &[], &[]),
        (
            "short",
            "rsa1024",
            &[],
            &[Weakness::ShortKey { bits: 1024 }],
        ),
        ("dsa", "dsa2048", &[], &[Weakness::Dsa]),
        ("bound", "rsa2048", &sha1, &[Weakness::Hash]),
        // Keys of before 2019 often have nothing better.
        ("old", "rsa2048", &sha1_then, &[]),
    ];
    for (name, kind, extra, weak) in cases {
        let key = gpg.key(name, kind, "sign", extra);
        let signer = signer(&gpg, &key, name, &["--digest-algo", "SHA256"]).await;
        assert_eq!(signer.weak, weak, "{name}");
        assert_eq!(signer.is_sound(), weak.is_empty(), "{name}");
    }
    // A strong subkey is no stronger than what vouches for it.
    let primary = gpg.key("primary", "rsa1024", "cert", &[]);
    gpg.subkey(&primary, "ed25519", "sign", "never", &[]);
    let by_subkey = signer(&gpg, &primary, "primary", &[]).await;
    assert_eq!(by_subkey.weak, [Weakness::ShortKey { bits: 1024 }]);
    let strong = gpg.key("strong", "ed25519", "cert", &[]);
    gpg.subkey(&strong, "rsa1024", "sign", "never", &[]);
    let by_subkey = signer(&gpg, &strong, "strong", &[]).await;
    assert_eq!(by_subkey.weak, [Weakness::ShortKey { bits: 1024 }]);
    // Both facts at once.
    let past = ["--faked-system-time", LONG_AGO];
    let make = ["--quick-gen-key", "both", "rsa1024", "sign", "1y"];
    gpg.run(&[&past[..], &make].concat(), b"");
    let both = gpg.fingerprints("both").remove(0);
    let signer = signer(&gpg, &both, "both", &past).await;
    assert_eq!(signer.expired, Some(Expired::Key));
    assert_eq!(signer.weak, [Weakness::ShortKey { bits: 1024 }]);
    assert!(!signer.is_sound());
}

#[tokio::test]
async fn the_caller_can_name_the_keys_it_accepts() {
    let Some(gpg) = Gpg::new() else { return };
    let (ours, theirs) = (
        gpg.key("ours", "ed25519", "sign", &[]),
        gpg.key("theirs", "ed25519", "sign", &[]),
    );
    let keyring = gpg.write("keyring", &gpg.export(&[], &[]));
    let in_groups = ours[..20].to_owned() + "  " + &ours[20..];
    // The recipe lists both, and is signed by the one that the recipe's author would like.
    for (by, accepted, good) in [
        ("ours", Vec::new(), true),
        ("theirs", Vec::new(), true),
        ("ours", vec![ours.to_lowercase()], true),
        ("ours", vec![in_groups], true),
        ("theirs", vec![ours.clone()], false),
    ] {
        let mut world = World::new();
        world.policy.keyring = Some(keyring.clone());
        world.policy.valid_pgp_keys = vec![ours.clone(), theirs.clone()];
        world.policy.accepted_keys = accepted;
        world.start_file("foo", CONTENT);
        world.start_file("foo.sig", &gpg.sign(by, &[], CONTENT));
        let fetched = world.fetch(&[skipped("foo"), skipped("foo.sig")]).await;
        let signer = fetched.unwrap().remove(0).verification.signed_by.unwrap();
        assert_eq!(signer.accepted, good, "{by}");
        assert_eq!(signer.fingerprint, gpg.fingerprints(by)[0]);
    }
}

#[tokio::test]
async fn of_several_signatures_the_one_that_proves_most_counts() {
    let Some(gpg) = Gpg::new() else { return };
    let (first, second) = (
        gpg.key("first", "ed25519", "sign", &[]),
        gpg.key("second", "ed25519", "sign", &[]),
    );
    let keyring = gpg.write("keyring", &gpg.export(&[], &[]));
    let both = [
        gpg.sign("first", &[], CONTENT),
        gpg.sign("second", &[], CONTENT),
    ]
    .concat();
    for accepted in [&first, &second] {
        let mut world = World::new();
        world.policy.keyring = Some(keyring.clone());
        world.policy.valid_pgp_keys = vec![first.clone(), second.clone()];
        world.policy.accepted_keys = vec![accepted.clone()];
        world.start_file("foo", CONTENT);
        world.start_file("foo.sig", &both);
        let fetched = world.fetch(&[skipped("foo"), skipped("foo.sig")]).await;
        let signer = fetched.unwrap().remove(0).verification.signed_by.unwrap();
        assert_eq!(&signer.fingerprint, accepted);
        assert!(signer.accepted);
    }
}
