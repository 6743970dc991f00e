//! Fields that cannot have an architecture (`lint_arch_specific`).

use super::{Lint, never_suffixed};
use crate::lint::diagnostic::Code;
use crate::package::ArrayField;

impl Lint<'_> {
    pub(super) fn arch_specific(&mut self) {
        let mut name = String::new();
        for arch in self.arches() {
            let any = (arch == "any")
                .then_some(ArrayField::SUFFIXED)
                .into_iter()
                .flatten();
            let any = any.map(|field| (field.name(), Code::ArchAnySuffix));
            let never = never_suffixed().map(|name| (name, Code::ArchSuffix));
            for (field, code) in any.chain(never) {
                name.clear();
                name.extend([field, "_", &arch]);
                let in_function = self
                    .recipe
                    .functions
                    .iter()
                    .any(|lines| lines.matching(&name).next().is_some());
                if self.is_declared(&name) || in_function {
                    let span = self.span(&name);
                    self.report(
                        code,
                        span,
                        format!("`{field}` cannot be specific to an architecture: `{name}`"),
                        format!("rename the variable, or assign `{field}` itself"),
                    );
                }
            }
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    (
        "arch=(any)\ndepends_any=(x)",
        &[(Code::ArchAnySuffix, "depends_any=(x)")],
    ),
    ("url_x86_64=x", &[(Code::ArchSuffix, "url_x86_64=x")]),
    (
        "package() {\nlicense_x86_64=(x)\n:\n}",
        &[(Code::ArchSuffix, "")],
    ),
    ("depends_x86_64=(x)", &[]),
    ("url_i686=x", &[]),
];
