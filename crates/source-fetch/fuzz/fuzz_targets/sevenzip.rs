//! No 7z file writes beside its folder, or more than it may.
#![no_main]

use libfuzzer_sys::fuzz_target;
use source_fetch::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    const MAGIC: &[u8] = b"7z\xbc\xaf\x27\x1c\0\x04";
    let mut archive = bytes.to_vec();
    if !bytes.starts_with(MAGIC) {
        archive.splice(..0, MAGIC.iter().copied());
    }
    fuzzing::with_7z_checksums(&mut archive);
    fuzzing::extract("x.7z", &archive);
});
