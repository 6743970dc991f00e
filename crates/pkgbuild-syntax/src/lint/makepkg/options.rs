//! Switches (`lint_options`).

use super::Lint;
use crate::lint::diagnostic::Code;
use crate::lint::rules;
use crate::span::Span;

impl Lint<'_> {
    pub(super) fn option(&mut self, text: &str, span: Option<Span>) {
        if !rules::is_option(text) {
            self.report(
                Code::OptionUnknown,
                span,
                format!("makepkg does not know the option `{text}`"),
                "use one of strip, docs, libtool, staticlibs, emptydirs, zipman, purge, debug, \
                 lto, autodeps, ccache, distcc, buildflags, makeflags, or `!` and one of them",
            );
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    ("options=(fast)", &[(Code::OptionUnknown, "fast")]),
    ("options=('! strip')", &[(Code::OptionUnknown, "'! strip'")]),
    ("options=(!strip debug !autodeps)", &[]),
];
