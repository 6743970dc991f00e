//! Files that there are not (`lint_changelog`, `lint_install`).

use super::Lint;
use crate::lint::diagnostic::Code;
use crate::package::StringField;

impl Lint<'_> {
    pub(super) fn files(&mut self) {
        let package = &self.recipe.package;
        for (field, code) in [
            (StringField::Changelog, Code::ChangelogMissing),
            (StringField::Install, Code::InstallMissing),
        ] {
            let overrides = package
                .overrides
                .iter()
                .map(|overrides| &overrides.metadata);
            let layers = [&package.common].into_iter().chain(overrides);
            for value in layers.filter_map(|metadata| metadata.string(field)) {
                match value.get() {
                    Err(reason) => self.undecided([reason]),
                    Ok(path) if path.is_empty() || (self.is_file)(path) => {}
                    // The recipe may write the file itself.
                    Ok(_) if let Some(reason) = self.recipe.evaluation.files_changed() => {
                        self.undecided([reason]);
                    }
                    Ok(path) => self.report(
                        code,
                        value.span(),
                        format!(
                            "the file `{path}` that `{}` names does not exist",
                            field.name()
                        ),
                        "add the file beside the recipe, or correct the name",
                    ),
                }
            }
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    ("changelog=x", &[(Code::ChangelogMissing, "changelog=x")]),
    ("install=x", &[(Code::InstallMissing, "install=x")]),
    (
        "package() {\n install=x\n:\n}",
        &[(Code::InstallMissing, "install=x")],
    ),
    ("install=here\nchangelog=here", &[]),
    ("echo > x\ninstall=x", &[]),
    ("install=", &[]),
];
