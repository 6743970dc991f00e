//! Source entries as people may see them.

/// What stands for a secret.
const HIDDEN: &str = "***";

/// Hides what of `text`, a source entry or a part of one, may be a secret: the user information
/// and query of every URL in it, and the fragment of one that is not git's.
pub(crate) fn redact(text: &str) -> String {
    let text = without_users(text);
    let is_git = text.contains("git+") || text.contains("git@") || text.contains("git://");
    let Some(start) = text.find(['?', '#']) else {
        return text;
    };
    let mut out = text[..start].to_owned();
    let mut rest = &text[start..];
    while let Some(mark) = rest.chars().next() {
        let end = rest[1..].find(['?', '#']).map_or(rest.len(), |at| at + 1);
        let part = &rest[1..end];
        out.push(mark);
        // PKGBUILD(5) gives git a query of its own.
        let is_open = part.is_empty() || is_git && (mark == '#' || part == "signed");
        out.push_str(if is_open { part } else { HIDDEN });
        rest = &rest[end..];
    }
    out
}

fn without_users(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("://").map(|at| at + 3) {
        let (scheme, after) = rest.split_at(start);
        let end = after.find(['/', '?', '#']).unwrap_or(after.len());
        let (authority, path) = after.split_at(end);
        out.push_str(scheme);
        // A name before the address may look like one itself.
        if authority.ends_with(':') && path.starts_with("//") {
            let colon = authority.len() - 1;
            out.push_str(&authority[..colon]);
            rest = &after[colon..];
            continue;
        }
        match authority.rsplit_once('@') {
            // A bare user name, as in `ssh://git@host`, is no secret.
            Some((user, host)) if user.contains(':') || !scheme.contains("ssh") => {
                out.push_str(HIDDEN);
                out.push('@');
                out.push_str(host);
            }
            _ => out.push_str(authority),
        }
        rest = path;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_an_entry_shows_a_secret() {
        for (text, shown) in [
            ("https://h/a.tar.gz", "https://h/a.tar.gz"),
            ("https://h/a.tar.gz?token=t0ps", "https://h/a.tar.gz?***"),
            ("a.tgz::https://h/d?token=t0ps", "a.tgz::https://h/d?***"),
            (
                "https://h/d?a=1&token=t0ps#t0ps?t0ps",
                "https://h/d?***#***?***",
            ),
            ("https://h/d#access_token=t0ps", "https://h/d#***"),
            ("https://me:t0ps@h/d", "https://***@h/d"),
            ("https://t0ps@h/d", "https://***@h/d"),
            (
                "git+https://t0ps@h/d#tag=v1?signed",
                "git+https://***@h/d#tag=v1?signed",
            ),
            (
                "git+https://h/d?token=t0ps#tag=v1",
                "git+https://h/d?***#tag=v1",
            ),
            ("git+ssh://git@h/d#branch=x", "git+ssh://git@h/d#branch=x"),
            ("git+ssh://git:t0ps@h/d", "git+ssh://***@h/d"),
            ("git@h:owner/d#tag=1", "git@h:owner/d#tag=1"),
            ("a://b::https://me:t0ps@h/d", "a://b::https://***@h/d"),
            ("a.tar.gz?token=t0ps", "a.tar.gz?***"),
            ("h/ä?t0ps#ü", "h/ä?***#***"),
            ("fix-1.patch", "fix-1.patch"),
            ("://", "://"),
            ("?", "?"),
            ("", ""),
        ] {
            let redacted = redact(text);
            assert_eq!(redacted, shown);
            assert!(!redacted.contains("t0ps"), "{redacted}");
        }
    }
}
