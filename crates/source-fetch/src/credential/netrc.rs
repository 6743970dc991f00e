//! Files of logins.

use super::Secret;

/// One `machine` of a netrc file.
#[derive(Debug, Clone)]
pub(super) struct Login {
    /// Nothing for `default`.
    pub(super) host: Option<String>,
    pub(super) user: String,
    pub(super) password: Secret,
}

/// Reads the text of a netrc file as curl(1) does; a `macdef` ends it.
pub(super) fn parse(text: &str) -> Vec<Login> {
    let mut logins: Vec<Login> = Vec::new();
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let mut words = lines.flat_map(str::split_whitespace);
    while let Some(word) = words.next() {
        let begun = match word {
            "machine" => Some(words.next().unwrap_or_default().to_ascii_lowercase()),
            "default" => None,
            "macdef" => break,
            _ => {
                let value = words.next().unwrap_or_default();
                match (word, logins.last_mut()) {
                    ("login", Some(login)) => value.clone_into(&mut login.user),
                    ("password", Some(login)) => login.password = Secret::new(value),
                    _ => {}
                }
                continue;
            }
        };
        logins.push(Login {
            host: begun,
            user: String::new(),
            password: Secret::new(""),
        });
    }
    logins
}
