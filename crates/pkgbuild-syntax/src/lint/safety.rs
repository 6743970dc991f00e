//! What a careful reader of a recipe looks for, and what makepkg finds out only when it builds.

use std::collections::HashSet;

use super::diagnostic::{Code, Diagnostic};
use super::makepkg_functions::is_makepkgs;
use crate::evaluate::{DynamicKind, Evaluation};
use crate::package::{Algorithm, Array, ArrayField, ArrayKey, Package, StringField};
use crate::span::Span;

pub(crate) fn check(evaluation: &Evaluation, package: &Package, found: &mut Vec<Diagnostic>) {
    duplicates(&package.pkgname, "`pkgname`", found);
    let sources = package
        .common
        .arrays
        .iter()
        .filter(|(key, _)| key.field == ArrayField::Source);
    for (key, sources) in sources {
        group(package, key, sources, found);
    }
    paths(package, found);
    commands(evaluation, package, found);
}

fn duplicates(array: &Array, what: &str, found: &mut Vec<Diagnostic>) {
    let mut seen = HashSet::new();
    for (name, span) in array.known() {
        if !seen.insert(name) {
            found.push(Code::DuplicateName.found(
                span,
                format!("`{name}` stands twice in {what}"),
                "drop one of the two",
            ));
        }
    }
}

/// The sources of one list with the checksums that belong to it.
fn group(package: &Package, key: &ArrayKey, sources: &Array, found: &mut Vec<Diagnostic>) {
    let Ok(sources) = sources
        .texts()
        .map(|texts| texts.into_iter().zip(sources.known()))
    else {
        return;
    };
    let sources: Vec<(&str, Option<Span>)> =
        sources.map(|(text, (_, span))| (text, span)).collect();
    let mut checksums: Vec<Vec<(Algorithm, &str)>> = vec![Vec::new(); sources.len()];
    let mut complete = true;
    for algorithm in Algorithm::ALL {
        let sums_key = ArrayKey {
            field: ArrayField::Checksums(algorithm),
            arch: key.arch.clone(),
        };
        let Some(sums) = package.common.arrays.get(&sums_key) else {
            continue;
        };
        let Ok(digests) = sums.texts() else {
            complete = false;
            continue;
        };
        if digests.len() != sources.len() {
            found.push(Code::ChecksumCount.found(
                sums.span(),
                format!(
                    "`{sums_key}` has {} elements for {} sources in `{key}`",
                    digests.len(),
                    sources.len()
                ),
                "give each source one checksum, or `SKIP`",
            ));
        }
        for ((digest, span), checksums) in sums.known().zip(&mut checksums) {
            checksums.push((algorithm, digest));
            checksum(algorithm, digest, span, found);
        }
    }
    let mut names = HashSet::new();
    for ((source, span), checksums) in sources.into_iter().zip(checksums) {
        let source = Source::parse(source);
        if !names.insert(source.file_name().to_owned()) {
            found.push(Code::DuplicateName.found(
                span,
                format!(
                    "two sources in `{key}` have the file name `{}`",
                    source.file_name()
                ),
                "give one of them another name with `name::` in front",
            ));
        }
        source.check(package.has_function("pkgver"), span, found);
        if complete {
            source.check_proof(&checksums, span, found);
        }
    }
}

fn checksum(algorithm: Algorithm, digest: &str, span: Option<Span>, found: &mut Vec<Diagnostic>) {
    let valid = match algorithm.hex_digits() {
        None => !digest.is_empty() && digest.bytes().all(|byte| byte.is_ascii_digit()),
        Some(count) => digest.len() == count && digest.bytes().all(|byte| byte.is_ascii_hexdigit()),
    };
    if digest == "SKIP" || valid {
        return;
    }
    let expected = match algorithm.hex_digits() {
        None => "a decimal number".to_owned(),
        Some(count) => format!("{count} hexadecimal digits"),
    };
    found.push(Code::ChecksumInvalid.found(
        span,
        format!("`{digest}` is not a checksum of `{algorithm}`: expected {expected}"),
        "run `updpkgsums`, or write `SKIP`",
    ));
}

