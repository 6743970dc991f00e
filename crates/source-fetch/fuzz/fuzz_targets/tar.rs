//! No tar archive writes beside its folder, or more than it may.
#![no_main]

use libfuzzer_sys::fuzz_target;
use source_fetch::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    let mut archive = bytes.to_vec();
    fuzzing::with_tar_checksums(&mut archive);
    fuzzing::extract("x.tar", &archive);
});
