//! `cargo xtask bench --growth`: the same work at 1, 10 and 100 times the size.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use comfy_table::{Table, presets};
use e2e_tests::catalog_server::{CatalogContent, CatalogServer, Generation};
use e2e_tests::sample;
use serde::Serialize;

use super::Session;
use super::file_server::FileServer;
use super::inputs;
use super::meter::{Figures, PEAK, case, run};
use super::report::seconds;
use super::sources::apart_from_others;
use super::statistics::Spread;

/// How many times the smallest size each size is.
const FACTORS: [u32; 3] = [1, 10, 100];

/// Cost that grows as the size to this power, from 10 to 100 times the size, is linear; what is
/// above is a defect. The margin is for the processor's caches, which a large input leaves.
const LINEAR: f64 = 1.15;

/// One thing that grows.
#[derive(Debug, Serialize)]
pub(crate) struct Growth {
    what: String,
    /// What is counted, at each size.
    sizes: [u32; 3],
    /// Seconds at each size.
    times: [Spread; 3],
    /// Peak memory at each size, in KiB.
    peaks_kib: [f64; 3],
    /// The power of the size that the time follows between the second and the third size.
    exponent: f64,
    /// Whether that is more than linear.
    faster_than_linear: bool,
}

/// Everything that has a size.
pub(crate) async fn measure(session: &Session) -> Result<Vec<Growth>> {
    let mut rows = Vec::new();
    for (shape, write) in SHAPES {
        let folder = session.folder(&format!("growth-{shape}"))?;
        rows.push(grow(
            session,
            &format!("recipe: {shape}"),
            20,
            "all",
            |count, _| {
                let recipe = folder.join(format!("{count}/recipe"));
                fs::create_dir_all(&recipe)?;
                fs::write(recipe.join("PKGBUILD"), write(count)?)?;
                let mut command = case("srcinfo")?;
                command.arg(folder.join(count.to_string()));
                let times = (4_000 / count).max(1);
                command.args(["--times", &times.to_string()]);
                Ok(command)
            },
        )?);
    }
    rows.extend(archives(session).await?);
    rows.push(sources(session).await?);
    rows.push(output(session)?);
    rows.extend(workers(session).await?);
    Ok(rows)
}

