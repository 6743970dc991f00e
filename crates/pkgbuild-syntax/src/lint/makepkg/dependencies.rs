//! Other packages, with versions (`lint_depends` and its kin).

use super::Lint;
use crate::lint::diagnostic::Code;
use crate::lint::rules;
use crate::package::ArrayField;
use crate::span::Span;

impl Lint<'_> {
    pub(super) fn dependency(&mut self, field: ArrayField, text: &str, span: Option<Span>) {
        let text = match field {
            ArrayField::Optdepends => rules::without_description(text),
            _ => text,
        };
        let (name, version) = rules::constraint(text);
        self.verdict(Code::NameInvalid, span, rules::name(field.name(), name));
        // makepkg lets `depends` end in an operator (Arch bug 58776).
        if let Some(version) = version
            && !(version.is_empty() && field == ArrayField::Depends)
        {
            self.verdict(
                Code::PkgverInvalid,
                span,
                rules::full_version(field.name(), version),
            );
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    ("depends=(b 'c d')", &[(Code::NameInvalid, "'c d'")]),
    ("makedepends=('b=1/2')", &[(Code::PkgverInvalid, "'b=1/2'")]),
    ("optdepends=('-b: x')", &[(Code::NameInvalid, "'-b: x'")]),
    ("depends=('b>=1:2-3' 'lib.so=')", &[]),
    ("optdepends=('b: x y/z')", &[]),
];
