//! What a recipe from a catalog may not make this machine ask, by whichever way it tries.
#![allow(clippy::unwrap_used)]

mod support;

use network_policy::{AddressKind, Refusal, SourcePolicy};
use source_fetch::git::GitProblem;
use source_fetch::{FetchError, SourceRequest};
use support::{Server, World, declared, reply, skipped};

/// The refusal among the causes, whichever part of the crate has noticed.
fn refusal(error: &FetchError) -> Option<Refusal> {
    match error {
        FetchError::Refused { refusal, .. } => Some(refusal.clone()),
        FetchError::Git { problem, .. } => match &**problem {
            GitProblem::Refused { refusal, .. } => Some(refusal.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn strict() -> World {
    let mut world = World::new();
    world.policy.network = SourcePolicy::default();
    world
}

async fn refused(world: &World, source: SourceRequest) -> Refusal {
    let error = world.fetch(&[source]).await.unwrap_err();
    world.check_clean();
    refusal(&error).unwrap_or_else(|| panic!("{error:?}"))
}

fn server_that_says_nothing() -> impl Future<Output = Server> {
    Server::start(|_| reply(500, &[], b""))
}

#[tokio::test]
async fn a_recipe_reads_nothing_of_this_machine() {
    let world = strict();
    let secret = world.path("id_ed25519");
    std::fs::write(&secret, "key").unwrap();
    let repository = world.path("private");
    std::fs::create_dir(&repository).unwrap();
    for source in [
        format!("file://{}", secret.display()),
        format!("key::file://{}", secret.display()),
        format!("git+file://{}", repository.display()),
    ] {
        assert_eq!(
            refused(&world, skipped(&source)).await,
            Refusal::File,
            "{source}"
        );
        let allowed = World::new();
        if !source.contains("git") {
            allowed.fetch(&[skipped(&source)]).await.unwrap();
        }
    }
}

#[tokio::test]
async fn this_machines_servers_are_not_asked() {
    let server = server_that_says_nothing().await;
    let port = server.url.rsplit(':').next().unwrap().to_owned();
    let full = "0123456789012345678901234567890123456789";
    let sources = [
        declared(&format!("{}/hive/api/stop", server.url), b"x"),
        declared(&format!("http://localhost:{port}/x"), b"x"),
        declared(&format!("https://localhost:{port}/x"), b"x"),
        declared(&format!("http://2130706433:{port}/x"), b"x"),
        skipped(&format!("git+{}/a.git#commit={full}", server.url)),
        skipped(&format!("git+https://localhost:{port}/a.git")),
        skipped(&format!("git://localhost:{port}/a.git#commit={full}")),
        skipped(&format!("git://127.0.0.1:{port}/a.git#commit={full}")),
    ];
    for source in sources {
        let label = source.source.label();
        let refusal = refused(&strict(), source).await;
        assert!(
            matches!(
                refusal,
                Refusal::Address {
                    kind: AddressKind::Loopback,
                    ..
                }
            ),
            "{label}: {refusal:?}"
        );
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn what_is_not_encrypted_must_be_pinned() {
    for source in [
        skipped("http://files.example.org/a"),
        skipped("git+http://git.example.org/a.git"),
        skipped("git+http://git.example.org/a.git#branch=main"),
        // A beginning of an id can be made by anybody in minutes.
        skipped("git+http://git.example.org/a.git#commit=abcdef"),
        skipped("git://git.example.org/a.git#tag=v1"),
    ] {
        let label = source.source.label();
        let refusal = refused(&strict(), source).await;
        assert!(
            matches!(refusal, Refusal::Insecure { .. }),
            "{label}: {refusal:?}"
        );
    }
    let weak = skipped("http://files.example.org/a")
        .with_checksum(source_fetch::Checksum::parse("md5", &"0".repeat(32)).unwrap());
    assert!(matches!(
        refused(&strict(), weak).await,
        Refusal::Insecure { .. }
    ));
    for source in [
        "git+ssh://git@git.example.org/a.git",
        "git+git@git.example.org:a.git",
    ] {
        let Ok(parsed) = source.parse() else { continue };
        let refusal = refused(&strict(), SourceRequest::new(parsed)).await;
        assert!(matches!(refusal, Refusal::Ssh { .. }), "{refusal:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_a_place_of_its_own() {
    let inside = server_that_says_nothing().await;
    let port = inside.url.rsplit(':').next().unwrap().to_owned();
    for target in [
        inside.url.clone(),
        format!("http://localhost:{port}"),
        format!("http://0x7f.1:{port}"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "http://10.0.0.1".to_owned(),
        "http://[fd00::1]".to_owned(),
    ] {
        let to = target.clone();
        let outside = Server::start(move |request| {
            let place = format!("{to}{}", request.path);
            reply(302, &[("Location", &place)], b"")
        })
        .await;
        let own: network_policy::HostRule = outside
            .url
            .strip_prefix("http://")
            .unwrap()
            .parse()
            .unwrap();
        let mut world = strict();
        world.policy.network = SourcePolicy::default().allow_host(own).allow_insecure(true);
        for source in [
            skipped(&format!("{}/a", outside.url)),
            skipped(&format!("git+{}/a.git", outside.url)),
        ] {
            let label = source.source.label();
            let refusal = refused(&world, source).await;
            assert!(
                matches!(refusal, Refusal::Address { .. }),
                "{label} {target}: {refusal:?}"
            );
        }
        // Asked once: a refusal is the same at every attempt.
        assert_eq!(outside.requests().len(), 2, "{target}");
    }
    assert!(inside.requests().is_empty());
}
