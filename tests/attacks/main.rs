//! Attacks by a catalog, a recipe, an archive, a repository, a server and another user of the
//! machine, each beside a control that shows that it works where nobody stands in its way.
//!
//! `cargo test -p e2e-tests --test attacks -- --nocapture` prints the table. `ATTACKS_ONLY=WORD`
//! runs the attacks whose kind or name holds the word.
#![allow(clippy::unwrap_used)]
#![allow(
    clippy::format_collect,
    clippy::items_after_statements,
    clippy::large_stack_arrays,
    clippy::manual_flatten,
    clippy::naive_bytecount,
    clippy::needless_pass_by_value,
    clippy::too_many_lines,
    reason = "tables of attacks are long and flat, and their speed is of no interest"
)]

mod archive;
mod archive_bytes;
mod build;
mod catalog;
mod evaluation;
mod git;
mod harness;
mod hostile_server;
mod installing;
mod local_user;
mod network;
mod package;
mod processes;
mod raw_server;
mod scene;
mod server;
mod terminal;
mod tree;
mod verification;

use harness::Attack;

fn attacks() -> Vec<Attack> {
    [
        build::attacks(),
        package::attacks(),
        tree::attacks(),
        evaluation::attacks(),
        archive::attacks(),
        git::attacks(),
        verification::attacks(),
        network::attacks(),
        hostile_server::attacks(),
        catalog::attacks(),
        installing::attacks(),
        terminal::attacks(),
        local_user::attacks(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Root where the tests run as root, else the user who runs them.
#[test]
fn attacks_on_whoever_runs_the_tests() {
    harness::again("the_attacks_themselves", None);
}

#[test]
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn attacks_on_an_ordinary_user() {
    if !harness::is_root() {
        eprintln!("skipped: the tests run as an ordinary user, whom the other test attacks");
        return;
    }
    harness::again("the_attacks_themselves", Some(harness::ORDINARY));
}

/// Run by the two above in a process of its own, and there alone.
#[test]
fn the_attacks_themselves() {
    if std::env::var_os(harness::SECRET_VARIABLE).is_some() {
        harness::run(attacks());
    }
}

/// Run as another user by the attacks of one; does nothing elsewhere.
#[test]
fn another_user() {
    processes::play_the_other_user();
}
