//! Shows a provision to a person: bars on a terminal, plain lines elsewhere, JSON on request.

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use console::Style;
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};
use worker_provisioner::{Happening, OutputStream, ProvisionEvent, ProvisionPhase, Reporter, Unit};

/// The display that suits standard error: live when it is a terminal.
pub(crate) fn for_stderr(verbose: bool) -> Arc<dyn Reporter> {
    if std::io::stderr().is_terminal() {
        Arc::new(Live::new(verbose))
    } else {
        Arc::new(Plain { verbose })
    }
}

/// One JSON event a line on standard output.
#[derive(Debug)]
pub(crate) struct Json;

impl Reporter for Json {
    fn report(&self, event: &ProvisionEvent) {
        if let Ok(line) = serde_json::to_string(event) {
            // A reader that has gone away is no reason to stop installing.
            let _ = writeln!(std::io::stdout(), "{line}");
        }
    }
}

/// One line for each thing worth reading; no progress, which only scrolls.
#[derive(Debug)]
struct Plain {
    verbose: bool,
}

impl Reporter for Plain {
    fn report(&self, event: &ProvisionEvent) {
        let phase = event.phase.title();
        match &event.happening {
            Happening::Progress { .. } | Happening::Started if !self.verbose => {}
            happening => {
                if let Some(text) = describe(happening) {
                    // A reader that has gone away is no reason to stop installing.
                    let _ = writeln!(std::io::stderr(), "{phase:<14} {text}");
                }
            }
        }
    }
}

/// A spinner for the running phase, a bar for each subject with a known total.
struct Live {
    screen: MultiProgress,
    state: Mutex<LiveState>,
    verbose: bool,
}

#[derive(Default)]
struct LiveState {
    phases: HashMap<ProvisionPhase, ProgressBar>,
    subjects: HashMap<String, ProgressBar>,
}

impl Live {
    fn new(verbose: bool) -> Self {
        Self {
            screen: MultiProgress::new(),
            state: Mutex::default(),
            verbose,
        }
    }

