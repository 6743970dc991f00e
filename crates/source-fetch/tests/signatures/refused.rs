//! What is refused, and why.

use pgp::composed::{Deserializable, SignedPublicKey, SignedPublicSubKey, SignedSecretKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{
    KeyFlags, PublicSubkey, SignatureConfig, SignatureType, Subpacket, SubpacketData,
};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails as _, Password, Timestamp};
use source_fetch::SignatureProblem;

use crate::support::gpg::Gpg;
use crate::support::noise;
use crate::{CONTENT, Expect, Good, check, fetch};

fn malformed() -> Expect {
    refused!(SignatureProblem::Malformed { .. }, "cannot be read")
}

fn unsupported() -> Expect {
    refused!(SignatureProblem::Unsupported { .. }, "is not supported")
}

fn bad() -> Expect {
    refused!(SignatureProblem::Bad { .. }, "does not fit")
}

fn unlisted() -> Expect {
    refused!(SignatureProblem::NotValidKey { .. }, "validpgpkeys")
}

/// Where the body of the first packet begins.
fn body(packets: &[u8]) -> usize {
    if packets[0] & 0x40 != 0 {
        return 2 + usize::from(packets[1] >= 192);
    }
    1 + (1 << (packets[0] & 3))
}

#[tokio::test]
async fn what_is_no_detached_signature() {
    let Some(gpg) = Gpg::new() else { return };
    let good = gpg.key("good", "ed25519", "sign", &[]);
    let keyring = gpg.write("keyring.gpg", &gpg.export(&[], &[]));
    let binary = gpg.sign("good", &[], CONTENT);
    let armoured = gpg.sign("good", &["--armor"], CONTENT);
    let half = armoured.len() / 2;
    let mut scrambled = armoured.clone();
    scrambled[half] = b'!';
    let message = |extra: &[&str]| {
        let arguments = [&["-u", "good"], extra, &["--sign", "-o", "-"]].concat();
        gpg.run(&arguments, CONTENT)
    };
    let lying = [&[0xc2, 0xff, 0xff, 0xff, 0xff, 0xff][..], &binary].concat();
    let cases: [(&str, Vec<u8>); 16] = [
        ("empty", Vec::new()),
        ("text", b"hello\n".to_vec()),
        ("noise", noise(4096)),
        ("zeros after it", [&binary[..], &[0; 64]].concat()),
        ("a cut signature", binary[..binary.len() / 2].to_vec()),
        ("cut armour", armoured[..half].to_vec()),
        ("scrambled armour", scrambled),
        (
            "empty armour",
            b"-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----\n".to_vec(),
        ),
        ("a public key", gpg.export(&[], &[&good])),
        ("an armoured key", gpg.export(&["--armor"], &[&good])),
        (
            "a key and a signature",
            [gpg.export(&[], &[&good]), binary.clone()].concat(),
        ),
        // gpg would verify such a message by itself, whatever file lies beside it.
        ("a signed message", message(&[])),
        ("an uncompressed message", message(&["-z0"])),
        ("an armoured message", message(&["--armor"])),
        ("a length that lies", lying),
        ("a revocation", gpg.revoke(&good)),
    ];
    for (name, signature) in cases {
        check(name, &keyring, &[&good], &signature, &malformed()).await;
    }
    let huge = [binary.clone(), noise(300 << 10)].concat();
    let expect = refused!(SignatureProblem::TooLarge { .. }, "limit of 262144 bytes");
    check("too large", &keyring, &[&good], &huge, &expect).await;
    let expect = refused!(SignatureProblem::TooMany { .. }, "more than 64");
    check("too many", &keyring, &[&good], &binary.repeat(65), &expect).await;
}

