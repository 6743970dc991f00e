//! What the `.SRCINFO` reader accepts, it reads the same again after it was written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pkgbuild_syntax::{ArrayField, Package};

fuzz_target!(|text: &str| {
    let Ok(package) = Package::from_srcinfo(text) else {
        return;
    };
    let written = package
        .srcinfo()
        .expect("everything in a .SRCINFO is known");
    let again = Package::from_srcinfo(&written).expect("what is written can be read");
    let arches = again
        .common
        .array(ArrayField::Arch)
        .cloned()
        .unwrap_or_default();
    let mut names = arches.texts().expect("everything in a .SRCINFO is known");
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    // A repeated architecture repeats its lists.
    if names.len() == count
        && again
            .overrides
            .iter()
            .all(|own| own.metadata.array(ArrayField::Arch).is_none())
    {
        assert_eq!(again.srcinfo().expect("still known"), written);
    }
});
