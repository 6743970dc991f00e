//! The inputs of all comparisons: made up, the same in every run, below one folder.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use pkgbuild_syntax_benches::Numbers;

/// Writes `<folder>/<number>/PKGBUILD` for so many recipes and returns their bytes.
pub(crate) fn recipes(folder: &Path, count: u64) -> Result<u64> {
    let mut bytes = 0;
    for (index, text) in pkgbuild_syntax_benches::recipes(count).iter().enumerate() {
        let folder = folder.join(format!("{index:04}"));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("PKGBUILD"), text)?;
        bytes += text.len() as u64;
    }
    Ok(bytes)
}

/// Bytes that look like compiled code to a compressor: half of them repeat, half do not.
pub(crate) fn fill(
    numbers: &mut Numbers,
    mut bytes: usize,
    out: &mut impl std::io::Write,
) -> Result<()> {
    const BLOCK: usize = 4096;
    let mut block = [0u8; BLOCK];
    while bytes > 0 {
        let known = usize::try_from(numbers.below(64)).unwrap_or(0);
        for (index, chunk) in block.chunks_exact_mut(8).enumerate() {
            if index % 2 == 0 {
                chunk.copy_from_slice(&numbers.below(u64::MAX).to_le_bytes());
            } else {
                chunk.fill(u8::try_from(known + index % 7).unwrap_or(0));
            }
        }
        let part = bytes.min(BLOCK);
        out.write_all(&block[..part])?;
        bytes -= part;
    }
    Ok(())
}

/// A file of `bytes` bytes.
pub(crate) fn file(path: &Path, seed: u64, bytes: usize) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, fs::File::create(path)?);
    fill(&mut Numbers::new(seed), bytes, &mut out)?;
    out.flush()?;
    Ok(())
}

/// A tree `<folder>/<name>` of `files` files with `bytes` bytes in all, none smaller than a block.
pub(crate) fn tree(folder: &Path, name: &str, files: usize, bytes: usize) -> Result<()> {
    for index in 0..files {
        let part = folder.join(name).join(format!("part{:03}", index % 100));
        fs::create_dir_all(&part)?;
        file(
            &part.join(format!("file{index:06}")),
            index as u64 + 1,
            bytes / files,
        )?;
    }
    Ok(())
}

/// Packs `<folder>/<name>` as `<folder>/<name>.tar.<ending>` with the host's own programs.
pub(crate) fn pack(folder: &Path, name: &str, ending: &str) -> Result<PathBuf> {
    let program = match ending {
        "zst" => "zstd -q -3 -T0",
        _ => "gzip -4",
    };
    let archive = folder.join(format!("{name}.tar.{ending}"));
    let script = "tar --sort=name -cf - -C \"$1\" \"$2\" | $4 > \"$3\"";
    let mut command = Command::new("bash");
    command
        .args(["-o", "pipefail", "-c", script, "pack"])
        .arg(folder)
        .arg(name)
        .arg(&archive)
        .arg(program);
    let status = command.status().context("failed to run `bash`")?;
    ensure!(status.success(), "`tar | {program}` ended with {status}");
    Ok(archive)
}

/// The sha256 of a file, by the host's own program.
pub(crate) fn sha256(file: &Path) -> Result<String> {
    let output = Command::new("sha256sum").arg(file).output()?;
    ensure!(output.status.success(), "`sha256sum` failed");
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned())
}

/// Git, away from every configuration of the machine.
pub(crate) fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    apart(&mut command);
    command.current_dir(folder);
    command
}

/// Takes a git program's configuration of the machine away.
pub(crate) fn apart(command: &mut Command) {
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0");
}

/// A bare repository `<folder>/<name>`: `files` text files that `commits` commits change.
pub(crate) fn repository(folder: &Path, name: &str, files: u64, commits: u64) -> Result<PathBuf> {
    let bare = folder.join(name);
    let status = git(folder)
        .args(["init", "-q", "--bare", "-b", "main", name])
        .status()?;
    ensure!(status.success(), "`git init` failed");
    let mut child = git(&bare)
        .args(["fast-import", "--quiet"])
        .stdin(Stdio::piped())
        .spawn()?;
    let stdin = child.stdin.take().context("git has no standard input")?;
    history(BufWriter::new(stdin), files, commits)?;
    ensure!(child.wait()?.success(), "`git fast-import` failed");
    let status = git(&bare)
        .args(["repack", "-adq", "--write-bitmap-index"])
        .status()?;
    ensure!(status.success(), "`git repack` failed");
    Ok(bare)
}

fn history(mut out: impl std::io::Write, files: u64, commits: u64) -> Result<()> {
    let mut numbers = Numbers::new(11);
    let mut texts: Vec<Vec<u64>> = (0..files)
        .map(|_| {
            let lines = 20 + numbers.below(380);
            (0..lines).map(|_| numbers.below(u64::MAX)).collect()
        })
        .collect();
    for commit in 0..commits {
        writeln!(
            out,
            "commit refs/heads/main\ncommitter Bench <bench@samples.invalid> {} +0000\ndata 6\nchange",
            1_600_000_000 + commit * 3600
        )?;
        let changed = if commit == 0 { files } else { 40.min(files) };
        for turn in 0..changed {
            let index = if commit == 0 {
                turn
            } else {
                numbers.below(files)
            };
            let text = &mut texts[usize::try_from(index)?];
            if commit > 0 {
                for _ in 0..=numbers.below(20) {
                    let at = usize::try_from(numbers.below(text.len() as u64))?;
                    text[at] = numbers.below(u64::MAX);
                }
            }
            let mut content = String::new();
            for line in text.iter() {
                let _ = writeln!(
                    content,
                    "    call_{:05}(argument{:04}); // {line:x}",
                    line % 40_000,
                    line % 977
                );
            }
            writeln!(
                out,
                "M 100644 inline src/m{:02}/f{index:05}.c\ndata {}\n{content}",
                index % 48,
                content.len()
            )?;
        }
    }
    writeln!(out, "done")?;
    out.flush()?;
    Ok(())
}

/// Bytes of one of [`lines`], with its newline.
pub(crate) const LINE: usize = 80;

/// A file of such lines and how many they are.
pub(crate) fn lines(path: &Path, bytes: usize) -> Result<u64> {
    let line = [&[b'x'; LINE - 1][..], b"\n"].concat();
    let count = bytes / line.len();
    let mut out = BufWriter::with_capacity(1 << 20, fs::File::create(path)?);
    for _ in 0..count {
        out.write_all(&line)?;
    }
    out.flush()?;
    Ok(count as u64)
}
