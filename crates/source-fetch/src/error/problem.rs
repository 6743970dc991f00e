//! What exactly is wrong: the sources of [`FetchError`](super::FetchError).

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use network_policy::Outlook;

use crate::pace::LowestSpeed;

/// What is wrong with a source entry; PKGBUILD(5), "source".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyntaxProblem {
    /// Nothing is left after the name, or the URL is empty.
    #[error("it names no file or URL")]
    Empty,
    /// The entry is too long.
    #[error("it is longer than {limit} bytes")]
    TooLong {
        /// Most bytes allowed.
        limit: usize,
    },
    /// The entry holds a control character.
    #[error("it holds a control character")]
    ControlCharacter,
    /// The name is no safe path segment.
    #[error("its name `{name}` is not a plain file name: give one with `name::`")]
    Name {
        /// The name.
        name: String,
    },
    /// A local path is absolute or climbs.
    #[error("a local file is named relative to the recipe, without `..`")]
    LocalPath,
    /// A `file` URL names another host.
    #[error("a `file` URL cannot name a host")]
    RemoteFile,
    /// The URL cannot be parsed.
    #[error("its URL cannot be parsed: {0}")]
    Url(url::ParseError),
    /// The text after `git+` is neither a URL nor `user@host:path`.
    #[error("a git source is a URL or `user@host:path`")]
    GitUrl,
    /// The scheme is not supported.
    #[error("scheme `{scheme}` is not supported: use https, http, file or git")]
    UnknownScheme {
        /// The scheme.
        scheme: String,
    },
    /// The fragment of a git source is not known.
    #[error("fragment `{fragment}` is not `tag=`, `branch=` or `commit=` with a value")]
    UnknownFragment {
        /// The fragment.
        fragment: String,
    },
}

/// Why a transfer failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferProblem {
    /// The connection or the protocol failed.
    #[error("the connection failed")]
    Connection(#[source] reqwest::Error),
    /// The server sent nothing for the idle limit.
    #[error("the server sent nothing for {limit:?}")]
    Idle {
        /// The limit.
        limit: Duration,
    },
    /// The server sends, but next to nothing.
    #[error("the server sent less than {} bytes in {:?}, the lowest speed allowed", lowest.bytes, lowest.within)]
    TooSlow {
        /// The speed it did not reach.
        lowest: LowestSpeed,
    },
    /// The total limit is over.
    #[error("the transfer took longer than {limit:?}")]
    Total {
        /// The limit.
        limit: Duration,
    },
    /// The server asked to come back later.
    #[error("the server answered {status}")]
    Busy {
        /// The HTTP status.
        status: u16,
    },
    /// The server's `Retry-After` is longer than policy waits.
    #[error("the server answered {status} and asks to wait {wait:?}")]
    RetryAfter {
        /// The HTTP status.
        status: u16,
        /// The wait asked for.
        wait: Duration,
    },
    /// The body ended early.
    #[error("the server sent {received} of {expected} bytes")]
    Truncated {
        /// Bytes that arrived.
        received: u64,
        /// Bytes announced.
        expected: u64,
    },
    /// The server answered a range request wrongly.
    #[error("the server answered a range request with another range")]
    WrongRange,
    /// A redirect led from https to http.
    #[error("a redirect from https to http is refused")]
    Downgrade,
    /// Redirects go in a circle, or there are too many.
    #[error("more than {limit} redirects, or a circle of them")]
    Redirects {
        /// Most redirects followed.
        limit: usize,
    },
}

impl TransferProblem {
    /// What it says about another attempt. A part is kept, so that one which came too slowly goes on
    /// where it stopped.
    pub(crate) fn outlook(&self) -> Outlook {
        match self {
            Self::Connection(error) => Outlook::of_error(error),
            Self::Busy { status } | Self::RetryAfter { status, .. } => Outlook::of_status(*status),
            Self::Idle { .. }
            | Self::TooSlow { .. }
            | Self::Truncated { .. }
            | Self::WrongRange => Outlook::Passing,
            Self::Total { .. } | Self::Downgrade | Self::Redirects { .. } => Outlook::Final,
        }
    }
}

/// What is wrong with a keyring file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringProblem {
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// It is too large.
    #[error("it is larger than the limit of {limit} bytes")]
    TooLarge {
        /// Most bytes allowed.
        limit: u64,
    },
    /// It is in gpg's own format.
    #[error("it is a keybox: write the keys to a file with `gpg --export` and name that")]
    Keybox,
    /// It holds no certificate.
    #[error("it holds no public key: write some to it with `gpg --export`")]
    Empty,
    /// It does not parse.
    #[error("{reason}")]
    Malformed {
        /// Why.
        reason: String,
    },
}

