//! The signature packets of a detached signature.

use pgp::errors::Error;
use pgp::packet::{Packet, PacketParser, PacketTrait, Signature};

use super::armor;
use crate::error::SignatureProblem;

/// Largest accepted signature; one is some hundred bytes, those of many signers some ten thousand.
pub(crate) const MAX_SIGNATURE_BYTES: u64 = 256 << 10;
/// Most signatures in one file.
const MAX_SIGNATURES: usize = 64;

/// Takes a detached signature apart; a signature that cannot be understood is its description.
pub(super) fn signatures(data: &[u8]) -> Result<Vec<Result<Signature, String>>, SignatureProblem> {
    let malformed = |reason: String| SignatureProblem::Malformed { reason };
    if data.len() as u64 > MAX_SIGNATURE_BYTES {
        return Err(SignatureProblem::TooLarge {
            limit: MAX_SIGNATURE_BYTES,
        });
    }
    let blocks = if armor::is_binary(data) {
        vec![data.to_vec()]
    } else {
        armor::decode(data, "SIGNATURE").map_err(malformed)?
    };
    if blocks.is_empty() {
        return Err(match foreign(data) {
            Some(what) => SignatureProblem::Unsupported {
                what: what.to_owned(),
            },
            None => malformed("it is no OpenPGP signature".to_owned()),
        });
    }
    let mut found = Vec::new();
    for block in &blocks {
        for packet in PacketParser::new(&block[..]) {
            match packet {
                Ok(Packet::Signature(signature)) => found.push(Ok(signature)),
                Ok(Packet::Marker(_) | Packet::Padding(_)) => {}
                // A signed message is complete in itself and says nothing about the file beside it.
                Ok(other) => {
                    return Err(malformed(format!(
                        "it holds a packet of type {} and not just signatures",
                        u8::from(other.tag())
                    )));
                }
                Err(Error::Unsupported { message, .. }) => found.push(Err(message)),
                Err(error) => return Err(malformed(error.to_string())),
            }
            if found.len() > MAX_SIGNATURES {
                return Err(SignatureProblem::TooMany {
                    limit: MAX_SIGNATURES,
                });
            }
        }
    }
    Ok(found)
}

/// Signatures of other kinds, which git can carry too: gitformat-signature(5).
fn foreign(data: &[u8]) -> Option<&'static str> {
    let begins = |text: &str| data.starts_with(text.as_bytes());
    if begins("-----BEGIN SSH SIGNATURE-----") {
        Some("an SSH signature")
    } else if begins("-----BEGIN SIGNED MESSAGE-----") {
        Some("an X.509 signature")
    } else {
        None
    }
}
