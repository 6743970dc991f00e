use std::borrow::Cow;
use std::time::Duration;

use crate::isolation::Isolation;

/// Which pipe a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What ended a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineEnd {
    /// A newline, or a carriage return followed by one.
    Newline,
    /// A lone carriage return: a progress line that the next one overwrites.
    CarriageReturn,
    /// The end of the stream: the last line had no terminator.
    EndOfStream,
}

/// One fact about a running build.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The process was started. Sent once, first.
    Started {
        /// Phase name, `evaluate` or the program that runs.
        what: Cow<'a, str>,
        /// The isolation in force.
        isolation: Isolation,
    },
    /// One line of output, without its terminator.
    Output {
        /// Where it was written.
        stream: Stream,
        /// The line; bytes that are not UTF-8 are replaced by U+FFFD.
        text: Cow<'a, str>,
        /// What ended it.
        end: LineEnd,
        /// Bytes cut off because the line was longer than 64 KiB.
        dropped: u64,
    },
    /// Something that the caller should show but that does not end the build.
    Warning {
        /// Lower case, no final stop.
        text: Cow<'a, str>,
    },
    /// Everything has ended and no process is left. Sent once, last.
    Finished {
        /// Wall time from start to end.
        duration: Duration,
        /// Bytes of output on both streams.
        bytes: u64,
    },
}

/// Receives the events of a build while it runs.
///
/// It is called from inside the future that runs the build, so it must return soon; while it does
/// not, no output is read and the build waits on its full pipe, which is the back-pressure.
pub trait Reporter: Send + Sync {
    /// Takes one event. Text is borrowed: copy what must outlive the call.
    fn report(&self, event: Event<'_>);
}

impl<F: Fn(Event<'_>) + Send + Sync> Reporter for F {
    fn report(&self, event: Event<'_>) {
        self(event);
    }
}

/// A reporter that drops every event.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn report(&self, _: Event<'_>) {}
}
