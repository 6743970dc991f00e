//! Groups 5 and 6: starting a phase, streaming its output, and whole provisions.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use e2e_tests::sample::{self, Sample, SampleOptions};

use super::Session;
use super::makepkg::Makepkg;
use super::meter::{Contender, WALL, case, interleave, metered};
use super::report::{Figure, Goal, Peer, Row};
use super::sources::{fresh, measured, peer};

/// Starting `bash -c true` in each tier, alone, and in bwrap.
pub(crate) fn start_up(session: &mut Session) -> Result<Vec<Row>> {
    let folder = session.folder("start-up")?;
    let times = session.pick(40, 15);
    let rounds = session.rounds();
    let mut starters = vec!["namespaces", "landlock", "group", "bash"];
    if session.machine.has("bwrap") {
        starters.push("bwrap");
    } else {
        session.skip("bwrap is not installed");
    }
    let run = |starter: &str| {
        let mut command = case("startup")?;
        command.arg(starter).arg("--root").arg(&folder);
        command.args(["--times", &times.to_string()]);
        super::meter::run(command)
    };
    // A tier or peer that this host does not allow is left out, not the whole comparison.
    starters.retain(|starter| match run(starter) {
        Ok(_) => true,
        Err(error) => {
            session.skip(&format!("`{starter}` cannot be started here: {error:#}"));
            false
        }
    });
    let mut runs = vec![Vec::new(); starters.len()];
    for round in 0..rounds {
        for turn in 0..starters.len() {
            let index = (turn + round) % starters.len();
            runs[index].push(run(starters[index])?);
        }
    }
    let of = |name: &str| {
        let index = starters.iter().position(|starter| *starter == name)?;
        Some(runs[index].as_slice())
    };
    let bash = of("bash").context("bash cannot be started")?;
    let mut rows = Vec::new();
    for tier in ["namespaces", "landlock", "group"] {
        let Some(ours) = of(tier) else { continue };
        let own = measured(ours, "seconds", 1.0)?;
        let what = format!("start `bash -c true`, tier {tier}");
        if let (Some(bwrap), "namespaces") = (of("bwrap"), tier) {
            let bwrap = peer(
                "bwrap, same view (no seccomp, no Landlock)",
                bwrap,
                "seconds",
            )?;
            rows.push(Row::time(5, &what, own, bwrap).goal(Goal::AtMost(1.0)));
        }
        rows.push(Row::time(
            5,
            what,
            own,
            peer("bash alone", bash, "seconds")?,
        ));
    }
    Ok(rows)
}

/// The output of a build, line by line.
pub(crate) fn streaming(session: &mut Session) -> Result<Vec<Row>> {
    let folder = session.folder("stream")?;
    // `cat` in the sandbox has to find it: the build directories are visible there.
    let source = folder.join("src");
    fs::create_dir_all(&source)?;
    let file = source.join("lines");
    let bytes = 64_000_000;
    let lines = super::inputs::lines(&file, bytes)?;
    let times = session.pick(16u32, 4);
    let reader = |name: &'static str| {
        let (folder, file) = (folder.clone(), file.clone());
        Contender::new(move |_| {
            let mut command = case("stream")?;
            command
                .arg(name)
                .arg("--root")
                .arg(&folder)
                .arg("--file")
                .arg(&file);
            command.args(["--times", &times.to_string(), "--lines", &lines.to_string()]);
            Ok(command)
        })
    };
    let cat = Contender::new(|_| {
        let mut command = metered("sh")?;
        command.args(["-c", "cat \"$@\" | cat > /dev/null", "stream"]);
        command.args((0..times).map(|_| &file));
        Ok(command)
    });
    let [ours, tokio, cat, alone] = interleave(
        session.rounds(),
        [reader("sandbox"), reader("lines"), cat, reader("bytes")],
    )?;
    untrusted_tree::remove(&folder, &|| false)?;
    let own = measured(&ours, "seconds", 1.0)?;
    let what = format!(
        "stream {} MB of 80-byte lines",
        bytes * times as usize / 1_000_000
    );
    Ok(vec![
        Row::speed(5, &what, own, peer("tokio's lines()", &tokio, "seconds")?)
            .goal(Goal::AtLeast(3.0)),
        Row::speed(5, &what, own, peer("cat", &cat, WALL)?).goal(Goal::AtLeast(0.7)),
        // How much of it is the pipe itself: no reader can have a better ratio to another than this.
        Row::speed(
            5,
            &what,
            own,
            peer("a loop that only reads", &alone, "seconds")?,
        ),
        Row::memory(7, what, own).goal(Goal::AtMost(16.0)),
    ])
}

