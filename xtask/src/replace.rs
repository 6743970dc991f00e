//! Files that are written anew.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

use crate::srcinfo::folder_of;

/// Puts a new text in the place of a file, which keeps its mode. The text is written beside it first,
/// so that a full disk leaves the old one.
pub(crate) fn replace(file: &Path, text: &[u8]) -> anyhow::Result<()> {
    let folder = folder_of(file);
    let mut new = tempfile::NamedTempFile::new_in(folder)
        .with_context(|| format!("failed to write in `{}`", folder.display()))?;
    new.write_all(text)?;
    new.as_file()
        .set_permissions(fs::metadata(file)?.permissions())?;
    new.persist(file)
        .with_context(|| format!("failed to write `{}`", file.display()))?;
    Ok(())
}
