//! What makepkg accepts.

use crate::support::gpg::Gpg;
use crate::{CONTENT, Good, check};

#[tokio::test]
async fn signatures_of_every_kind_of_key() {
    let Some(gpg) = Gpg::new() else { return };
    let kinds = [
        ("ed", "ed25519"),
        ("rsa", "rsa2048"),
        ("p256", "nistp256"),
        ("p384", "nistp384"),
        ("p521", "nistp521"),
    ];
    let mut fingerprints = Vec::new();
    for (name, kind) in kinds {
        let fingerprint = gpg.key(name, kind, "sign", &[]);
        if name == "ed" {
            gpg.subkey(&fingerprint, "cv25519", "encr", "never", &[]);
        }
        fingerprints.push(fingerprint);
    }
    let valid: Vec<&str> = fingerprints.iter().map(String::as_str).collect();
    let binary = gpg.write("all.gpg", &gpg.export(&[], &[]));
    let armoured = gpg.write("all.asc", &gpg.export(&["--armor"], &[]));
    for (index, (name, _)) in kinds.iter().enumerate() {
        let own = &valid[index..=index];
        let case = |arguments: &[&str]| gpg.sign(name, arguments, CONTENT);
        check(name, &binary, own, &case(&[]), &Good(None)).await;
        check(name, &armoured, own, &case(&["--armor"]), &Good(None)).await;
    }
    for arguments in [
        &["--digest-algo", "SHA224"][..],
        &["--digest-algo", "SHA384", "--armor"],
        &["--digest-algo", "SHA512"],
        &["--textmode"],
        &["--force-v3-sigs"],
        &[
            "--sig-notation",
            "a@example.org=b",
            "--sig-policy-url",
            "https://example.org",
        ],
    ] {
        let signature = gpg.sign("rsa", arguments, CONTENT);
        check(
            &arguments.join(" "),
            &binary,
            &valid,
            &signature,
            &Good(None),
        )
        .await;
    }
    let both = gpg.run(
        &["-u", "ed", "-u", "p256", "--detach-sign", "-o", "-"],
        CONTENT,
    );
    check("two signers", &binary, &valid, &both, &Good(None)).await;
    let lower = valid[0].to_lowercase();
    let signature = gpg.sign("ed", &["--armor"], CONTENT);
    check("lower case", &binary, &[&lower], &signature, &Good(None)).await;
    let mut wrapped = b"From the release notes:\r\n\r\n".to_vec();
    wrapped.extend(
        String::from_utf8(signature)
            .unwrap()
            .replace('\n', "\r\n")
            .bytes(),
    );
    check("text around it", &binary, &valid, &wrapped, &Good(None)).await;
}
