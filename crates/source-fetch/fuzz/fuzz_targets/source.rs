//! No text makes the source syntax panic, and what it reads it writes again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use source_fetch::Source;

fuzz_target!(|text: &str| {
    if let Ok(source) = text.parse::<Source>() {
        let written = source.to_string();
        let again = written.parse::<Source>().ok();
        assert_eq!(again.as_ref(), Some(&source), "{written:?}");
        assert!(!source.file_name().contains('/'), "{written:?}");
        assert!(
            !matches!(source.file_name(), "" | "." | ".."),
            "{written:?}"
        );
    }
});
