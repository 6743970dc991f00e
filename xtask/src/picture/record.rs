//! Runs a command on a terminal of its own and keeps what the screen shows, as it changes.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::num::NonZero;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::pty::{Winsize, openpty};
use vt100::{Color, Parser};

/// The terminal's size.
pub(super) const ROWS: u16 = 32;
/// Columns.
pub(super) const COLUMNS: u16 = 100;

/// Screens closer together than this are one.
const BETWEEN: Duration = Duration::from_millis(90);

/// What the screen shows from some moment on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frame {
    /// Since the start of the command.
    pub(super) at: Duration,
    /// The pieces of each row.
    pub(super) rows: Vec<Vec<Piece>>,
}

/// Neighbouring characters that look alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) column: u16,
    pub(super) text: String,
    pub(super) look: Look,
}

/// How a character looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// The palette's number, where it is not the usual colour.
    pub(super) color: Option<u8>,
    pub(super) bold: bool,
    pub(super) dim: bool,
}

/// Runs `command` and gives its screens; in what it prints each first text of `hidden` becomes the
/// second.
///
/// # Errors
/// When there is no terminal to be had, or the command fails.
pub(super) fn record(mut command: Command, hidden: &[(String, String)]) -> Result<Vec<Frame>> {
    let size = Winsize {
        ws_row: ROWS,
        ws_col: COLUMNS,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let terminal = openpty(&size, None).context("no terminal to be had")?;
    command
        .stdin(Stdio::null())
        .stdout(terminal.slave.try_clone()?)
        .stderr(terminal.slave);
    let started = Instant::now();
    let mut child = command.spawn()?;
    // Closes this process's own copies of the other end, so that its end is seen.
    drop(command);
    let mut master = File::from(terminal.master);
    let whole = |size| NonZero::new(size).context("a terminal without rows or columns");
    let mut parser = Parser::new(whole(ROWS)?, whole(COLUMNS)?, 0);
    let mut frames: Vec<Frame> = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    let mut rest = Vec::new();
    loop {
        let count = match master.read(&mut buffer) {
            // A terminal whose other end is closed reads as an error.
            Ok(0) => break,
            Err(error) if error.raw_os_error() == Some(nix::libc::EIO) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        };
        let at = started.elapsed();
        rest.extend_from_slice(&buffer[..count]);
        // Up to the end of a line or of a redrawn bar, so that no screen is half drawn.
        let Some(end) = rest
            .iter()
            .rposition(|byte| matches!(byte, b'\n' | b'\r' | b'm' | b'K'))
        else {
            continue;
        };
        let whole: Vec<u8> = rest.drain(..=end).collect();
        parser.process(&whole);
        let rows = screen(&parser, hidden);
        match frames.last_mut() {
            Some(last) if last.rows == rows => {}
            Some(last) if at < last.at + BETWEEN => last.rows = rows,
            _ => frames.push(Frame { at, rows }),
        }
    }
    parser.process(&rest);
    let status = child.wait()?;
    ensure!(status.success(), "the command ended with {status}");
    let last = Frame {
        at: started.elapsed(),
        rows: screen(&parser, hidden),
    };
    frames.push(last);
    Ok(frames)
}

/// What stands in the cells, row by row. Texts are hidden here and not in what is printed, because
/// programs count the columns of what they print.
fn screen(parser: &Parser, hidden: &[(String, String)]) -> Vec<Vec<Piece>> {
    (0..ROWS)
        .map(|row| pieces(&hide(cells(parser, row), hidden)))
        .collect()
}

fn cells(parser: &Parser, row: u16) -> Vec<(char, Look)> {
    let screen = parser.screen();
    (0..COLUMNS)
        .filter_map(|column| {
            let cell = screen.cell(row, column)?;
            let color = match cell.fgcolor() {
                Color::Idx(index) => Some(index),
                _ => None,
            };
            let look = Look {
                color,
                bold: cell.bold(),
                dim: cell.dim(),
            };
            Some((cell.contents().chars().next().unwrap_or(' '), look))
        })
        .collect()
}

fn hide(mut cells: Vec<(char, Look)>, hidden: &[(String, String)]) -> Vec<(char, Look)> {
    for (private, public) in hidden {
        let private: Vec<char> = private.chars().collect();
        let found = |cells: &[(char, Look)]| {
            cells
                .windows(private.len())
                .position(|part| part.iter().map(|(c, _)| c).eq(&private))
        };
        while let Some(at) = found(&cells) {
            let look = cells[at].1;
            let public = public.chars().map(|c| (c, look));
            drop(cells.splice(at..at + private.len(), public));
        }
    }
    cells
}

fn pieces(cells: &[(char, Look)]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for (column, (character, look)) in (0..).zip(cells) {
        match pieces.last_mut() {
            Some(piece) if piece.look == *look => piece.text.push(*character),
            _ => pieces.push(Piece {
                column,
                text: character.to_string(),
                look: *look,
            }),
        }
    }
    for piece in &mut pieces {
        piece.text.truncate(piece.text.trim_end().len());
    }
    pieces.retain(|piece| !piece.text.is_empty());
    pieces
}