/// Why a signature is not accepted.
///
/// Fingerprints are those of primary keys, upper-case hexadecimal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureProblem {
    /// No keyring was named.
    #[error(
        "no keyring is configured: name a file with the keys of `validpgpkeys` (`Policy::keyring`, `--keyring FILE`)"
    )]
    NoKeyring,
    /// The signature does not parse.
    #[error("the signature cannot be read: {reason}")]
    Malformed {
        /// Why.
        reason: String,
    },
    /// The signature is too large.
    #[error("the signature is larger than the limit of {limit} bytes")]
    TooLarge {
        /// Most bytes allowed.
        limit: u64,
    },
    /// There are too many signatures in one file.
    #[error("it holds more than {limit} signatures")]
    TooMany {
        /// Most signatures allowed.
        limit: usize,
    },
    /// The signature is of a kind that cannot be verified.
    #[error("{what} is not supported")]
    Unsupported {
        /// The version, algorithm or kind.
        what: String,
    },
    /// The signed source is not in the list.
    #[error("no source is named `{expected}`")]
    NothingSigned {
        /// The name looked for; a compressed file of that name would do too.
        expected: String,
    },
    /// The signed content is compressed in a way that cannot be undone.
    #[error("it signs the content of `{name}`, whose compression is not supported")]
    Compression {
        /// The compressed source.
        name: String,
    },
    /// The signed content cannot be read or unpacked.
    #[error("the content of `{name}` cannot be read")]
    Content {
        /// The signed source.
        name: String,
        /// Why.
        #[source]
        problem: io::Error,
    },
    /// The key is not in the keyring.
    #[error("key `{key}` is not in the keyring: add it to `{keyring}` once it is known to be right", keyring = keyring.display())]
    UnknownKey {
        /// Fingerprint of the signing key, or its key id if the signature tells no more.
        key: String,
        /// The keyring file.
        keyring: PathBuf,
    },
    /// The key is in the keyring but not in `validpgpkeys`.
    #[error("key `{fingerprint}` is not listed in the recipe's `validpgpkeys`")]
    NotValidKey {
        /// The key.
        fingerprint: String,
    },
    /// The key, or the subkey that has signed, was revoked.
    #[error("key `{fingerprint}` is revoked: ask for a signature by another key")]
    Revoked {
        /// The key.
        fingerprint: String,
    },
    /// The key may not make such a signature.
    #[error("key `{fingerprint}` cannot be used: {reason}; a newer copy in the keyring may help")]
    UnusableKey {
        /// The key.
        fingerprint: String,
        /// Why.
        reason: &'static str,
    },
    /// The signature is over a hash that can be forged.
    #[error("the signature by key `{fingerprint}` uses {hash}, which can be forged")]
    WeakHash {
        /// The key.
        fingerprint: String,
        /// The hash.
        hash: String,
    },
    /// The signature does not fit the content.
    #[error("the signature by key `{fingerprint}` does not fit the content")]
    Bad {
        /// The key.
        fingerprint: String,
    },
    /// `?signed` was asked for and the tag or commit carries no signature.
    #[error("the {kind} `{object}` is not signed")]
    Unsigned {
        /// `commit` or `tag`.
        kind: &'static str,
        /// The object id.
        object: String,
    },
}

/// Why an archive is refused or broken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractProblem {
    /// A member's path is absolute.
    #[error("its path is absolute")]
    Absolute,
    /// A member's path climbs with `..`.
    #[error("its path climbs out with `..`")]
    Climbs,
    /// A member's path is empty or holds a NUL byte.
    #[error("its path is not usable")]
    BadPath,
    /// A link leads out of the tree.
    #[error("its link target `{target}` leads outside", target = target.escape_debug())]
    LinkEscapes {
        /// The link's target.
        target: String,
    },
    /// Where a link leads takes so many steps to find out that it is not followed to the end.
    #[error("its link target names other links so often that where it leads cannot be told")]
    LinkTooLong,
    /// A path goes through a symbolic link or a file.
    #[error("its path goes through something that is not a directory")]
    ThroughLink,
    /// A hard link names no earlier file of the archive.
    #[error("its link target `{target}` is no earlier file", target = target.escape_debug())]
    LinkMissing {
        /// The link's target.
        target: String,
    },
    /// The member is a device, a pipe or another special file.
    #[error("it is a {kind}")]
    Special {
        /// What it is.
        kind: &'static str,
    },
    /// The name differs from an earlier one only by case, and the file system does not tell.
    #[error("its name differs from `{other}` only by case", other = other.escape_debug())]
    CaseCollision {
        /// The earlier name.
        other: String,
    },
    /// Too many members.
    #[error("it has more than {limit} members")]
    TooManyEntries {
        /// Most members allowed.
        limit: u64,
    },
    /// The paths of its directories and links take too much memory.
    #[error("the paths of its directories and links are more than {limit} bytes")]
    TooManyNames {
        /// Most bytes allowed.
        limit: u64,
    },
    /// Too many bytes.
    #[error("it unpacks to more than {limit} bytes")]
    TooManyBytes {
        /// Most bytes allowed.
        limit: u64,
    },
    /// Too high a compression ratio.
    #[error("it unpacks to more than {limit} times its size")]
    Ratio {
        /// Highest ratio allowed.
        limit: u64,
    },
    /// The format is known and not supported.
    #[error("format `{format}` is not supported: list the file in `noextract` to keep it packed")]
    Unsupported {
        /// The format.
        format: &'static str,
    },
    /// The archive is encrypted.
    #[error("it is encrypted")]
    Encrypted,
    /// The archive's structure is broken.
    #[error("the archive is damaged: {reason}")]
    Damaged {
        /// What is wrong.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("reading or writing failed")]
    Io(#[source] io::Error),
}
