//! What is kept, and what a later run transfers.

use std::fs;
use std::time::{Duration, SystemTime};

use source_fetch::GitReference;
use source_fetch::git::{self, GitProblem, History};

use crate::git_support::{
    Place, Server, advance, assert_sound, branch, commit, fails, git, request, sample, tag,
};

#[tokio::test]
async fn shallow_means_one_commit_and_full_makes_it_whole() {
    let place = Place::new();
    let bare = sample(place.root(), "r");
    let server = Server::plain(place.root());
    let url = server.url("r.git");
    let shallow = place
        .provide(&request(&url, GitReference::Default, History::Shallow), "a")
        .await
        .unwrap();
    assert!(fails(&shallow.path, &["rev-list", "--count", "HEAD"]));
    let full = place
        .provide(&request(&url, GitReference::Default, History::Full), "b")
        .await
        .unwrap();
    assert_eq!(git(&full.path, &["rev-list", "--count", "HEAD"]), "7");
    assert_eq!(
        git(&full.path, &["rev-parse", "--is-shallow-repository"]),
        "false"
    );
    // What is whole stays whole.
    let tip = advance(&bare, "later");
    let later = place
        .provide(&request(&url, GitReference::Default, History::Shallow), "c")
        .await
        .unwrap();
    assert_eq!(later.commit, tip);
    assert_eq!(git(&later.path, &["rev-list", "--count", "HEAD"]), "8");
    assert_sound(&later.path);
}

#[tokio::test]
async fn the_second_run_transfers_only_what_is_new() {
    let place = Place::new();
    let bare = sample(place.root(), "r");
    let server = Server::plain(place.root());
    let request = request(&server.url("r.git"), GitReference::Default, History::Full);
    assert!(place.fetch(&request).await.unwrap().received_bytes() > 0);
    let before = server.seen().len();
    assert_eq!(place.fetch(&request).await.unwrap().received_bytes(), 0);
    assert!(server.seen()[before..].iter().all(|seen| !seen.is_fetch()));
    let tip = advance(&bare, "new");
    let revision = place.fetch(&request).await.unwrap();
    assert_eq!(revision.commit(), tip);
    assert!(
        revision.received_bytes() < 1000,
        "{}",
        revision.received_bytes()
    );
}

#[tokio::test]
async fn a_pinned_commit_in_the_cache_needs_no_server() {
    let place = Place::new();
    let bare = sample(place.root(), "r");
    let server = Server::plain(place.root());
    let id = git(&bare, &["rev-parse", "main~2"]);
    let request = request(&server.url("r.git"), commit(&id), History::Shallow);
    assert_eq!(place.fetch(&request).await.unwrap().commit(), id);
    let before = server.seen().len();
    assert_eq!(place.fetch(&request).await.unwrap().commit(), id);
    assert_eq!(server.seen().len(), before);
}

#[tokio::test]
async fn offline_uses_the_cache_alone() {
    let mut place = Place::new();
    sample(place.root(), "r");
    let server = Server::plain(place.root());
    let shallow = request(&server.url("r.git"), tag("v1.0"), History::Shallow);
    let full = request(&server.url("r.git"), tag("v1.0"), History::Full);
    place.options.offline = true;
    assert!(matches!(
        place.fetch(&shallow).await,
        Err(GitProblem::Offline { .. })
    ));
    place.options.offline = false;
    place.fetch(&shallow).await.unwrap();
    place.options.offline = true;
    place.fetch(&shallow).await.unwrap();
    assert!(matches!(
        place.fetch(&full).await,
        Err(GitProblem::Offline { .. })
    ));
}

#[tokio::test]
async fn two_fetches_share_one_mirror() {
    let place = Place::new();
    sample(place.root(), "r");
    let server = Server::plain(place.root());
    let url = server.url("r.git");
    let (a, b) = (
        request(&url, tag("v1.0"), History::Full),
        request(&url, branch("feature/x"), History::Shallow),
    );
    let (a, b) = tokio::join!(place.provide(&a, "a"), place.provide(&b, "b"));
    assert_sound(&a.unwrap().path);
    assert_sound(&b.unwrap().path);
    assert_eq!(
        fs::read_dir(place.cache().join("git")).unwrap().count(),
        2,
        "one mirror and its lock"
    );
}

