//! Where a recipe is, and whether what came is one.

use url::Url;

use crate::base::{Base, Bases};
use crate::error::{CatalogError, printable};
use crate::fetch::Target;

/// A recipe's text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recipe {
    /// The PKGBUILD.
    pub text: String,
    /// Where it came from, without credentials.
    pub url: String,
}

/// Finds what an entry's recipe reference points at.
///
/// Root-relative references are relative to the catalog's base URL, so that a catalog served
/// below a path prefix works; an absolute one must have the origin of a base URL or one that the
/// configuration allows.
pub(crate) fn locate(bases: &Bases, reference: &str) -> Result<Target, CatalogError> {
    let first = bases.first();
    let refuse = |problem: &str| CatalogError::MalformedEntry {
        url: first.shown(),
        path: "pkgbuildUrl".to_owned(),
        line: 0,
        column: 1,
        problem: format!("{problem} in `{}`", printable(reference, 200)),
    };
    // URL parsers drop tabs and line ends and read a backslash as a slash, which would turn an
    // innocent looking path into another host.
    if reference
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
    {
        return Err(refuse("blanks, control characters or backslashes"));
    }
    if climbs(reference) {
        return Err(refuse("a `..` segment"));
    }
    if reference.starts_with("//") {
        let url = first
            .url()
            .join(reference)
            .map_err(|error| refuse(&error.to_string()))?;
        return absolute(bases, url, reference);
    }
    match Url::parse(reference) {
        Ok(url) => absolute(bases, url, reference),
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            let path = reference.trim_start_matches('/');
            if path.is_empty() {
                return Err(refuse("no path"));
            }
            Ok(Target::Path(path.to_owned()))
        }
        Err(error) => Err(refuse(&error.to_string())),
    }
}

fn absolute(bases: &Bases, mut url: Url, reference: &str) -> Result<Target, CatalogError> {
    let first = bases.first();
    let other = |url: &Url| CatalogError::OtherOrigin {
        url: printable(&Base::show(url), 200),
        catalog: first.shown(),
    };
    if !matches!(url.scheme(), "http" | "https") || !bases.allows(&url) {
        return Err(other(&url));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(CatalogError::MalformedEntry {
            url: first.shown(),
            path: "pkgbuildUrl".to_owned(),
            line: 0,
            column: 1,
            problem: format!(
                "a user name in a recipe URL for `{}`",
                printable(url.host_str().unwrap_or(reference), 200)
            ),
        });
    }
    url.set_fragment(None);
    // What one base URL has, its mirrors have too.
    Ok(match bases.path_below(&url) {
        Some(path) => Target::Path(path),
        None => Target::Url(url),
    })
}

/// Whether a path has a segment that a URL parser takes for "up one level".
fn climbs(reference: &str) -> bool {
    let path = reference.split(['?', '#']).next().unwrap_or(reference);
    path.split('/').any(|segment| {
        matches!(
            segment.to_ascii_lowercase().replace("%2e", ".").as_str(),
            ".."
        )
    })
}

/// The recipe's text, when the bytes are one.
pub(crate) fn text(url: &str, body: &[u8]) -> Result<String, CatalogError> {
    let refuse = |problem: String| CatalogError::MalformedRecipe {
        url: url.to_owned(),
        problem,
    };
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = std::str::from_utf8(body)
        .map_err(|error| refuse(format!("it is not UTF-8 at byte {}", error.valid_up_to())))?;
    if text.trim().is_empty() {
        return Err(refuse("it is empty".to_owned()));
    }
    if let Some(at) = text.find('\0') {
        return Err(refuse(format!("it has a zero byte at byte {at}")));
    }
    let start = text.trim_start();
    let html = ["<!doctype html", "<html", "<head", "<body"];
    if html.iter().any(|tag| {
        start
            .get(..tag.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(tag))
    }) {
        return Err(CatalogError::NotACatalog {
            url: url.to_owned(),
            found: "an HTML page where a recipe is due".to_owned(),
        });
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    use crate::config::CatalogConfig;

    #[test]
    fn references_are_found_below_the_base_url() {
        let bases = Bases::new(&CatalogConfig::new(["http://h/a", "https://m"])).unwrap();
        for (reference, path) in [
            ("/pkgbuilds/x", "pkgbuilds/x"),
            ("pkgbuilds/x", "pkgbuilds/x"),
            ("/x?y=..", "x?y=.."),
            ("/a..b/...", "a..b/..."),
            (":80/@x", ":80/@x"),
            ("http://h/a/x", "x"),
            ("http://H:80/a/x#y", "x"),
            ("https://m/x", "x"),
        ] {
            let target = locate(&bases, reference).unwrap();
            assert_eq!(target, Target::Path(path.to_owned()), "{reference}");
        }
        // The catalog's own origin, outside its path.
        let beside = "http://h/b/x";
        let target = locate(&bases, beside).unwrap();
        assert_eq!(target, Target::Url(beside.parse().unwrap()));
        for reference in ["http://h:81/a/x", "https://h/a/x", "http:evil", "//evil/x"] {
            let error = locate(&bases, reference).unwrap_err();
            assert!(
                matches!(error, CatalogError::OtherOrigin { .. }),
                "{reference}: {error:?}"
            );
        }
    }
}
