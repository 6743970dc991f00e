//! Screens as one animated SVG that needs no script, so that it plays where pictures are shown.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::record::{COLUMNS, Frame, Look, Piece, ROWS};

/// A character's cell, in pixels.
const CELL: (f64, f64) = (8.4, 18.0);

/// The number of characters of a row, or a place in it, as a factor.
fn count(characters: usize) -> f64 {
    // A row has fewer than 65,536 columns.
    f64::from(u16::try_from(characters).unwrap_or(u16::MAX))
}
/// Between the window's edge and the text.
const MARGIN: f64 = 16.0;
/// The window's title bar.
const BAR: f64 = 34.0;

/// How long what is typed stands alone, and how long the last screen stays.
const TYPED: Duration = Duration::from_millis(1_200);
const LAST: Duration = Duration::from_secs(7);

/// A run is shown at this part of its speed, because people read slower than builds print.
const SLOWER: u32 = 2;

/// Draws the command as it was typed and then each screen below it.
pub(super) fn draw(typed: &str, frames: &[Frame]) -> String {
    let width = f64::from(COLUMNS) * CELL.0 + 2.0 * MARGIN;
    let height = BAR + f64::from(ROWS + 1) * CELL.1 + 2.0 * MARGIN;
    let total = frames
        .last()
        .map_or(LAST, |last| TYPED + last.at * SLOWER + LAST);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">\n<title>{}</title>\n<style>\n",
        escape(typed)
    );
    svg.push_str(STYLE);
    // A picture that cannot move shows the last screen.
    let _ = writeln!(
        svg,
        ".f {{ visibility: hidden; animation: {}ms step-end infinite; }}\n.f:last-of-type {{ visibility: visible; }}",
        total.as_millis()
    );
    let percent = |time: Duration| time.as_secs_f64() / total.as_secs_f64() * 100.0;
    for (index, frame) in frames.iter().enumerate() {
        let from = percent(TYPED + frame.at * SLOWER);
        let until = frames
            .get(index + 1)
            .map_or(100.0, |next| percent(TYPED + next.at * SLOWER));
        let _ = writeln!(
            svg,
            "@keyframes f{index} {{ 0% {{ visibility: hidden; }} {from:.2}% {{ visibility: visible; }} {until:.2}% {{ visibility: {}; }} }}\n\
             #f{index} {{ animation-name: f{index}; }}",
            if until < 100.0 { "hidden" } else { "visible" },
        );
    }
    svg.push_str("</style>\n");
    window(&mut svg, width, height);
    let _ = writeln!(
        svg,
        "<g class=\"t\" transform=\"translate({MARGIN} {:.0})\">",
        BAR + MARGIN + 13.0
    );
    let prompt = Piece {
        column: 2,
        text: typed.to_owned(),
        look: Look {
            color: None,
            bold: true,
            dim: false,
        },
    };
    svg.push_str("<text class=\"c2 b\" x=\"0\">$</text>");
    piece(&mut svg, &prompt);
    svg.push('\n');
    screens(&mut svg, frames);
    svg.push_str("</g>\n</svg>\n");
    svg
}

/// Rows that stand in several screens are drawn once and referred to.
fn screens(svg: &mut String, frames: &[Frame]) {
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut defined = String::new();
    let mut used = String::new();
    for (index, frame) in frames.iter().enumerate() {
        let _ = write!(used, "<g class=\"f\" id=\"f{index}\">");
        for (row, pieces) in frame.rows.iter().enumerate() {
            if pieces.is_empty() {
                continue;
            }
            let mut line = String::new();
            for each in pieces {
                piece(&mut line, each);
            }
            let next = known.len();
            let id = *known.entry(line.clone()).or_insert_with(|| {
                let _ = writeln!(defined, "<g id=\"r{next}\">{line}</g>");
                next
            });
            let y = count(row + 1) * CELL.1;
            let _ = write!(used, "<use href=\"#r{id}\" y=\"{y}\"/>");
        }
        used.push_str("</g>\n");
    }
    let _ = write!(svg, "<defs>\n{defined}</defs>\n{used}");
}

fn piece(svg: &mut String, piece: &Piece) {
    let blank = piece.text.len() - piece.text.trim_start().len();
    let text = &piece.text[blank..];
    let length = text.chars().count();
    let x = (f64::from(piece.column) + count(blank)) * CELL.0;
    let mut class = String::new();
    if let Some(color) = piece.look.color {
        let _ = write!(class, "c{} ", color % 16);
    }
    class.push_str(if piece.look.bold { "b " } else { "" });
    class.push_str(if piece.look.dim { "d" } else { "" });
    let class = match class.trim_end() {
        "" => String::new(),
        class => format!(" class=\"{class}\""),
    };
    let _ = write!(
        svg,
        "<text{class} x=\"{x:.1}\" textLength=\"{:.1}\">{}</text>",
        count(length) * CELL.0,
        escape(text)
    );
}

fn window(svg: &mut String, width: f64, height: f64) {
    let _ = writeln!(
        svg,
        "<rect width=\"{width:.0}\" height=\"{height:.0}\" rx=\"9\" fill=\"#16181d\"/>\n\
         <path d=\"M0 {BAR}V9a9 9 0 0 1 9-9H{:.0}a9 9 0 0 1 9 9V{BAR}z\" fill=\"#23262e\"/>",
        width - 9.0
    );
    for (index, color) in ["#ec6a5e", "#f4bf4f", "#61c554"].iter().enumerate() {
        let x = 20 + index * 20;
        let _ = writeln!(
            svg,
            "<circle cx=\"{x}\" cy=\"17\" r=\"6\" fill=\"{color}\"/>"
        );
    }
}

const STYLE: &str = "\
.t { font: 14px 'JetBrains Mono', 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #d5d9e2; }
.t text { white-space: pre; }
.b { font-weight: bold; }
.d { opacity: 0.55; }
.c1 { fill: #ef6b73; }
.c2 { fill: #7fd08a; }
.c3 { fill: #e8c26a; }
.c4 { fill: #4a6da7; }
.c5 { fill: #c792ea; }
.c6 { fill: #5fc8d8; }
.c8 { fill: #7d8494; }
";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        // Runs of blanks stay as long as they are.
        .replace("  ", "\u{a0}\u{a0}")
}
