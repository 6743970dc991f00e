//! `OpenPGP` signatures, judged the way makepkg judges what gpg tells it.

mod armor;
mod certificate;
mod keyring;
mod packets;

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read};
use std::time::SystemTime;

use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::errors::Error;
use pgp::packet::{Signature, SignatureType, SignatureVersion, SubpacketData};
use pgp::types::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::error::SignatureProblem;
use certificate::{Certificate, Component};
pub(crate) use keyring::{Keyring, Keys};
pub(crate) use packets::MAX_SIGNATURE_BYTES;

/// Who has signed a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Fingerprint of the primary key, upper-case hexadecimal; `validpgpkeys` lists it.
    pub fingerprint: String,
    /// What has run out meanwhile. makepkg accepts that with a warning.
    pub expired: Option<Expired>,
    /// What about the key is too weak for its signatures to prove much; each once. gpg accepts all
    /// of it.
    pub weak: Vec<Weakness>,
}

impl Signer {
    /// Tells whether nothing has expired and nothing is weak.
    pub fn is_sound(&self) -> bool {
        self.expired.is_none() && self.weak.is_empty()
    }
}

/// Why a good signature proves little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Weakness {
    /// The key that signed, or its primary key, is RSA of fewer than 2048 bits, which NIST SP 800-131A
    /// disallows.
    ShortKey {
        /// Its bits.
        bits: u16,
    },
    /// The key that signed, or its primary key, is DSA, which FIPS 186-5 no longer approves.
    Dsa,
    /// What the key says about itself is signed over SHA-1 or less, on 2019-01-19 or later: since
    /// then `GnuPG` takes no such signature of another key (2.2.18, "What's New").
    Hash,
}

impl fmt::Display for Weakness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShortKey { bits } => write!(formatter, "an RSA key of {bits} bits"),
            Self::Dsa => formatter.write_str("a DSA key"),
            Self::Hash => formatter.write_str("a key bound by SHA-1"),
        }
    }
}

/// What about a good signature has run out: makepkg, `integrity/verify_signature.sh`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expired {
    /// The signature itself.
    Signature,
    /// The key that made it.
    Key,
}

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
    if let Some(signer) = good.into_iter().next() {
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
        SignatureProblem::NotAccepted { .. } | SignatureProblem::NotValidKey { .. } => 3,
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
    if let Some(fingerprint) = issuers.iter().find_map(|issuer| keyring.unaccepted(issuer)) {
        return Err(SignatureProblem::NotAccepted {
            fingerprint: fingerprint.to_owned(),
        });
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
