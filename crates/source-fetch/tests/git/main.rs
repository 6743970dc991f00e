//! Git sources against the real `git`: over HTTP, the daemon, ssh and from the same machine.
#![allow(clippy::unwrap_used)]

#[path = "../git_support/mod.rs"]
mod git_support;

mod checkout;
mod clone;
mod history;
mod mirror;
mod old_servers;
mod reference;
mod retry;

use std::path::Path;

use git_support::git;

fn clone(url: &str, to: &Path, arguments: &[&str]) {
    let mut all = vec!["clone", "-q"];
    all.extend_from_slice(arguments);
    all.extend_from_slice(&[url, to.to_str().unwrap()]);
    git(Path::new("/"), &all);
}
