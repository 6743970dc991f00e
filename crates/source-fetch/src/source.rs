//! The syntax of one `source` entry: `[name::]url[#fragment][?query]`, PKGBUILD(5), "source".

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use url::Url;

use crate::error::{FetchError, SyntaxProblem};
use crate::redact::redact;

/// Longest accepted source entry, in bytes.
pub const MAX_SOURCE_LENGTH: usize = 8192;

/// One entry of a recipe's `source` array.
///
/// [`FromStr`] reads the form of PKGBUILD(5) and [`Display`](fmt::Display) writes it back;
/// for a VCS source the order is always `#fragment?query`.
/// [`Debug`](fmt::Debug) hides what may be a secret in a URL; `Display` does not.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Source {
    name: Option<String>,
    file_name: String,
    location: Location,
}

/// Where a [`Source`] comes from.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Location {
    /// A file beside the recipe; the path is relative and never climbs.
    Local(String),
    /// A download over `http` or `https`.
    Http(HttpUrl),
    /// A file named by a `file` URL.
    File(HttpUrl),
    /// A git repository.
    Git(GitSource),
    /// A version control system that makepkg knows and this crate refuses to fetch.
    OtherVcs {
        /// The system: `svn`, `hg`, `bzr` or `fossil`.
        vcs: &'static str,
        /// The entry without its name.
        url: String,
    },
}

/// A URL with the exact text the recipe gave.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HttpUrl {
    text: String,
    url: Url,
}

/// A git repository and the commit wanted from it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct GitSource {
    url: String,
    prefixed: bool,
    reference: GitReference,
    query: Option<String>,
}

/// Which commit of a git repository is wanted.
///
/// Only a [full commit id](Self::is_full_commit) pins the content; what every other reference leads
/// to is for the server to say.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum GitReference {
    /// What the remote's `HEAD` names.
    Default,
    /// `#tag=`; makepkg takes a commit id there too.
    Tag(String),
    /// `#branch=`.
    Branch(String),
    /// `#commit=`: a commit id, or as makepkg takes it anything that gitrevisions(7) knows: the
    /// beginning of an id, a branch, `HEAD~2`, `:/text`.
    Commit(String),
}

impl GitReference {
    /// Tells whether this names one commit for good: by a whole object id of 40 hexadecimal digits
    /// (SHA-1) or 64 (SHA-256), in either case of letters.
    ///
    /// Such an id is looked up as an id alone, never as the name of a branch or tag. The beginning
    /// of an id pins nothing: another commit that begins so is made in minutes.
    pub fn is_full_commit(&self) -> bool {
        matches!(self, Self::Commit(id) | Self::Tag(id) if is_object_id(id))
    }
}

/// Whether `text` is a whole object id: gitformat-pack(5), "object-format".
fn is_object_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Source {
    /// Returns the name given with `name::`, if one was.
    pub fn explicit_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the name of the file or directory in `srcdir`, always one safe path segment.
    ///
    /// Without an explicit name it follows makepkg's `get_filename`: the part after the last
    /// `/`, and for git without anything from `.git` on.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// Returns where the source comes from.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Tells whether the source is kept by a version control system, so needs no digest.
    pub fn is_vcs(&self) -> bool {
        matches!(self.location, Location::Git(_) | Location::OtherVcs { .. })
    }

    /// Returns [`file_name`](Self::file_name) for people to read: without what may be a secret in
    /// it, since makepkg's rule makes a URL's query a part of the name.
    pub fn shown_name(&self) -> String {
        redact(&self.file_name)
    }

    /// Returns the entry for people to read: without the user, password and query of a URL.
    pub fn label(&self) -> String {
        redact(&self.to_string())
    }
}

impl FromStr for Source {
    type Err = FetchError;