#[tokio::test]
async fn what_cannot_be_verified() {
    let Some(gpg) = Gpg::new() else { return };
    let good = gpg.key("good", "ed25519", "sign", &[]);
    let rsa = gpg.key("rsa", "rsa2048", "sign", &[]);
    let curve = gpg.key("curve", "brainpoolP256r1", "sign", &[]);
    let keyring = gpg.write("keyring.gpg", &gpg.export(&[], &[]));
    let binary = gpg.sign("good", &[], CONTENT);
    let patched = |offset: usize, value: u8| {
        let mut bytes = binary.clone();
        bytes[body(&binary) + offset] = value;
        bytes
    };
    let ssh = b"-----BEGIN SSH SIGNATURE-----\nU1NI\n-----END SSH SIGNATURE-----\n";
    let cases = [
        ("version 9", patched(0, 9)),
        ("a certification", patched(1, 0x10)),
        ("a key algorithm of nobody", patched(2, 99)),
        ("a hash of nobody", patched(3, 99)),
        (
            "a critical notation",
            gpg.sign("good", &["--sig-notation", "!x@example.org=y"], CONTENT),
        ),
        ("an SSH signature", ssh.to_vec()),
    ];
    for (name, signature) in cases {
        check(name, &keyring, &[&good], &signature, &unsupported()).await;
    }
    let weak = |hash: &str| {
        let arguments = ["--digest-algo", hash, "--allow-weak-digest-algos"];
        gpg.sign("rsa", &arguments, CONTENT)
    };
    let expect = refused!(SignatureProblem::WeakHash { .. }, "can be forged");
    for hash in ["SHA1", "RIPEMD160"] {
        check(hash, &keyring, &[&rsa], &weak(hash), &expect).await;
    }
    // gpg no longer makes these; the hash is looked at before anything is computed.
    let mut md5 = gpg.sign("rsa", &[], CONTENT);
    let at = body(&md5) + 3;
    md5[at] = 1;
    check("MD5", &keyring, &[&rsa], &md5, &expect).await;
    let by_curve = gpg.sign("curve", &[], CONTENT);
    check("a curve", &keyring, &[&curve], &by_curve, &unsupported()).await;
}

#[tokio::test]
async fn what_does_not_fit() {
    let Some(gpg) = Gpg::new() else { return };
    let good = gpg.key("good", "ed25519", "sign", &[]);
    let rsa = gpg.key("rsa", "rsa2048", "sign", &[]);
    let other = gpg.key("other", "ed25519", "sign", &[]);
    let keyring = gpg.write("keyring.gpg", &gpg.export(&[], &[]));
    let stranger = gpg.key("stranger", "ed25519", "sign", &[]);
    let binary = gpg.sign("good", &[], CONTENT);
    let wrong = gpg.sign("rsa", &[], b"something else\n");
    let mut changed = binary.clone();
    *changed.last_mut().unwrap() ^= 1;
    let clear = gpg.run(&["-u", "good", "--clear-sign", "-o", "-"], CONTENT);
    let valid = [&good[..], &rsa, &stranger];
    for (name, signature) in [
        ("another file", wrong.clone()),
        ("a changed signature", changed),
        ("good and bad", [binary.clone(), wrong.clone()].concat()),
        ("bad and good", [wrong, binary.clone()].concat()),
        // It leaves out the last line end.
        ("a cleartext signature", clear),
    ] {
        check(name, &keyring, &valid, &signature, &bad()).await;
    }
    let by_stranger = gpg.sign("stranger", &[], CONTENT);
    let expect = refused!(SignatureProblem::UnknownKey { .. }, "keyring.gpg");
    check(
        "not in the keyring",
        &keyring,
        &valid,
        &by_stranger,
        &expect,
    )
    .await;
    let by_other = gpg.sign("other", &[], CONTENT);
    check(
        "in the keyring alone",
        &keyring,
        &valid,
        &by_other,
        &unlisted(),
    )
    .await;
    for (name, valid) in [
        ("nothing listed", &[][..]),
        ("another listed", &[&other[..]]),
        ("a key id listed", &[&good[24..]]),
        ("a beginning listed", &[&good[..39]]),
    ] {
        check(name, &keyring, valid, &binary, &unlisted()).await;
    }
    // Strangers beside a good signer are no harm.
    let mixed = [by_other, by_stranger, binary].concat();
    check("strangers and good", &keyring, &valid, &mixed, &Good(None)).await;
}

