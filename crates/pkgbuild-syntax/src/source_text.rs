//! An element of `source`: `name::scheme+url?query#fragment`.

/// The parts of an element of `source`.
pub(crate) struct SourceText<'text> {
    pub(crate) name: Option<&'text str>,
    /// Without the `name::`.
    pub(crate) location: &'text str,
    /// Empty for a file beside the recipe.
    pub(crate) scheme: &'text str,
    /// `git`, `hg` and so on, when it is a checkout.
    pub(crate) version_control: Option<&'static str>,
    pub(crate) fragment: Option<&'text str>,
}

/// Schemes over which anybody on the way can replace what is sent.
const PLAIN: &[&str] = &["http", "ftp", "git", "svn", "bzr", "rsync"];

impl<'text> SourceText<'text> {
    pub(crate) fn parse(text: &'text str) -> Self {
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
    pub(crate) fn file_name(&self) -> &'text str {
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

    /// Whether it lies beside the recipe.
    pub(crate) fn is_local(&self) -> bool {
        self.scheme.is_empty() && self.version_control.is_none()
    }

    /// Whether somebody on the way can replace what is sent.
    pub(crate) fn is_plain(&self) -> bool {
        let transport = self.scheme.rsplit('+').next().unwrap_or(self.scheme);
        PLAIN.contains(&transport)
    }

    /// The host and port, without user and password; empty for a local file.
    pub(crate) fn host(&self) -> &'text str {
        let rest = self.location.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit('@').next().unwrap_or(authority)
    }

    pub(crate) fn is_signature(&self) -> bool {
        [".sig", ".sign", ".asc"]
            .iter()
            .any(|suffix| self.file_name().ends_with(suffix))
    }

    /// Whether the fragment names something that does not move on.
    pub(crate) fn is_fixed(&self) -> bool {
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

    /// Whether the fragment names a commit, whose id proves its content.
    pub(crate) fn is_commit(&self) -> bool {
        self.fragment
            .is_some_and(|fragment| fragment.starts_with("commit="))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        for (source, name, host) in [
            ("a.patch", "a.patch", ""),
            ("https://x.org/a-1.tar.gz", "a-1.tar.gz", "x.org"),
            ("b::https://u:p@x.org:8/a", "b", "x.org:8"),
            ("git+https://x.org/a.git#tag=v1", "a", "x.org"),
            ("git://x.org/a/", "a", "x.org"),
            ("hg+https://x.org/a?x#revision=1", "a", "x.org"),
        ] {
            assert_eq!(SourceText::parse(source).file_name(), name, "{source}");
            assert_eq!(SourceText::parse(source).host(), host, "{source}");
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
            assert_eq!(SourceText::parse(source).is_fixed(), fixed, "{source}");
        }
    }
}
