//! Detached signatures: what makepkg accepts, and everything else with its reason.
#![allow(clippy::unwrap_used)]

/// Expects a [`SignatureProblem`] of this form.
macro_rules! refused {
    ($pattern:pat, $word:expr) => {
        crate::Expect::Refused(|problem| matches!(problem, $pattern), $word)
    };
}

#[path = "../support/mod.rs"]
mod support;

mod expired;
mod good;
mod keyring;
mod name;
mod refused;
mod weak;

use source_fetch::{Event, Expired, FetchError, SignatureProblem, Signer};
use support::{World, chain, skipped};

const CONTENT: &[u8] = b"int main() { return 0; }\n";

/// What is expected of one signature.
enum Expect {
    /// Accepted, with what has expired.
    Good(Option<Expired>),
    /// Refused for this reason, with a word that the message must hold.
    Refused(fn(&SignatureProblem) -> bool, &'static str),
}
use Expect::{Good, Refused};

/// Fetches `foo` with its signature under `ending`.
async fn fetch(
    keyring: &std::path::Path,
    valid: &[&str],
    ending: &str,
    signature: &[u8],
) -> (World, Result<Signer, FetchError>) {
    let mut world = World::new();
    world.policy.keyring = Some(keyring.to_owned());
    world.policy.valid_pgp_keys = valid.iter().map(|&key| key.to_owned()).collect();
    world.start_file("foo", CONTENT);
    world.start_file(&format!("foo{ending}"), signature);
    let sources = [skipped("foo"), skipped(&format!("foo{ending}"))];
    let result = world.fetch(&sources).await.map(|fetched| {
        let by = |index: usize| fetched[index].verification.signed_by.clone().unwrap();
        assert_eq!(by(0), by(1));
        by(0)
    });
    (world, result)
}

async fn check(
    name: &str,
    keyring: &std::path::Path,
    valid: &[&str],
    signature: &[u8],
    expect: &Expect,
) {
    let ending = if signature.first().is_some_and(|byte| byte & 0x80 != 0) {
        ".sig"
    } else {
        ".asc"
    };
    let (world, result) = fetch(keyring, valid, ending, signature).await;
    match (expect, result) {
        (Good(expired), Ok(signer)) => {
            assert_eq!(signer.expired, *expired, "{name}");
            assert!(
                valid
                    .iter()
                    .any(|v| v.eq_ignore_ascii_case(&signer.fingerprint)),
                "{name}"
            );
            let events = world.events.lock().unwrap();
            let position =
                |wanted: &dyn Fn(&Event) -> bool| events.iter().position(wanted).unwrap();
            let verified = position(&|event| {
                matches!(event, Event::SignatureVerified { source, signed_by }
                    if source.index == 0 && *signed_by == signer)
            });
            let finished =
                position(&|event| matches!(event, Event::Finished { source } if source.index == 0));
            assert!(verified < finished, "{name}");
        }
        (Refused(is_expected, word), Err(error)) => {
            let text = chain(&error);
            let FetchError::Signature {
                source_name,
                problem,
            } = &error
            else {
                panic!("{name}: {text}");
            };
            assert!(is_expected(problem), "{name}: {text}");
            assert!(text.contains(word), "{name}: {text}");
            assert!(source_name.starts_with("foo"), "{name}: {source_name}");
            world.check_clean();
        }
        (_, result) => panic!("{name}: {:?}", result.map_err(|error| chain(&error))),
    }
}
