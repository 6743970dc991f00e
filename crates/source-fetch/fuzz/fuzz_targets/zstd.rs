//! No zstd file writes beside its folder, or more than it may.
#![no_main]

use libfuzzer_sys::fuzz_target;
use source_fetch::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    const MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";
    if bytes.starts_with(MAGIC) {
        fuzzing::extract("x.zst", bytes);
    } else {
        fuzzing::extract("x.zst", &[MAGIC, bytes].concat());
    }
});
