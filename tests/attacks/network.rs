//! Sources, redirects and repositories that lead to what only this host may ask: its files, its
//! loopback services, its secrets.

use e2e_tests::tls::TlsFront;
use worker_provisioner::Token;

use crate::git::{self, PRINT};
use crate::harness::{Attack, Verdict};
use crate::scene::{self, PROGRAM, Place, recipe};
use crate::server::{Answer, Host, RECIPE, naive};

const KIND: &str = "network";

/// Names and spellings of the loopback address.
const LOOPBACK: [&str; 10] = [
    "127.0.0.1",
    "localhost",
    "LocalHost",
    "0.0.0.0",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "127.1",
    "[::ffff:127.0.0.1]",
    "user:password@127.0.0.1",
];

/// Sources that are files of the host; `@` is the file.
const FILES: [&str; 7] = [
    "file://@",
    "file://localhost@",
    "renamed::file://@",
    "FILE://@",
    "@",
    "../../../../../../../../../..@",
    "file:///proc/self/root@",
];

pub(crate) fn attacks() -> Vec<Attack> {
    let direct = LOOPBACK.iter().map(|&name| {
        Attack::new(KIND, format!("a source at `{name}`"), move |place| {
            source(place, name)
        })
    });
    let redirected = LOOPBACK.iter().map(|&name| {
        Attack::new(
            KIND,
            format!("a source is redirected to `{name}`"),
            move |place| redirect(place, name),
        )
    });
    let files = FILES.iter().map(|&address| {
        Attack::new(
            KIND,
            format!("a source that is a file, `{address}`"),
            move |place| file(place, address),
        )
    });
    let others = [
        Attack::new(KIND, "a source is redirected twice", redirected_twice),
        Attack::new(KIND, "a repository at a loopback address", repository),
        Attack::new(
            KIND,
            "a repository is redirected to a loopback address",
            git_redirect,
        ),
        Attack::new(KIND, "a repository that is a folder, `git+file`", |place| {
            git_file(place, "git+file://@")
        }),
        Attack::new(KIND, "a repository that is a path", |place| {
            git_file(place, "git+@")
        }),
        Attack::new(KIND, "a repository of the transport `git`", git_protocol),
        Attack::new(KIND, "a redirect to a file", redirect_to_file),
        Attack::new(KIND, "a redirect from TLS to plain http", downgrade),
        Attack::new(
            KIND,
            "the token follows a redirect to another origin",
            token_redirect,
        ),
        Attack::new(KIND, "the token goes to a mirror", token_mirror),
        Attack::new(KIND, "the token goes to a recipe's source", token_source),
    ];
    direct
        .chain(redirected)
        .chain(files)
        .chain(others)
        .collect()
}

/// A service that only this host should ask, and its secret.
async fn service(place: &Place) -> (Host, String) {
    let (_, secret) = place.secret("service");
    let host = Host::start().await;
    host.put("/secret", Answer::bytes(secret.clone()));
    (host, secret)
}

fn with_source(source: &str) -> String {
    recipe(&format!(
        "source=(\"{source}\")\nsha256sums=(SKIP)\npackage() {{\n{PRINT}\n{PROGRAM}\n}}"
    ))
}

/// Whether a client that trusts everybody gets the secret there.
async fn anybody_gets(url: &str, secret: &str) -> bool {
    naive(url)
        .await
        .is_some_and(|body| body == secret.as_bytes())
}

async fn source(place: Place, name: &'static str) -> Verdict {
    let (service, secret) = service(&place).await;
    let url = format!("http://{name}:{}/secret", service.port());
    let host = Host::with_recipe(&with_source(&url)).await;
    let outcome = place.provision(&host).await;
    let won = service.was_told("/secret");
    outcome.judged(anybody_gets(&url, &secret).await, won)
}

async fn redirect(place: Place, name: &'static str) -> Verdict {
    let (service, secret) = service(&place).await;
    let host = Host::start().await;
    let target = format!("http://{name}:{}/secret", service.port());
    host.put("/file", Answer::redirect(target));
    host.offer(&with_source(&host.url("/file")));
    let outcome = place.provision(&host).await;
    let won = service.was_told("/secret");
    outcome.judged(anybody_gets(&host.url("/file"), &secret).await, won)
}

async fn redirected_twice(place: Place) -> Verdict {
    let (service, secret) = service(&place).await;
    let host = Host::start().await;
    host.put("/file", Answer::redirect(host.url("/second")));
    host.put("/second", Answer::redirect(service.url("/secret")));
    host.offer(&with_source(&host.url("/file")));
    let outcome = place.provision(&host).await;
    let won = service.was_told("/secret");
    outcome.judged(anybody_gets(&host.url("/file"), &secret).await, won)
}

async fn file(place: Place, address: &'static str) -> Verdict {
    let (path, secret) = place.secret("key");
    let address = address.replace('@', &path.display().to_string());
    let host = Host::with_recipe(&with_source(&address)).await;
    let outcome = place.provision(&host).await;
    let local = address
        .split_once("://")
        .map_or(address.as_str(), |(_, rest)| rest);
    let local = local.trim_start_matches("localhost");
    let start = place.folder("plain/src");
    let control = std::fs::read_to_string(start.join(local)).is_ok_and(|text| text == secret);
    outcome.judged(control, place.leaked(&secret, &outcome, &host))
}

