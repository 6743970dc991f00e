//! Finds processes by a marker in their environment, not by what anyone says of them.

use std::fs;

/// The ids of all live processes whose environment holds `marker`; zombies do not count.
///
/// Always empty where there is no `/proc`.
pub fn with_marker(marker: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&pid: &u32| pid != std::process::id())
        .filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let found = environment
                .windows(marker.len().max(1))
                .any(|window| window == marker.as_bytes());
            found && !is_zombie(*pid)
        })
        .collect()
}

fn is_zombie(pid: u32) -> bool {
    // The state follows the command's name, which is in parentheses and may itself hold some.
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| {
            stat.rsplit_once(')')
                .map(|(_, rest)| rest.trim_start().starts_with('Z'))
        })
        .unwrap_or(true)
}
