//! What the caller decides about git fetches.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use network_policy::{HttpClients, Retry};
use reqwest::header::HeaderValue;
use url::Url;

use super::error::GitProblem;
use super::pack::io_problem;
use crate::pace::LowestSpeed;

/// Gives credentials for HTTP hosts; asked anew for each place a redirect leads to.
pub trait GitCredentials: Send + Sync {
    /// The `Authorization` header for the repository at `url`, or nothing to go without.
    ///
    /// `first` is the address that redirects started from, and the same as `url` before any. Only
    /// scheme, host, port and path are set. Mark the value sensitive.
    fn authorization(&self, url: &Url, first: &Url) -> Option<HeaderValue>;
}

/// The header of HTTP basic authentication, marked sensitive.
pub(super) fn basic(user: &str, password: &str) -> HeaderValue {
    let encoded = base64(format!("{user}:{password}").as_bytes());
    let mut value = HeaderValue::try_from(format!("Basic {encoded}"))
        .unwrap_or_else(|_| HeaderValue::from_static("Basic"));
    value.set_sensitive(true);
    value
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Bounds on what a repository may send and become.
#[derive(Debug, Clone)]
pub struct GitLimits {
    /// Bytes of one fetch, as they arrive; 16 GiB by default.
    pub received_bytes: u64,
    /// Objects in one fetch; 32 million by default.
    pub objects: u64,
    /// References a server may announce; 1 million by default.
    pub references: u64,
    /// Files, links and directories in one checkout; 4 million by default.
    pub files: u64,
    /// Bytes of all files in one checkout; 64 GiB by default.
    pub checkout_bytes: u64,
    /// Comparisons of a byte of a path with a part of a pattern of its attributes, for all files of
    /// one checkout; 2^31 by default, some ten seconds.
    pub comparisons: u64,
    /// How long a peer may be silent; 60 seconds by default.
    pub idle: Duration,
    /// The fewest bytes a peer must keep sending. It may have to prepare what it sends, and says
    /// next to nothing meanwhile: 640 KiB in ten minutes by default.
    pub lowest_speed: LowestSpeed,
    /// How long a whole fetch may take; unlimited by default.
    pub total: Option<Duration>,
}

impl Default for GitLimits {
    fn default() -> Self {
        Self {
            received_bytes: 16 << 30,
            objects: 32_000_000,
            references: 1_000_000,
            files: 4_000_000,
            checkout_bytes: 64 << 30,
            comparisons: 1 << 31,
            idle: Duration::from_mins(1),
            lowest_speed: LowestSpeed::default().over(10),
            total: None,
        }
    }
}

/// Everything about git fetches that is not about one source.
#[derive(Clone)]
pub struct GitOptions {
    /// The HTTP clients, and what they may ask, which holds for the other ways to a repository too.
    pub clients: HttpClients,
    /// Where credentials come from; user information inside a URL comes first.
    pub credentials: Option<Arc<dyn GitCredentials>>,
    /// The `ssh` program and its arguments; `ssh` from `PATH` by default.
    pub ssh: Vec<OsString>,
    /// Address rewriting from the person's git configuration. It is for addresses of listed hosts
    /// alone ([`SourcePolicy::allow_host`](network_policy::SourcePolicy::allow_host)), as what it
    /// leads to may hold a token.
    pub rewrites: UrlRewrites,
    /// How hard to try when the connection breaks or the server is busy.
    pub retry: Retry,
    /// Bounds.
    pub limits: GitLimits,
    /// Use the cache alone.
    pub offline: bool,
}

impl GitOptions {
    /// Defaults around clients: no credentials, no rewriting, online.
    pub fn new(clients: HttpClients) -> Self {
        Self {
            clients,
            credentials: None,
            ssh: vec!["ssh".into()],
            rewrites: UrlRewrites::default(),
            retry: Retry::default(),
            limits: GitLimits::default(),
            offline: false,
        }
    }
}

impl fmt::Debug for GitOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitOptions")
            .field("credentials", &self.credentials.is_some())
            .field("ssh", &self.ssh)
            .field("rewrites", &self.rewrites)
            .field("retry", &self.retry)
            .field("limits", &self.limits)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

/// The `url.<base>.insteadOf` entries of a git configuration: git-config(1).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UrlRewrites {
    /// Pairs of the prefix to replace and its replacement.
    pairs: Vec<(String, String)>,
}

