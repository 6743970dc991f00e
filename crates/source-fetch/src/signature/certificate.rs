//! One certificate: which of its keys may sign, and whether they are revoked or have expired.

use pgp::composed::{SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{PublicKey, Signature, SignatureType, SubpacketData};
use pgp::ser::Serialize;
use pgp::types::{
    EcdsaPublicParams, EddsaLegacyPublicParams, KeyDetails, PublicParams, Tag, Timestamp,
};

use crate::error::SignatureProblem;
use crate::signer::{Expired, Weakness};

/// Fewest bits of an RSA key that is not weak.
const RSA_BITS: u16 = 2048;
/// 2019-01-19, in seconds since 1970: from then on SHA-1 under a key's own signature is weak.
const HASH_FROM: u32 = 1_547_856_000;

/// A certificate whose own signatures are not verified until it is asked.
#[derive(Debug)]
pub(super) struct Certificate {
    key: SignedPublicKey,
}

/// The key of a certificate that has made a signature.
pub(super) enum Component<'a> {
    Primary(&'a PublicKey),
    Subkey(&'a SignedPublicSubKey),
}

impl Certificate {
    pub(super) fn new(key: SignedPublicKey) -> Self {
        Self { key }
    }

    pub(super) fn fingerprint(&self) -> String {
        hex::encode_upper(self.key.fingerprint())
    }

    /// The key with this fingerprint or key id.
    pub(super) fn component(&self, issuer: &[u8]) -> Option<Component<'_>> {
        if is_named(&self.key.primary_key, issuer) {
            return Some(Component::Primary(&self.key.primary_key));
        }
        self.key
            .public_subkeys
            .iter()
            .find(|subkey| is_named(&subkey.key, issuer))
            .map(Component::Subkey)
    }

    /// Takes over what another copy knows, so that a revocation counts in whichever copy it is.
    pub(super) fn merge(&mut self, other: SignedPublicKey) {
        let mine = &mut self.key;
        let details = other.details;
        mine.details
            .revocation_signatures
            .extend(details.revocation_signatures);
        mine.details
            .direct_signatures
            .extend(details.direct_signatures);
        mine.details.users.extend(details.users);
        for subkey in other.public_subkeys {
            let known = mine
                .public_subkeys
                .iter_mut()
                .find(|known| known.key.fingerprint() == subkey.key.fingerprint());
            match known {
                Some(known) => known.signatures.extend(subkey.signatures),
                None => mine.public_subkeys.push(subkey),
            }
        }
    }

    /// Whether `component` may have made `signature`, what has expired at `now`, and what is weak.
    ///
    /// As with gpg, any revocation counts from the beginning, and an expiry even for signatures
    /// that were made before it.
    pub(super) fn judge(
        &self,
        component: &Component<'_>,
        signature: &Signature,
        now: Timestamp,
    ) -> Result<(Option<Expired>, Vec<Weakness>), SignatureProblem> {
        let fingerprint = self.fingerprint();
        let unusable = |reason| SignatureProblem::UnusableKey {
            fingerprint: fingerprint.clone(),
            reason,
        };
        let revoked = || SignatureProblem::Revoked {
            fingerprint: fingerprint.clone(),
        };
        if self.is_revoked() {
            return Err(revoked());
        }
        let primary = &self.key.primary_key;
        let mut keys = vec![primary.public_params()];
        if let Component::Subkey(subkey) = component {
            keys.push(subkey.key.public_params());
        }
        if keys.iter().copied().any(is_of_unknown_kind) {
            return Err(SignatureProblem::Unsupported {
                what: format!("the kind of key `{fingerprint}`"),
            });
        }
        let own = self
            .self_signature()
            .ok_or_else(|| unusable("no valid self-signature is on it"))?;
        let mut weak: Vec<Weakness> = keys.into_iter().filter_map(weakness).collect();
        weak.extend(weak_hash(own));
        let mut key_ends = ends(primary.created_at(), own.key_expiration_time());
        let created = match component {
            Component::Primary(key) => {
                if !may_sign(own, true) {
                    return Err(unusable("it is not meant for signing"));
                }
                key.created_at()
            }
            Component::Subkey(subkey) => {
                if self.is_subkey_revoked(subkey) {
                    return Err(revoked());
                }
                let binding = self
                    .binding(subkey)
                    .ok_or_else(|| unusable("its subkey is not bound to it for signing"))?;
                weak.extend(weak_hash(binding));
                let end = ends(subkey.key.created_at(), binding.key_expiration_time());
                key_ends = key_ends.into_iter().chain(end).min();
                subkey.key.created_at()
            }
        };
        let made = signature
            .created()
            .ok_or_else(|| SignatureProblem::Malformed {
                reason: "it does not say when it was made".to_owned(),
            })?;
        if made < created {
            return Err(unusable("it is younger than the signature"));
        }
        weak.sort_unstable();
        weak.dedup();
        let now = u64::from(now.as_secs());
        if ends(made, signature.signature_expiration_time()).is_some_and(|end| end <= now) {
            return Ok((Some(Expired::Signature), weak));
        }
        let is_over = key_ends.is_some_and(|end| end <= now);
        Ok((is_over.then_some(Expired::Key), weak))
    }

    fn is_revoked(&self) -> bool {
        let details = &self.key.details;
        // Somebody else may be appointed to revoke. That key may not be at hand, and doubt counts
        // against the certificate.
        let appointed = details
            .direct_signatures
            .iter()
            .any(|signature| signature.revocation_key().is_some());
        details.revocation_signatures.iter().any(|signature| {
            let own = signature.verify_key(&self.key.primary_key).is_ok();
            own || (appointed && !names(signature, &self.key.primary_key))
        })
    }

    fn is_subkey_revoked(&self, subkey: &SignedPublicSubKey) -> bool {
        subkey.signatures.iter().any(|signature| {
            signature.typ() == Some(SignatureType::SubkeyRevocation)
                && signature
                    .verify_subkey_binding(&self.key.primary_key, &subkey.key)
                    .is_ok()
        })
    }

    /// The newest valid signature of the primary key over itself.
    fn self_signature(&self) -> Option<&Signature> {
        let primary = &self.key.primary_key;
        let details = &self.key.details;
        let direct = details.direct_signatures.iter().filter(|signature| {
            signature.typ() == Some(SignatureType::Key) && signature.verify_key(primary).is_ok()
        });
        let users = details.users.iter().flat_map(|user| {
            user.signatures.iter().filter(|signature| {
                signature.typ() != Some(SignatureType::CertRevocation)
                    && names(signature, primary)
                    && signature
                        .verify_certification(primary, Tag::UserId, &user.id)
                        .is_ok()
            })
        });
        direct
            .chain(users)
            .filter(|signature| is_binding_hash(signature))
            .max_by_key(|signature| signature.created())
    }

    /// The newest valid binding of a subkey that is for signing, which the subkey confirms itself:
    /// otherwise anybody could claim another's subkey and with it what it has signed.
    fn binding<'a>(&self, subkey: &'a SignedPublicSubKey) -> Option<&'a Signature> {
        let primary = &self.key.primary_key;
        let newest = subkey
            .signatures
            .iter()
            .filter(|signature| {
                signature.typ() == Some(SignatureType::SubkeyBinding)
                    && is_binding_hash(signature)
                    && signature
                        .verify_subkey_binding(primary, &subkey.key)
                        .is_ok()
            })
            .max_by_key(|signature| signature.created())?;
        let confirmed = newest.embedded_signature().is_some_and(|back| {
            is_binding_hash(back)
                && back
                    .verify_primary_key_binding(&subkey.key, primary)
                    .is_ok()
        });
        (may_sign(newest, false) && confirmed).then_some(newest)
    }
}

