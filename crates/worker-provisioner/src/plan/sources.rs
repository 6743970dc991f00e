//! What a fetch is allowed, and what is kept and reported of it.

use std::time::Duration;

use network_policy::HttpClients;
use source_fetch::{
    Credentials, Directories, Expired, ExtractLimits, Fetched, HttpPolicy, Location, LowestSpeed,
    Origin, Policy, Signer, Source,
};

use crate::config::{Config, ExpiredSignatures, SignaturePolicy};
use crate::package::EvaluatedPackage;
use crate::progress::{Happening, Unit};
use crate::receipt::{SignatureState, SourceRecord, Verification};
use crate::workspace::Workspace;

/// What is kept of a fetched source.
pub(crate) fn source_record(fetched: &Fetched) -> SourceRecord {
    let proof = &fetched.verification;
    let (commit, tls) = match &fetched.origin {
        Origin::Git { commit } => (Some(commit.clone()), git_tls(&fetched.source)),
        Origin::Http { tls, .. } => (None, Some(*tls)),
        _ => (None, None),
    };
    let signer = proof.signed_by.as_ref();
    let mut record = SourceRecord {
        name: fetched.source.shown_name(),
        verification: Verification::Nothing,
        digests: proof
            .digests
            .iter()
            .map(|digest| digest.name().to_owned())
            .collect(),
        signed_by: signer.map(|by| by.fingerprint.clone()),
        signature: signer.map(signature_state),
        commit,
        pinned: proof.pinned,
        tls,
    };
    record.verification = record.amounts_to(ExpiredSignatures::Refuse);
    record
}

/// Whether a repository was reached by an encrypted way; nothing for one of this machine.
fn git_tls(source: &Source) -> Option<bool> {
    let Location::Git(git) = source.location() else {
        return None;
    };
    match git.url().split_once("://") {
        Some(("http" | "git", _)) => Some(false),
        Some(("file", _)) => None,
        None if git.url().starts_with('/') => None,
        // `https`, `ssh`, and the form `host:path`, which is ssh too.
        _ => Some(true),
    }
}

fn signature_state(signer: &Signer) -> SignatureState {
    if !signer.accepted {
        return SignatureState::OtherKey;
    }
    if !signer.weak.is_empty() {
        return SignatureState::WeakKey;
    }
    match signer.expired {
        None => SignatureState::Current,
        Some(Expired::Signature) => SignatureState::ExpiredSignature,
        Some(Expired::Key) => SignatureState::ExpiredKey,
    }
}

/// Where a fetch puts things.
pub(crate) fn directories(config: &Config, workspace: &Workspace) -> Directories {
    Directories {
        srcdir: workspace.srcdir(),
        cache: config.cache_dir.join("sources"),
        startdir: workspace.startdir().to_owned(),
    }
}

/// What a fetch is allowed.
pub(crate) fn fetch_policy(
    config: &Config,
    clients: &HttpClients,
    credentials: &Credentials,
    package: &EvaluatedPackage,
) -> Policy {
    let mut http = HttpPolicy::default();
    http.idle_timeout = config.longest_silence;
    http.lowest_speed = lowest_speed(config.lowest_speed, config.longest_silence);
    http.max_bytes = http.max_bytes.min(config.disk_limit);
    let mut extract = ExtractLimits::default();
    extract.max_bytes = extract.max_bytes.min(config.disk_limit);
    Policy {
        http,
        extract,
        offline: config.offline,
        network: super::source_policy(config),
        clients: Some(clients.clone()),
        credentials: credentials.clone(),
        keyring: config.keyring.clone(),
        accepted_keys: config.accepted_signers.clone(),
        valid_pgp_keys: package.resolved.validpgpkeys.clone(),
        skip_pgp_check: config.signatures == SignaturePolicy::Skip,
        ..Policy::default()
    }
}

/// So many bytes a minute, judged over a time of its own.
fn lowest_speed(a_minute: u64, within: Duration) -> LowestSpeed {
    let bytes = u128::from(a_minute) * within.as_millis() / 60_000;
    LowestSpeed {
        bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
        within,
    }
}

/// What is told of a fetch.
pub(crate) fn fetch_happening(event: source_fetch::Event) -> Option<Happening> {
    use source_fetch::Event;
    Some(match event {
        Event::Bytes {
            source,
            received,
            total,
        } => Happening::Progress {
            subject: source.name.to_string(),
            done: received,
            total,
            unit: Unit::Bytes,
        },
        Event::Retrying {
            source,
            attempt,
            delay,
            reason,
        } => Happening::Warning {
            text: format!(
                "`{}`: attempt {attempt} failed ({reason}); trying again in {delay:.1?}",
                source.name
            ),
        },
        Event::CredentialWithheld { source, host } => Happening::Warning {
            text: format!(
                "`{}`: the secret for `{host}` is not sent, as the connection is not encrypted",
                source.name
            ),
        },
        Event::FromCache { source } => note(format!("`{}` comes from the cache", source.name)),
        Event::Verified { source, digests } => {
            let digests: Vec<_> = digests.iter().map(|digest| digest.name()).collect();
            note(if digests.is_empty() {
                format!("`{}` has no digest", source.name)
            } else {
                format!("`{}` verified by {}", source.name, digests.join(" and "))
            })
        }
        Event::SignatureVerified { source, signed_by } => {
            let text = format!("`{}` is signed by {}", source.name, signed_by.fingerprint);
            if let Some(weak) = signed_by.weak.first() {
                return Some(Happening::Warning {
                    text: format!("{text}, which proves little: {weak}"),
                });
            }
            match signed_by.expired {
                None => note(text),
                Some(Expired::Signature) => Happening::Warning {
                    text: format!("{text}; the signature has expired"),
                },
                Some(Expired::Key) => Happening::Warning {
                    text: format!("{text}; the key has expired"),
                },
            }
        }
        Event::SignatureSkipped { source } => Happening::Warning {
            text: format!("signature of `{}` is not verified", source.name),
        },
        Event::Extracted {
            source, entries, ..
        } => note(format!("`{}` extracted, {entries} entries", source.name)),
        _ => return None,
    })
}

pub(super) fn note(text: String) -> Happening {
    Happening::Note { text }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn repositories_are_reached_encrypted_or_not() {
        for (source, expected) in [
            ("git+https://example.org/a.git", Some(true)),
            ("git+ssh://git@example.org/a.git", Some(true)),
            ("git+http://example.org/a.git#branch=main", Some(false)),
            ("git://example.org/a.git", Some(false)),
            ("git+file:///srv/a.git", None),
            ("https://example.org/a.tar.gz", None),
        ] {
            assert_eq!(git_tls(&source.parse().unwrap()), expected, "{source}");
        }
    }
}
