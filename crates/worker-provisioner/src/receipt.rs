//! What is known of an installed worker: where it came from and which files it has.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use catalog_client::{Flavor, WorkerType};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use source_fetch::Algorithm;

use crate::artifact::WorkerBinary;
use crate::concession::Concession;
use crate::config::ExpiredSignatures;
use crate::relocation::Relocation;

/// The version of [`Receipt`]'s serialised form.
pub const RECEIPT_VERSION: u32 = 1;

/// How far something was verified, from not at all to best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Verification {
    /// Nobody vouches for the content: the recipe says `SKIP`, or names a commit by anything but
    /// its full id.
    #[default]
    Nothing,
    /// Only a digest matched that can be forged: CRC, MD5 or SHA-1.
    Weak,
    /// The content is what the recipe declares: a digest of SHA-2 or BLAKE2 matched, or a full git
    /// commit id names it.
    Checksum,
    /// A key that the recipe names and the operator accepts has signed it, and neither key nor
    /// signature has expired.
    Signature,
}

impl fmt::Display for Verification {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Nothing => "nothing",
            Self::Weak => "weak",
            Self::Checksum => "checksum",
            Self::Signature => "signature",
        })
    }
}

/// What became of a good signature since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum SignatureState {
    /// It holds, and so does the key.
    Current,
    /// The signature has expired.
    ExpiredSignature,
    /// The key that made it has expired.
    ExpiredKey,
    /// The key is too weak for its signatures to prove much.
    WeakKey,
    /// The key is none that the operator has named.
    OtherKey,
}

/// One source of an installed worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SourceRecord {
    /// The name in `srcdir`.
    pub name: String,
    /// How far it was verified: what the fields below amount to.
    pub verification: Verification,
    /// The digest kinds that matched, such as `sha256`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<String>,
    /// The fingerprint of the key whose signature was good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// Whether that signature is still current and by a key the operator accepts; absent in
    /// receipts of versions that did not look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<SignatureState>,
    /// Whether the recipe names the commit by its full id.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// The commit that was checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Whether it was transferred over TLS, or for git over ssh; absent where there was no transfer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,
}

/// What a file of the package tree is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[non_exhaustive]
pub enum FileContent {
    /// A folder.
    Folder,
    /// A regular file.
    File {
        /// Its size in bytes.
        size: u64,
        /// Its sha256 in lower-case hexadecimal.
        sha256: String,
    },
    /// A symbolic link.
    Link {
        /// What it points at.
        target: PathBuf,
    },
}

/// One file of the package tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileRecord {
    /// Its path relative to the root of the tree.
    pub path: PathBuf,
    /// Its permission bits; meaningless for a link.
    pub mode: u32,
    /// What it is.
    #[serde(flatten)]
    pub content: FileContent,
}

/// Everything known of one installed version of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Receipt {
    /// [`RECEIPT_VERSION`].
    pub receipt_version: u32,
    /// The worker's id, as it was asked for.
    pub worker_id: String,
    /// The backend it was built for.
    pub backend: WorkerType,
    /// Which recipe was used.
    pub flavor: Flavor,
    /// PKGBUILD(5), "epoch"; 0 when there is none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub epoch: u64,
    /// PKGBUILD(5), "pkgver", after `pkgver()`.
    pub pkgver: String,
    /// PKGBUILD(5), "pkgrel".
    pub pkgrel: String,
    /// The sha256 of the recipe's text.
    pub recipe_sha256: String,
    /// The sha256 of everything that decides what is built: recipe, backend, architecture and the
    /// variables the recipe sees.
    pub build_key: String,
    /// The sources.
    pub sources: Vec<SourceRecord>,
    /// Whether the catalog was asked over TLS.
    pub catalog_tls: bool,
    /// The recipe's values that only sourcing it in the sandbox could tell, by name; none when it
    /// could be read without running anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sandbox_evaluated: Vec<String>,
    /// What it was built under that a stricter configuration would not have allowed; absent in
    /// receipts of versions that did not look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concessions: Option<BTreeSet<Concession>>,
    /// The weakest isolation any of the recipe's functions ran in.
    pub isolation: String,
    /// The binary's path in the tree.
    pub program: PathBuf,
    /// What was changed so that the tree works where it is stored, and what the program is started
    /// with.
    #[serde(default, skip_serializing_if = "Relocation::is_nothing")]
    pub relocation: Relocation,
    /// Whether the program answered when it was tried; absent where it was not, or by a version that
    /// did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<bool>,
    /// What the catalog calls the program; what is installed is named after the backend too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary_name: Option<String>,
    /// Every file of the tree, ordered by path.
    pub files: Vec<FileRecord>,
    /// When the tree was stored.
    pub stored_at: Timestamp,
    /// The artifact, once the binary is in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<WorkerBinary>,
    /// The sha256 of the file that was put in place, which may start the binary from the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed_sha256: Option<String>,
}

impl SourceRecord {
    /// Whether nobody on the way could exchange it. A repository of which nothing is known, as in
    /// receipts of versions that did not look, counts as one where somebody could.
    pub(crate) fn came_over_tls(&self) -> bool {
        self.tls.unwrap_or(self.commit.is_none())
    }

