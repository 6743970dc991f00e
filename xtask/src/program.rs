//! The program that people run, `rbee-worker`, built from this clone.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Names one that is there already, instead of building it.
const VARIABLE: &str = "RBEE_WORKER";

/// Builds `rbee-worker` as this program was built, unless `$RBEE_WORKER` names one.
///
/// # Errors
/// When it cannot be built.
pub(crate) fn rbee_worker() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(VARIABLE) {
        return Ok(path.into());
    }
    let program = std::env::current_exe()?.with_file_name("rbee-worker");
    let profile = program.parent().unwrap_or(Path::new("/"));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--package", "rbee-worker"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if let Some(target) = profile.parent() {
        command.arg("--target-dir").arg(target);
    }
    match profile.file_name().and_then(|name| name.to_str()) {
        None | Some("debug") => {}
        Some(name) => {
            command.args(["--profile", name]);
        }
    }
    let status = command.status().context("`cargo` cannot be started")?;
    ensure!(
        status.success() && program.is_file(),
        "`rbee-worker` cannot be built"
    );
    Ok(program)
}
