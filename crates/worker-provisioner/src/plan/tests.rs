//! What is read of a recipe without a shell, held against what bash finds in the sandbox.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use build_sandbox::{IsolationChoice, Value};
use pkgbuild_syntax::Evaluated;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::backend::{HostProbe as _, SystemProbe};

/// What a recipe can ask about its surroundings beside the value of a variable.
const PROBES: &[&str] = &[
    "$0",
    "$-",
    "$#",
    "$*",
    "$$",
    "$!",
    "$?",
    "${!B*}",
    "${!X*}",
    "${!p*}",
    "${!_p*}",
    "${!G*}",
    "$(type -t msg)",
    "$(type -t msg2)",
    "$(type -t error)",
    "$(type -t warning)",
    "$(type -t plain)",
    "$(type -t plainerr)",
    "$(type -t ask)",
    "$(type -t source_safe)",
    "$(type -t install_package)",
    "$(type -t pkgver)",
    "$(type -t cd)",
    "$(type -t ls)",
    "$(declare -F)",
    "$(declare -F msg)",
    "$(declare -f msg | cksum)",
    "$(compgen -v)",
    "$(declare -p TEXTDOMAIN)",
    "$(declare -p COMMAND_MODE)",
    "$(declare -p BUILDSCRIPT)",
    "$(declare -p CFLAGS)",
    "$(declare -p IFS)",
    "$(declare -p PWD)",
    "$(export -p | grep -c .)",
    "$(env | grep -c .)",
    "$(printenv TEXTDOMAIN)",
    "$(sh -c 'echo $COMMAND_MODE')",
    "$(uname)",
    "$(uname -n)",
    "$(uname -a)",
    "$(uname -r)",
    "$(uname -m)",
    "$(uname -s)",
    "$(uname -o)",
    "$(uname -p)",
    "$(uname -i)",
    "$(hostname)",
    "$(hostname -s)",
    "$(arch)",
    "$(id -u)",
    "$(id -un)",
    "$(whoami)",
    "$(groups)",
    "$(logname)",
    "$(tty)",
    "$(nproc)",
    "$(nproc --all)",
    "$(getconf _NPROCESSORS_ONLN)",
    "$(umask)",
    "$(umask -S)",
    "$(ulimit -n)",
    "$(ulimit -a)",
    "$(locale)",
    "$(date +%s)",
    "$(date +%Y)",
    "$(date -u +%Y%m%d)",
    "$(date -d @0 +%H)",
    "$(date -d @$SOURCE_DATE_EPOCH +%Y)",
    "$(printf '%(%s)T' -1)",
    "$(printf '%(%Y)T' 0)",
    "$(pwd)",
    "$(pwd -P)",
    "$(cd .. && pwd)",
    "$(basename \"$PWD\")",
    "$(dirname \"$0\")",
    "$(readlink -f .)",
    "$(realpath .)",
    "$(ls)",
    "$(ls -A)",
    "$(caller)",
    "$(caller 0)",
    "$(trap -p)",
    "$(jobs)",
    "$(times)",
    "$(alias)",
    "$(hash)",
    "$(history)",
    "$(dirs)",
    "$(set -o)",
    "$(shopt)",
    "$(shopt -p)",
    "$(set -o | grep errexit)",
    "$(shopt -p extglob)",
    "$(shopt -p nullglob)",
    "$(shopt -p expand_aliases)",
    "$(shopt -p sourcepath)",
    "$(shopt -p lastpipe)",
    "$(shopt -p inherit_errexit)",
    "$(shopt -q extglob && echo on)",
    "$(command -v bash)",
    "$(command -v sh)",
    "$(command -v makepkg)",
    "$(command -v msg)",
    "$(command -v pacman)",
    "$(command -v cd)",
    "$(which sh)",
    "$(gcc -dumpmachine)",
    "$(cat PKGBUILD | cksum)",
    "$(cat \"$BUILDFILE\")",
    "$(cat /etc/hostname)",
    "$(< /proc/self/comm)",
    "$(stat -c %u .)",
    "$(test -w . && echo w)",
    "$(echo *)",
    "$(echo /etc/host*)",
    "$(echo ~)",
    "$(echo ~root)",
    "$(echo ~+)",
    "$(kill -l 1)",
    "$(git --version)",
    "$(git rev-parse HEAD)",
    "$(pacman -Q bash)",
    "$(gettext x)",
    "$(fakeroot -v)",
    "$(readonly -p | grep -c .)",
    "$([[ -t 0 ]] && echo t)",
    "$([[ -t 1 ]] && echo t)",
    "$([[ -t 2 ]] && echo t)",
    "$([[ -e /etc/passwd ]] && echo e)",
    "$([[ -f PKGBUILD ]] && echo e)",
    "$([[ -d src ]] && echo e)",
    "$([[ -d /home ]] && echo e)",
    "$([[ -w / ]] && echo e)",
    "$([[ -r /dev/stdin ]] && echo e)",
    "$([[ -o errexit ]] && echo e)",
    "$([[ -o hashall ]] && echo e)",
    "$([[ -o posix ]] && echo e)",
    "$([[ -o errtrace ]] && echo e)",
    "$([[ -v srcdir ]] && echo v)",
    "$([[ -v pkgdir ]] && echo v)",
    "$([[ -v startdir ]] && echo v)",
    "$([[ -v CARGO_HOME ]] && echo v)",
    "$([[ -R srcdir ]] && echo v)",
    "$(test -n \"$XDG_CACHE_HOME\" && echo n)",
    "$(read -t 0 && echo r)",
    "$(exec 9>&3 && echo 3)",
    "$(echo $BASHPID $BASH_SUBSHELL $SHLVL)",
    "$(env -i sh -c 'echo $PWD')",
];