async fn repository(place: Place) -> Verdict {
    let (service, secret) = service(&place).await;
    let source = format!("git+http://127.0.0.1:{}/secret", service.port());
    let host = Host::with_recipe(&with_source(&source)).await;
    let outcome = place.provision(&host).await;
    let won = service.was_told("/secret");
    outcome.judged(anybody_gets(&service.url("/secret"), &secret).await, won)
}

async fn git_redirect(place: Place) -> Verdict {
    let (service, secret) = service(&place).await;
    let host = Host::start().await;
    host.put(
        "/tree/info/refs",
        Answer::redirect(service.url("/secret/info/refs")),
    );
    service.put("/secret/info/refs", Answer::bytes(secret.clone()));
    host.offer(&with_source(&format!("git+{}", host.url("/tree"))));
    let outcome = place.provision(&host).await;
    let won = service.was_told("/secret");
    outcome.judged(
        anybody_gets(&host.url("/tree/info/refs"), &secret).await,
        won,
    )
}

async fn git_file(place: Place, address: &'static str) -> Verdict {
    let (path, secret) = git::private_repository(&place);
    let path = path.display().to_string();
    let host = Host::with_recipe(&with_source(&address.replace('@', &path))).await;
    let outcome = place.provision(&host).await;
    let won = place.leaked(&secret, &outcome, &host);
    place.plain_bash(&format!("git clone -q {path} cloned"));
    let control = scene::found_in(&place.path("plain/src/cloned"), &secret);
    outcome.judged(control, won)
}

async fn git_protocol(place: Place) -> Verdict {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&asked);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    });
    let host = Host::with_recipe(&with_source(&format!("git+git://{address}/tree"))).await;
    let outcome = place.provision(&host).await;
    let before = asked.load(std::sync::atomic::Ordering::SeqCst);
    let shell = place.clone();
    let clone = format!("timeout 20 git clone -q git://{address}/tree cloned");
    tokio::task::spawn_blocking(move || shell.plain_bash(&clone))
        .await
        .unwrap();
    let after = asked.load(std::sync::atomic::Ordering::SeqCst);
    outcome.judged(after > before, before > 0)
}

async fn redirect_to_file(place: Place) -> Verdict {
    let (path, secret) = place.secret("key");
    let host = Host::start().await;
    host.put(
        "/file",
        Answer::redirect(format!("file://{}", path.display())),
    );
    host.offer(&with_source(&host.url("/file")));
    let outcome = place.provision(&host).await;
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let answer = client.get(host.url("/file")).send().await.unwrap();
    let target = answer.headers()["location"].to_str().unwrap().to_owned();
    let followed = std::fs::read_to_string(target.trim_start_matches("file://"));
    let control = followed.is_ok_and(|text| text == secret);
    outcome.judged(control, place.leaked(&secret, &outcome, &host))
}

async fn downgrade(place: Place) -> Verdict {
    let plain = Host::start().await;
    plain.put("/recipe", Answer::bytes(scene::packaging("")));
    let host = Host::with_recipe("").await;
    host.put(RECIPE, Answer::redirect(plain.url("/recipe")));
    let front = TlsFront::start(([127, 0, 0, 1], host.port()).into())
        .await
        .unwrap();
    let mut config = place.config(&host);
    config.catalog_urls = vec![front.base_url()];
    config.catalog_root_certificates = vec![front.certificate().as_bytes().to_vec()];
    let outcome = scene::provision(config, "demo").await;
    let won = plain.was_told("/recipe");
    let root = reqwest::Certificate::from_pem(front.certificate().as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .add_root_certificate(root)
        .build()
        .unwrap();
    let answer = client.get(format!("{}{RECIPE}", front.base_url())).send();
    let control = answer.await.is_ok() && plain.was_told("/recipe");
    outcome.judged(control, won)
}

const TOKEN: &str = "token-of-the-catalog";

/// Sends the token to a place, as a client does that sends it wherever it goes.
async fn send_token(url: String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let _ = client.get(url).bearer_auth(TOKEN).send().await;
}

async fn token_redirect(place: Place) -> Verdict {
    let other = Host::with_recipe(&scene::packaging("")).await;
    let host = Host::start().await;
    for path in ["/workers", "/workers/demo", RECIPE] {
        host.put(path, Answer::redirect(other.url(path)));
    }
    let mut config = place.config(&host);
    config.catalog_token = Some(Token::new(TOKEN));
    let outcome = scene::provision(config, "demo").await;
    let won = other.was_told(TOKEN);
    send_token(other.url("/workers/demo")).await;
    outcome.judged(other.was_told(TOKEN), won)
}

async fn token_mirror(place: Place) -> Verdict {
    let mirror = Host::with_recipe(&scene::packaging("")).await;
    let gone = Host::start().await;
    let mut config = place.config(&gone);
    config.catalog_token = Some(Token::new(TOKEN));
    config.catalog_urls.push(mirror.url(""));
    drop(gone);
    let outcome = scene::provision(config, "demo").await;
    let won = mirror.was_told(TOKEN);
    send_token(mirror.url("/workers/demo")).await;
    outcome.judged(mirror.was_told(TOKEN), won)
}

async fn token_source(place: Place) -> Verdict {
    let (service, _) = service(&place).await;
    let host = Host::with_recipe(&with_source(&service.url("/secret"))).await;
    let mut config = place.config(&host);
    config.catalog_token = Some(Token::new(TOKEN));
    let outcome = scene::provision(config, "demo").await;
    let won = service.was_told(TOKEN);
    send_token(service.url("/secret")).await;
    outcome.judged(service.was_told(TOKEN), won)
}
