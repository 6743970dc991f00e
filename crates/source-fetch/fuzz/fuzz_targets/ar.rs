//! No ar file writes beside its folder, or more than it may.
#![no_main]

use libfuzzer_sys::fuzz_target;
use source_fetch::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    const MAGIC: &[u8] = b"!<arch>\n";
    if bytes.starts_with(MAGIC) {
        fuzzing::extract("x.deb", bytes);
    } else {
        fuzzing::extract("x.deb", &[MAGIC, bytes].concat());
    }
});
