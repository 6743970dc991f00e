//! Catalogs that answer too much, too slowly, too deeply, or with names that are paths.

use serde_json::{Value, json};
use worker_provisioner::{ProvisionRequest, WorkerProvisioner};

use crate::harness::{Attack, Verdict};
use crate::scene::{self, Place, packaging};
use crate::server::{Answer, Host, RECIPE, entry, naive};

const KIND: &str = "catalog";

/// Ids that are paths, or drive a terminal.
const IDS: [&str; 12] = [
    "../escape",
    "..",
    ".",
    "a/b",
    "/etc/passwd",
    "demo/../../escape",
    "demo%2f..%2fescape",
    "demo?x=1",
    "demo#x",
    "-rf",
    "demo\nx",
    "\u{1b}]0;x\u{7}",
];

/// Where the recipe is said to be; `PORT` is that of a private service.
const RECIPES: [&str; 9] = [
    "http://127.0.0.1:PORT/secret",
    "//127.0.0.1:PORT/secret",
    "http://localhost:PORT/secret",
    "http://user@127.0.0.1:PORT/secret",
    "\\\\127.0.0.1:PORT/secret",
    "http:/\\127.0.0.1:PORT/secret",
    "file:///etc/hostname",
    "\thttp://127.0.0.1:PORT/secret",
    "/pkgbuilds/../..//127.0.0.1:PORT/secret",
];

/// What the program is said to be called.
const NAMES: [&str; 16] = [
    "sudo",
    "git",
    "ls",
    "cmake",
    "bash",
    "-rf",
    ".bashrc",
    "..",
    "../escape",
    "/tmp/escape",
    "a/b",
    "a b",
    "demo\nx",
    "\u{202e}omed",
    "demo\u{1b}[2J",
    "demo;x",
];

pub(crate) fn attacks() -> Vec<Attack> {
    let ids = IDS.iter().map(|&id| {
        Attack::new(
            KIND,
            format!("the id `{}`", id.escape_debug()),
            move |place| bad_id(place, id),
        )
    });
    let recipes = RECIPES.iter().map(|&url| {
        let name = format!("the recipe is said to be at `{}`", url.escape_debug());
        Attack::new(KIND, name, move |place| recipe_elsewhere(place, url))
    });
    let names = NAMES.iter().map(|&name| {
        let title = format!("the program is said to be called `{}`", name.escape_debug());
        Attack::new(KIND, title, move |place| program_name(place, name, true))
    });
    let only = ["sudo", "cmake", ".bashrc"].iter().map(|&name| {
        let title = format!("the only program of the package is `{name}`");
        Attack::new(KIND, title, move |place| program_name(place, name, false))
    });
    let others = [
        Attack::new(KIND, "an entry of 200,000 nested lists", deep),
        Attack::new(KIND, "an entry of 600 MB", |place| {
            huge(place, "/workers/demo")
        }),
        Attack::new(KIND, "a recipe of 600 MB", |place| huge(place, RECIPE)),
        Attack::new(KIND, "a small answer that unpacks to 1 GB", bomb),
        Attack::new(KIND, "a redirect to itself", ring),
        Attack::new(
            KIND,
            "an entry with another id than was asked for",
            other_id,
        ),
        Attack::new(KIND, "a recipe with NUL bytes", |place| {
            odd_recipe(place, b"\0")
        }),
        Attack::new(KIND, "a recipe that is no text", |place| {
            odd_recipe(place, b"\xff\xfe")
        }),
    ];
    ids.chain(recipes)
        .chain(names)
        .chain(only)
        .chain(others)
        .collect()
}

async fn bad_id(place: Place, id: &'static str) -> Verdict {
    let host = Host::start().await;
    // It answers with an entry of that very id, wherever it is asked.
    let mut entry = entry();
    entry["id"] = json!(id);
    host.put("/workers", Answer::json(json!({"workers": [entry]})));
    for path in [
        "/workers/escape",
        "/escape",
        "/etc/passwd",
        "/workers/demo",
        "/workers/",
    ] {
        host.put(path, Answer::json(&entry));
    }
    host.put(RECIPE, Answer::bytes(packaging("")));
    let provisioner = WorkerProvisioner::new(place.config(&host)).unwrap();
    use worker_provisioner::ArtifactProvisioner as _;
    let supported = provisioner.supports(id);
    let outcome = scene::provision(place.config(&host), id).await;
    let won = supported || outcome.installed() || !host.asked().is_empty();
    // What joins it to an address asks for something, and a path made of it is another one.
    let asked = naive(&host.url(&format!("/workers/{id}"))).await;
    outcome.judged(asked.is_some() && !host.asked().is_empty(), won)
}

async fn recipe_elsewhere(place: Place, url: &'static str) -> Verdict {
    let service = Host::start().await;
    service.put("/secret", Answer::bytes(packaging("")));
    let url = url.replace("PORT", &service.port().to_string());
    let host = Host::start().await;
    let mut entry = entry();
    entry["variants"][0]["pkgbuildUrl"] = json!(url);
    host.offer_entry(&entry);
    let outcome = place.provision(&host).await;
    let won = outcome.installed() || service.was_told("/secret");
    // A client that resolves it against the catalog's address comes to the service, or to a file.
    let base = url::Url::parse(&host.url("/workers/demo")).unwrap();
    let resolved = base
        .join(&url)
        .map(|url| url.to_string())
        .unwrap_or_default();
    let _ = naive(&resolved).await;
    let control = service.was_told("/secret")
        || resolved.starts_with("file:")
        || host.asked().iter().any(|path| path.contains("127.0.0.1"));
    outcome.judged(control, won)
}

