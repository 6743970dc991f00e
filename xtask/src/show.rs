//! Printing for people: nothing that strangers have written drives the terminal.

use std::fmt;
use std::io::Write as _;

/// A line on standard output. A reader that has gone away is no reason to stop.
pub(crate) fn line(arguments: fmt::Arguments<'_>) {
    let text = arguments.to_string();
    let _ = writeln!(std::io::stdout(), "{}", printable::text(&text));
}

/// A line on standard error.
pub(crate) fn error(arguments: fmt::Arguments<'_>) {
    let text = arguments.to_string();
    let _ = writeln!(std::io::stderr(), "{}", printable::text(&text));
}

/// [`println!`] for what may hold a stranger's words.
macro_rules! say {
    ($($arguments:tt)*) => { $crate::show::line(format_args!($($arguments)*)) };
}

/// [`eprintln!`] for what may hold a stranger's words.
macro_rules! say_error {
    ($($arguments:tt)*) => { $crate::show::error(format_args!($($arguments)*)) };
}

pub(crate) use {say, say_error};