type Shape = (&'static str, fn(u32) -> Result<String>);

/// Recipes whose size comes from one thing each.
const SHAPES: [Shape; 5] = [
    ("array elements", |count| {
        let mut text = head();
        text.push_str("depends=(\n");
        for index in 0..count {
            writeln!(text, "  'library-{index}>=1.{index}'")?;
        }
        text.push_str(")\n");
        Ok(text)
    }),
    ("elements appended one by one", |count| {
        let mut text = head();
        for index in 0..count {
            writeln!(text, "depends+=(\"lib$pkgname-{index}\")")?;
        }
        Ok(text)
    }),
    ("functions", |count| {
        let mut text = head();
        for index in 0..count {
            writeln!(
                text,
                "_step{index}() {{\n  cd \"$srcdir\"\n  make -C part{index} \"$@\"\n}}"
            )?;
        }
        Ok(text)
    }),
    ("split packages", |count| {
        let mut text = head().replace("pkgname=grown\n", "pkgbase=grown\n");
        let names: Vec<String> = (0..count).map(|index| format!("part{index}")).collect();
        writeln!(text, "pkgname=({})", names.join(" "))?;
        for name in names {
            writeln!(
                text,
                "package_{name}() {{\n  pkgdesc='The part {name}'\n  depends=(grown)\n}}"
            )?;
        }
        Ok(text)
    }),
    ("loop turns", |count| {
        let mut text = head();
        writeln!(
            text,
            "for ((i = 0; i < {count}; i++)); do\n  _all+=(\"${{pkgname/g/G}}-$i\")\ndone\npkgdesc=\"${{#_all[@]}} of them\""
        )?;
        Ok(text)
    }),
];

fn head() -> String {
    "pkgname=grown\npkgver=1.0\npkgrel=1\npkgdesc='Grows'\narch=(x86_64)\nurl=https://samples.invalid\nlicense=(MIT)\n".to_owned()
}

async fn archives(session: &Session) -> Result<Vec<Growth>> {
    let folder = session.folder("growth-archives")?;
    let server = FileServer::start(&folder, None).await?;
    let measure = |what: &str, unit: u32, tree: fn(u32) -> (usize, usize)| {
        grow(session, what, unit, "first", |count, round| {
            let name = format!("tree{count}");
            let archive = folder.join(format!("{name}.tar.gz"));
            if round == 0 {
                let (files, bytes) = tree(count);
                inputs::tree(&folder, &name, files, bytes)?;
                inputs::pack(&folder, &name, "gz")?;
                untrusted_tree::remove(folder.join(&name), &|| false)?;
            }
            let root = apart_from_others(&folder, &format!("root{count}"), round)?;
            fetch(&[&archive], &server, &root)
        })
    };
    let (bytes, files) = (session.pick(4, 1), session.pick(200, 50));
    let rows = vec![
        measure("archive: MiB in 16 files", bytes, |mebibytes| {
            (16, (mebibytes as usize) << 20)
        })?,
        measure("archive: files of 1 kB", files, |files| {
            (files as usize, files as usize * 1_000)
        })?,
    ];
    untrusted_tree::remove(&folder, &|| false)?;
    Ok(rows)
}

async fn sources(session: &Session) -> Result<Growth> {
    let folder = session.folder("growth-sources")?;
    let server = FileServer::start(&folder, None).await?;
    let files: Vec<_> = (0..500)
        .map(|index| folder.join(format!("{index}.bin")))
        .collect();
    for (file, seed) in files.iter().zip(1..) {
        inputs::file(file, seed, 10_000)?;
    }
    grow(
        session,
        "sources of 10 kB over HTTP",
        5,
        "first",
        |count, round| {
            let wanted: Vec<&Path> = files
                .iter()
                .take(count as usize)
                .map(AsRef::as_ref)
                .collect();
            let root = apart_from_others(&folder, &format!("root{count}"), round)?;
            fetch(&wanted, &server, &root)
        },
    )
}

fn fetch(files: &[&Path], server: &FileServer, root: &Path) -> Result<Command> {
    let mut command = case("fetch")?;
    for file in files {
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .context("no name")?;
        command.arg(format!("{}={}", inputs::sha256(file)?, server.url(name)));
    }
    command.arg("--root").arg(root);
    Ok(command)
}

fn output(session: &Session) -> Result<Growth> {
    let folder = session.folder("growth-output")?;
    let source = folder.join("src");
    fs::create_dir_all(&source)?;
    let file = source.join("lines");
    let unit = session.pick(10, 2);
    let lines = inputs::lines(&file, 1_000_000)?;
    grow(
        session,
        "build output: MB of 80-byte lines",
        unit,
        "seconds",
        |count, _| {
            let mut command = case("stream")?;
            command
                .args(["sandbox", "--root"])
                .arg(&folder)
                .arg("--file")
                .arg(&file);
            command.args(["--times", &count.to_string(), "--lines", &lines.to_string()]);
            Ok(command)
        },
    )
}

/// Workers whose recipe makes a script, so that the provisioner's own work is what counts.
async fn workers(session: &Session) -> Result<Vec<Growth>> {
    let folder = session.folder("growth-workers")?;
    let mut content = CatalogContent::new(Generation::V2);
    let unit = session.pick(2u32, 1);
    let names: Vec<String> = (0..unit * FACTORS[2])
        .map(|index| format!("grown-{index}"))
        .collect();
    for name in &names {
        let one = sample::prebuilt_catalog(name, &sample::script_recipe(name));
        content.entries.extend(one.entries);
        content.pkgbuilds.extend(one.pkgbuilds);
    }
    let catalog = CatalogServer::start(0, content).await?;
    let url = catalog.base_url();
    let command = |count: u32, parallel: usize, root: &Path| {
        let mut command = case("provision")?;
        command.args(names.iter().take(count as usize));
        command.args(["--catalog", &url, "--parallel", &parallel.to_string()]);
        command.arg("--root").arg(root);
        Ok(command)
    };
    let root = |name: &str, count: u32, round: usize| {
        apart_from_others(&folder, &format!("{name}{count}"), round)
    };
    let mut rows = vec![
        grow(
            session,
            "provisions at once, four built side by side",
            unit,
            "cold",
            |count, round| command(count, 4, &root("cold", count, round)?),
        )?,
        grow(
            session,
            "provisions at once, all installed already",
            unit,
            "warm",
            |count, round| command(count, 4, &root("warm", count, round)?),
        )?,
        grow(
            session,
            "installed workers: list",
            unit,
            "list",
            |count, round| command(count, 4, &root("list", count, round)?),
        )?,
    ];
    // One worker, again, beside so many others: what should not depend on their number at all.
    rows.push(grow(
        session,
        "installed workers: one asked for again",
        unit,
        "warm",
        |count, _| {
            let root = folder.join(format!("beside-{count}"));
            if !root.exists() {
                fs::create_dir_all(&root)?;
                run(command(count, 4, &root)?)?;
            }
            command(1, 4, &root)
        },
    )?);
    Ok(rows)
}

/// The figure `name` of `command` at `unit`, 10 and 100 times that, in turns.
fn grow(
    session: &Session,
    what: &str,
    unit: u32,
    name: &str,
    mut command: impl FnMut(u32, usize) -> Result<Command>,
) -> Result<Growth> {
    eprintln!("measuring growth, {what}");
    let sizes = FACTORS.map(|factor| unit * factor);
    let mut runs: [Vec<Figures>; 3] = Default::default();
    for round in 0..session.pick(7, 3) {
        for (size, runs) in sizes.iter().zip(&mut runs) {
            let context = || format!("growth of {what} at {size}");
            let measured = command(*size, round).and_then(run).with_context(context)?;
            runs.push(measured);
        }
    }
    let of = |index: usize, name: &str| {
        Spread::named(&runs[index], name, 1.0).with_context(|| format!("no figure `{name}`"))
    };
    let times = [of(0, name)?, of(1, name)?, of(2, name)?];
    let peaks_kib = [of(0, PEAK)?.max, of(1, PEAK)?.max, of(2, PEAK)?.max];
    // The fastest runs: what other programs took is in the others.
    let exponent = (times[2].min / times[1].min).log10();
    Ok(Growth {
        what: what.to_owned(),
        sizes,
        times,
        peaks_kib,
        exponent,
        faster_than_linear: exponent > LINEAR,
    })
}

/// The table, as Markdown.
pub(crate) fn table(rows: &[Growth]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "what grows",
        "sizes",
        "1×",
        "10×",
        "100×",
        "each at 100×",
        "exponent",
        "memory 1×, 100×",
        "",
    ]);
    for row in rows {
        let [small, middle, large] = &row.times;
        table.add_row([
            row.what.clone(),
            row.sizes.map(|size| size.to_string()).join(", "),
            seconds(small.median),
            seconds(middle.median),
            seconds(large.median),
            seconds(large.median / f64::from(row.sizes[2])),
            format!("{:.2}", row.exponent),
            format!(
                "{:.0}, {:.0} MiB",
                row.peaks_kib[0] / 1024.0,
                row.peaks_kib[2] / 1024.0
            ),
            if row.faster_than_linear {
                "FASTER THAN LINEAR"
            } else {
                ""
            }
            .to_owned(),
        ]);
    }
    table.to_string()
}
