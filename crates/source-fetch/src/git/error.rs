//! What can go wrong with a git source.

use std::path::PathBuf;
use std::time::Duration;

use crate::pace::LowestSpeed;
use network_policy::Outlook;

/// Why a git source could not be fetched or checked out.
///
/// URLs are shown without user names and passwords.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitProblem {
    /// The token was cancelled; the mirror holds what it held before.
    #[error("fetching was cancelled")]
    Cancelled,
    /// The address is not one git understands, or is dangerous to pass on.
    #[error("`{url}` is not a usable git address: {reason}")]
    Url {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The place is none that the policy allows to ask.
    #[error("`{url}` is refused")]
    Refused {
        /// The address.
        url: String,
        /// The rule, and the switch that would lift it.
        #[source]
        refusal: network_policy::Refusal,
    },
    /// The server could not be reached, or broke the connection.
    #[error("the connection to `{url}` failed")]
    Connection {
        /// The remote repository.
        url: String,
        /// The cause.
        source: std::io::Error,
    },
    /// An HTTP request failed before a status arrived, or its body broke off.
    #[error("the HTTP request to `{url}` failed")]
    Http {
        /// The remote repository.
        url: String,
        /// The cause.
        source: reqwest::Error,
    },
    /// The server answered with a status that is not success.
    #[error("`{url}` answered with HTTP status {status}; check that the repository exists there")]
    Status {
        /// The remote repository.
        url: String,
        /// The HTTP status.
        status: u16,
        /// How long the server asks to wait before the next request.
        wait: Option<Duration>,
    },
    /// The server wants credentials that nobody has given.
    #[error(
        "`{url}` needs credentials, or refuses those given; name them with `--source-token HOST=VARIABLE`, or with `--netrc-file FILE` and `--allow-source-host HOST`"
    )]
    Authentication {
        /// The remote repository.
        url: String,
    },
    /// A redirect that must not be followed.
    #[error("refused the redirect from `{url}` to `{target}`: {reason}")]
    Redirect {
        /// Where the redirect came from.
        url: String,
        /// Where it leads.
        target: String,
        /// Why it is refused.
        reason: &'static str,
    },
    /// The server broke the git protocol.
    #[error("`{url}` does not speak the git protocol correctly")]
    Protocol {
        /// The remote repository.
        url: String,
        /// The cause.
        source: ProtocolError,
    },
    /// The server refused in words.
    #[error("`{url}` refused: {message}")]
    Remote {
        /// The remote repository.
        url: String,
        /// The server's words, without control characters, at most 1 KiB.
        message: String,
    },
    /// The `ssh` program failed.
    #[error("`ssh` could not connect to `{url}` ({status}): {stderr}")]
    Ssh {
        /// The remote repository.
        url: String,
        /// How the program ended.
        status: std::process::ExitStatus,
        /// The end of what it wrote to standard error.
        stderr: String,
    },
    /// Nothing arrived for longer than the idle limit.
    #[error("`{url}` sent nothing for {seconds} seconds")]
    Idle {
        /// The remote repository.
        url: String,
        /// The limit in seconds.
        seconds: u64,
    },
    /// Something arrives, but next to nothing.
    #[error("`{url}` sent less than {} bytes in {:?}, the lowest speed allowed", lowest.bytes, lowest.within)]
    TooSlow {
        /// The remote repository.
        url: String,
        /// The speed it did not reach.
        lowest: LowestSpeed,
    },
    /// The repository is larger than the limits allow.
    #[error("`{url}` exceeds the limit of {limit} {unit}; raise it if the repository is trusted")]
    Limit {
        /// The remote repository.
        url: String,
        /// What is counted, in the plural.
        unit: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The repository has no such branch, tag or commit.
    #[error("`{url}` has no {reference}")]
    Missing {
        /// The remote repository.
        url: String,
        /// The reference in words.
        reference: String,
    },
    /// The repository has no commit to check out by default.
    #[error("`{url}` has no default branch with a commit; name one with `#branch=`")]
    Empty {
        /// The remote repository.
        url: String,
    },
    /// An annotated tag calls itself something else: makepkg, `source/git.sh`.
    #[error("the tag `{tag}` of `{url}` calls itself `{found}`; it has been forged")]
    ForgedTag {
        /// The remote repository.
        url: String,
        /// The tag asked for.
        tag: String,
        /// The name inside the tag object.
        found: String,
    },
    /// Signature checking was asked for and there is none.
    #[error("the {kind} `{object}` of `{url}` is not signed")]
    Unsigned {
        /// The remote repository.
        url: String,
        /// `commit` or `tag`.
        kind: &'static str,
        /// The object id.
        object: String,
    },
    /// Offline, and the cache has no such revision.
    #[error(
        "{reference} of `{url}` is not in the cache, and fetching is switched off; run once online"
    )]
    Offline {
        /// The remote repository.
        url: String,
        /// The reference in words.
        reference: String,
    },
    /// A tree holds a name that must never reach a file system.
    #[error("`{url}` holds the unsafe path `{path}`")]
    UnsafePath {
        /// The remote repository.
        url: String,
        /// The path, escaped.
        path: String,
    },
    /// A file cannot be written as git would write it.
    #[error("`{path}` of `{url}` cannot be written as git would write it")]
    Conversion {
        /// The remote repository.
        url: String,
        /// The path, escaped.
        path: String,
        /// The attribute at fault.
        source: ConversionError,
    },
    /// The place for the checkout is taken.
    #[error("`{}` exists already; remove it first", .path.display())]
    Exists {
        /// The destination.
        path: PathBuf,
    },
    /// What a branch or tag leads to is a file or a directory.
    #[error("the {reference} of `{url}` leads to no commit; name one that does")]
    NotCommit {
        /// The remote repository.
        url: String,
        /// The reference in words.
        reference: String,
    },
    /// libgit2 failed at something else than reading the mirror.
    #[error("failed to {action} of `{url}`")]
    Library {
        /// The remote repository.
        url: String,
        /// What was attempted.
        action: &'static str,
        /// The cause.
        source: git2::Error,
    },
    /// The mirror in the cache is damaged. It stays as it is until a fetch has brought another.
    #[error("failed to {action} of `{url}`")]
    Git {
        /// The remote repository.
        url: String,
        /// What was attempted.
        action: &'static str,
        /// The cause.
        source: git2::Error,
    },
    /// A file system operation failed.
    #[error("failed to {action} `{}`", .path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

