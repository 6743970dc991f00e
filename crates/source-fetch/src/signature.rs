//! `OpenPGP` signatures, judged the way makepkg judges what gpg tells it.

mod armor;
mod certificate;
mod keyring;
mod packets;

use std::cell::RefCell;
use std::io::{self, Read};
use std::time::SystemTime;

use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::errors::Error;
use pgp::packet::{Signature, SignatureType, SignatureVersion, SubpacketData};
use pgp::types::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::error::SignatureProblem;
use crate::signer::Signer;
use certificate::{Certificate, Component};
pub(crate) use keyring::{Keyring, Keys};
pub(crate) use packets::MAX_SIGNATURE_BYTES;

/// Why the signature was not found good.
#[derive(Debug)]
pub(crate) enum Refusal {
    Problem(SignatureProblem),
    /// The content could not be read, or unpacked where it is signed unpacked.
    Content(io::Error),
    Cancelled,
}

impl From<SignatureProblem> for Refusal {
    fn from(problem: SignatureProblem) -> Self {
        Self::Problem(problem)
    }
}

/// Opens the signed content at its beginning; once for each signature that is compared.
pub(crate) type Open<'a> = dyn Fn() -> io::Result<Box<dyn Read + 'a>> + 'a;

/// Verifies detached signatures, armoured or binary.
///
/// One good signature by a listed key suffices; others may be unknown or unusable, as where a
/// release has several signers. One that names a listed key and does not fit the content fails
/// the whole, whatever else is there.
pub(crate) fn verify(
    keyring: &Keyring,
    signature: &[u8],
    open: &Open<'_>,
    token: &CancellationToken,
) -> Result<Signer, Refusal> {
    let (mut good, mut problems) = (Vec::new(), Vec::<SignatureProblem>::new());
    for parsed in packets::signatures(signature)? {
        let judged = match parsed {
            Ok(signature) => {
                // Each certificate is asked once, which bounds how often the content is read.
                let seen = |fingerprint: &str| {
                    good.iter()
                        .any(|signer: &Signer| signer.fingerprint == fingerprint)
                };
                judge(keyring, &signature, open, token, &seen)
            }
            Err(what) => Err(SignatureProblem::Unsupported { what }.into()),
        };
        match judged {
            Ok(signer) => good.extend(signer),
            Err(Refusal::Problem(problem @ SignatureProblem::Bad { .. })) => {
                return Err(problem.into());
            }
            Err(Refusal::Problem(problem)) => problems.push(problem),
            Err(other) => return Err(other),
        }
    }
    // The one that proves most, of several the first.
    let worth = |signer: &Signer| (signer.accepted, signer.is_sound());
    if let Some(signer) = good.into_iter().rev().max_by_key(worth) {
        return Ok(signer);
    }
    Err(problems
        .into_iter()
        .min_by_key(severity)
        .unwrap_or_else(|| SignatureProblem::Malformed {
            reason: "it holds no signature".to_owned(),
        })
        .into())
}

/// Which of several problems is told: the one that says most about the key that should have signed.
fn severity(problem: &SignatureProblem) -> u8 {
    match problem {
        SignatureProblem::Revoked { .. } => 0,
        SignatureProblem::WeakHash { .. } => 1,
        SignatureProblem::UnusableKey { .. } => 2,
        SignatureProblem::NotValidKey { .. } => 3,
        SignatureProblem::UnknownKey { .. } => 4,
        _ => 5,
    }
}

/// Nothing when the certificate it names has been found good already.
fn judge(
    keyring: &Keyring,
    signature: &Signature,
    open: &Open<'_>,
    token: &CancellationToken,
    seen: &dyn Fn(&str) -> bool,
) -> Result<Option<Signer>, Refusal> {
    let hash = usable(signature)?;
    let (certificate, component) = find(keyring, signature)?;
    let fingerprint = certificate.fingerprint();
    if seen(&fingerprint) {
        return Ok(None);
    }
    if is_weak(hash) {
        return Err(SignatureProblem::WeakHash {
            fingerprint,
            hash: hash.to_string(),
        }
        .into());
    }
    let now = Timestamp::try_from(SystemTime::now()).unwrap_or_default();
    let (expired, weak) = certificate.judge(&component, signature, now)?;
    let failure = RefCell::new(None);
    let content = Watched {
        inner: open().map_err(Refusal::Content)?,
        failure: &failure,
        token,
    };
    let fits = match &component {
        Component::Primary(key) => signature.verify(*key, content),
        Component::Subkey(subkey) => signature.verify(&subkey.key, content),
    };
    if token.is_cancelled() {
        return Err(Refusal::Cancelled);
    }
    if let Some(error) = failure.into_inner() {
        return Err(Refusal::Content(error));
    }
    match fits {
        Ok(()) => Ok(Some(Signer {
            accepted: keyring.accepts(&fingerprint),
            fingerprint,
            expired,
            weak,
        })),
        Err(Error::Unsupported { message, .. } | Error::Unimplemented { message, .. }) => {
            Err(SignatureProblem::Unsupported { what: message }.into())
        }
        Err(error) => {
            tracing::debug!(%error, %fingerprint, "a signature does not fit");
            Err(SignatureProblem::Bad { fingerprint }.into())
        }
    }
}