type Damage = fn(&mut Vec<u8>);

#[tokio::test]
async fn a_damaged_mirror_is_replaced() {
    let damages: [(&str, Damage); 5] = [
        ("pack", |bytes| {
            let middle = bytes.len() / 2;
            bytes[20..middle].fill(0x55);
        }),
        ("pack", |bytes| bytes.truncate(bytes.len() / 2)),
        ("pack", Vec::clear),
        ("idx", |bytes| bytes.truncate(500)),
        ("idx", |bytes| bytes.truncate(bytes.len() / 2)),
    ];
    let origin = Place::new();
    let bare = sample(origin.root(), "r");
    let server = Server::plain(origin.root());
    let request = request(&server.url("r.git"), GitReference::Default, History::Full);
    for update in [false, true] {
        let mut places = Vec::new();
        for (extension, damage) in damages {
            let place = Place::new();
            place.fetch(&request).await.unwrap();
            for entry in fs::read_dir(place.cache().join("git")).unwrap() {
                let packs = entry.unwrap().path().join("objects/pack");
                for file in fs::read_dir(packs).into_iter().flatten() {
                    let file = file.unwrap().path();
                    if file.extension().unwrap() == extension {
                        let mut bytes = fs::read(&file).unwrap();
                        damage(&mut bytes);
                        fs::remove_file(&file).unwrap();
                        fs::write(&file, bytes).unwrap();
                    }
                }
            }
            places.push(place);
        }
        let tip = if update {
            advance(&bare, "later")
        } else {
            git(&bare, &["rev-parse", "main"])
        };
        for place in places {
            // The checkout may be what finds the damage; the next fetch then mends it.
            let provided = match place.provide(&request, "r").await {
                Err(GitProblem::Git { .. }) => place.provide(&request, "r").await,
                provided => provided,
            };
            let provided = provided.unwrap();
            assert_eq!(provided.commit, tip);
            assert_eq!(git(&provided.path, &["status", "--porcelain"]), "");
            // An update and its checkout have no reason to read all of the history.
            if !update {
                assert_sound(&provided.path);
            }
        }
    }
}

#[tokio::test]
async fn mirrors_that_nobody_uses_are_collected() {
    let place = Place::new();
    sample(place.root(), "r");
    sample(place.root(), "s");
    let server = Server::plain(place.root());
    let wanted = |name: &str| request(&server.url(name), GitReference::Default, History::Full);
    let none = git::collect_mirrors(&place.cache(), Duration::ZERO).unwrap();
    assert_eq!(none, git::CollectedMirrors::default());
    place.fetch(&wanted("r.git")).await.unwrap();
    let old = SystemTime::now() - Duration::from_hours(48);
    for entry in fs::read_dir(place.cache().join("git")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "lock")
        {
            fs::File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_modified(old)
                .unwrap();
        }
    }
    place.fetch(&wanted("s.git")).await.unwrap();
    let day = Duration::from_hours(24);
    let collected = git::collect_mirrors(&place.cache(), day).unwrap();
    assert_eq!(collected.mirrors, 1);
    assert!(collected.bytes > 0);
    assert_eq!(fs::read_dir(place.cache().join("git")).unwrap().count(), 2);
    assert_eq!(
        git::collect_mirrors(&place.cache(), day).unwrap().mirrors,
        0
    );
    // A fetch makes it young again, and what is in use stays.
    assert!(
        place
            .fetch(&wanted("r.git"))
            .await
            .unwrap()
            .received_bytes()
            > 0
    );
    assert_eq!(
        place
            .fetch(&wanted("s.git"))
            .await
            .unwrap()
            .received_bytes(),
        0
    );
    let again = wanted("s.git");
    let (fetching, collecting) = tokio::join!(
        place.fetch(&again),
        tokio::task::spawn_blocking({
            let cache = place.cache();
            move || {
                (0..50)
                    .map(|_| {
                        git::collect_mirrors(&cache, Duration::ZERO)
                            .unwrap()
                            .mirrors
                    })
                    .sum::<u64>()
            }
        })
    );
    assert!(collecting.unwrap() > 0);
    // Whether it came in between or not, nothing is half there.
    drop(fetching);
    let checkout = place.provide(&wanted("s.git"), "again").await.unwrap();
    assert_sound(&checkout.path);
}
