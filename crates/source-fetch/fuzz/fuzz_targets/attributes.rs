//! No `.gitattributes` takes longer to compare than its length, and no conversion of a file panics or grows without end.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| source_fetch::git::fuzzing::attributes(text));