    fn spinner(&self, title: &str) -> ProgressBar {
        let bar = self.screen.add(ProgressBar::new_spinner());
        bar.set_style(style(
            "{spinner:.cyan} {prefix:<14} {wide_msg} {elapsed:>4.dim}",
        ));
        bar.set_prefix(title.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }

    /// A line above the bars, with a mark for what has ended.
    fn line(&self, title: &str, happening: &Happening) {
        let Some(text) = describe(happening) else {
            return;
        };
        let plain = Style::new().for_stderr();
        let (mark, style) = match happening {
            Happening::Finished { .. } => ("✓", plain.green()),
            Happening::Failed { .. } | Happening::Cancelled => ("✗", plain.red()),
            Happening::Warning { .. } => ("!", plain.yellow()),
            _ => (" ", plain),
        };
        let _ = self
            .screen
            .println(format!("{} {title:<14} {text}", style.apply_to(mark)));
    }

    fn bar(&self, subject: &str, unit: Unit) -> ProgressBar {
        let bar = self.screen.add(ProgressBar::no_length());
        bar.set_style(style(match unit {
            Unit::Bytes => {
                "  {prefix:<28.28} [{bar:24.cyan/blue}] {bytes:>10}/{total_bytes:<10} {eta:>4}"
            }
            _ => "  {prefix:<28.28} [{bar:24.cyan/blue}] {pos:>10}/{len:<10} {eta:>4}",
        }));
        bar.set_prefix(printable::text(subject).into_owned());
        bar
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

impl Reporter for Live {
    fn report(&self, event: &ProvisionEvent) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let title = event.phase.title();
        match &event.happening {
            Happening::Started => {
                let bar = self.spinner(title);
                state.phases.insert(event.phase, bar);
            }
            Happening::Progress {
                subject,
                done,
                total,
                unit,
            } => {
                if !state.subjects.contains_key(subject) {
                    let bar = self.bar(subject, *unit);
                    state.subjects.insert(subject.clone(), bar);
                }
                if let Some(bar) = state.subjects.get(subject) {
                    if let Some(total) = total {
                        bar.set_length(*total);
                    }
                    bar.set_position(*done);
                }
            }
            Happening::Output { line, .. } => {
                let dim = Style::new().for_stderr().dim();
                let shown = printable::coloured(line);
                let _ = self.screen.println(format!("    {}", dim.apply_to(shown)));
                if let Some(bar) = state.phases.get(&event.phase) {
                    bar.set_message(printable::text(line).into_owned());
                }
            }
            Happening::Finished { .. } | Happening::Failed { .. } | Happening::Cancelled => {
                if let Some(bar) = state.phases.remove(&event.phase) {
                    bar.finish_and_clear();
                }
                for (_, bar) in state.subjects.drain() {
                    bar.finish_and_clear();
                }
                self.line(title, &event.happening);
            }
            happening => self.line(title, happening),
        }
        if self.verbose {
            self.screen.set_move_cursor(false);
        }
    }
}

/// One line for people that drives no terminal, or nothing where a line would only be noise.
fn describe(happening: &Happening) -> Option<String> {
    let text = words(happening)?;
    Some(match happening {
        // Compilers colour what they say, and that helps.
        Happening::Output { .. } => printable::coloured(&text).into_owned(),
        _ => printable::text(&text).into_owned(),
    })
}

fn words(happening: &Happening) -> Option<String> {
    Some(match happening {
        Happening::Started => "...".to_owned(),
        Happening::Note { text } => text.clone(),
        Happening::Progress {
            subject,
            done,
            total,
            unit,
        } => {
            let count = |number: u64| match unit {
                Unit::Bytes => HumanBytes(number).to_string(),
                _ => number.to_string(),
            };
            let total = total.map_or_else(|| "?".to_owned(), count);
            format!("{subject}: {} of {total}", count(*done))
        }
        Happening::Output {
            stream: OutputStream::Stdout,
            line,
        } => format!("| {line}"),
        Happening::Output {
            stream: OutputStream::Stderr,
            line,
        } => format!("! {line}"),
        Happening::Warning { text } => format!("warning: {text}"),
        Happening::Finished { elapsed_ms } => format!("done in {}", seconds(*elapsed_ms)),
        Happening::Failed { error } => format!("failed: {error}"),
        Happening::Cancelled => "cancelled".to_owned(),
        _ => return None,
    })
}

/// Milliseconds as seconds with a useful number of digits.
pub(crate) fn seconds(milliseconds: u64) -> String {
    if milliseconds < 1_000 {
        format!("{milliseconds} ms")
    } else {
        format!(
            "{}.{:02} s",
            milliseconds / 1_000,
            milliseconds % 1_000 / 10
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_told_drives_a_terminal() {
        let hostile = "a\u{1b}]52;c;eA==\u{7}\u{1b}[31mb\u{1b}[?1049h\u{202e}\r".to_owned();
        let output = Happening::Output {
            stream: OutputStream::Stdout,
            line: hostile.clone(),
        };
        let shown = describe(&output).unwrap_or_default();
        assert!(
            shown.contains("\u{1b}[31mb") && shown.ends_with("\u{1b}[0m"),
            "{shown:?}"
        );
        for (happening, colours) in [
            (output, 2),
            (
                Happening::Note {
                    text: hostile.clone(),
                },
                0,
            ),
            (
                Happening::Warning {
                    text: hostile.clone(),
                },
                0,
            ),
            (
                Happening::Failed {
                    error: hostile.clone(),
                },
                0,
            ),
            (
                Happening::Progress {
                    subject: hostile,
                    done: 1,
                    total: None,
                    unit: Unit::Bytes,
                },
                0,
            ),
        ] {
            let shown = describe(&happening).unwrap_or_default();
            let controls = shown.chars().filter(|c| c.is_control() || *c == '\u{202e}');
            assert_eq!(controls.count(), colours, "{shown:?}");
        }
    }
}
