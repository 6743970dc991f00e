//! What is asked of a hive again and again: a worker that is installed already, and the list of all.
//!
//! `cargo xtask bench` has whole provisions, beside makepkg.
#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use e2e_tests::catalog_server::CatalogServer;
use e2e_tests::sample;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use worker_provisioner::{Config, ProvisionRequest, WorkerProvisioner, WorkerType};

const WORKER: &str = "demo";

async fn provision(provisioner: &WorkerProvisioner, backend: WorkerType) -> bool {
    let request = ProvisionRequest::new(WORKER).with_backend(backend);
    let token = CancellationToken::new();
    let provisioned = provisioner.provision_request(&request, token).await;
    provisioned.unwrap().reused
}

fn installed(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let content = sample::prebuilt_catalog(WORKER, &sample::script_recipe(WORKER));
    let catalog = runtime.block_on(CatalogServer::start(0, content)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new(folder.path().join("cache"));
    config.catalog_urls = vec![catalog.base_url()];
    config.bin_dir = Some(folder.path().join("bin"));
    config.data_dir = folder.path().join("data");
    config.temp_dir = folder.path().join("tmp");
    std::fs::create_dir(&config.temp_dir).unwrap();
    let provisioner = WorkerProvisioner::new(config).unwrap();
    let backend = WorkerType::Cpu;
    assert!(!runtime.block_on(provision(&provisioner, backend)));

    let mut group = criterion.benchmark_group("installed");
    group.bench_function("asked for again", |bencher| {
        bencher.to_async(&runtime).iter(async || {
            assert!(provision(&provisioner, backend).await);
        });
    });
    group.bench_function("list", |bencher| {
        bencher.iter(|| provisioner.store().list().unwrap().len());
    });
    group.bench_function("verify", |bencher| {
        let store = provisioner.store();
        bencher.iter(|| store.verify(WORKER, backend).unwrap());
    });
}

criterion_group!(benches, installed);
criterion_main!(benches);