    fn from_str(text: &str) -> Result<Self, FetchError> {
        parse(text).map_err(|problem| FetchError::InvalidSource {
            text: redact(text),
            problem,
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(out, "{name}::")?;
        }
        match &self.location {
            Location::Local(path) => out.write_str(path),
            Location::Http(url) | Location::File(url) => out.write_str(&url.text),
            Location::OtherVcs { url, .. } => out.write_str(url),
            Location::Git(git) => git.fmt(out),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Source({:?})", self.label())
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(out, "Local({path:?})"),
            Self::Http(url) => write!(out, "Http({url:?})"),
            Self::File(url) => write!(out, "File({url:?})"),
            Self::Git(git) => git.fmt_debug(out),
            Self::OtherVcs { vcs, url } => write!(out, "OtherVcs({vcs}, {:?})", redact(url)),
        }
    }
}

impl HttpUrl {
    /// Returns the parsed URL.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the text of the recipe.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", redact(&self.text))
    }
}

impl GitSource {
    /// Returns the URL git is asked for: without `git+`, fragment and query.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns which commit is wanted.
    pub fn reference(&self) -> &GitReference {
        &self.reference
    }

    /// Tells whether `?signed` asks for a verified tag or commit.
    pub fn signed(&self) -> bool {
        self.query.as_deref() == Some("signed")
    }

    fn fmt_debug(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Git({:?})", redact(&self.to_string()))
    }
}

impl fmt::Display for GitSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefixed {
            out.write_str("git+")?;
        }
        out.write_str(&self.url)?;
        match &self.reference {
            GitReference::Default => {}
            GitReference::Tag(value) => write!(out, "#tag={value}")?,
            GitReference::Branch(value) => write!(out, "#branch={value}")?,
            GitReference::Commit(value) => write!(out, "#commit={value}")?,
        }
        match &self.query {
            Some(query) => write!(out, "?{query}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for GitSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_debug(out)
    }
}

fn parse(text: &str) -> Result<Source, SyntaxProblem> {
    if text.len() > MAX_SOURCE_LENGTH {
        return Err(SyntaxProblem::TooLong {
            limit: MAX_SOURCE_LENGTH,
        });
    }
    if text.chars().any(char::is_control) {
        return Err(SyntaxProblem::ControlCharacter);
    }
    let (name, rest) = match text.split_once("::") {
        Some((name, rest)) => (Some(name), rest),
        None => (None, text),
    };
    if rest.is_empty() {
        return Err(SyntaxProblem::Empty);
    }
    let (location, default_name) = parse_location(rest)?;
    let file_name = checked_name(name.unwrap_or(&default_name))?;
    Ok(Source {
        name: name.map(str::to_owned),
        file_name,
        location,
    })
}

fn parse_location(text: &str) -> Result<(Location, String), SyntaxProblem> {
    let Some((scheme, _)) = text.split_once("://") else {
        if let Some(scp) = text.strip_prefix("git+") {
            return parse_git(scp, true);
        }
        if let Some(vcs) = other_vcs(text.split('+').next().unwrap_or_default(), text) {
            return Ok(refused(vcs, text));
        }
        if is_scp_like(text) {
            return parse_git(text, false);
        }
        return parse_local(text);
    };
    let scheme = scheme.to_ascii_lowercase();
    // makepkg takes what stands before the first `+` for the protocol.
    let (vcs, transport) = match scheme.split_once('+') {
        Some((vcs, transport)) => (vcs, Some(transport)),
        None => (scheme.as_str(), None),
    };
    match (vcs, transport) {
        ("git", Some("https" | "http" | "ssh" | "file" | "git")) => parse_git(&text[4..], true),
        ("git", None) => parse_git(text, false),
        ("http" | "https", None) => {
            let url = parse_url(text)?;
            let name = last_segment(text).to_owned();
            Ok((Location::Http(url), name))
        }
        ("file", None) => {
            let url = parse_url(text)?;
            if url.url.host_str().is_some_and(|host| host != "localhost") {
                return Err(SyntaxProblem::RemoteFile);
            }
            let name = last_segment(text).to_owned();
            Ok((Location::File(url), name))
        }
        _ => match other_vcs(vcs, text) {
            Some(vcs) => Ok(refused(vcs, text)),
            None => Err(SyntaxProblem::UnknownScheme { scheme }),
        },
    }
}

fn other_vcs(protocol: &str, text: &str) -> Option<&'static str> {
    let known = ["svn", "hg", "bzr", "fossil"]
        .into_iter()
        .find(|known| *known == protocol);
    // Without `://` only Launchpad's `bzr+lp:` is more than a file name.
    known.filter(|_| text.contains("://") || text.contains("lp:"))
}

