//! Runs without a network: each finds an empty one, though a build has the same for all its runs.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod support;

use std::fs;

use build_sandbox::{Isolation, NetworkPolicy, Phase, Sandbox};
use support::{Build, Recorder, build, have, sandbox, tiers, until};
use tokio_util::sync::CancellationToken;

/// Listens by address and by name, says so in a file, and waits for another to go away.
const LISTEN: &str = r#"
cat > listen.py <<'END'
import os, socket, sys, time
by_address = socket.create_server(("127.0.0.1", 4711))
by_name = socket.socket(socket.AF_UNIX)
by_name.bind("\0of-a-build")
by_name.listen()
open("listening", "w").close()
while not os.path.exists("enough"):
    time.sleep(0.01)
END
"#;

/// Says what answers, and which network this is.
const ASK: &str = r#"
cat > ask.py <<'END'
import os, socket
for family, address in ((socket.AF_INET, ("127.0.0.1", 4711)), (socket.AF_UNIX, "\0of-a-build")):
    try:
        socket.socket(family).connect(address)
        print("answered")
    except OSError as error:
        print(type(error).__name__)
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname())
print("own server answers")
print(len(open("/proc/net/dev").readlines()), os.readlink("/proc/self/ns/net"))
END
python3 ask.py
"#;

const NOTHING: [&str; 3] = [
    "ConnectionRefusedError",
    "ConnectionRefusedError",
    "own server answers",
];

fn prepared(recipe: &str) -> Build {
    let mut build = build(Isolation::Namespaces, &format!("pkgname=demo\n{recipe}"));
    build.spec.network = NetworkPolicy::NONE;
    build
}

async fn lines(sandbox: &Sandbox, build: &Build, phase: Phase) -> Vec<String> {
    let recorder = Recorder::default();
    let token = CancellationToken::new();
    let run = sandbox.run(&build.spec, phase, &token, &recorder);
    run.await
        .unwrap_or_else(|error| panic!("{}", support::chain(&error)));
    recorder.text().lines().map(str::to_owned).collect()
}

async fn works(sandbox: &Sandbox) -> bool {
    have("python3") && tiers(sandbox).await.contains(&Isolation::Namespaces)
}

#[tokio::test]
async fn what_listened_in_one_run_is_gone_in_the_next() {
    let sandbox = sandbox();
    if !works(&sandbox).await {
        return;
    }
    let build = prepared(&format!(
        "prepare() {{ {LISTEN} setsid python3 listen.py & while [ ! -e listening ]; do sleep 0.01; done\n}}
         build() {{ {ASK} }}\npackage() {{ {ASK} }}\n"
    ));
    let first = lines(&sandbox, &build, Phase::Build).await;
    assert_eq!(first[..3], NOTHING, "{first:?}");
    lines(&sandbox, &build, Phase::Prepare).await;
    assert!(build.survivors().is_empty());
    for phase in [Phase::Build, Phase::Package("demo".to_owned())] {
        let next = lines(&sandbox, &build, phase).await;
        assert_eq!(next[..3], NOTHING, "{next:?}");
        // Loopback and nothing else, as the first time.
        assert_eq!(next[3].split(' ').next(), first[3].split(' ').next());
    }
}

#[tokio::test]
async fn builds_side_by_side_do_not_reach_each_other() {
    let sandbox = sandbox();
    if !works(&sandbox).await {
        return;
    }
    let listening = prepared(&format!("build() {{ {LISTEN} python3 listen.py\n}}\n"));
    let asking = prepared(&format!("build() {{ {ASK} }}\n"));
    let own = prepared(&format!("build() {{ {ASK} }}\n"));
    // Each has a network that waits for its next run.
    lines(&sandbox, &asking, Phase::Build).await;
    let hold = lines(&sandbox, &listening, Phase::Build);
    let ask = async {
        until("somebody listens", || listening.path("listening").exists()).await;
        let asked = lines(&sandbox, &asking, Phase::Build).await;
        let other = lines(&sandbox, &own, Phase::Build).await;
        fs::write(listening.path("enough"), "").unwrap();
        (asked, other)
    };
    let (_, (asked, other)) = tokio::join!(hold, ask);
    assert_eq!(asked[..3], NOTHING, "{asked:?}");
    assert_eq!(other[..3], NOTHING, "{other:?}");
    assert_ne!(asked[3], other[3], "two builds have one network");
}

#[tokio::test]
async fn two_runs_of_one_build_at_once_have_two_networks() {
    let sandbox = sandbox();
    if !works(&sandbox).await {
        return;
    }
    let recipe = format!(
        "build() {{ {LISTEN} python3 listen.py\n}}\npkgver() {{ :; }}\ncheck() {{ {ASK} }}\n"
    );
    let build = prepared(&recipe);
    lines(&sandbox, &build, Phase::Check).await;
    let hold = lines(&sandbox, &build, Phase::Build);
    let ask = async {
        until("somebody listens", || build.path("listening").exists()).await;
        let asked = lines(&sandbox, &build, Phase::Check).await;
        fs::write(build.path("enough"), "").unwrap();
        asked
    };
    let (_, asked) = tokio::join!(hold, ask);
    assert_eq!(asked[..3], NOTHING, "{asked:?}");
}