/// An element of `source`: `name::scheme+url?query#fragment`.
struct Source<'text> {
    name: Option<&'text str>,
    /// Without the `name::`.
    location: &'text str,
    /// Empty for a file beside the recipe.
    scheme: &'text str,
    /// `git`, `hg` and so on, when it is a checkout.
    version_control: Option<&'static str>,
    fragment: Option<&'text str>,
}

/// Schemes over which anybody on the way can replace what is sent.
const PLAIN: &[&str] = &["http", "ftp", "git", "svn", "bzr", "rsync"];

impl<'text> Source<'text> {
    fn parse(text: &'text str) -> Self {
        let (name, location) = match text.split_once("::") {
            Some((name, location)) => (Some(name), location),
            None => (None, text),
        };
        let scheme = location.split_once("://").map_or("", |(scheme, _)| scheme);
        let version_control = ["bzr", "fossil", "git", "hg", "svn"]
            .into_iter()
            .find(|kind| {
                scheme == *kind
                    || scheme
                        .strip_prefix(*kind)
                        .is_some_and(|rest| rest.starts_with('+'))
            });
        // `lp:` is Launchpad's shorthand for bazaar.
        let version_control =
            version_control.or_else(|| location.starts_with("lp:").then_some("bzr"));
        Self {
            name,
            location,
            scheme,
            version_control,
            fragment: location.split_once('#').map(|(_, fragment)| fragment),
        }
    }

    /// makepkg's `get_filename`.
    fn file_name(&self) -> &'text str {
        if let Some(name) = self.name {
            return name;
        }
        let mut path = self.location;
        if self.version_control.is_some() {
            path = path
                .split_once(['#', '?'])
                .map_or(path, |(before, _)| before);
            path = path.strip_suffix('/').unwrap_or(path);
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        match self.version_control {
            Some("git") => name.strip_suffix(".git").unwrap_or(name),
            _ => name,
        }
    }

    fn is_signature(&self) -> bool {
        [".sig", ".sign", ".asc"]
            .iter()
            .any(|suffix| self.file_name().ends_with(suffix))
    }

    /// Whether the fragment names something that does not move on.
    fn is_fixed(&self) -> bool {
        let Some((key, value)) = self.fragment.and_then(|fragment| fragment.split_once('=')) else {
            return false;
        };
        let value = value.split('?').next().unwrap_or(value);
        match (self.version_control, key) {
            (_, "commit" | "tag") => value != "HEAD",
            (_, "revision") => true,
            _ => false,
        }
    }

    /// A recipe that follows a branch has a `pkgver()`, and then it is no oversight.
    fn check(&self, follows: bool, span: Option<Span>, found: &mut Vec<Diagnostic>) {
        let local = self.scheme.is_empty() && self.version_control.is_none();
        let named = self.name.unwrap_or(if local { self.location } else { "" });
        if named.starts_with('/') || named.split('/').any(|part| part == "..") {
            found.push(Code::SourceEscapes.found(
                span,
                format!("the source `{named}` leaves the folder of the recipe"),
                "use a file name without `/` and `..`",
            ));
        }
        if self.version_control.is_some() && !self.is_fixed() && !follows {
            found.push(Code::SourceMoving.found(
                span,
                format!(
                    "the checkout `{}` is not fixed to a commit or tag",
                    self.location
                ),
                "append `#commit=…` or `#tag=…`",
            ));
        }
    }

