//! A tree that is made from the input is copied, measured, handed over and removed, and nothing
//! else is.
#![no_main]

#[path = "../../tests/generated/mod.rs"]
mod generated;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| generated::check(bytes));
