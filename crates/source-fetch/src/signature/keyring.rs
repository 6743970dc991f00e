//! The keyring file that the caller names.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use pgp::composed::{Deserializable, SignedPublicKey};
use pgp::types::KeyDetails;

use super::armor;
use super::certificate::{Certificate, Component};
use crate::error::{FetchError, KeyringProblem};

/// Largest accepted keyring, in bytes; those of whole distributions are a tenth of it.
const MAX_KEYRING_BYTES: u64 = 64 << 20;
/// Where gpg writes its own format: `kbx/keybox-blob.c`.
const KEYBOX: std::ops::Range<usize> = 8..12;

/// Which keys count: fingerprints of primary keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys {
    /// Those that the recipe lists.
    pub(crate) valid: Vec<String>,
    /// Those that the caller accepts; none means all.
    pub(crate) accepted: Vec<String>,
}

fn is_among(fingerprints: &[String], fingerprint: &str) -> bool {
    // People copy them as gpg prints them, in groups.
    let same = |one: &String| one.replace(' ', "").eq_ignore_ascii_case(fingerprint);
    fingerprints.iter().any(same)
}

/// The certificates of a file, as far as one recipe is concerned.
#[derive(Debug)]
pub(crate) struct Keyring {
    path: PathBuf,
    /// Those that `validpgpkeys` lists.
    listed: Vec<Certificate>,
    /// Fingerprint or key id of every other key, and the fingerprint of its primary key.
    unlisted: HashMap<Vec<u8>, String>,
    accepted: Vec<String>,
}

impl Keyring {
    /// Reads the certificates at `path`; `keys` says which of them count. Blocks.
    ///
    /// # Errors
    /// [`FetchError::Keyring`].
    pub(crate) fn read(path: &Path, keys: &Keys) -> Result<Self, FetchError> {
        let failed = |problem| FetchError::Keyring {
            path: path.to_owned(),
            problem,
        };
        let mut data = Vec::new();
        File::open(path)
            .and_then(|file| file.take(MAX_KEYRING_BYTES + 1).read_to_end(&mut data))
            .map_err(|error| failed(KeyringProblem::Read(error)))?;
        Self::parse(path, &data, keys).map_err(failed)
    }

    fn parse(path: &Path, data: &[u8], keys: &Keys) -> Result<Self, KeyringProblem> {
        if data.len() as u64 > MAX_KEYRING_BYTES {
            return Err(KeyringProblem::TooLarge {
                limit: MAX_KEYRING_BYTES,
            });
        }
        if data.get(KEYBOX) == Some(b"KBXf") {
            return Err(KeyringProblem::Keybox);
        }
        let mut keyring = Self {
            path: path.to_owned(),
            listed: Vec::new(),
            unlisted: HashMap::new(),
            accepted: keys.accepted.clone(),
        };
        let mut found = 0;
        if armor::is_binary(data) {
            found += keyring.add(data, keys)?;
        } else {
            let blocks = armor::decode(data, "PUBLIC KEY BLOCK")
                .map_err(|reason| KeyringProblem::Malformed { reason })?;
            for block in blocks {
                found += keyring.add(&block, keys)?;
            }
        }
        if found == 0 {
            return Err(KeyringProblem::Empty);
        }
        Ok(keyring)
    }

    /// Takes in what is usable: one key of an unknown kind must not shut out all others.
    fn add(&mut self, packets: &[u8], keys: &Keys) -> Result<usize, KeyringProblem> {
        let malformed = |error: pgp::errors::Error| KeyringProblem::Malformed {
            reason: error.to_string(),
        };
        let mut found = 0;
        for parsed in SignedPublicKey::from_bytes_many(packets).map_err(malformed)? {
            match parsed {
                Ok(key) => {
                    found += 1;
                    self.insert(key, keys);
                }
                Err(error) => tracing::debug!(%error, "leaving out a key of the keyring"),
            }
        }
        Ok(found)
    }

    fn insert(&mut self, key: SignedPublicKey, keys: &Keys) {
        let fingerprint = hex::encode_upper(key.fingerprint());
        if !is_among(&keys.valid, &fingerprint) {
            let subkeys = key
                .public_subkeys
                .iter()
                .flat_map(|subkey| names(&subkey.key));
            for name in names(&key.primary_key).into_iter().chain(subkeys) {
                self.unlisted.insert(name, fingerprint.clone());
            }
            return;
        }
        let known = self
            .listed
            .iter_mut()
            .find(|known| known.fingerprint() == fingerprint);
        match known {
            Some(known) => known.merge(key),
            None => self.listed.push(Certificate::new(key)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The key with this fingerprint or key id, and the listed certificate it belongs to.
    pub(super) fn listed(&self, issuer: &[u8]) -> Option<(&Certificate, Component<'_>)> {
        self.listed.iter().find_map(|certificate| {
            let component = certificate.component(issuer)?;
            Some((certificate, component))
        })
    }

    /// Whether the caller accepts signatures by the key of that fingerprint.
    pub(super) fn accepts(&self, fingerprint: &str) -> bool {
        self.accepted.is_empty() || is_among(&self.accepted, fingerprint)
    }

    /// The fingerprint of the primary key of a key that is here and not listed.
    pub(super) fn unlisted(&self, issuer: &[u8]) -> Option<&str> {
        self.unlisted.get(issuer).map(String::as_str)
    }
}

fn names(key: &impl KeyDetails) -> [Vec<u8>; 2] {
    [
        key.fingerprint().as_bytes().to_vec(),
        key.legacy_key_id().as_ref().to_vec(),
    ]
}