    fn check_proof(
        &self,
        checksums: &[(Algorithm, &str)],
        span: Option<Span>,
        found: &mut Vec<Diagnostic>,
    ) {
        let proofs = || checksums.iter().filter(|(_, digest)| *digest != "SKIP");
        let location = self.location;
        let unproven = proofs().next().is_none();
        let transport = self.scheme.rsplit('+').next().unwrap_or(self.scheme);
        let by_hash = self
            .fragment
            .is_some_and(|fragment| fragment.starts_with("commit="));
        if unproven && !by_hash && PLAIN.contains(&transport) {
            found.push(Code::SourceUnprotected.found(
                span,
                format!("nothing proves `{location}`, which anybody on the way can replace"),
                "use `https:`, or add a checksum",
            ));
        }
        if self.version_control.is_some() {
            return;
        }
        if checksums.is_empty() {
            found.push(Code::ChecksumMissing.found(
                span,
                format!("`{location}` has no checksum"),
                "run `updpkgsums`",
            ));
        } else if unproven && !self.is_signature() {
            found.push(Code::ChecksumSkipped.found(
                span,
                format!(
                    "the checksum of `{location}` is skipped although the file could be checked"
                ),
                "run `updpkgsums`",
            ));
        } else if !unproven
            // A file beside the recipe comes with it.
            && !self.scheme.is_empty()
            && proofs().all(|(algorithm, _)| {
                matches!(algorithm, Algorithm::Ck | Algorithm::Md5 | Algorithm::Sha1)
            })
        {
            found.push(Code::ChecksumWeak.found(
                span,
                format!("`{location}` has only checksums that can be forged"),
                "add `sha256sums` or `b2sums`",
            ));
        }
    }
}

fn paths(package: &Package, found: &mut Vec<Diagnostic>) {
    let overrides = package
        .overrides
        .iter()
        .map(|overrides| &overrides.metadata);
    for metadata in [&package.common].into_iter().chain(overrides) {
        for field in [StringField::Install, StringField::Changelog] {
            let Some(value) = metadata.string(field) else {
                continue;
            };
            let Ok(path) = value.get() else { continue };
            if path.starts_with('/') || path.split('/').any(|part| part == "..") {
                found.push(Code::PathEscapes.found(
                    value.span(),
                    format!(
                        "`{}` names `{path}`, outside the recipe's folder",
                        field.name()
                    ),
                    "put the file beside the recipe",
                ));
            }
        }
    }
}

fn commands(evaluation: &Evaluation, package: &Package, found: &mut Vec<Diagnostic>) {
    let mut seen = HashSet::new();
    for reason in evaluation.dynamic() {
        if let DynamicKind::Command(name) = &reason.kind
            && !is_makepkgs(name)
            && seen.insert(reason.span)
        {
            found.push(Code::TopLevelCommand.found(
                Some(reason.span),
                format!("`{name}` runs as soon as the recipe is read"),
                "move it into a function such as `prepare()` or `pkgver()`",
            ));
        }
    }
    let mut seen = HashSet::new();
    for reason in package.reasons() {
        if seen.insert(reason.span) {
            found.push(Code::ValueUnknown.found(
                Some(reason.span),
                format!("a field is not known before the recipe runs: {reason}"),
                "write the value itself",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names() {
        for (source, name) in [
            ("a.patch", "a.patch"),
            ("https://x.org/a-1.tar.gz", "a-1.tar.gz"),
            ("b::https://x.org/a", "b"),
            ("git+https://x.org/a.git#tag=v1", "a"),
            ("git://x.org/a/", "a"),
            ("hg+https://x.org/a?x#revision=1", "a"),
        ] {
            assert_eq!(Source::parse(source).file_name(), name, "{source}");
        }
    }

    #[test]
    fn fixed_references() {
        for (source, fixed) in [
            ("git+https://x.org/a#commit=abc", true),
            ("git+https://x.org/a#tag=v1?signed", true),
            ("git+https://x.org/a#branch=main", false),
            ("git+https://x.org/a", false),
            ("git+https://x.org/a#commit=HEAD", false),
            ("svn+https://x.org/a#revision=3", true),
        ] {
            assert_eq!(Source::parse(source).is_fixed(), fixed, "{source}");
        }
    }
}
