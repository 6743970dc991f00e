//! Servers that are slow, never end, lead on for ever, or count on this machine's own settings.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use e2e_tests::forward_proxy::{Door, ForwardProxy};
use worker_provisioner::{Config, Proxies, Token};

use crate::git::PRINT;
use crate::harness::{self, Attack, COMMANDS_VARIABLE, Verdict};
use crate::raw_server::{Manner, Raw};
use crate::scene::{self, Outcome, PROGRAM, Place, recipe};
use crate::server::{Answer, Host};

const KIND: &str = "server";

/// Longer than any provision here may take because of a server.
const PATIENCE: Duration = Duration::from_mins(1);
/// More than anybody needs of a header, or of a source of at most 8 MiB.
const TOO_MUCH: u64 = 64 << 20;
/// More redirects than lead anywhere.
const TOO_MANY: u64 = 60;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Catalog,
    Download,
    Git,
}

pub(crate) fn attacks() -> Vec<Attack> {
    use What::{Catalog, Download, Git};
    let slow = [
        (
            Download,
            Manner::SlowBody,
            "a source that comes a byte at a time",
        ),
        (
            Download,
            Manner::SlowHead,
            "a source whose header comes a byte at a time",
        ),
        (
            Git,
            Manner::SlowBody,
            "a repository that comes a byte at a time",
        ),
        (
            Git,
            Manner::SlowHead,
            "a repository whose header comes a byte at a time",
        ),
    ];
    let endless = [
        (
            Download,
            Manner::EndlessHead,
            "a source whose header never ends",
        ),
        (
            Git,
            Manner::EndlessHead,
            "a repository whose header never ends",
        ),
        (
            Catalog,
            Manner::EndlessHead,
            "a catalog whose header never ends",
        ),
        (
            Download,
            Manner::EndlessBody,
            "a source without length that never ends",
        ),
        (
            Catalog,
            Manner::EndlessBody,
            "an entry without length that never ends",
        ),
    ];
    let leading = [
        (Download, "a source that redirects for ever"),
        (Git, "a repository that redirects for ever"),
        (Catalog, "a catalog that redirects for ever"),
    ];
    let slow = slow.map(|(what, manner, name)| {
        Attack::new(KIND, name, move |place| slowly(place, what, manner))
    });
    let endless = endless.map(|(what, manner, name)| {
        Attack::new(KIND, name, move |place| greedily(place, what, manner))
    });
    let leading =
        leading.map(|(what, name)| Attack::new(KIND, name, move |place| leads_on(place, what)));
    let others = [
        Attack::new(
            KIND,
            "the token of a catalog on this machine goes to the proxy",
            |place| token_by_proxy(place, true),
        ),
        Attack::new(
            KIND,
            "the token of a catalog without TLS goes to the proxy",
            |place| token_by_proxy(place, false),
        ),
        Attack::new(
            KIND,
            "`insteadOf` of the person leads a source to a private address",
            |place| rewritten(place, false),
        ),
        Attack::new(
            KIND,
            "`insteadOf` of the person adds a token to a source",
            |place| rewritten(place, true),
        ),
        Attack::new(
            KIND,
            "a login of the person's netrc goes to the catalog's own sources",
            netrc,
        ),
        Attack::new(
            KIND,
            "a pack that announces two billion objects takes the memory",
            announced,
        ),
    ];
    slow.into_iter()
        .chain(endless)
        .chain(leading)
        .chain(others)
        .collect()
}

/// A configuration whose catalog, or the one source of it, is at `raw`.
async fn aimed(place: &Place, what: What, raw: &Raw) -> (Host, Config) {
    let source = match what {
        What::Git => format!("git+{}/tree", raw.url()),
        _ => format!("{}/file", raw.url()),
    };
    let host = Host::with_recipe(&recipe(&format!(
        "source=(\"{source}\")\nsha256sums=(SKIP)\npackage() {{\n{PROGRAM}\n}}"
    )))
    .await;
    let mut config = place.config(&host);
    config.source_hosts = vec!["127.0.0.1".parse().unwrap()];
    config.insecure_sources = true;
    config.disk_limit = 8 << 20;
    config.longest_silence = Duration::from_millis(500);
    if what == What::Catalog {
        config.catalog_urls = vec![raw.url()];
    }
    (host, config)
}

/// What a provision comes to, if it comes to an end by itself.
async fn in_time(config: Config) -> Option<Outcome> {
    let provision = scene::provision(config, "demo");
    tokio::time::timeout(PATIENCE, provision).await.ok()
}

fn judged(outcome: Option<Outcome>, control: bool, won: bool) -> Verdict {
    match outcome {
        Some(outcome) => outcome.judged(control, won),
        None => Verdict::Judged {
            control,
            won: true,
            seen: "it did not end".to_owned(),
        },
    }
}

