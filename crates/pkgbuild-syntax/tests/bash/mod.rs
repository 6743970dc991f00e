//! Runs snippets in the real bash and dumps their variables.

#![allow(
    dead_code,
    clippy::print_stderr,
    reason = "not every test binary uses all of it"
)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use pkgbuild_syntax::{Environment, Evaluated, Evaluation, evaluate, parse};

/// What one snippet leaves: its outcome, then a line for each variable that begins with `v`.
pub(crate) type Dump = Vec<String>;

/// Dumps the variables as `ours` does. Sources the snippet as makepkg would.
const PRELUDE: &str = r#"
unset ${!v@}
_dump() {
    local _name _value _line
    for _name in ${!v@}; do
        local -n _ref=$_name
        if [[ ${_ref@a} == *a* ]]; then _line="$_name@"; else _line="$_name="; fi
        if [[ ${_ref@a} == *[aA]* ]]; then
            for _value in "${_ref[@]}"; do _line+=" ${_value@Q}"; done
        else
            [[ -v $_name ]] || { unset -n _ref; continue; }
            _line+=" ${_ref@Q}"
        fi
        printf '%s\0' "$_line"
        unset -n _ref
    done
}
_source() {
    local shellopts="shopt -s extglob"
    shopt -u extglob
    if source /dev/fd/9 9<<<"$1" >/dev/null 2>&1; then _outcome=ok; else _outcome=failed; fi
}
_run() {
    (
        _outcome=exited
        trap 'set +u; IFS=$'"' \t\n'"'; set +f; shopt -u nullglob failglob; printf "%s\0" "$_outcome"; _dump' EXIT
        _source "$1" </dev/null
    ) 2>/dev/null
    printf '\1\0'
}
"#;

/// Whether a bash is installed whose behaviour the evaluator promises.
pub(crate) fn has_bash() -> bool {
    let version = Command::new("bash")
        .args(["-c", "echo ${BASH_VERSINFO[0]}.${BASH_VERSINFO[1]}"])
        .output();
    let found = version.is_ok_and(|output| output.stdout == b"5.2\n");
    if !found {
        eprintln!("skipped: bash 5.2 is not installed");
    }
    found
}

/// Runs every snippet in one bash process.
pub(crate) fn in_bash(snippets: &[String]) -> Vec<Dump> {
    // File name expansion finds nothing here.
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("empty");
    std::fs::create_dir_all(&directory).expect("a folder of our own");
    let mut script = PRELUDE.to_owned();
    for snippet in snippets {
        let quoted = snippet.replace('\'', "'\\''");
        writeln!(script, "_run '{quoted}'").expect("a string takes all");
    }
    let mut child = Command::new("bash")
        .args(["--norc", "--noprofile"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LC_ALL", "C.UTF-8")
        .env("CARCH", "x86_64")
        .env("CHOST", "x86_64-pc-linux-gnu")
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("bash starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || stdin.write_all(script.as_bytes()));
    let output = child.wait_with_output().expect("bash ends");
    writer.join().expect("no panic").expect("bash reads all");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut dumps: Vec<Dump> = text
        .split("\u{1}\0")
        .map(|part| {
            part.split('\0')
                .filter(|line| !line.is_empty())
                .map(str::to_owned)
                .collect()
        })
        .collect();
    dumps.pop();
    dumps
}

/// Quotes as `${x@Q}`; the cases keep to printable characters and the escapes below.
fn quoted(text: &str) -> String {
    if text.chars().any(char::is_control) {
        let mut out = String::from("$'");
        for c in text.chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\x1b' => out.push_str("\\E"),
                '\x07' => out.push_str("\\a"),
                '\x08' => out.push_str("\\b"),
                '\x0b' => out.push_str("\\v"),
                '\x0c' => out.push_str("\\f"),
                '\r' => out.push_str("\\r"),
                '\\' | '\'' => {
                    out.push('\\');
                    out.push(c);
                }
                c if c.is_control() => {
                    write!(out, "\\{:03o}", u32::from(c)).expect("a string takes all");
                }
                c => out.push(c),
            }
        }
        return out + "'";
    }
    if text == "'" {
        "\\'".to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Evaluates a snippet and dumps its variables; dynamic ones show as `<dynamic>`.
pub(crate) fn ours(snippet: &str) -> Dump {
    let parse = parse(snippet);
    let evaluation = evaluate(&parse.file, &Environment::default());
    dump(&evaluation)
}

pub(crate) fn dump(evaluation: &Evaluation) -> Dump {
    let outcome = match (evaluation.uncertain(), evaluation.failure()) {
        (Some(reason), _) => format!("<dynamic> {reason}"),
        (None, None) => "ok".to_owned(),
        (None, Some(pkgbuild_syntax::EvaluateError::Status { .. })) => "failed".to_owned(),
        (
            None,
            Some(
                pkgbuild_syntax::EvaluateError::Exit { .. }
                | pkgbuild_syntax::EvaluateError::Expansion { .. },
            ),
        ) => "exited".to_owned(),
        (None, Some(other)) => format!("error: {other}"),
    };
    let mut lines = vec![outcome];
    for name in evaluation.variables() {
        if !name.starts_with('v') {
            continue;
        }
        let mut line = name.to_owned();
        match evaluation.array(name) {
            Some(Evaluated::Known(values)) => {
                line.push(if evaluation.is_array(name) { '@' } else { '=' });
                for value in values {
                    line.push(' ');
                    match value {
                        Evaluated::Known(text) => line.push_str(&quoted(&text)),
                        Evaluated::Dynamic(reason) => {
                            write!(line, "<dynamic> {reason}").expect("fits");
                        }
                    }
                }
            }
            Some(Evaluated::Dynamic(reason)) => write!(line, " <dynamic> {reason}").expect("fits"),
            None => continue,
        }
        lines.push(line);
    }
    lines
}

/// Whether our dump says nothing else than bash's, unknown parts left aside.
pub(crate) fn agrees(ours: &Dump, bash: &Dump) -> bool {
    if bash.is_empty() {
        // bash itself crashed.
        return true;
    }
    if ours
        .first()
        .is_some_and(|outcome| outcome.starts_with("<dynamic>"))
    {
        return true;
    }
    if ours.first().is_some_and(|outcome| outcome != "ok") {
        return ours.first() == bash.first();
    }
    let known = |line: &&String| !line.contains("<dynamic>");
    let unknown: Vec<&str> = ours
        .iter()
        .filter(|line| line.contains("<dynamic>"))
        .map(|line| line.split(['@', '=', ' ']).next().unwrap_or(""))
        .collect();
    let bash = bash.iter().filter(|line| {
        let name = line.split(['@', '=']).next().unwrap_or("");
        !unknown.contains(&name)
    });
    ours.iter().filter(known).eq(bash)
}
