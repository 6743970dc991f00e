//! Digest kinds of PKGBUILD(5) and hashing of passing bytes.

use std::fmt;
use std::io::{self, Read, Write};

use crc::{CRC_32_CKSUM, Crc, Table};
use digest::Digest as _;

use crate::error::FetchError;

static CKSUM: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_CKSUM);

/// A digest kind of PKGBUILD(5), "cksums, md5sums, sha1sums, ..."; ordered from weak to strong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// The CRC of POSIX cksum, given in decimal.
    Cksum,
    /// MD5.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// `BLAKE2b` with 512 bits.
    B2,
}

impl Algorithm {
    /// Every kind, from weak to strong.
    pub const ALL: [Self; 8] = [
        Self::Cksum,
        Self::Md5,
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
        Self::B2,
    ];

    /// Returns the name makepkg uses: `sha256`, `b2`, `ck`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cksum => "ck",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha224 => "sha224",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
            Self::B2 => "b2",
        }
    }

    /// Returns the length of the digest in bytes.
    pub fn digest_length(self) -> usize {
        match self {
            Self::Cksum => 4,
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 | Self::B2 => 64,
        }
    }

    /// Tells whether somebody can make other content with the same digest: CRC at once, MD5 and
    /// SHA-1 as collisions ([RFC 6151], [SHAttered]). A weak kind finds accidents, not attacks.
    ///
    /// [RFC 6151]: https://www.rfc-editor.org/rfc/rfc6151
    /// [SHAttered]: https://shattered.io
    pub fn is_weak(self) -> bool {
        match self {
            Self::Cksum | Self::Md5 | Self::Sha1 => true,
            Self::Sha224 | Self::Sha256 | Self::Sha384 | Self::Sha512 | Self::B2 => false,
        }
    }

    /// Reads a kind with or without the `sums` of the array's name.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.strip_suffix("sums").unwrap_or(name);
        Self::ALL.into_iter().find(|algorithm| {
            algorithm.name() == name || (name == "cksum" && *algorithm == Self::Cksum)
        })
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// One entry of a checksum array.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Checksum {
    /// The digest kind.
    pub algorithm: Algorithm,
    /// The digest, or `SKIP`.
    pub expected: Expected,
}

/// What a checksum array says about one source.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Expected {
    /// The literal `SKIP`: the content is not compared.
    Skip,
    /// The content must have this digest.
    Digest(Vec<u8>),
}

impl Checksum {
    /// Reads an entry of the array `kind` (`sha256sums`, `b2sums`, ...).
    ///
    /// # Errors
    /// [`FetchError::InvalidChecksum`] when the kind is unknown or the text is neither `SKIP`
    /// nor a digest of the kind's length.
    pub fn parse(kind: &str, text: &str) -> Result<Self, FetchError> {
        let invalid = || FetchError::InvalidChecksum {
            kind: kind.chars().take(32).collect(),
            text: text.chars().take(160).collect(),
        };
        let algorithm = Algorithm::from_name(kind).ok_or_else(invalid)?;
        if text == "SKIP" {
            return Ok(Self {
                algorithm,
                expected: Expected::Skip,
            });
        }
        let digest = if algorithm == Algorithm::Cksum {
            if !text.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(invalid());
            }
            let crc: u32 = text.parse().map_err(|_| invalid())?;
            crc.to_be_bytes().to_vec()
        } else {
            // makepkg compares in lower case, so a recipe may write either.
            hex::decode(text).map_err(|_| invalid())?
        };
        if digest.len() != algorithm.digest_length() {
            return Err(invalid());
        }
        Ok(Self {
            algorithm,
            expected: Expected::Digest(digest),
        })
    }

    /// Makes the entry of a digest that was computed.
    pub(crate) fn of((algorithm, digest): (Algorithm, Vec<u8>)) -> Self {
        Self {
            algorithm,
            expected: Expected::Digest(digest),
        }
    }

    /// Tells whether the entry is `SKIP`.
    pub fn is_skip(&self) -> bool {
        self.expected == Expected::Skip
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.expected {
            Expected::Skip => out.write_str("SKIP"),
            Expected::Digest(digest) => out.write_str(&digest_text(self.algorithm, digest)),
        }
    }
}

