//! The public API of every crate, kept as snapshots: a change of it is a change of those files.
//!
//! The list is made with `syn` from the sources, from what `lib.rs` re-exports. rustdoc's JSON, which
//! `cargo public-api` reads, needs a nightly compiler and changes its form between versions.

#[path = "public_api/surface.rs"]
mod surface;

use std::path::Path;

fn check(name: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../crates")
        .join(name);
    let text = surface::of_crate(&root);
    assert!(text.contains("pub "), "{name} has no public item");
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn worker_provisioner() {
    check("worker-provisioner");
}

#[test]
fn network_policy() {
    check("network-policy");
}

#[test]
fn printable() {
    check("printable");
}

#[test]
fn interrupt() {
    check("interrupt");
}

#[test]
fn untrusted_tree() {
    check("untrusted-tree");
}

#[test]
fn catalog_client() {
    check("catalog-client");
}

#[test]
fn pkgbuild_syntax() {
    check("pkgbuild-syntax");
}

#[test]
fn source_fetch() {
    check("source-fetch");
}

#[test]
fn build_sandbox() {
    check("build-sandbox");
}
