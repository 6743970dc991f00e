//! Answers that are of no use, each with the error it has to give.

mod content;
mod status;
mod transport;

use std::io::Write as _;

use crate::support::*;

pub const JSON: &str = "Content-Type: application/json\r\n";
pub const GOOD: &str = r#"{"id":"w","variants":[{"backend":"cpu"}]}"#;

/// What is asked of the server.
#[derive(Clone, Copy, PartialEq)]
pub enum Call {
    Get,
    List,
    /// The source recipe of an entry without a recipe URL.
    Recipe,
}

/// Limits that a case shortens.
#[derive(Clone, Copy, PartialEq)]
pub enum Hurry {
    No,
    Idle,
    Whole,
}

/// A name, what is asked, limits, the answer, and the variant of the error.
pub struct Case(
    pub &'static str,
    pub Call,
    pub Hurry,
    pub Vec<Step>,
    pub &'static str,
);

pub fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

pub fn with(mut steps: Vec<Step>, last: Step) -> Vec<Step> {
    steps.push(last);
    steps
}

pub fn get_json(name: &'static str, body: impl AsRef<[u8]>, expected: &'static str) -> Case {
    Case(name, Call::Get, Hurry::No, json(body), expected)
}

pub fn get_raw(name: &'static str, steps: Vec<Step>, expected: &'static str) -> Case {
    Case(name, Call::Get, Hurry::No, steps, expected)
}

/// Every case.
pub fn all() -> impl Iterator<Item = Case> {
    [
        transport::transport_cases(),
        content::content_cases(),
        status::status_cases(),
        status::recipe_cases(),
    ]
    .into_iter()
    .flatten()
}
