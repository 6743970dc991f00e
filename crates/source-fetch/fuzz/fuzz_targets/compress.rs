//! No compress(1) file writes beside its folder, or more than it may.
#![no_main]

use libfuzzer_sys::fuzz_target;
use source_fetch::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    const MAGIC: &[u8] = b"\x1f\x9d";
    let mut archive = bytes.to_vec();
    if !bytes.starts_with(MAGIC) {
        archive.splice(..0, MAGIC.iter().copied());
    }
    fuzzing::extract("x.tar.Z", &archive);
});
