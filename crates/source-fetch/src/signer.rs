//! Who has signed a source, and what that proves.

use std::fmt;

/// Who has signed a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Fingerprint of the primary key, upper-case hexadecimal; `validpgpkeys` lists it.
    pub fingerprint: String,
    /// Whether the caller accepts the key: [`Policy::accepted_keys`](crate::Policy::accepted_keys).
    pub accepted: bool,
    /// What has run out meanwhile. makepkg accepts that with a warning.
    pub expired: Option<Expired>,
    /// What about the key is too weak for its signatures to prove much; each once. gpg accepts all
    /// of it.
    pub weak: Vec<Weakness>,
}

impl Signer {
    /// Whether nothing has expired and nothing is weak.
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
