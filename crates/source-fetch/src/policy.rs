//! What a caller asks for and allows.

use std::path::PathBuf;
use std::time::Duration;

use network_policy::{HttpClients, Retry, SourcePolicy};

use crate::checksum::{Algorithm, Checksum};
use crate::credential::Credentials;
use crate::pace::LowestSpeed;
use crate::signer::Signer;
use crate::source::Source;

/// One source to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRequest {
    /// Where it comes from.
    pub source: Source,
    /// What the recipe's checksum arrays say about it; any number of kinds.
    pub checksums: Vec<Checksum>,
    /// Keep the file packed: its name is in `noextract`.
    pub no_extract: bool,
    /// Fetch the whole history of a git repository: the recipe counts commits, describes tags or the like. Where this is not
    /// set, it is still fetched when [a file that builds the source](crate::git::GitRevision::asks_for_history) asks for it.
    pub needs_history: bool,
    /// Digest kinds that are computed and given back, whatever is compared; see
    /// [`Fetched::computed`].
    pub wanted: Vec<Algorithm>,
}

impl SourceRequest {
    /// Makes a request without checksums.
    pub fn new(source: Source) -> Self {
        Self {
            source,
            checksums: Vec::new(),
            no_extract: false,
            needs_history: false,
            wanted: Vec::new(),
        }
    }

    /// Adds what one checksum array says.
    #[must_use]
    pub fn with_checksum(mut self, checksum: Checksum) -> Self {
        self.checksums.push(checksum);
        self
    }
}

/// Directories of a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directories {
    /// Appears when everything is fetched, verified and extracted; must not exist or be empty.
    pub srcdir: PathBuf,
    /// Kept between runs and shared by processes.
    pub cache: PathBuf,
    /// The recipe's directory, where local sources lie.
    pub startdir: PathBuf,
}

/// What is allowed, and how hard to try.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The clients for every request, such as [`http_clients`](crate::http_clients) makes, which
    /// keep connections from fetch to fetch; their own rules do not count, those of `network` do. By
    /// default each fetch has its own, set up as the environment says.
    ///
    /// Clients made elsewhere must not decode bodies (`no_gzip`), because a digest is over the bytes
    /// the server sends.
    pub clients: Option<HttpClients>,
    /// What may be asked, over what. By default what a recipe from a catalog may ask for: `https`
    /// on the internet, and what a digest or commit id pins over `http` and `git`.
    pub network: SourcePolicy,
    /// Use the cache alone.
    pub offline: bool,
    /// Accept sources without any digest (a source that says `SKIP` is always accepted).
    pub allow_no_digest: bool,
    /// Sources fetched at the same time; at least one.
    pub parallel: usize,
    /// Limits of downloads.
    pub http: HttpPolicy,
    /// Limits of archives.
    pub extract: ExtractLimits,
    /// What hosts ask for.
    pub credentials: Credentials,
    /// `OpenPGP` certificates, armoured or binary, that signatures are verified with. A recipe with
    /// signatures needs one.
    pub keyring: Option<PathBuf>,
    /// The recipe's `validpgpkeys`: full fingerprints of primary keys. No other key counts,
    /// as there is no web of trust here.
    pub valid_pgp_keys: Vec<String>,
    /// Fingerprints of the primary keys of `keyring` whose signatures the caller accepts, in
    /// hexadecimal of either case; when empty all, since the keyring is the caller's own. A recipe
    /// says which key signs it: this says which keys may. A good signature by another key is no
    /// failure, and [`Signer::accepted`] says that it is one.
    pub accepted_keys: Vec<String>,
    /// Verify no signature, as makepkg's `--skippgpcheck`; told by [`Event::SignatureSkipped`].
    ///
    /// [`Event::SignatureSkipped`]: crate::Event::SignatureSkipped
    pub skip_pgp_check: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            clients: None,
            network: SourcePolicy::default(),
            offline: false,
            allow_no_digest: false,
            parallel: 8,
            http: HttpPolicy::default(),
            extract: ExtractLimits::default(),
            credentials: Credentials::default(),
            keyring: None,
            valid_pgp_keys: Vec::new(),
            accepted_keys: Vec::new(),
            skip_pgp_check: false,
        }
    }
}

/// Limits and patience of downloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpPolicy {
    /// Most bytes of one file.
    pub max_bytes: u64,
    /// Longest wait for the next byte.
    pub idle_timeout: Duration,
    /// The fewest bytes that must keep coming; a git server, which may have to prepare what it
    /// sends, is judged over ten times the time.
    pub lowest_speed: LowestSpeed,
    /// Longest time for one source, retries included; none by default, so that a large file
    /// over a slow line finishes.
    pub total_timeout: Option<Duration>,
    /// How hard to try, for git too, where a broken transfer cannot be resumed.
    pub retry: Retry,
}

impl Default for HttpPolicy {
    fn default() -> Self {
        Self {
            max_bytes: 32 << 30,
            idle_timeout: Duration::from_mins(1),
            lowest_speed: LowestSpeed::default(),
            total_timeout: None,
            retry: Retry::default(),
        }
    }
}

/// Limits of one archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtractLimits {
    /// Most members.
    pub max_entries: u64,
    /// Most bytes of content, holes of sparse files included.
    pub max_bytes: u64,
    /// Highest ratio of unpacked to packed bytes; judged once 64 MiB are unpacked.
    pub max_ratio: u64,
    /// Whether names that differ only by case collide; by default the file system is asked.
    pub case_insensitive: Option<bool>,
}

impl Default for ExtractLimits {
    fn default() -> Self {
        Self {
            max_entries: 1_000_000,
            max_bytes: 64 << 30,
            max_ratio: 250,
            case_insensitive: None,
        }
    }
}

/// What became of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The source.
    pub source: Source,
    /// The file or directory in `srcdir`.
    pub path: PathBuf,
    /// Size of the file in bytes; of the transfer for git.
    pub bytes: u64,
    /// Where the content was had from.
    pub origin: Origin,
    /// Whether the cache had it, so that no content was transferred.
    pub from_cache: bool,
    /// What was verified.
    pub verification: Verification,
    /// Members unpacked, when the file is an archive that was.
    pub extracted: Option<u64>,
    /// The digests that [`SourceRequest::wanted`] asks for: of the file, or of the archive that makepkg
    /// makes of a git source, with the attributes `export-ignore` and `export-subst` switched off.
    pub computed: Vec<Checksum>,
}

/// Where the content of a source was had from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A file beside the recipe, or one named by a `file` URL.
    File,
    /// A download.
    Http {
        /// The URL after redirects, without user, password and query.
        final_url: String,
        /// Whether every hop was over TLS.
        tls: bool,
    },
    /// A git repository.
    Git {
        /// Full id of the commit checked out.
        commit: String,
    },
}

/// What was verified about a source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verification {
    /// The recipe says `SKIP` for every digest kind.
    pub skipped: bool,
    /// Digest kinds that matched.
    pub digests: Vec<Algorithm>,
    /// The recipe names the commit by its full id, so that no server can choose another; see
    /// [`GitReference::is_full_commit`](crate::GitReference::is_full_commit).
    pub pinned: bool,
    /// Whose signature is good: over the source, or for a signature's own file the one in it.
    pub signed_by: Option<Signer>,
}

impl Verification {
    /// Tells whether the content is what the recipe's author saw: its commit is pinned or a digest
    /// matched that is not [weak](Algorithm::is_weak).
    pub fn is_strong(&self) -> bool {
        self.pinned || self.digests.iter().any(|digest| !digest.is_weak())
    }
}