/// A recipe that stores what it can learn, and what is stored.
fn recipe(names: &BTreeSet<String>) -> (String, Vec<(String, String)>) {
    let mut text = String::from("pkgname=demo\npkgver=1\npkgrel=1\narch=(any)\n");
    let mut probes = Vec::new();
    for name in names {
        for (what, expression) in [
            ("value", format!("${{{name}-(unset)}}")),
            ("set", format!("${{{name}+(set)}}")),
            ("attributes", format!("${{{name}@a}}")),
            ("length", format!("${{#{name}}}")),
            ("elements", format!("${{#{name}[@]}}")),
        ] {
            probes.push((format!("{name}, {what}"), expression));
        }
    }
    for probe in PROBES {
        probes.push(((*probe).to_owned(), (*probe).to_owned()));
    }
    for (number, (_, expression)) in probes.iter().enumerate() {
        // Whatever fails, the rest is read.
        let _ = writeln!(text, "_probe{number}=\"{expression}\" || :");
    }
    (text, probes)
}

#[tokio::test]
async fn what_is_known_without_a_shell_is_what_the_sandbox_has() {
    let config = Config::new(tempfile::tempdir().unwrap().path());
    let architecture = Architecture::current().unwrap();
    let variables = BTreeMap::from([("RBEE_BACKEND".to_owned(), "cpu".to_owned())]);
    let path = BuildSpec::new("/nowhere", "demo").path;
    let probe = SystemProbe::new(path);
    let environment = facts(&config, architecture, probe.kernel().as_ref(), &variables)
        .with_commands(probe.commands());

    let sandbox = Sandbox::new(build_sandbox::Config::default());
    let capabilities = sandbox.probe().await;
    let (mut known, mut all) = (0, Vec::new());
    for tier in Isolation::ALL {
        if capabilities.strongest() < tier {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let startdir = folder.path().join("start");
        fs::create_dir(&startdir).unwrap();
        let mut spec = BuildSpec::new(&startdir, "demo");
        values(&mut spec, &config, architecture, variables.clone());
        spec.isolation = IsolationChoice::Exactly(tier);

        // First which variables there are, then what each is.
        let listing = "pkgname=demo\n_names=($(compgen -v)) || :\n";
        fs::write(&spec.recipe, listing).unwrap();
        let token = CancellationToken::new();
        let listed = sandbox.evaluate(&spec, &token, &|_: build_sandbox::Event<'_>| {});
        let listed = listed.await.unwrap();
        let Some(Value::Array(listed)) = listed.variables.get("_names") else {
            panic!("{tier}: {listed:?}");
        };
        let mut names: BTreeSet<String> = listed
            .iter()
            .filter(|name| !name.starts_with("__"))
            .cloned()
            .collect();
        assert!(names.len() > 60, "{tier}: {names:?}");
        for name in [
            "OLDPWD",
            "HOSTNAME",
            "COLUMNS",
            "LINES",
            "MACHTYPE",
            "DISPLAY",
            "EDITOR",
            "PAGER",
            "DISTCC_HOSTS",
            "http_proxy",
            "SUDO_USER",
            "INVOCATION_ID",
            "container",
            "NO_COLOR",
            "CI",
            "PKGDEST",
            "MAIL",
            "LANG",
            "LANGUAGE",
            "CC",
            "GOFLAGS",
            "BASH_ENV",
            "ENV",
            "CDPATH",
            "FUNCNAME",
        ] {
            names.insert(name.to_owned());
        }
        let (text, probes) = recipe(&names);
        fs::write(&spec.recipe, &text).unwrap();
        let sourced = sandbox.evaluate(&spec, &token, &|_: build_sandbox::Event<'_>| {});
        let sourced = sourced.await.unwrap();

        let parsed = pkgbuild_syntax::parse(&text);
        assert!(parsed.errors.is_empty(), "{:?}", parsed.errors.first());
        let read = pkgbuild_syntax::evaluate(&parsed.file, &environment);
        assert!(read.failure().is_none(), "{:?}", read.failure());
        let mut wrong = Vec::new();
        for (number, (what, _)) in probes.iter().enumerate() {
            let name = format!("_probe{number}");
            let Some(Evaluated::Known(value)) = read.scalar(&name) else {
                continue;
            };
            known += 1;
            let Some(Value::Scalar(found)) = sourced.variables.get(&name) else {
                wrong.push(format!("{what}: `{value}`, and nothing in the sandbox"));
                continue;
            };
            if *found != value {
                wrong.push(format!("{what}: `{value}`, and `{found}` in the sandbox"));
            }
        }
        all.extend(wrong.into_iter().map(|wrong| format!("{tier}: {wrong}")));
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
    assert!(known > 100, "only {known} values were known");
}