fn refused(vcs: &'static str, text: &str) -> (Location, String) {
    let url = text.split(['#', '?']).next().unwrap_or_default();
    let name = last_segment(url.trim_end_matches('/')).to_owned();
    let location = Location::OtherVcs {
        vcs,
        url: text.to_owned(),
    };
    (location, name)
}

fn parse_local(text: &str) -> Result<(Location, String), SyntaxProblem> {
    let path = Path::new(text);
    let climbs = path
        .components()
        .any(|part| !matches!(part, std::path::Component::Normal(_)));
    if climbs || text.ends_with('/') {
        return Err(SyntaxProblem::LocalPath);
    }
    Ok((
        Location::Local(text.to_owned()),
        last_segment(text).to_owned(),
    ))
}

fn parse_url(text: &str) -> Result<HttpUrl, SyntaxProblem> {
    let url = Url::parse(text).map_err(SyntaxProblem::Url)?;
    Ok(HttpUrl {
        text: text.to_owned(),
        url,
    })
}

fn parse_git(text: &str, prefixed: bool) -> Result<(Location, String), SyntaxProblem> {
    let end = text.find(['#', '?']).unwrap_or(text.len());
    let (url, rest) = text.split_at(end);
    let (fragment, query) = fragment_and_query(rest);
    if url.is_empty() || url.starts_with('-') {
        return Err(SyntaxProblem::Empty);
    }
    let reference = match fragment {
        None => GitReference::Default,
        Some(fragment) => parse_reference(fragment)?,
    };
    if url.contains("://") {
        let parsed = Url::parse(url);
        // `ssh://host:owner/repo` is common and git's own parser takes it; only the others must parse.
        if let (Err(error), false) = (parsed, url.starts_with("ssh://")) {
            return Err(SyntaxProblem::Url(error));
        }
    } else if !is_scp_like(url) {
        return Err(SyntaxProblem::GitUrl);
    }
    let path = url.trim_end_matches('/');
    let segment = path.rsplit(['/', ':']).next().unwrap_or_default();
    let name = segment.split(".git").next().unwrap_or_default().to_owned();
    let git = GitSource {
        url: url.to_owned(),
        prefixed,
        reference,
        query: query.map(str::to_owned),
    };
    Ok((Location::Git(git), name))
}

/// Splits `#fragment?query` or `?query#fragment`; makepkg takes both orders.
fn fragment_and_query(rest: &str) -> (Option<&str>, Option<&str>) {
    let fragment = rest
        .split_once('#')
        .map(|(_, after)| after.split('?').next().unwrap_or_default());
    let query = rest
        .split_once('?')
        .map(|(_, after)| after.split('#').next().unwrap_or_default());
    (fragment, query)
}

fn parse_reference(fragment: &str) -> Result<GitReference, SyntaxProblem> {
    let unknown = || SyntaxProblem::UnknownFragment {
        fragment: fragment.to_owned(),
    };
    let (key, value) = fragment.split_once('=').ok_or_else(unknown)?;
    // A leading `-` would be an option to any git program that sees it.
    if value.is_empty() || value.starts_with('-') || value.contains(char::is_whitespace) {
        return Err(unknown());
    }
    let value = value.to_owned();
    match key {
        "tag" => Ok(GitReference::Tag(value)),
        "branch" => Ok(GitReference::Branch(value)),
        "commit" => Ok(GitReference::Commit(value)),
        _ => Err(unknown()),
    }
}

/// Tells git's short SSH form, `user@host:path`, from a file name.
fn is_scp_like(text: &str) -> bool {
    let Some((user, rest)) = text.split_once('@') else {
        return false;
    };
    let Some((host, path)) = rest.split_once(':') else {
        return false;
    };
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    plain(user) && plain(host) && !path.is_empty() && !path.starts_with('-')
}

fn last_segment(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or_default()
}

fn checked_name(name: &str) -> Result<String, SyntaxProblem> {
    let bad = name.is_empty()
        || name == "."
        || name == ".."
        || name.contains('/')
        || name.contains('\0')
        || name.len() > 255;
    if bad {
        return Err(SyntaxProblem::Name { name: redact(name) });
    }
    Ok(name.to_owned())
}
