//! No answer of a git server makes the client panic, hang or read without end.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|answers: &[u8]| source_fetch::git::fuzzing::conversation(answers));