#[tokio::test]
async fn a_changed_signature_never_passes() {
    let Some(gpg) = Gpg::new() else { return };
    let good = gpg.key("good", "ed25519", "sign", &[]);
    let keyring = gpg.write("keyring.gpg", &gpg.export(&[], &[]));
    for signature in [
        gpg.sign("good", &[], CONTENT),
        gpg.sign("good", &[], b"something else\n"),
    ] {
        let fits = fetch(&keyring, &[&good], ".sig", &signature)
            .await
            .1
            .is_ok();
        let hashed = body(&signature) + 4;
        let length = u16::from_be_bytes([signature[hashed], signature[hashed + 1]]);
        let start = hashed + 2 + usize::from(length);
        let unsigned = start..start + 12;
        for at in 0..signature.len() {
            let mut changed = signature.clone();
            changed[at] ^= 1 << (at % 8);
            let (_, result) = fetch(&keyring, &[&good], ".sig", &changed).await;
            // The issuer's key id is not signed, and is there a second time in what is.
            let is_issuer = unsigned.contains(&at);
            assert!(result.is_err() || (fits && is_issuer), "byte {at}");
        }
    }
}

/// The subkey of `victim` on the certificate of `thief`, with or without the right to sign.
fn steal(thief: &SignedSecretKey, victim: &PublicSubkey, flags: &KeyFlags) -> Vec<u8> {
    let primary = thief.primary_key.public_key();
    let mut config = SignatureConfig::v4(
        SignatureType::SubkeyBinding,
        primary.algorithm(),
        HashAlgorithm::Sha256,
    );
    config.hashed_subpackets = [
        SubpacketData::SignatureCreationTime(Timestamp::now()),
        SubpacketData::IssuerFingerprint(primary.fingerprint()),
        SubpacketData::KeyFlags(flags.clone()),
    ]
    .map(|data| Subpacket::regular(data).unwrap())
    .to_vec();
    let binding = config
        .sign_subkey_binding(&thief.primary_key, primary, &Password::empty(), victim)
        .unwrap();
    let mut stolen = SignedPublicKey::from(thief.clone());
    stolen.public_subkeys = vec![SignedPublicSubKey::new(victim.clone(), vec![binding])];
    stolen.to_bytes().unwrap()
}

#[tokio::test]
async fn a_subkey_must_be_for_signing_and_confirm_it() {
    let Some(gpg) = Gpg::new() else { return };
    let victim = gpg.key("victim", "ed25519", "cert", &[]);
    gpg.subkey(&victim, "ed25519", "sign", "never", &[]);
    let signature = gpg.sign("victim", &[], CONTENT);
    let victim_key = SignedPublicKey::from_bytes(&gpg.export(&[], &[&victim])[..]).unwrap();
    let subkey = &victim_key.public_subkeys[0];
    let thief = gpg.key("thief", "ed25519", "cert", &[]);
    let secret = gpg.run(&["--export-secret-keys", &thief], b"");
    let secret = SignedSecretKey::from_bytes(&secret[..]).unwrap();
    let mut signing = KeyFlags::default();
    signing.set_sign(true);
    let mut other = KeyFlags::default();
    other.set_encrypt_comms(true);
    let unusable = refused!(
        SignatureProblem::UnusableKey { .. },
        "not bound to it for signing"
    );
    for (name, flags) in [("stolen", signing), ("not for signing", other)] {
        let keyring = gpg.write("stolen.gpg", &steal(&secret, &subkey.key, &flags));
        check(name, &keyring, &[&thief], &signature, &unusable).await;
    }
    // The binding of one certificate means nothing on another.
    let mut moved = SignedPublicKey::from(secret);
    moved.public_subkeys = vec![subkey.clone()];
    let keyring = gpg.write("moved.gpg", &moved.to_bytes().unwrap());
    check("moved", &keyring, &[&thief], &signature, &unusable).await;
    // Without its own signature, a certificate may have been cut to hide what it says.
    let mut bare = victim_key.clone();
    bare.details.users.clear();
    let keyring = gpg.write("bare.gpg", &bare.to_bytes().unwrap());
    let expect = refused!(SignatureProblem::UnusableKey { .. }, "self-signature");
    check("bare", &keyring, &[&victim], &signature, &expect).await;
}
