//! Why a fetch failed.

mod problem;

use std::fmt;
use std::io;
use std::path::PathBuf;

use network_policy::AccessError;

use crate::checksum::Algorithm;
#[cfg(feature = "git")]
use crate::git::GitProblem;
pub use problem::{
    ExtractProblem, KeyringProblem, SignatureProblem, SyntaxProblem, TransferProblem,
};

/// Why sources could not be fetched; nothing appears in `srcdir` when one is returned.
///
/// `source_name` is the entry of the recipe without the password of a URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// A source entry cannot be read.
    #[error("source `{text}` is not valid: {problem}", text = text.escape_debug())]
    InvalidSource {
        /// The entry, without a password.
        text: String,
        /// What is wrong with it.
        #[source]
        problem: SyntaxProblem,
    },
    /// A checksum entry cannot be read.
    #[error(
        "`{text}` is not a `{kind}` checksum: write the digest as `{kind}` prints it, or `SKIP`",
        text = text.escape_debug(), kind = kind.escape_debug()
    )]
    InvalidChecksum {
        /// The digest kind or the name of its array.
        kind: String,
        /// The entry, cut to 160 characters.
        text: String,
    },
    /// The source is kept by a version control system other than git.
    #[error("source `{source_name}` needs `{vcs}`, which is not supported: only git is")]
    UnsupportedVcs {
        /// The source.
        source_name: String,
        /// `svn`, `hg`, `bzr` or `fossil`.
        vcs: &'static str,
    },
    /// This program was built without what the source needs.
    #[error(
        "source `{source_name}` needs {what}, which this program was built without: build it with the feature `{feature}`"
    )]
    NotBuiltIn {
        /// The source.
        source_name: String,
        /// What it needs, for people.
        what: &'static str,
        /// The cargo feature of this crate, and of those that pass it on.
        feature: &'static str,
    },
    /// The place is none that the policy allows to ask.
    #[error("source `{source_name}` is refused")]
    Refused {
        /// The source.
        source_name: String,
        /// The rule, and the switch that would lift it.
        #[source]
        refusal: network_policy::Refusal,
    },
    /// Two sources would write the same name.
    #[error("sources `{first}` and `{second}` are both named `{name}`: rename one with `name::`")]
    DuplicateName {
        /// The name in `srcdir`.
        name: String,
        /// The earlier source.
        first: String,
        /// The later source.
        second: String,
    },
    /// A source has no digest, and policy does not allow that.
    #[error(
        "source `{source_name}` has no digest: add one to the recipe, or `SKIP` if it cannot have one"
    )]
    NoDigest {
        /// The source.
        source_name: String,
    },
    /// The content is not what the recipe declares.
    #[error(
        "source `{source_name}` does not match its {kind} digest: expected `{expected}`, got `{got}`"
    )]
    Mismatch {
        /// The source.
        source_name: String,
        /// Digest kind.
        kind: Algorithm,
        /// What the recipe declares.
        expected: String,
        /// What arrived.
        got: String,
    },
    /// A signature is missing or not good.
    #[error("signature of source `{source_name}` is not accepted")]
    Signature {
        /// The signed source.
        source_name: String,
        /// Why.
        #[source]
        problem: SignatureProblem,
    },
    /// The keyring file cannot be used.
    #[error("keyring `{path}` cannot be used", path = path.display())]
    Keyring {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        problem: KeyringProblem,
    },
    /// A local file does not exist.
    #[error("source `{source_name}` does not exist: expected `{path}`", path = path.display())]
    LocalMissing {
        /// The source.
        source_name: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A local source is no regular file, or leads out of the recipe's directory.
    #[error("source `{source_name}` is no regular file, or lies outside of the recipe's directory: `{path}`", path = path.display())]
    LocalRefused {
        /// The source.
        source_name: String,
        /// The file.
        path: PathBuf,
    },
    /// Offline, and the cache lacks sources.
    #[error("offline and not in the cache: {}", missing.join(", "))]
    Offline {
        /// The missing sources.
        missing: Vec<String>,
    },
    /// The server answered with a status that is no success.
    #[error(
        "source `{source_name}` was refused by the server: {status} for `{url}`{}",
        credentials(*status)
    )]
    Status {
        /// The source.
        source_name: String,
        /// The URL that answered, without secrets.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The transfer failed and no attempt is left.
    #[error("source `{source_name}` could not be downloaded from `{url}` in {attempts} attempt(s)")]
    Transfer {
        /// The source.
        source_name: String,
        /// The URL, without secrets.
        url: String,
        /// Attempts made.
        attempts: u32,
        /// The last failure.
        #[source]
        problem: TransferProblem,
    },
    /// The source is larger than allowed.
    #[error("source `{source_name}` is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The source.
        source_name: String,
        /// Most bytes allowed.
        limit: u64,
    },
    /// A credential cannot be used.
    #[error("credential for host `{host}` cannot be used: {reason}")]
    Credential {
        /// The host.
        host: String,
        /// Why; never the secret.
        reason: String,
    },
    /// What the environment says of certificates or proxies cannot be used.
    #[error("nothing can be fetched as the environment has it")]
    Access(#[source] AccessError),
    /// An archive is refused or broken.
    #[error("failed to extract `{archive}`{}", member_text(member.as_deref()))]
    Extract {
        /// The archive's name in `srcdir`.
        archive: String,
        /// The member at fault, when one is.
        member: Option<String>,
        /// Why.
        #[source]
        problem: ExtractProblem,
    },
    /// A file system is full, or would be.
    #[error("file system `{filesystem}` is full: `{path}` needs {}{available} bytes are free; make room there", needed_text(*needed), path = path.display())]
    NoSpace {
        /// The mount point.
        filesystem: PathBuf,
        /// What was being written.
        path: PathBuf,
        /// Bytes needed, where that is known.
        needed: Option<u64>,
        /// Bytes free.
        available: u64,
    },
    /// `srcdir` exists and holds something.
    #[error("`{path}` is not empty: remove it or choose another directory for the sources", path = path.display())]
    SrcdirNotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// A git source could not be fetched or checked out.
    #[cfg(feature = "git")]
    #[error("git source `{source_name}` could not be fetched")]
    Git {
        /// The source.
        source_name: String,
        /// The failure.
        #[source]
        problem: Box<GitProblem>,
    },
    /// A file operation failed.
    #[error("failed to {action} `{path}`", path = path.display())]
    Io {
        /// What was attempted, as a verb: `read`, `create`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The failure.
        #[source]
        problem: io::Error,
    },
    /// The caller cancelled the fetch.
    #[error("the fetch was cancelled")]
    Cancelled,
}

impl FetchError {
    /// Makes the conversion of an I/O error on `path` while doing `action` (a verb).
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |problem| crate::space::io_error(action, path, problem)
    }
}

/// What may be missing.
fn credentials(status: u16) -> &'static str {
    match status {
        401 | 403 => {
            "; if the server wants a login, name it with `--source-token HOST=VARIABLE`, or with \
             `--netrc-file FILE` and `--allow-source-host HOST`"
        }
        _ => "",
    }
}

fn needed_text(needed: Option<u64>) -> String {
    match needed {
        Some(needed) => format!("{needed} bytes, "),
        None => "more room than there is, ".to_owned(),
    }
}

fn member_text(member: Option<&str>) -> impl fmt::Display {
    match member {
        Some(member) => format!(": member `{}`", member.escape_debug()),
        None => String::new(),
    }
}
