//! How long a cached entry and recipe take, beside the same from the service itself.
#![allow(clippy::unwrap_used, missing_docs)]

use catalog_client::{CatalogClient, CatalogConfig, Flavor, WorkerId};
use criterion::{Criterion, criterion_group, criterion_main};
use e2e_tests::catalog_server::{CatalogContent, CatalogServer, Generation};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

async fn get_and_recipe(client: &CatalogClient, id: &WorkerId) -> usize {
    let cancel = CancellationToken::new();
    let entry = client.get(id, &cancel).await.unwrap().value;
    let recipe = client.recipe(&entry, &entry.variants[0], Flavor::Source, &cancel);
    recipe.await.unwrap().value.text.len()
}

fn cached(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let list: Value =
        serde_json::from_str(include_str!("../tests/fixtures/v2-workers.json")).unwrap();
    let content = CatalogContent::new(Generation::V2)
        .entry(list["workers"][0].clone())
        .pkgbuild(
            "arch/llm-worker-rbee-git.PKGBUILD",
            "pkgname=x\n".repeat(300),
        );
    let server = runtime.block_on(CatalogServer::start(0, content)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let id: WorkerId = "llm-worker-rbee".parse().unwrap();
    let online = CatalogConfig {
        cache_dir: Some(dir.path().to_owned()),
        access: Some(network_policy::Access::default()),
        ..CatalogConfig::new([server.base_url()])
    };
    let offline = CatalogConfig {
        offline: true,
        ..online.clone()
    };
    let uncached = CatalogConfig {
        cache_dir: None,
        ..online.clone()
    };
    let mut group = criterion.benchmark_group("get and recipe");
    for (name, config) in [
        ("kept, recipe confirmed over loopback", online),
        ("kept, offline", offline),
        ("not kept, both over loopback", uncached),
    ] {
        let client = CatalogClient::new(config).unwrap();
        runtime.block_on(get_and_recipe(&client, &id));
        group.bench_function(name, |bencher| {
            bencher
                .to_async(&runtime)
                .iter(|| get_and_recipe(&client, &id));
        });
    }
}

criterion_group!(benches, cached);
criterion_main!(benches);
