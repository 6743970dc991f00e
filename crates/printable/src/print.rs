//! Printing for people.

use std::fmt;
use std::io::Write as _;

/// Prints a line on standard output, made harmless by [`text`](crate::text). A reader that has gone
/// away is no failure.
pub fn line(arguments: fmt::Arguments<'_>) {
    let text = arguments.to_string();
    let _ = writeln!(std::io::stdout(), "{}", crate::text(&text));
}

/// Prints a line on standard error, as [`line()`] does on standard output.
pub fn error_line(arguments: fmt::Arguments<'_>) {
    let text = arguments.to_string();
    let _ = writeln!(std::io::stderr(), "{}", crate::text(&text));
}

/// [`println!`] for what may hold a stranger's words.
#[macro_export]
macro_rules! say {
    ($($arguments:tt)*) => { $crate::line(format_args!($($arguments)*)) };
}

/// [`eprintln!`] for what may hold a stranger's words.
#[macro_export]
macro_rules! say_error {
    ($($arguments:tt)*) => { $crate::error_line(format_args!($($arguments)*)) };
}