/// The hash of a signature over data that this version understands in whole.
fn usable(signature: &Signature) -> Result<HashAlgorithm, SignatureProblem> {
    let unsupported = |what: String| SignatureProblem::Unsupported { what };
    let version = signature.version();
    if !matches!(
        version,
        SignatureVersion::V3 | SignatureVersion::V4 | SignatureVersion::V6
    ) {
        return Err(unsupported(format!(
            "signature version {}",
            u8::from(version)
        )));
    }
    let Some(config) = signature.config() else {
        return Err(unsupported("an unknown signature".to_owned()));
    };
    // A certification or a revocation signs something else than a file.
    if !matches!(config.typ, SignatureType::Binary | SignatureType::Text) {
        return Err(unsupported(format!(
            "signature type {:#04x}",
            u8::from(config.typ)
        )));
    }
    // RFC 9580, 5.2.3.7: what is critical and unknown makes the signature invalid.
    let unknown = config
        .hashed_subpackets()
        .find_map(|packet| match packet.data {
            SubpacketData::Other(id, _) | SubpacketData::Experimental(id, _)
                if packet.is_critical =>
            {
                Some(id)
            }
            // Type 20; none is known here.
            SubpacketData::Notation(_) if packet.is_critical => Some(20),
            _ => None,
        });
    if let Some(id) = unknown {
        return Err(unsupported(format!("critical signature subpacket {id}")));
    }
    if !matches!(
        config.pub_alg,
        PublicKeyAlgorithm::RSA
            | PublicKeyAlgorithm::RSASign
            | PublicKeyAlgorithm::DSA
            | PublicKeyAlgorithm::ECDSA
            | PublicKeyAlgorithm::EdDSALegacy
            | PublicKeyAlgorithm::Ed25519
            | PublicKeyAlgorithm::Ed448
    ) {
        let id = u8::from(config.pub_alg);
        return Err(unsupported(format!("key algorithm {id}")));
    }
    match config.hash_alg {
        HashAlgorithm::None | HashAlgorithm::Private10 | HashAlgorithm::Other(_) => {
            let id = u8::from(config.hash_alg);
            Err(unsupported(format!("hash algorithm {id}")))
        }
        hash => Ok(hash),
    }
}

/// Two files with one hash can be made for these, so a signature over one is a signature over the other.
fn is_weak(hash: HashAlgorithm) -> bool {
    matches!(
        hash,
        HashAlgorithm::Md5 | HashAlgorithm::Sha1 | HashAlgorithm::Ripemd160
    )
}

fn find<'a>(
    keyring: &'a Keyring,
    signature: &Signature,
) -> Result<(&'a Certificate, Component<'a>), SignatureProblem> {
    let fingerprints = signature.issuer_fingerprint();
    let ids = signature.issuer_key_id();
    let mut issuers: Vec<&[u8]> = fingerprints.iter().map(|print| print.as_bytes()).collect();
    issuers.extend(ids.iter().map(AsRef::as_ref));
    let Some(first) = issuers.first() else {
        return Err(SignatureProblem::Malformed {
            reason: "it does not say which key made it".to_owned(),
        });
    };
    if let Some(found) = issuers.iter().find_map(|issuer| keyring.listed(issuer)) {
        return Ok(found);
    }
    if let Some(fingerprint) = issuers.iter().find_map(|issuer| keyring.unlisted(issuer)) {
        return Err(SignatureProblem::NotValidKey {
            fingerprint: fingerprint.to_owned(),
        });
    }
    Err(SignatureProblem::UnknownKey {
        key: hex::encode_upper(first),
        keyring: keyring.path().to_owned(),
    })
}

/// Keeps a failure to read apart from a signature that does not fit, and stops when cancelled.
struct Watched<'a> {
    inner: Box<dyn Read + 'a>,
    failure: &'a RefCell<Option<io::Error>>,
    token: &'a CancellationToken,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.token.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        loop {
            match self.inner.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let kind = error.kind();
                    *self.failure.borrow_mut() = Some(error);
                    return Err(kind.into());
                }
                count => return count,
            }
        }
    }
}
