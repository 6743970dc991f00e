//! The only place where shell text is made.
//!
//! Progress through the script is told over descriptor 3 as records that end in NUL, so that a
//! failure to source the recipe, an absent function and a failing function are never confused.

use std::path::Path;

use crate::environment::recipe_variables;
use crate::phase::Phase;
use crate::quote::quote;
use crate::spec::BuildSpec;

const PRELUDE: &str = include_str!("prelude.sh");

/// Descriptor on which the script tells its progress and results.
pub(crate) const RESULT_FD: i32 = 3;
/// Descriptor from which a recipe with replaced version lines is read.
pub(crate) const RECIPE_FD: i32 = 4;

/// Written just before the function is called.
pub(crate) const MARK_CALLED: &[u8] = b"called";
/// Written if the recipe has no such function.
pub(crate) const MARK_ABSENT: &[u8] = b"absent";
/// Written in front of the declarations of `evaluate`.
pub(crate) const MARK_DECLARED: &[u8] = b"declared";

fn assign(script: &mut Vec<u8>, name: &str, value: &[u8]) {
    script.extend_from_slice(name.as_bytes());
    script.push(b'=');
    script.extend_from_slice(&quote(value));
    script.push(b'\n');
}

fn path(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

/// Directories and the sourcing of the recipe, as makepkg does it: extglob is off while the recipe
/// is read and on while its functions run. Its path is its one argument, as in makepkg's
/// `source_safe`.
fn opening(spec: &BuildSpec, replaced: bool) -> Vec<u8> {
    let mut script = PRELUDE.as_bytes().to_vec();
    for (name, value) in recipe_variables(spec) {
        assign(&mut script, &name, &value);
    }
    script.extend_from_slice(b"readonly BUILDSCRIPT\n");
    script.extend_from_slice(b"cd \"$startdir\" || exit 1\nshopt -u extglob\n");
    if replaced {
        script.extend_from_slice(b"source /dev/fd/4 \"$BUILDFILE\" 3>&- || exit 1\nexec 4<&-\n");
    } else {
        script.extend_from_slice(b"source \"$BUILDFILE\" \"$BUILDFILE\" 3>&- || exit 1\n");
    }
    script.extend_from_slice(b"shopt -s extglob\n");
    script
}

/// Runs one function of the recipe.
pub(crate) fn phase(spec: &BuildSpec, phase: &Phase, replaced: bool) -> Vec<u8> {
    let mut script = opening(spec, replaced);
    script.extend_from_slice(b"[[ -n $pkgbase ]] || pkgbase=${pkgname[0]}\n");
    // The directories again, as the recipe may have set them while it was sourced.
    assign(&mut script, "startdir", path(&spec.startdir));
    assign(&mut script, "srcdir", path(&spec.srcdir));
    assign(&mut script, "pkgdir", path(&spec.pkgdir));
    match phase {
        Phase::Package(name) => {
            assign(
                &mut script,
                "__function",
                format!("package_{name}").as_bytes(),
            );
            script.extend_from_slice(
                b"declare -F -- \"$__function\" >/dev/null || __function=package\n",
            );
            if spec.pkgname.len() > 1 {
                // Inside a split package's function `pkgname` is the package, PKGBUILD(5),
                // "package splitting"; makepkg sets the scalar, so element 0 of the array.
                assign(&mut script, "pkgname", name.as_bytes());
            }
        }
        other => assign(&mut script, "__function", other.function().as_bytes()),
    }
    script.extend_from_slice(
        b"declare -F -- \"$__function\" >/dev/null || { printf 'absent\\0' >&3; exit 0; }\n",
    );
    // makepkg's `run_verify` and `run_function`; its SRCDEST is startdir where nobody sets it.
    script.extend_from_slice(match phase {
        Phase::Verify => &b"SRCDEST=$startdir\ncd \"$startdir\" || exit 1\n"[..],
        _ => b"cd \"$srcdir\" || exit 1\n",
    });
    script.extend_from_slice(b"printf 'called\\0' >&3\n");
    if *phase == Phase::Pkgver {
        script.extend_from_slice(b"exec 1>&3 3>&-\n");
    } else {
        script.extend_from_slice(b"exec 3>&-\n");
    }
    script.extend_from_slice(b"set -o errexit -o errtrace\n\"$__function\"\n");
    script
}

/// Sources the recipe and prints what it declared.
///
/// Records: `s name value`, `a name count (index value)*`, `A name count (key value)*` and
/// `f name`, every field ended by NUL. Values cannot hold a NUL, so nothing needs escaping.
pub(crate) fn evaluate(spec: &BuildSpec, replaced: bool) -> Vec<u8> {
    let mut script = b"__before=\" $(compgen -v | tr '\\n' ' ') \"\n\
        __functions=\" plain plainerr msg msg2 ask warning error __emit \"\n"
        .to_vec();
    script.extend_from_slice(&opening(spec, replaced));
    script.extend_from_slice(include_bytes!("declare.sh"));
    script
}

/// Replaces the version lines of a recipe as makepkg does after `pkgver()`; `None` if nothing
/// changes.
pub(crate) fn replace_version(spec: &BuildSpec, text: &[u8]) -> Option<Vec<u8>> {
    let wanted: Vec<(&[u8], &str)> = [
        (&b"pkgver="[..], &spec.pkgver),
        (b"pkgrel=", &spec.pkgrel),
        (b"epoch=", &spec.epoch),
    ]
    .into_iter()
    .filter_map(|(start, value)| Some((start, value.as_deref()?)))
    .collect();
    let mut changed = false;
    let mut result = Vec::with_capacity(text.len() + 64);
    for line in text.split_inclusive(|b| *b == b'\n') {
        let replacement = wanted.iter().find(|(start, _)| line.starts_with(start));
        let Some((start, value)) = replacement else {
            result.extend_from_slice(line);
            continue;
        };
        // makepkg replaces up to the next blank, so a trailing comment stays.
        let end = line
            .iter()
            .position(|b| b" \n".contains(b))
            .unwrap_or(line.len());
        let old = &line[start.len()..end];
        let plain: Vec<u8> = old
            .iter()
            .copied()
            .filter(|b| !b"'\"".contains(b))
            .collect();
        if plain == value.as_bytes() {
            result.extend_from_slice(line);
            continue;
        }
        changed = true;
        result.extend_from_slice(start);
        result.extend_from_slice(&quote(value.as_bytes()));
        result.extend_from_slice(&line[end..]);
    }
    changed.then_some(result)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn version_lines_are_replaced_as_makepkg_does() {
        let mut spec = BuildSpec::new("/b", "demo");
        spec.pkgver = Some("2.0".to_owned());
        spec.pkgrel = Some("1".to_owned());
        for (old, new) in [
            ("pkgver=1.0\n", Some("pkgver=2.0\n")),
            (
                "pkgver=1.0 # old\npkgrel=3",
                Some("pkgver=2.0 # old\npkgrel=1"),
            ),
            ("pkgver='2.0'\npkgrel=1\n", None),
            ("  pkgver=1\n", None),
            ("_pkgver=1\n", None),
            ("pkgver=$_v\n", Some("pkgver=2.0\n")),
        ] {
            assert_eq!(
                replace_version(&spec, old.as_bytes()),
                new.map(|s| s.as_bytes().to_vec()),
                "{old}"
            );
        }
    }
}