fn path(what: What) -> &'static str {
    match what {
        What::Git => "/tree/info/refs?service=git-upload-pack",
        What::Download => "/file",
        What::Catalog => "/workers/demo",
    }
}

async fn slowly(place: Place, what: What, manner: Manner) -> Verdict {
    let raw = Raw::start(manner).await;
    let (_host, config) = aimed(&place, what, &raw).await;
    let patient = raw.patient_client(path(what), u64::MAX);
    tokio::pin!(patient);
    let (outcome, is_held) = tokio::select! {
        outcome = in_time(config) => (outcome, true),
        _ = &mut patient => (None, false),
    };
    judged(outcome, is_held, false)
}

async fn greedily(place: Place, what: What, manner: Manner) -> Verdict {
    let raw = Raw::start(manner).await;
    let (_host, config) = aimed(&place, what, &raw).await;
    let outcome = in_time(config).await;
    let won = raw.taken() > TOO_MUCH;
    let before = raw.taken();
    let _ = raw.patient_client(path(what), 2 * TOO_MUCH).await;
    judged(outcome, raw.taken() - before > TOO_MUCH, won)
}

async fn leads_on(place: Place, what: What) -> Verdict {
    let raw = Raw::start(Manner::Redirects).await;
    let (_host, config) = aimed(&place, what, &raw).await;
    let outcome = in_time(config).await;
    let asked = raw.asked();
    let follow = reqwest::redirect::Policy::custom(|attempt| {
        if attempt.previous().len() as u64 > 2 * TOO_MANY {
            attempt.stop()
        } else {
            attempt.follow()
        }
    });
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(follow)
        .build()
        .unwrap();
    let _ = client
        .get(format!("{}{}", raw.url(), path(what)))
        .send()
        .await;
    judged(outcome, raw.asked() - asked > TOO_MANY, asked > TOO_MANY)
}

const TOKEN: &str = "token-of-the-catalog";

async fn token_by_proxy(place: Place, is_own: bool) -> Verdict {
    let host = Host::with_recipe(&scene::packaging("")).await;
    let server = ([127, 0, 0, 1], host.port()).into();
    let proxy = ForwardProxy::start(server, Door::Open).await.unwrap();
    let address = format!("http://{}", proxy.address());
    let mut config = place.config(&host);
    if !is_own {
        // A host that only the proxy knows.
        config.catalog_urls = vec!["http://catalog.example.invalid".to_owned()];
    }
    let url = config.catalog_urls[0].clone();
    config.catalog_token = Some(Token::new(TOKEN));
    config.proxies = Some(Proxies::all(&address).unwrap());
    let outcome = scene::provision(config, "demo").await;
    let told = |proxy: &ForwardProxy| proxy.seen().iter().any(|head| head.contains(TOKEN));
    let won = told(&proxy);
    let client = reqwest::Client::builder().proxy(reqwest::Proxy::all(&address).unwrap());
    let client = client.build().unwrap();
    let _ = client
        .get(format!("{url}/workers/demo"))
        .bearer_auth(TOKEN)
        .send()
        .await;
    outcome.judged(told(&proxy), won)
}

/// Sets something in the git configuration of the attacked person.
fn configure(name: &str, value: &str) -> PathBuf {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap());
    let mut command = Command::new("git");
    command
        .args(["config", "--file"])
        .arg(home.join(".gitconfig"))
        .args(["--add", name, value]);
    // Another attempt may hold the lock.
    while !command.status().unwrap().success() {
        std::thread::sleep(Duration::from_millis(20));
    }
    home
}

async fn rewritten(place: Place, adds_token: bool) -> Verdict {
    let service = Host::start().await;
    let host = Host::start().await;
    let name = place
        .root()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_lowercase();
    let (from, to) = if adds_token {
        // The catalog's own origin may be asked, but is not listed for what is the person's.
        let to = format!("http://me:{TOKEN}@127.0.0.1:{}/{name}/", host.port());
        (host.url(&format!("/{name}/")), to)
    } else {
        let from = format!("https://{name}.example.invalid/");
        (from, service.url("/private/"))
    };
    configure(&format!("url.{to}.insteadOf"), &from);
    host.offer(&recipe(&format!(
        "source=(\"git+{from}tree\")\nsha256sums=(SKIP)\npackage() {{\n{PRINT}\n{PROGRAM}\n}}"
    )));
    let outcome = place.provision(&host).await;
    // `me:` and the token, as it travels.
    let basic = "bWU6dG9rZW4tb2YtdGhlLWNhdGFsb2c=";
    let told = || service.was_told("/private/tree") || host.was_told(basic);
    let won = told();
    let shell = place.clone();
    let asked = tokio::task::spawn_blocking(move || {
        // A server that wants a login, so that git sends the one it has.
        shell.plain_bash(&format!("timeout 20 git ls-remote {from}tree < /dev/null"))
    });
    host.put(
        &format!("/{name}/tree/info/refs"),
        Answer::bytes("")
            .with_status(401)
            .with("www-authenticate", "Basic realm=x"),
    );
    asked.await.unwrap();
    outcome.judged(told(), won)
}

