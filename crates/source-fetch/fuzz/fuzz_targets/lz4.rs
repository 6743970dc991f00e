//! No lz4 file writes beside its folder, or more than it may.
#![no_main]

use libfuzzer_sys::fuzz_target;
use source_fetch::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    const MAGIC: &[u8] = b"\x04\x22\x4d\x18";
    if bytes.starts_with(MAGIC) {
        fuzzing::extract("x.tar.lz4", bytes);
    } else {
        fuzzing::extract("x.tar.lz4", &[MAGIC, bytes].concat());
    }
});