/// The sample workers from catalog to installed binary, and makepkg with the same recipes.
pub(crate) async fn provision(session: &mut Session) -> Result<Vec<Row>> {
    let folder = session.folder("provision")?;
    let options = SampleOptions {
        port: 0,
        target: crate::catalog::target_dir(),
    };
    let sample = Sample::start(&folder.join("sample"), &options).await?;
    let makepkg = Makepkg::find(&session.folder("makepkg-builds")?)?;
    let whole = session.machine.has("bsdtar") && session.machine.has("curl");
    let makepkg = makepkg.filter(|_| whole);
    if makepkg.is_none() {
        session.skip("no packages built by makepkg: that takes makepkg, bsdtar and curl");
    }
    let mut rows = Vec::new();
    for (kind, flavor) in [("prebuilt", "bin"), ("from source", "git")] {
        let recipe = folder.join(flavor);
        let url = format!(
            "{}/pkgbuilds/arch/{}-{flavor}.PKGBUILD",
            sample.catalog_url(),
            sample::WORKER
        );
        let ours = Contender::new(|round| {
            let mut command = case("provision")?;
            command.args([sample::WORKER, "--catalog", &sample.catalog_url()]);
            command.arg("--root").arg(fresh(&folder, flavor, round)?);
            if flavor == "git" {
                command.arg("--source");
            }
            Ok(command)
        });
        let rounds = session.rounds();
        let (ours, theirs) = match &makepkg {
            None => (
                interleave(rounds, [ours])?.into_iter().flatten().collect(),
                None,
            ),
            Some(makepkg) => {
                fs::create_dir_all(&recipe)?;
                let file = recipe.join("PKGBUILD");
                let status = Command::new("curl")
                    .args(["-sSf", &url, "-o"])
                    .arg(&file)
                    .status()?;
                ensure!(status.success(), "`curl` could not fetch the recipe");
                let theirs = Contender::new(|round| {
                    let work = fresh(&folder, &format!("makepkg-{flavor}"), round)?;
                    makepkg.command(&work, &recipe, &["--nodeps"], None)
                });
                let [ours, theirs] = interleave(rounds, [ours, theirs])?;
                (ours, Some(theirs))
            }
        };
        let (cold, warm) = (measured(&ours, "cold", 1.0)?, measured(&ours, "warm", 1.0)?);
        let what = format!("provision the sample worker, {kind}");
        if let Some(theirs) = &theirs {
            rows.push(Row::time(
                6,
                format!("{what}, cold"),
                cold,
                peer("makepkg, to a package", theirs, WALL)?,
            ));
        } else {
            rows.push(Row::alone(
                6,
                format!("{what}, cold"),
                cold,
                Figure::Seconds(cold.time.median),
            ));
        }
        let again = Row::time(
            6,
            format!("{what}, again"),
            warm,
            Peer {
                name: "ours, the first time".to_owned(),
                time: cold.time,
                peak_kib: None,
            },
        );
        rows.push(again);
        rows.push(
            Row::alone(
                6,
                format!("{what}, again"),
                warm,
                Figure::Seconds(warm.time.median),
            )
            .goal(Goal::AtMost(0.05)),
        );
    }
    Ok(rows)
}
