//! What holds for any tree.
#![cfg(target_os = "linux")]

mod generated;

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, proptest};

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_made_is_copied_whole_and_removed_whole(bytes in vec(any::<u8>(), 0..300)) {
        generated::check(&bytes);
    }
}
