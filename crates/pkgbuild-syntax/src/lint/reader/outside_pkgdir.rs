//! Commands that write to the host instead of "$pkgdir".

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic};

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for invocation in &subject.invocations {
        let builds = matches!(
            invocation.function.as_deref(),
            Some("prepare" | "pkgver" | "build" | "check")
        );
        if !builds && !invocation.packages() {
            continue;
        }
        for target in invocation.host_targets() {
            found.push(Code::OutsidePkgdir.found(
                Some(target.span),
                format!("`{}` is written on the host itself", target.raw),
                "put \"$pkgdir\" in front",
            ));
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    (
        "package() {\n  install -Dm755 b /usr/bin/b\n}",
        &[(Code::OutsidePkgdir, "/usr/bin/b")],
    ),
    (
        "package() {\n  rm -rf /usr/share/b\n}",
        &[(Code::OutsidePkgdir, "/usr/share/b")],
    ),
    (
        "package() {\n  cp -t /etc/b b\n}",
        &[(Code::OutsidePkgdir, "/etc/b")],
    ),
    (
        "build() {\n  echo b > /etc/b\n}\npackage() { :; }",
        &[(Code::OutsidePkgdir, "/etc/b")],
    ),
    (
        "package() {\n  install -Dm644 /usr/share/licenses/b -t \"$pkgdir/usr\"\n}",
        &[],
    ),
    ("package() {\n  cp /etc/b \"${pkgdir}\"/etc/b\n}", &[]),
    ("package() {\n  sed -i s,/usr/local,/usr, b\n}", &[]),
];
