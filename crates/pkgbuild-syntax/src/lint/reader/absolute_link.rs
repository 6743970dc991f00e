//! Links in a package that name a place on this host.

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic};

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let links = subject
        .invocations
        .iter()
        .filter(|invocation| invocation.packages() && invocation.name() == "ln")
        .filter(|invocation| {
            let long = |word: &crate::invocation::Text| word.raw == "--symbolic";
            invocation.has_flag('s') || invocation.arguments().iter().any(long)
        });
    for link in links {
        let Some(target) = link.operands().next() else {
            continue;
        };
        let path = target.known.as_deref().unwrap_or_default();
        let own = ["/usr/", "/opt/"]
            .iter()
            .any(|start| path.starts_with(start));
        if own && link.operands().any(|word| word.raw.contains("pkgdir")) {
            found.push(Code::LinkAbsolute.found(
                Some(target.span),
                format!("the link to `{path}` breaks where the package is not installed at `/`"),
                "make the link relative, for example with `ln -sr` and \"$pkgdir\" in front",
            ));
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    (
        "package() {\n  ln -s /usr/lib/b \"$pkgdir/usr/bin/b\"\n}",
        &[(Code::LinkAbsolute, "/usr/lib/b")],
    ),
    (
        "package() {\n  ln --symbolic /opt/b \"$pkgdir/usr/bin/b\"\n}",
        &[(Code::LinkAbsolute, "/opt/b")],
    ),
    (
        "package() {\n  ln -s ../lib/b \"$pkgdir/usr/bin/b\"\n}",
        &[],
    ),
    ("package() {\n  ln -s /dev/null \"$pkgdir/etc/b\"\n}", &[]),
    ("build() {\n  ln -s /usr/lib/b b\n}\npackage() { :; }", &[]),
];
