//! Sources that are on this machine already: how fast they are verified, unpacked and checked out.
//!
//! `cargo xtask bench` has the same beside other programs, with a network between.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/support/archive.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests use more of it")]
mod archive;

use std::fs;
use std::io::Write as _;
use std::path::Path;

use archive::Tar;
use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main,
};
use digest::Digest;
use source_fetch::{Checksum, Directories, Policy, Silent, SourceRequest, fetch_all};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

const FILES: usize = 256;
const FILE_BYTES: usize = 64 << 10;

/// Text that packs to about a quarter.
fn text(seed: usize, bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed as u64);
    let mut text = Vec::with_capacity(bytes + 80);
    while text.len() < bytes {
        let (number, other) = (random.u16(..), random.u16(..));
        writeln!(
            text,
            "    call_{number:05}(argument{number:05}); // {other}"
        )
        .unwrap();
    }
    text.truncate(bytes);
    text
}

fn request(name: &str, kind: &str, digest: &str) -> SourceRequest {
    let checksum = Checksum::parse(kind, digest).unwrap();
    SourceRequest::new(name.parse().unwrap()).with_checksum(checksum)
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Fetches into `place`, which comes back so that its removal is not measured.
async fn fetch(request: &SourceRequest, startdir: &Path, place: TempDir) -> TempDir {
    let directories = Directories {
        srcdir: place.path().join("src"),
        cache: place.path().join("cache"),
        startdir: startdir.to_owned(),
    };
    let token = CancellationToken::new();
    let requests = std::slice::from_ref(request);
    fetch_all(requests, &directories, &Policy::default(), &token, &Silent)
        .await
        .unwrap();
    place
}

/// `request` again and again, each time into new folders.
fn measure(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    request: &SourceRequest,
    startdir: &Path,
) {
    let runtime = Runtime::new().unwrap();
    group.bench_function(name, |bencher| {
        bencher.to_async(&runtime).iter_batched(
            folder,
            |place| fetch(request, startdir, place),
            BatchSize::PerIteration,
        );
    });
}

fn verify(criterion: &mut Criterion) {
    let startdir = folder();
    let bytes = text(0, 32 << 20);
    fs::write(startdir.path().join("data"), &bytes).unwrap();
    let mut group = criterion.benchmark_group("verify 32 MiB");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    let digests = [
        ("md5sums", hex::encode(md5::Md5::digest(&bytes))),
        ("sha1sums", hex::encode(sha1::Sha1::digest(&bytes))),
        ("sha256sums", hex::encode(sha2::Sha256::digest(&bytes))),
        ("sha512sums", hex::encode(sha2::Sha512::digest(&bytes))),
        ("b2sums", hex::encode(blake2::Blake2b512::digest(&bytes))),
    ];
    for (kind, digest) in digests {
        let request = request("data", kind, &digest);
        measure(&mut group, kind, &request, startdir.path());
    }
}

fn unpack(criterion: &mut Criterion) {
    let startdir = folder();
    let mut tar = Tar::new();
    for index in 0..FILES {
        let name = format!("tree/file{index:03}");
        tar = tar.file(&name, &text(index, FILE_BYTES));
    }
    let tar = tar.end();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&tar).unwrap();
    let archives = [
        ("tree.tar.gz", gzip.finish().unwrap()),
        ("tree.tar.zst", zstd::encode_all(&*tar, 3).unwrap()),
        ("tree.tar", tar),
    ];
    let mut group = criterion.benchmark_group("unpack 16 MiB in 256 files");
    group.throughput(Throughput::Bytes((FILES * FILE_BYTES) as u64));
    for (name, bytes) in archives {
        fs::write(startdir.path().join(name), &bytes).unwrap();
        let digest = hex::encode(sha2::Sha256::digest(&bytes));
        let request = request(name, "sha256sums", &digest);
        measure(&mut group, name, &request, startdir.path());
    }
}

/// A commit with all the files, made by libgit2.
fn repository(path: &Path) {
    let repository = git2::Repository::init(path).unwrap();
    let mut tree = repository.treebuilder(None).unwrap();
    for index in 0..FILES {
        let blob = repository.blob(&text(index, FILE_BYTES)).unwrap();
        let name = format!("file{index:03}");
        tree.insert(name, blob, 0o100_644).unwrap();
    }
    let tree = repository.find_tree(tree.write().unwrap()).unwrap();
    let author = git2::Signature::new("A", "a@example.org", &git2::Time::new(0, 0)).unwrap();
    repository
        .commit(Some("HEAD"), &author, &author, "files", &tree, &[])
        .unwrap();
}

fn check_out(criterion: &mut Criterion) {
    let startdir = folder();
    let origin = startdir.path().join("origin");
    repository(&origin);
    let source = format!("files::git+file://{}", origin.display());
    let request = request(&source, "sha256sums", "SKIP");
    let mut group = criterion.benchmark_group("check out 16 MiB in 256 files");
    group.throughput(Throughput::Bytes((FILES * FILE_BYTES) as u64));
    measure(
        &mut group,
        "of a local repository",
        &request,
        startdir.path(),
    );
}

criterion_group!(benches, verify, unpack, check_out);
criterion_main!(benches);