impl UrlRewrites {
    /// Reads the person's own configuration: system wide, XDG and `~/.gitconfig`. Reads files; call it off the
    /// runtime.
    ///
    /// # Errors
    /// [`GitProblem::Git`] when a file is not valid git configuration.
    pub fn from_user_configuration() -> Result<Self, GitProblem> {
        let files = [
            git2::Config::find_system(),
            git2::Config::find_xdg(),
            git2::Config::find_global(),
        ];
        require_readable(files.into_iter().flatten())?;
        git2::Config::open_default()
            .and_then(|config| Self::read(&config))
            .map_err(|source| GitProblem::Git {
                url: "~/.gitconfig".to_owned(),
                action: "read the configuration",
                source,
            })
    }

    /// Reads one configuration file.
    ///
    /// # Errors
    /// [`GitProblem::Git`] when the file is not valid git configuration.
    pub fn from_file(path: &Path) -> Result<Self, GitProblem> {
        git2::Config::open(path)
            .and_then(|config| Self::read(&config))
            .map_err(|source| GitProblem::Git {
                url: path.display().to_string(),
                action: "read the configuration",
                source,
            })
    }

    fn read(config: &git2::Config) -> Result<Self, git2::Error> {
        let mut pairs = Vec::new();
        config
            .entries(Some(r"^url\..*\.insteadof$"))?
            .for_each(|entry| {
                let base = entry
                    .name()
                    .ok()
                    .and_then(|name| name.strip_prefix("url.")?.strip_suffix(".insteadof"));
                if let (Some(base), Ok(prefix)) = (base, entry.value()) {
                    pairs.push((prefix.to_owned(), base.to_owned()));
                }
            })?;
        Ok(Self { pairs })
    }

    /// The address after rewriting: the longest matching prefix wins, and only once.
    pub(super) fn apply(&self, url: &str) -> String {
        let best = self
            .pairs
            .iter()
            .filter(|(prefix, _)| !prefix.is_empty() && url.starts_with(prefix.as_str()))
            .max_by_key(|(prefix, _)| prefix.len());
        match best {
            Some((prefix, base)) => format!("{base}{}", &url[prefix.len()..]),
            None => url.to_owned(),
        }
    }
}

/// Fails for the first file that cannot be opened: libgit2 says of one that may not be read that there is none.
fn require_readable(files: impl IntoIterator<Item = PathBuf>) -> Result<(), GitProblem> {
    for path in files {
        std::fs::File::open(&path).map_err(io_problem("read the git configuration", path))?;
    }
    Ok(())
}

impl fmt::Debug for UrlRewrites {
    // A base may carry a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UrlRewrites({})", self.pairs.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config");
        std::fs::write(&file, "").unwrap();
        require_readable([file.clone()]).unwrap();
        let impossible = file.join("config");
        let problem = require_readable([file, impossible.clone()]).unwrap_err();
        let text = problem.to_string();
        assert!(
            text.contains("read the git configuration")
                && text.contains(&impossible.display().to_string()),
            "{text}"
        );
    }

    #[test]
    fn the_longest_prefix_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config");
        std::fs::write(
            &file,
            "[url \"https://mirror.example.org/\"]\n\tinsteadOf = https://example.org/\n\tinsteadOf = ex:\n\
             [url \"git@Fast.example.org:\"]\n\tinsteadOf = https://example.org/fast/\n",
        )
        .unwrap();
        let rewrites = UrlRewrites::from_file(&file).unwrap();
        let cases = [
            ("https://example.org/a", "https://mirror.example.org/a"),
            ("https://example.org/fast/a", "git@Fast.example.org:a"),
            ("ex:a", "https://mirror.example.org/a"),
            ("https://github.com/a/b", "https://github.com/a/b"),
        ];
        for (from, to) in cases {
            assert_eq!(rewrites.apply(from), to);
        }
        assert_eq!(
            UrlRewrites::default().apply("https://example.org/a"),
            "https://example.org/a"
        );
    }
}