async fn netrc(place: Place) -> Verdict {
    let host = Host::start().await;
    host.put("/file", Answer::bytes("file"));
    host.offer(&recipe(&format!(
        "source=(\"{}\")\nsha256sums=(SKIP)\npackage() {{\n{PROGRAM}\n}}",
        host.url("/file")
    )));
    let file = place.path("netrc");
    std::fs::write(
        &file,
        format!("machine 127.0.0.1 login me password {TOKEN}\n"),
    )
    .unwrap();
    let mut config = place.config(&host);
    config.netrc_file = Some(file.clone());
    let outcome = scene::provision(config, "demo").await;
    let basic = "bWU6dG9rZW4tb2YtdGhlLWNhdGFsb2c=";
    let won = host.was_told(basic);
    if harness::program("curl").is_none() {
        return Verdict::Skipped("curl is not installed".to_owned());
    }
    let lines = format!(
        "curl -s --noproxy '*' --netrc-file {} {}",
        file.display(),
        host.url("/file")
    );
    let shell = place.clone();
    tokio::task::spawn_blocking(move || shell.plain_bash(&lines))
        .await
        .unwrap();
    outcome.judged(host.was_told(basic), won)
}

/// Virtual memory that both programs get, in KiB.
const MEMORY: u64 = 6 << 20;

fn packet(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(format!("{:04x}", text.len() + 4).as_bytes());
    out.extend_from_slice(text);
}

async fn announced(place: Place) -> Verdict {
    let Some(program) = std::env::var_os(COMMANDS_VARIABLE) else {
        return Verdict::Skipped("`cargo build -p rbee-worker` has not been run".to_owned());
    };
    let mut pack = b"PACK\0\0\0\x02\x7f\xff\xff\xff".to_vec();
    pack.extend_from_slice(&[0x55; 64]);
    let id = "1".repeat(40);
    let mut refs = Vec::new();
    packet(&mut refs, b"# service=git-upload-pack\n");
    refs.extend_from_slice(b"0000");
    let first = format!("{id} HEAD\0side-band-64k ofs-delta symref=HEAD:refs/heads/main\n");
    packet(&mut refs, first.as_bytes());
    packet(&mut refs, format!("{id} refs/heads/main\n").as_bytes());
    refs.extend_from_slice(b"0000");
    let mut answer = Vec::new();
    packet(&mut answer, b"NAK\n");
    packet(&mut answer, &[b"\x01".as_slice(), &pack].concat());
    answer.extend_from_slice(b"0000");
    let host = Host::start().await;
    let kind = |what| format!("application/x-git-upload-pack-{what}");
    host.put(
        "/tree/info/refs",
        Answer::bytes(refs).with("content-type", kind("advertisement")),
    );
    host.put(
        "/tree/git-upload-pack",
        Answer::bytes(answer).with("content-type", kind("result")),
    );
    host.offer(&recipe(&format!(
        "source=(\"git+{}\")\nsha256sums=(SKIP)\npackage() {{\n{PROGRAM}\n}}",
        host.url("/tree")
    )));
    std::fs::write(place.path("pack"), &pack).unwrap();
    let ours = format!(
        "ulimit -v {MEMORY}; {} install demo --backend cpu --catalog {} --allow-insecure-sources \
         --bin-dir {root}/bin --data-dir {root}/data --cache-dir {root}/cache; echo status $?",
        program.to_string_lossy(),
        host.url(""),
        root = place.root().display()
    );
    let careless = format!(
        "ulimit -v {MEMORY}; git init -q naive && cd naive && git index-pack --stdin < {}",
        place.path("pack").display()
    );
    let shell = place.clone();
    let (said, naive) =
        tokio::task::spawn_blocking(move || (shell.plain_bash(&ours), shell.plain_bash(&careless)))
            .await
            .unwrap();
    let last = said.lines().last().unwrap_or_default().to_owned();
    // Refused it says so, with status 1; a program that is out of memory is ended by a signal.
    let is_refused = said.contains("status 1\n") && said.contains("objects; raise it");
    Verdict::Judged {
        control: naive.to_lowercase().contains("out of memory"),
        won: !is_refused,
        seen: last,
    }
}