async fn program_name(place: Place, name: &'static str, stated: bool) -> Verdict {
    let is_word = name.bytes().all(|byte| byte.is_ascii_lowercase());
    if is_word && crate::harness::program(name).is_none() {
        return Verdict::Skipped(format!(
            "this host has no `{name}` that it could stand before"
        ));
    }
    let escape = place.path("escape").display().to_string();
    let name = name.replace("/tmp/escape", &escape);
    let base = name.rsplit('/').next().unwrap_or_default();
    let package = format!(
        "package() {{\n  mkdir -p \"$pkgdir/usr/bin\"\n  cd \"$pkgdir/usr/bin\"\n  \
         printf '#!/bin/sh\\necho evil\\n' > ./{0}\n  chmod 755 ./{0}\n}}",
        quoted(base)
    );
    let mut entry = entry();
    if stated {
        entry["variants"][0]["binaryName"] = json!(name);
    } else if let Some(variant) = entry["variants"][0].as_object_mut() {
        variant.remove("binaryName");
    }
    let host = Host::start().await;
    host.offer_entry(&entry);
    host.put(RECIPE, Answer::bytes(scene::recipe(&package)));
    let outcome = place.provision(&host).await;
    let in_bin = place.path("bin").read_dir().map_or(0, Iterator::count);
    let won = in_bin > 0 || place.path("escape").exists();
    let naive = place.folder("naive/bin");
    let target = naive.join(&name);
    let _ = target.parent().map(std::fs::create_dir_all);
    let _ = std::fs::write(&target, "evil");
    outcome.judged(target.exists(), won)
}

/// A word of bash that stands for these bytes.
fn quoted(text: &str) -> String {
    let bytes: String = text.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
    format!("$'{bytes}'")
}

async fn deep(place: Place) -> Verdict {
    let host = Host::start().await;
    let text = format!(
        "{{\"id\":\"demo\",\"variants\":[],\"x\":{}{}}}",
        "[".repeat(200_000),
        "]".repeat(200_000)
    );
    host.put("/workers/demo", Answer::json(&text));
    host.put("/workers", Answer::json(&text));
    let outcome = place.provision(&host).await;
    let got = naive(&host.url("/workers/demo")).await.unwrap_or_default();
    // A reader that keeps no count goes as deep as it says.
    let levels = got.iter().filter(|byte| **byte == b'[').count();
    outcome.judged(levels > 100_000, outcome.installed())
}

/// Wins when more is read of it than anybody could need.
async fn huge(place: Place, path: &'static str) -> Verdict {
    let host = Host::with_recipe("").await;
    let kind = if path == RECIPE {
        "text/plain"
    } else {
        "application/json"
    };
    let piece = vec![b' '; 1 << 20];
    host.put(
        path,
        Answer::repeated(piece, 600).with("content-type", kind),
    );
    let before = peak_memory();
    let outcome = place.provision(&host).await;
    let grown = peak_memory().saturating_sub(before);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut answer = client.get(host.url(path)).send().await.unwrap();
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
    }
    outcome.judged(read == 600 << 20, outcome.installed() || grown > 400 << 20)
}

/// Bytes that this process had resident at most: proc(5), "status".
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) << 10
}

async fn bomb(place: Place) -> Verdict {
    use std::io::Write as _;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..1024 {
        packed.write_all(&[b' '; 1 << 20]).unwrap();
    }
    let packed = packed.finish().unwrap();
    let host = Host::with_recipe("").await;
    let answer = Answer::bytes(packed).with("content-type", "application/json");
    host.put("/workers/demo", answer.with("content-encoding", "gzip"));
    let before = peak_memory();
    let outcome = place.provision(&host).await;
    let grown = peak_memory().saturating_sub(before);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut answer = client.get(host.url("/workers/demo")).send().await.unwrap();
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
    }
    outcome.judged(read == 1 << 30, outcome.installed() || grown > 600 << 20)
}

async fn ring(place: Place) -> Verdict {
    let host = Host::start().await;
    for path in ["/workers", "/workers/demo"] {
        host.put(path, Answer::redirect(host.url(path)));
    }
    let outcome = place.provision(&host).await;
    let asked = host.asked().len();
    let no_end = reqwest::redirect::Policy::custom(|attempt| {
        if attempt.previous().len() < 300 {
            attempt.follow()
        } else {
            attempt.stop()
        }
    });
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(no_end)
        .build()
        .unwrap();
    let _ = client.get(host.url("/workers")).send().await;
    outcome.judged(
        host.asked().len() - asked >= 300,
        asked > 100 || outcome.installed(),
    )
}

async fn other_id(place: Place) -> Verdict {
    let host = Host::with_recipe(&packaging("")).await;
    let mut other: Value = entry();
    other["id"] = json!("other");
    host.put("/workers/demo", Answer::json(&other));
    host.put("/workers", Answer::json(json!({"workers": [other]})));
    let request = ProvisionRequest::new("demo");
    let outcome = scene::provision_request(place.config(&host), request).await;
    let got = naive(&host.url("/workers/demo")).await.unwrap();
    let got: Value = serde_json::from_slice(&got).unwrap();
    outcome.judged(got["id"] == "other", outcome.installed())
}

async fn odd_recipe(place: Place, bytes: &'static [u8]) -> Verdict {
    let (before, after) = (packaging("").into_bytes(), b"echo evil\n".to_vec());
    let text = [before.as_slice(), b"# ", bytes, b"\n", &after].concat();
    let host = Host::with_recipe("").await;
    host.put(RECIPE, Answer::bytes(text.clone()));
    let outcome = place.provision(&host).await;
    let got = naive(&host.url(RECIPE)).await;
    // What bash runs of it is not what a reader of text sees.
    outcome.judged(got == Some(text), outcome.installed())
}
