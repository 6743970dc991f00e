//! No gzip file writes beside its folder, or more than it may.
#![no_main]

use libfuzzer_sys::fuzz_target;
use source_fetch::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    const MAGIC: &[u8] = b"\x1f\x8b\x08";
    if bytes.starts_with(MAGIC) {
        fuzzing::extract("x.gz", bytes);
    } else {
        fuzzing::extract("x.gz", &[MAGIC, bytes].concat());
    }
});
