//! No LZMA file writes beside its folder, or more than it may.
#![no_main]

use libfuzzer_sys::fuzz_target;
use source_fetch::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    const MAGIC: &[u8] = b"\x5d\0\0\x01\0\xff\xff\xff\xff\xff\xff\xff\xff\0";
    let mut archive = bytes.to_vec();
    if !bytes.starts_with(MAGIC) {
        archive.splice(..0, MAGIC.iter().copied());
    }
    fuzzing::extract("x.tar.lzma", &archive);
});
