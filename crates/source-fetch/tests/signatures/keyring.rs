//! Keyring files.

use source_fetch::{FetchError, KeyringProblem};

use crate::support::gpg::Gpg;
use crate::{CONTENT, fetch};

type Case = (&'static str, Vec<u8>, fn(&KeyringProblem) -> bool);

#[tokio::test]
async fn keyrings_that_cannot_be_used() {
    let Some(gpg) = Gpg::new() else { return };
    let key = gpg.key("a", "ed25519", "sign", &[]);
    let armoured = gpg.export(&["--armor"], &[]);
    let secret = gpg.run(&["--export-secret-keys"], b"");
    let signature = gpg.sign("a", &[], CONTENT);
    let cases: [Case; 6] = [
        ("empty", Vec::new(), |p| matches!(p, KeyringProblem::Empty)),
        ("text", b"hello".to_vec(), |p| {
            matches!(p, KeyringProblem::Empty)
        }),
        ("secret", secret, |p| matches!(p, KeyringProblem::Empty)),
        ("signature", signature.clone(), |p| {
            matches!(p, KeyringProblem::Empty)
        }),
        ("cut", armoured[..armoured.len() / 2].to_vec(), |p| {
            matches!(p, KeyringProblem::Malformed { .. })
        }),
        (
            "keybox",
            std::fs::read(gpg.home().join("pubring.kbx")).unwrap(),
            |p| matches!(p, KeyringProblem::Keybox),
        ),
    ];
    for (name, content, is_expected) in cases {
        let path = gpg.write(name, &content);
        let (world, result) = fetch(&path, &[&key], ".sig", &signature).await;
        let Err(FetchError::Keyring {
            path: told,
            problem,
        }) = &result
        else {
            panic!("{name}: {result:?}");
        };
        assert!(*told == path && is_expected(problem), "{name}: {problem:?}");
        world.check_clean();
    }
    let (_, result) = fetch(&gpg.home().join("absent"), &[&key], ".sig", &signature).await;
    assert!(matches!(
        result,
        Err(FetchError::Keyring {
            problem: KeyringProblem::Read(_),
            ..
        })
    ));
    // A second block, and a key of an unknown kind before the good one.
    let other = gpg.key("b", "brainpoolP256r1", "sign", &[]);
    let blocks = [
        gpg.export(&["--armor"], &[&other]),
        b"-- \n".to_vec(),
        armoured,
    ]
    .concat();
    let path = gpg.write("blocks", &blocks);
    let (_, result) = fetch(&path, &[&key], ".sig", &signature).await;
    assert_eq!(result.unwrap().fingerprint, key);
}
