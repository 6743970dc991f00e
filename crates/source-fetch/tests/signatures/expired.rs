//! Keys and signatures that have expired or are revoked.

use source_fetch::{Expired, SignatureProblem};

use crate::support::gpg::{Gpg, LONG_AGO};
use crate::{CONTENT, Good, check};

#[tokio::test]
async fn keys_that_have_run_out() {
    let Some(gpg) = Gpg::new() else { return };
    let past = ["--faked-system-time", LONG_AGO];
    let good = gpg.key("good", "ed25519", "sign", &past);
    let expired = {
        let make = ["--quick-gen-key", "expired", "ed25519", "sign", "1y"];
        gpg.run(&[&past[..], &make].concat(), b"");
        gpg.fingerprints("expired").remove(0)
    };
    let gone = gpg.key("gone", "ed25519", "sign", &[]);
    let sub_gone = gpg.key("subgone", "ed25519", "cert", &[]);
    gpg.subkey(&sub_gone, "ed25519", "sign", "never", &[]);
    let sub_expired = gpg.key("subexpired", "ed25519", "cert", &past);
    gpg.subkey(&sub_expired, "rsa2048", "sign", "1y", &past);

    let by_expired = gpg.sign("expired", &past, CONTENT);
    let by_gone = gpg.sign("gone", &[], CONTENT);
    let by_sub_gone = gpg.sign("subgone", &[], CONTENT);
    let by_sub_expired = gpg.sign("subexpired", &past, CONTENT);
    let ended = gpg.sign(
        "good",
        &[
            "--faked-system-time",
            LONG_AGO,
            "--default-sig-expire",
            "1d",
        ],
        CONTENT,
    );
    let before = gpg.write("before.gpg", &gpg.export(&[], &[]));
    check("not yet revoked", &before, &[&gone], &by_gone, &Good(None)).await;
    check(
        "not yet revoked",
        &before,
        &[&sub_gone],
        &by_sub_gone,
        &Good(None),
    )
    .await;
    gpg.revoke(&gone);
    gpg.revoke_first_subkey(&sub_gone);
    let after = gpg.export(&[], &[]);
    let keyring = gpg.write("after.gpg", &after);

    check(
        "expired key",
        &keyring,
        &[&expired],
        &by_expired,
        &Good(Some(Expired::Key)),
    )
    .await;
    check(
        "expired subkey",
        &keyring,
        &[&sub_expired],
        &by_sub_expired,
        &Good(Some(Expired::Key)),
    )
    .await;
    check(
        "expired signature",
        &keyring,
        &[&good],
        &ended,
        &Good(Some(Expired::Signature)),
    )
    .await;
    let revoked = || refused!(SignatureProblem::Revoked { .. }, "is revoked");
    check("revoked", &keyring, &[&gone], &by_gone, &revoked()).await;
    check(
        "revoked subkey",
        &keyring,
        &[&sub_gone],
        &by_sub_gone,
        &revoked(),
    )
    .await;
    // A revocation counts in whichever copy of the key it is.
    let copies = [std::fs::read(&before).unwrap(), after].concat();
    let copies = gpg.write("copies.gpg", &copies);
    check("revoked in a copy", &copies, &[&gone], &by_gone, &revoked()).await;
    check(
        "revoked in a copy",
        &copies,
        &[&sub_gone],
        &by_sub_gone,
        &revoked(),
    )
    .await;
}

#[tokio::test]
async fn subkeys_sign_for_their_primary_key() {
    let Some(gpg) = Gpg::new() else { return };
    let sub = gpg.key("sub", "ed25519", "cert", &[]);
    gpg.subkey(&sub, "ed25519", "sign", "never", &[]);
    let good = gpg.key("good", "ed25519", "sign", &[]);
    let gone = gpg.key("gone", "ed25519", "sign", &[]);
    let by_sub = gpg.sign("sub", &[], CONTENT);
    let by_gone = gpg.sign("gone", &[], CONTENT);
    gpg.revoke(&gone);
    let keyring = gpg.write("keyring", &gpg.export(&[], &[]));
    check("subkey", &keyring, &[&sub], &by_sub, &Good(None)).await;
    // makepkg compares the primary key's fingerprint.
    let subkey = gpg.fingerprints("sub").remove(1);
    let unlisted = refused!(SignatureProblem::NotValidKey { .. }, "");
    check("subkey listed", &keyring, &[&subkey], &by_sub, &unlisted).await;
    // A good signer beside a revoked one suffices, as the revoked one says nothing about the content.
    let both = [by_gone, gpg.sign("good", &[], CONTENT)].concat();
    check(
        "revoked and good",
        &keyring,
        &[&gone, &good],
        &both,
        &Good(None),
    )
    .await;
}
