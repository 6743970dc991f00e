//! Both generations of the service, by their recorded routes, headers and shapes.

use catalog_client::{Architecture, CatalogError, Flavor, Freshness, Host, Platform, WorkerType};
use e2e_tests::catalog_server::{CatalogContent, CatalogServer, Generation};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::support::*;

pub const V1: &str = include_str!("../fixtures/v1-workers.json");
pub const V2: &str = include_str!("../fixtures/v2-workers.json");
pub const FLAT: &str = include_str!("../fixtures/flat-camel-worker.json");

/// A catalog with the fixture's entries, and a recipe at each place they name.
pub async fn serve(generation: Generation) -> CatalogServer {
    CatalogServer::start(0, content(generation)).await.unwrap()
}

pub fn content(generation: Generation) -> CatalogContent {
    let fixture = if generation == Generation::V1 { V1 } else { V2 };
    let list: Value = serde_json::from_str(fixture).unwrap();
    let mut content = CatalogContent::new(generation);
    for entry in list["workers"].as_array().unwrap() {
        let id = entry["id"].as_str().unwrap();
        content = match generation {
            Generation::V1 => content.pkgbuild(format!("{id}.PKGBUILD"), format!("pkgname={id}\n")),
            Generation::V2 => content
                .pkgbuild(
                    format!("arch/{id}-bin.PKGBUILD"),
                    format!("pkgname={id}-bin\n"),
                )
                .pkgbuild(
                    format!("arch/{id}-git.PKGBUILD"),
                    format!("pkgname={id}-git\n"),
                ),
        }
        .entry(entry.clone());
    }
    content
}

fn host(platform: Platform, architecture: Architecture, backends: &[WorkerType]) -> Host {
    Host {
        platform,
        architecture,
        backends: backends.to_vec(),
    }
}

#[tokio::test]
async fn every_shape_becomes_one_model() {
    let cancel = CancellationToken::new();
    for generation in [Generation::V1, Generation::V2] {
        let server = serve(generation).await;
        let list = client(&server.base_url()).list(&cancel).await.unwrap();
        assert!(list.value.rejected.is_empty());
        assert_eq!(list.freshness, Freshness::Live);
        let json = serde_json::to_string_pretty(&list.value.workers).unwrap();
        insta::assert_snapshot!(format!("model_{generation:?}"), json);
    }
    let server = Scripted::always(json(FLAT)).await;
    let answer = client(&server.base_url)
        .get(&id("llm-worker-rbee-cuda"), &cancel)
        .await;
    let json = serde_json::to_string_pretty(&answer.unwrap().value).unwrap();
    insta::assert_snapshot!("model_flat_camel", json);
}

#[tokio::test]
async fn recipes_come_from_where_the_variant_says() {
    let cancel = CancellationToken::new();
    let two = serve(Generation::V2).await;
    let client_two = client(&two.base_url());
    let entry = client_two
        .get(&id("sd-worker-rbee"), &cancel)
        .await
        .unwrap()
        .value;
    for (flavor, suffix) in [(Flavor::Binary, "bin"), (Flavor::Source, "git")] {
        let recipe = client_two
            .recipe(&entry, &entry.variants[0], flavor, &cancel)
            .await
            .unwrap();
        assert_eq!(
            recipe.value.text,
            format!("pkgname=sd-worker-rbee-{suffix}\n")
        );
        let path = format!("/pkgbuilds/arch/sd-worker-rbee-{suffix}.PKGBUILD");
        assert_eq!(recipe.value.url, format!("{}{path}", two.base_url()));
    }
    let one = serve(Generation::V1).await;
    let client_one = client(&one.base_url());
    let entry = client_one
        .get(&id("llm-worker-rbee-metal"), &cancel)
        .await
        .unwrap()
        .value;
    let variant = &entry.variants[0];
    assert!(variant.offers(Flavor::Source) && !variant.offers(Flavor::Binary));
    let recipe = client_one
        .recipe(&entry, variant, Flavor::Source, &cancel)
        .await
        .unwrap();
    assert_eq!(recipe.value.text, "pkgname=llm-worker-rbee-metal\n");
}

