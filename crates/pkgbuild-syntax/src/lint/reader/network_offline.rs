//! Programs that need the network where there is none: in `check()` and `package()`.

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic};

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for invocation in &subject.invocations {
        let function = invocation.function.as_deref().unwrap_or_default();
        if (function == "check" || invocation.packages()) && invocation.needs_network() {
            found.push(Code::NetworkOffline.found(
                Some(invocation.span),
                format!(
                    "`{}` needs the network, which `{function}()` has not",
                    invocation.name()
                ),
                "fetch in `source`, or in `prepare()`",
            ));
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    (
        "package() {\n  git clone https://x.org/b\n}",
        &[(Code::NetworkOffline, "git clone https://x.org/b")],
    ),
    (
        "check() {\n  curl -O https://x.org/b\n}\npackage() { :; }",
        &[(Code::NetworkOffline, "*")],
    ),
    (
        "build() {\n  git clone x\n}\npackage() { make PREFIX=/usr DESTDIR=\"$pkgdir\" install; }",
        &[],
    ),
    (
        "package() {\n  npm install -g --prefix \"$pkgdir/usr\" \"$srcdir\"/b-1.tgz\n}",
        &[],
    ),
    (
        "check() {\n  pip install ./dist/*.whl\n}\npackage() { :; }",
        &[],
    ),
];
