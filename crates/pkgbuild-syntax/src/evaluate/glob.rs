//! File name expansion against the files beside the recipe.

use super::dynamic::{DynamicKind, Stop};
use super::pattern::Pattern;
use super::shell::Shell;

/// Expands a pattern to the names it matches; `None` when it stays as it is.
pub(crate) fn expand(shell: &mut Shell, pattern: &str) -> Result<Option<Vec<String>>, Stop> {
    let compiled = Pattern::compile(pattern, shell.state.options.extglob)?
        .ignoring_case(shell.state.options.nocaseglob);
    if compiled.literal().is_some() {
        return Ok(None);
    }
    let plain = pattern.replace('\\', "");
    // No recipe's folder holds a folder `https:`, so that addresses need no look at the disk.
    if plain.contains("://") {
        return unmatched(shell, &plain);
    }
    if plain.starts_with(['/', '~']) || plain.split('/').any(|part| part == "..") {
        return Err(shell.reason(DynamicKind::File(plain)).into());
    }
    if let Some(reason) = shell
        .state
        .moved
        .clone()
        .or_else(|| shell.state.files_changed.clone())
    {
        return Err(reason.into());
    }
    shell.told.look_at_files();
    let mut found = Vec::new();
    let names: Vec<String> = shell.environment.facts.files.keys().cloned().collect();
    let hidden = shell.state.options.dotglob;
    for name in names.iter().map(String::as_str).chain(["PKGBUILD"]) {
        let segments: Vec<&str> = plain_segments(pattern);
        let parts: Vec<&str> = name.split('/').collect();
        if segments.len() > parts.len() {
            continue;
        }
        let mut all = true;
        for (segment, part) in segments.iter().zip(&parts) {
            let visible = hidden || !part.starts_with('.') || segment.starts_with(['.', '\\']);
            let segment = Pattern::compile(segment, shell.state.options.extglob)?;
            if !visible || !segment.matches(part, &mut shell.fuel)? {
                all = false;
                break;
            }
        }
        if all {
            found.push(parts[..segments.len()].join("/"));
        }
    }
    found.sort();
    found.dedup();
    if found.is_empty() {
        return unmatched(shell, &plain);
    }
    if names.is_empty() {
        // Which other files there are was not told.
        return Err(shell.reason(DynamicKind::File(plain)).into());
    }
    Ok(Some(found))
}

fn plain_segments(pattern: &str) -> Vec<&str> {
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
    pattern
        .split('/')
        .map(|segment| segment.strip_suffix('\\').unwrap_or(segment))
        .collect()
}

fn unmatched(shell: &Shell, pattern: &str) -> Result<Option<Vec<String>>, Stop> {
    if shell.state.options.failglob {
        return Err(Stop::failed(format!("no match: {pattern}")));
    }
    Ok(shell.state.options.nullglob.then(Vec::new))
}
