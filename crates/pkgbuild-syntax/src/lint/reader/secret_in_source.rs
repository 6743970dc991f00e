//! Passwords and tokens in the URLs of sources.

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic};
use crate::package::ArrayField;

fn has_secret(source: &str) -> bool {
    let Some((_, rest)) = source.split_once("://") else {
        return false;
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let password = host
        .rsplit_once('@')
        .and_then(|(user, _)| user.split_once(':'))
        .is_some_and(|(_, password)| !password.is_empty());
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let token = query.split(['&', '#']).any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let named = [
            "access_token",
            "api_key",
            "apikey",
            "auth_token",
            "private_token",
            "token",
        ];
        !value.is_empty() && named.contains(&name.to_ascii_lowercase().as_str())
    });
    password || token
}

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let lists = subject.package.common.arrays.iter();
    for (key, sources) in lists.filter(|(key, _)| key.field == ArrayField::Source) {
        for (source, span) in sources.known() {
            if has_secret(source) {
                // The message does not repeat it.
                found.push(Code::SecretInSource.found(
                    span,
                    format!("a password or token stands in a source of `{key}`"),
                    "give it to the program that fetches, and change it: it is public now",
                ));
            }
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    (
        "source=(https://u:secret@x.org/b)\nsha256sums=(SKIP)",
        &[(Code::SecretInSource, "https://u:secret@x.org/b")],
    ),
    (
        "source=('https://x.org/b?token=abc')\nsha256sums=(SKIP)",
        &[(Code::SecretInSource, "'https://x.org/b?token=abc'")],
    ),
    ("source=(https://user@x.org/b)\nsha256sums=(SKIP)", &[]),
    ("source=('https://x.org/b?token=')\nsha256sums=(SKIP)", &[]),
];