/// Writes a digest the way the recipe's array would.
pub(crate) fn digest_text(algorithm: Algorithm, digest: &[u8]) -> String {
    match (algorithm, <[u8; 4]>::try_from(digest)) {
        (Algorithm::Cksum, Ok(bytes)) => u32::from_be_bytes(bytes).to_string(),
        _ => hex::encode(digest),
    }
}

/// Digests of one file, by kind.
pub(crate) type Digests = Vec<(Algorithm, Vec<u8>)>;

/// Computes several digests of the same bytes in one pass.
pub(crate) struct Hashers(Vec<(Algorithm, Hasher)>);

enum Hasher {
    Cksum {
        digest: crc::Digest<'static, u32, Table<16>>,
        length: u64,
    },
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
    Sha224(sha2::Sha224),
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
    B2(Box<blake2::Blake2b512>),
}

impl Hashers {
    pub(crate) fn new(algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        let mut wanted: Vec<_> = algorithms.into_iter().collect();
        wanted.sort_unstable();
        wanted.dedup();
        Self(
            wanted
                .into_iter()
                .map(|algorithm| (algorithm, Hasher::new(algorithm)))
                .collect(),
        )
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        for (_, hasher) in &mut self.0 {
            hasher.update(bytes);
        }
    }

    pub(crate) fn reset(&mut self) {
        for (algorithm, hasher) in &mut self.0 {
            *hasher = Hasher::new(*algorithm);
        }
    }

    pub(crate) fn finish(self) -> Digests {
        self.0
            .into_iter()
            .map(|(algorithm, hasher)| (algorithm, hasher.finish()))
            .collect()
    }
}

impl Write for Hashers {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Hasher {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Cksum => Self::Cksum {
                digest: CKSUM.digest(),
                length: 0,
            },
            Algorithm::Md5 => Self::Md5(md5::Md5::new()),
            Algorithm::Sha1 => Self::Sha1(sha1::Sha1::new()),
            Algorithm::Sha224 => Self::Sha224(sha2::Sha224::new()),
            Algorithm::Sha256 => Self::Sha256(sha2::Sha256::new()),
            Algorithm::Sha384 => Self::Sha384(sha2::Sha384::new()),
            Algorithm::Sha512 => Self::Sha512(sha2::Sha512::new()),
            Algorithm::B2 => Self::B2(Box::default()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Cksum { digest, length } => {
                digest.update(bytes);
                *length += bytes.len() as u64;
            }
            Self::Md5(hasher) => hasher.update(bytes),
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha224(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha384(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
            Self::B2(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Cksum { mut digest, length } => {
                // POSIX appends the length, least significant byte first, without leading zeros.
                let used = length.to_le_bytes();
                let count = 8 - length.leading_zeros() as usize / 8;
                digest.update(&used[..count]);
                digest.finalize().to_be_bytes().to_vec()
            }
            Self::Md5(hasher) => hasher.finalize().to_vec(),
            Self::Sha1(hasher) => hasher.finalize().to_vec(),
            Self::Sha224(hasher) => hasher.finalize().to_vec(),
            Self::Sha256(hasher) => hasher.finalize().to_vec(),
            Self::Sha384(hasher) => hasher.finalize().to_vec(),
            Self::Sha512(hasher) => hasher.finalize().to_vec(),
            Self::B2(hasher) => hasher.finalize().to_vec(),
        }
    }
}

/// Reads everything from `input` through the hashers into `output`.
pub(crate) fn copy_hashed(
    input: &mut dyn Read,
    hashers: &mut Hashers,
    output: &mut dyn Write,
    mut step: impl FnMut(u64) -> io::Result<()>,
) -> io::Result<u64> {
    let mut buffer = vec![0; 128 * 1024];
    let mut total = 0;
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hashers.update(&buffer[..count]);
        output.write_all(&buffer[..count])?;
        total += count as u64;
        step(total)?;
    }
}
