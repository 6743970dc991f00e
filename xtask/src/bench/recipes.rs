//! Groups 1 and 2: `.SRCINFO` beside makepkg, and the parser beside other parsers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::makepkg::Makepkg;
use super::meter::{Contender, case, interleave, metered};
use super::report::{Figure, Goal, Measured, Peer, Row};
use super::statistics::Spread;
use super::{Bench, Session};

/// How many recipes are read.
const RECIPES: u32 = 200;

/// `.SRCINFO` of [`RECIPES`] recipes, and of a sample of them with makepkg.
pub(crate) fn srcinfo(session: &mut Session) -> Result<Vec<Row>> {
    let folder = session.folder("recipes")?;
    super::inputs::recipes(&folder, RECIPES.into())?;
    let sample = session.pick(20, 3);
    let Some(makepkg) = Makepkg::find(&session.folder("makepkg")?)? else {
        session.skip("makepkg is not installed, or cannot be run as an ordinary user");
        return Ok(Vec::new());
    };
    let recipe = |round: usize| folder.join(format!("{:04}", round * 9 % 200));
    let printed = |round: usize| session.root.join(format!("makepkg-{round}.srcinfo"));
    let [ours, theirs] = interleave(
        sample,
        [
            Contender::new(|_| {
                let mut command = case("srcinfo")?;
                command.arg(&folder).args(["--times", "5"]);
                Ok(command)
            }),
            Contender::new(|round| {
                let work = session.root.join(format!("makepkg-{round}"));
                makepkg.command(
                    &work,
                    &recipe(round),
                    &["--printsrcinfo"],
                    Some(&printed(round)),
                )
            }),
        ],
    )?;
    for round in 0..sample {
        let text = fs::read(recipe(round).join("PKGBUILD"))?;
        let own = crate::srcinfo::print(&text, &recipe(round));
        let same = own.is_some_and(|own| {
            fs::read(printed(round)).is_ok_and(|theirs| theirs == own.as_bytes())
        });
        ensure!(
            same,
            "`{}` gives another .SRCINFO than makepkg's",
            recipe(round).display()
        );
    }
    let each = Measured {
        time: Spread::named(&ours, "all", f64::from(RECIPES)).context("no figure")?,
        peak_kib: Spread::peak_kib(&ours),
    };
    let median = Measured {
        time: Spread::named(&ours, "median", 1.0).context("no figure")?,
        ..each
    };
    let peer = Peer {
        name: format!("makepkg --printsrcinfo ({sample} of them, same bytes)"),
        time: Spread::named(&theirs, "wall", 1.0).context("no figure")?,
        peak_kib: Spread::peak_kib(&theirs),
    };
    let what = format!(".SRCINFO, each of {RECIPES} recipes");
    Ok(vec![
        Row::speed(1, &what, each, peer).goal(Goal::AtLeast(10_000.0)),
        Row::alone(
            1,
            ".SRCINFO, the median recipe",
            median,
            Figure::Seconds(median.time.median),
        )
        .goal(Goal::AtMost(100e-6)),
    ])
}

/// The parser beside brush-parser and tree-sitter-bash, all three in one program of its own.
pub(crate) fn parsing(session: &mut Session) -> Result<Vec<Row>> {
    let folder = session.folder("parsed")?;
    let bytes = super::inputs::recipes(&folder, 1_000)?;
    let Some(program) = build_parsers() else {
        session.skip("the parsers compared with do not build here; see the messages above");
        return Ok(Vec::new());
    };
    let contender = |parser: &'static str| {
        let (program, folder) = (program.clone(), folder.clone());
        Contender::new(move |_| {
            let mut command = metered(&program)?;
            command.arg(parser).arg(&folder);
            Ok(command)
        })
    };
    let [ours, brush, sitter] = interleave(
        session.rounds(),
        ["pkgbuild-syntax", "brush-parser", "tree-sitter-bash"].map(contender),
    )?;
    let own = Measured {
        time: Spread::named(&ours, "seconds", 1.0).context("no figure")?,
        peak_kib: Spread::peak_kib(&ours),
    };
    let megabytes = f64::from(u32::try_from(bytes)?) / 1e6;
    let what = format!("parse 1,000 recipes, {megabytes:.2} MB");
    let mut rows = vec![
        Row::alone(
            2,
            &what,
            own,
            Figure::Throughput(megabytes / own.time.median),
        )
        .goal(Goal::AtLeast(100.0)),
    ];
    for (name, runs) in [
        ("brush-parser 0.4", brush),
        ("tree-sitter-bash 0.25", sitter),
    ] {
        let peer = Peer {
            name: name.to_owned(),
            time: Spread::named(&runs, "seconds", 1.0).context("no figure")?,
            peak_kib: Spread::peak_kib(&runs),
        };
        rows.push(Row::speed(2, &what, own, peer).goal(Goal::AtLeast(3.0)));
    }
    Ok(rows)
}

/// The peers have a workspace of their own, so that nobody else has to compile them.
fn build_parsers() -> Option<PathBuf> {
    let manifest = Bench::root().join("crates/pkgbuild-syntax/benches/Cargo.toml");
    let target = crate::catalog::target_dir().with_file_name("parsers");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--profile",
            "bench",
            "--example",
            "parsers",
        ])
        .arg("--manifest-path")
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target)
        .status();
    let program = target.join("release/examples/parsers");
    (status.is_ok_and(|status| status.success()) && Path::new(&program).is_file())
        .then_some(program)
}