impl GitProblem {
    /// What it says about another attempt. What has come of a pack is lost, so that one which came
    /// too slowly is not begun again.
    pub(super) fn outlook(&self) -> Outlook {
        match self {
            Self::Connection { source, .. } => Outlook::of_error(source),
            Self::Idle { .. }
            | Self::Protocol {
                source: ProtocolError::Truncated,
                ..
            } => Outlook::Passing,
            Self::Http { source, .. } => Outlook::of_error(source),
            Self::Status { status, .. } => Outlook::of_status(*status),
            _ => Outlook::Final,
        }
    }

    /// How long the server asks to wait.
    pub(super) fn wait(&self) -> Option<Duration> {
        match self {
            Self::Status { wait, .. } => *wait,
            _ => None,
        }
    }
}

/// How a server broke the git protocol: gitprotocol-common(5), gitprotocol-v2(5), gitprotocol-pack(5).
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A packet length that is not four hexadecimal digits, or is reserved.
    #[error("the packet length `{0}` is not valid")]
    PacketLength(String),
    /// The stream ended inside a message.
    #[error("the stream ended early")]
    Truncated,
    /// The content type of an answer is not git's; dumb HTTP servers end here.
    #[error("the content type is `{0}`; only the smart protocol is supported")]
    ContentType(String),
    /// A packet that has no place where it was sent.
    #[error("an unexpected packet arrived: `{0}`")]
    Unexpected(String),
    /// A reference with a name git forbids, or an object id that is none.
    #[error("an invalid reference was announced: `{0}`")]
    Reference(String),
    /// The server wants a hash this library does not support.
    #[error("the object format `{0}` is not supported")]
    ObjectFormat(String),
    /// The server lacks something without which nothing can be fetched.
    #[error("the server lacks `{0}`")]
    Capability(&'static str),
    /// The objects sent are damaged or do not hold what was asked for.
    #[error("the pack is damaged: {0}")]
    Pack(String),
}

/// Why the attributes of a file cannot be followed: gitattributes(5).
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConversionError {
    /// It is set or unset without a value, where git ends too.
    #[error("its attribute `working-tree-encoding` names no encoding")]
    NoEncoding,
    /// An encoding that no table here is for.
    #[error(
        "its attribute `working-tree-encoding` asks for `{0}`, which is not supported; UTF-16, UTF-32, ISO 8859, most Windows code pages, Shift JIS and GB 18030 are"
    )]
    Encoding(String),
    /// A character for which it is not known what iconv(3) makes of it.
    #[error("its attribute `working-tree-encoding` asks for an encoding that may lack {0:?}")]
    Character(char),
}

/// Makes text from a server fit to be shown in one line: at most 1 KiB, control characters as blanks,
/// and whatever else a reader does not see escaped.
pub(super) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]);
    let blanked = text.trim().replace(char::is_control, " ");
    printable::text(&blanked).into_owned()
}