/// What is weak about a key by its kind and size.
fn weakness(params: &PublicParams) -> Option<Weakness> {
    match params {
        // The modulus comes first, as its bits and then its bytes: RFC 9580, 3.2.
        PublicParams::RSA(rsa) => {
            let bytes = rsa.to_bytes().unwrap_or_default();
            let bits = bytes
                .first_chunk()
                .map_or(0, |two| u16::from_be_bytes(*two));
            (bits < RSA_BITS).then_some(Weakness::ShortKey { bits })
        }
        PublicParams::DSA(_) => Some(Weakness::Dsa),
        _ => None,
    }
}

/// Whether a key's own signature is over a weak hash although it is recent.
fn weak_hash(signature: &Signature) -> Option<Weakness> {
    let is_weak = signature.hash_alg().is_none_or(super::is_weak);
    let is_recent = signature
        .created()
        .is_none_or(|created| created.as_secs() >= HASH_FROM);
    (is_weak && is_recent).then_some(Weakness::Hash)
}

/// Curves and algorithms that no signature can be verified with.
fn is_of_unknown_kind(params: &PublicParams) -> bool {
    matches!(
        params,
        PublicParams::Unknown { .. }
            | PublicParams::ECDSA(EcdsaPublicParams::Unsupported { .. })
            | PublicParams::EdDSALegacy(EddsaLegacyPublicParams::Unsupported { .. })
    )
}

fn is_named(key: &impl KeyDetails, issuer: &[u8]) -> bool {
    key.fingerprint().as_bytes() == issuer || key.legacy_key_id().as_ref() == issuer
}

fn names(signature: &Signature, key: &impl KeyDetails) -> bool {
    let fingerprints = signature.issuer_fingerprint();
    let ids = signature.issuer_key_id();
    fingerprints
        .iter()
        .any(|print| is_named(key, print.as_bytes()))
        || ids.iter().any(|id| is_named(key, id.as_ref()))
}

/// When something made at `start` ends, in seconds since 1970; zero means never.
fn ends(start: Timestamp, after: Option<pgp::types::Duration>) -> Option<u64> {
    let after = after
        .map(pgp::types::Duration::as_secs)
        .filter(|secs| *secs > 0)?;
    Some(u64::from(start.as_secs()) + u64::from(after))
}

/// Whether the key flags allow signing data; `without` when there are none, as on the oldest keys.
fn may_sign(signature: &Signature, without: bool) -> bool {
    let flagged = signature.config().is_some_and(|config| {
        config
            .hashed_subpackets()
            .any(|packet| matches!(packet.data, SubpacketData::KeyFlags(_)))
    });
    if flagged {
        signature.key_flags().sign()
    } else {
        without
    }
}

/// SHA-1 is left to what a key says about itself, as gpg does: a forger would need a second
/// preimage there, and keys of before 2015 have nothing better.
fn is_binding_hash(signature: &Signature) -> bool {
    signature.hash_alg() != Some(HashAlgorithm::Md5)
}