#[tokio::test]
async fn a_variant_without_a_url_has_its_recipe_beside_the_entry() {
    let server = Scripted::start(|_, request| {
        if request.starts_with("GET /below/workers/w/PKGBUILD ") {
            text("pkgname=w\n")
        } else {
            json(r#"{"id":"w","worker_type":"cpu"}"#)
        }
    })
    .await;
    // A path prefix, trailing slashes and all.
    let client = client(&format!("{}/below//", server.base_url));
    let entry = get(&client).await.unwrap();
    let cancel = CancellationToken::new();
    let recipe = client
        .recipe(&entry, &entry.variants[0], Flavor::Source, &cancel)
        .await
        .unwrap();
    assert_eq!(recipe.value.text, "pkgname=w\n");
}

#[tokio::test]
async fn names_of_one_generation_work_on_the_other() {
    let cancel = CancellationToken::new();
    let two = serve(Generation::V2).await;
    let client_two = client(&two.base_url());
    for (name, backend) in [
        ("cpu", WorkerType::Cpu),
        ("cuda", WorkerType::Cuda),
        ("rocm", WorkerType::Rocm),
    ] {
        let entry = client_two
            .get(&id(&format!("llm-worker-rbee-{name}")), &cancel)
            .await
            .unwrap()
            .value;
        assert_eq!(entry.id, id("llm-worker-rbee"));
        assert_eq!(entry.variants.len(), 1);
        assert_eq!(entry.variants[0].backend.known(), Some(backend));
    }
    let one = serve(Generation::V1).await;
    let client_one = client(&one.base_url());
    let entry = client_one
        .get(&id("llm-worker-rbee"), &cancel)
        .await
        .unwrap()
        .value;
    assert_eq!(entry.id, id("llm-worker-rbee"));
    assert_eq!(entry.backends().len(), 3);
    let cuda = host(Platform::Linux, Architecture::X86_64, &[WorkerType::Cuda]);
    let variant = client_one.select(&entry, &cuda).unwrap();
    assert_eq!(variant.worker_id, id("llm-worker-rbee-cuda"));
    let recipe = client_one
        .recipe(&entry, variant, Flavor::Source, &cancel)
        .await
        .unwrap();
    assert_eq!(recipe.value.text, "pkgname=llm-worker-rbee-cuda\n");

    for (client, name, offered) in [
        (&client_one, "llm-worker-rbee-rocm", 3),
        (&client_one, "sd-worker-rbee", 3),
        (&client_two, "llm-worker-rbee-vulkan", 2),
        (&client_two, "llm-worker", 2),
    ] {
        match client.get(&id(name), &cancel).await.unwrap_err() {
            CatalogError::NotFound { id, available, .. } => {
                assert_eq!((id.as_str(), available.len()), (name, offered));
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn select_takes_the_first_backend_that_fits() {
    use WorkerType::{Cpu, Cuda, Metal, Rocm};
    let server = serve(Generation::V2).await;
    let client = client(&server.base_url());
    let cancel = CancellationToken::new();
    let entry = client
        .get(&id("llm-worker-rbee"), &cancel)
        .await
        .unwrap()
        .value;
    for (platform, architecture, backends, expected) in [
        (
            Platform::Linux,
            Architecture::X86_64,
            vec![Cuda, Rocm, Cpu],
            Some(Cuda),
        ),
        (
            Platform::Linux,
            Architecture::X86_64,
            vec![Rocm, Cpu],
            Some(Rocm),
        ),
        (
            Platform::Linux,
            Architecture::Aarch64,
            vec![Cuda, Cpu],
            Some(Cpu),
        ),
        (
            Platform::Macos,
            Architecture::Aarch64,
            vec![Metal, Cpu],
            Some(Metal),
        ),
        (Platform::Macos, Architecture::X86_64, vec![Metal], None),
        (Platform::Windows, Architecture::X86_64, vec![Rocm], None),
        (Platform::Linux, Architecture::X86_64, vec![], None),
    ] {
        let host = host(platform, architecture, &backends);
        let variant = client.select(&entry, &host);
        let backend = variant
            .as_ref()
            .ok()
            .and_then(|variant| variant.backend.known());
        assert_eq!(backend, expected, "{host}");
        if let Err(error) = variant {
            assert!(
                matches!(error, CatalogError::NoVariant { fitting, offered, .. }
                if offered.len() == 4 && fitting.contains(&"cpu".to_owned()))
            );
        }
    }
}

#[tokio::test]
async fn lenient_where_nothing_is_lost() {
    for (name, body) in [
        ("unknown fields", r#"{"id":"w","worker_type":"cpu","x":{"y":[1e999,{}]},"id2":null}"#.to_owned()),
        ("deep unknown field", format!(r#"{{"id":"w","worker_type":"cpu","x":{}{}}}"#, "[".repeat(9000), "]".repeat(9000))),
        ("nulls", r#"{"id":"w","worker_type":"cpu","variants":null,"name":null,"depends":null,"max_context_length":null,"source":null}"#.to_owned()),
        ("backend in capitals", r#"{"id":"w","workerType":"CPU"}"#.to_owned()),
        ("odd market data", r#"{"id":"w","variants":[{"backend":"cpu"}],"marketplaceCompatibility":7}"#.to_owned()),
        ("byte order mark", "\u{feff}{\"id\":\"w\",\"worker_type\":\"cpu\"}".to_owned()),
        ("whole number as a fraction", r#"{"id":"w","worker_type":"cpu","max_context_length":8192.0}"#.to_owned()),
        ("JSON with parameters", r#"{"id":"w","worker_type":"cpu"}"#.to_owned()),
    ] {
        let headers = "Content-Type: Application/JSON; charset=utf-8\r\n";
        let server = Scripted::always(reply("200 OK", headers, body)).await;
        let entry = get(&client(&server.base_url)).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(entry.variants[0].backend.known(), Some(WorkerType::Cpu), "{name}");
        assert_eq!(entry.name, "w");
    }
    let server = Scripted::always(json(r#"{"id":"w","variants":[{"backend":"vulkan","platforms":["haiku"],"architectures":["any"]}]}"#)).await;
    let entry = get(&client(&server.base_url)).await.unwrap();
    assert_eq!(entry.variants[0].backend.as_str(), "vulkan");
    assert_eq!(entry.variants[0].platforms[0].as_str(), "haiku");
}

#[tokio::test]
async fn one_bad_entry_does_not_spoil_a_list() {
    let body = "{\"workers\": [\n  {\"id\": \"a\", \"worker_type\": \"cpu\"},\n  {\"id\": \"b\", \"worker_type\": 5},\n  {\"id\": \"c\", \"worker_type\": \"cpu\"}\n]}";
    let server = Scripted::always(json(body)).await;
    let list = client(&server.base_url)
        .list(&CancellationToken::new())
        .await
        .unwrap()
        .value;
    let ids: Vec<_> = list.workers.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids, ["a", "c"]);
    match &list.rejected[..] {
        [
            CatalogError::MalformedEntry {
                path, line, column, ..
            },
        ] => {
            assert_eq!((path.as_str(), *line), ("workers[1].worker_type", 3));
            assert_eq!(*column, "  {\"id\": \"b\", \"worker_type\": 5".len());
        }
        other => panic!("{other:?}"),
    }
}