    /// What the record amounts to, with signatures that have expired or without them.
    ///
    /// The strongest of several proofs counts. What an older version has recorded without saying on
    /// what it rests counts for nothing.
    pub(crate) fn amounts_to(&self, expired: ExpiredSignatures) -> Verification {
        let counts = match self.signature {
            Some(SignatureState::Current) => true,
            Some(SignatureState::ExpiredSignature | SignatureState::ExpiredKey) => {
                expired == ExpiredSignatures::Accept
            }
            Some(SignatureState::WeakKey | SignatureState::OtherKey) | None => false,
        };
        if counts && self.signed_by.is_some() {
            return Verification::Signature;
        }
        let pinned = (self.pinned && self.commit.is_some()).then_some(Verification::Checksum);
        let digests = self.digests.iter().filter_map(|name| {
            let weak = Algorithm::from_name(name)?.is_weak();
            Some(if weak {
                Verification::Weak
            } else {
                Verification::Checksum
            })
        });
        digests.chain(pinned).max().unwrap_or_default()
    }

    /// What it rests on, for people.
    pub(crate) fn rests_on(&self) -> String {
        let mut grounds = self.digests.clone();
        if self.pinned {
            grounds.push("its full commit id".to_owned());
        } else if self.commit.is_some() {
            grounds.push("a reference that can move".to_owned());
        }
        if self.signed_by.is_some() {
            grounds.push(
                match self.signature {
                    Some(SignatureState::Current) => "a signature",
                    Some(SignatureState::ExpiredSignature) => "an expired signature",
                    Some(SignatureState::ExpiredKey) => "a signature by an expired key",
                    Some(SignatureState::WeakKey) => "a signature by a weak key",
                    Some(SignatureState::OtherKey) => "a signature by a key that is not accepted",
                    None => "a signature that was not judged",
                }
                .to_owned(),
            );
        }
        if grounds.is_empty() {
            grounds.push("nothing".to_owned());
        }
        grounds.join(" and ")
    }
}

impl Receipt {
    /// How far the worker is verified: as far as the least verified of its sources. A recipe
    /// without sources brings its content itself, so nobody vouches for it.
    ///
    /// A recorded level counts only as far as what it rests on is recorded too.
    pub fn verification(&self) -> Verification {
        let levels = self.sources.iter();
        let levels = levels.map(|source| {
            let amounts_to = source.amounts_to(ExpiredSignatures::Refuse);
            source.verification.min(amounts_to)
        });
        levels.min().unwrap_or_default()
    }

    /// Lowers recorded levels to what they rest on, as those of older versions were judged more
    /// kindly.
    pub(crate) fn judged_anew(mut self) -> Self {
        for source in &mut self.sources {
            let amounts_to = source.amounts_to(ExpiredSignatures::Refuse);
            source.verification = source.verification.min(amounts_to);
        }
        self
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// How far the least verified of `sources` is verified.
pub(crate) fn weakest(sources: &[SourceRecord], expired: ExpiredSignatures) -> Verification {
    let levels = sources.iter().map(|source| source.amounts_to(expired));
    levels.min().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn source(json: &str) -> SourceRecord {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_repository_of_which_nothing_is_known_may_have_been_exchanged() {
        for (fields, expected) in [
            (r#""tls":true"#, true),
            (r#""tls":false"#, false),
            (r#""tls":true,"commit":"c0ffee""#, true),
            (r#""commit":"c0ffee""#, false),
            // Beside the recipe.
            (r#""digests":["sha256"]"#, true),
        ] {
            let json = format!(r#"{{"name":"s","verification":"nothing",{fields}}}"#);
            assert_eq!(source(&json).came_over_tls(), expected, "{fields}");
        }
    }

    #[test]
    fn a_recorded_level_counts_as_far_as_what_it_rests_on() {
        use Verification::{Checksum, Nothing, Signature, Weak};
        let cases = [
            (r#""digests":["sha256"]"#, Checksum),
            (r#""digests":["md5","b2"]"#, Checksum),
            (r#""digests":["cksum"]"#, Weak),
            (r#""digests":["md5","sha1"]"#, Weak),
            (r#""digests":["sha1024"]"#, Nothing),
            // Older versions recorded the commit whatever had named it.
            (r#""commit":"c0ffee""#, Nothing),
            (r#""commit":"c0ffee","pinned":true"#, Checksum),
            (r#""pinned":true"#, Nothing),
            (r#""signedBy":"AB""#, Nothing),
            (r#""signedBy":"AB","signature":"current""#, Signature),
            (r#""signature":"current""#, Nothing),
            (
                r#""signedBy":"AB","signature":"expiredKey","digests":["sha512"]"#,
                Checksum,
            ),
            (r#""signedBy":"AB","signature":"otherKey""#, Nothing),
        ];
        for (fields, expected) in cases {
            let text = format!(r#"{{"name":"a","verification":"signature",{fields}}}"#);
            let found = source(&text).amounts_to(ExpiredSignatures::Refuse);
            assert_eq!(found, expected, "{fields}");
        }
        let expired = source(
            r#"{"name":"a","verification":"nothing","signedBy":"AB","signature":"expiredKey"}"#,
        );
        assert_eq!(expired.amounts_to(ExpiredSignatures::Accept), Signature);
        assert_eq!(expired.rests_on(), "a signature by an expired key");
    }
}
