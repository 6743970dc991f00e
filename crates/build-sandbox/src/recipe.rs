//! Reads the recipe of a build.

use tokio::task::spawn_blocking;

use crate::error::SandboxError;
use crate::prepare::io_error;
use crate::script;
use crate::spec::{BuildSpec, invalid};

const RECIPE_MAX: u64 = 1 << 20;

/// Reads the recipe; if its version lines have to change, returns a descriptor of the new text.
pub(crate) async fn recipe_text(
    spec: &BuildSpec,
) -> Result<(Option<std::os::fd::OwnedFd>, bool), SandboxError> {
    let spec = spec.clone();
    let read = spawn_blocking(move || {
        let path = &spec.recipe;
        let metadata = std::fs::metadata(path).map_err(io_error("read recipe", path))?;
        if !metadata.is_file() || metadata.len() > RECIPE_MAX {
            return Err(invalid(
                "recipe",
                "is no regular file or larger than 1 MiB",
                path.display(),
            ));
        }
        let text = std::fs::read(path).map_err(io_error("read recipe", path))?;
        let Some(new) = script::replace_version(&spec, &text) else {
            return Ok((None, false));
        };
        let fd = crate::sys::memory_file(&new).map_err(io_error("copy recipe", path))?;
        Ok((Some(fd), true))
    });
    read.await.unwrap_or_else(|join| {
        let source = std::io::Error::other(join);
        Err(SandboxError::Start {
            step: "run a blocking task",
            source,
        })
    })
}
