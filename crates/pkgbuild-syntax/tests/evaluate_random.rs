//! Random scripts from a grammar: what we know must be what bash has.
//!
//! `EVALUATE_CASES` sets how many are tried; 300 otherwise.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod bash;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["va", "vb", "vc", "vd"]).prop_map(str::to_owned)
}

fn literal() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "a",
        "b1",
        "1.2.3",
        "foo-bar",
        "x_y",
        "10",
        "07",
        "A.B",
        "lib",
        "''",
        "\"\"",
        "'a b'",
        "\"q r\"",
        "a\\ b",
        "äö",
        "a,b",
        "$'t\\tx'",
        "\"it's\"",
        "x=y",
        "%d",
        "*",
        "a?c",
        "{a,b}",
        "{1..3}",
        "p{,.sig}",
        "http://x/y.git?signed",
        "~x",
        "-n",
        "a//b",
        "&",
        "\\&",
        "[z]",
        "#h",
    ])
    .prop_filter("must be one word", |text| {
        *text != "&" && *text != "#h" && *text != "$'t\\tx'"
    })
    .prop_map(str::to_owned)
}

fn pattern() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "a",
        "*",
        "?",
        "*.*",
        "[a-z]",
        "[!0-9]",
        "*.",
        ".*",
        "-*",
        "[[:digit:]]",
        "\\*",
        "'*'",
        "\"$va\"",
        "$vb",
        "*[0-9]",
        "a*b",
        "??",
        "[]-]",
        "/",
        "\\/",
        "b",
        "o*r",
    ])
    .prop_map(str::to_owned)
}

fn expansion() -> impl Strategy<Value = String> {
    let replacement = prop::sample::select(vec![
        "", "X", "<&>", "\\&", "\"&\"", "$vb", "a b", "/", "'&'",
    ]);
    prop_oneof![
        name().prop_map(|n| format!("${n}")),
        (
            name(),
            prop::sample::select(vec!["-", ":-", "+", ":+", "=", ":="]),
            literal()
        )
            .prop_map(|(n, op, w)| format!("${{{n}{op}{w}}}")),
        (
            name(),
            prop::sample::select(vec!["#", "##", "%", "%%"]),
            pattern()
        )
            .prop_map(|(n, op, p)| format!("${{{n}{op}{p}}}")),
        (
            name(),
            prop::sample::select(vec!["/", "//", "/#", "/%"]),
            pattern(),
            replacement
        )
            .prop_map(|(n, op, p, r)| format!("${{{n}{op}{p}/{r}}}")),
        (
            name(),
            prop::sample::select(vec![
                "^", "^^", ",", ",,", "~", "~~", "@Q", "@U", "@L", "@u"
            ])
        )
            .prop_map(|(n, op)| format!("${{{n}{op}}}")),
        (name(), -4..5_i32, -3..5_i32).prop_map(|(n, o, l)| format!("${{{n}: {o}: {l}}}")),
        (name(), 0..4_u32).prop_map(|(n, o)| format!("${{{n}:{o}}}")),
        name().prop_map(|n| format!("${{#{n}}}")),
        (name(), prop::sample::select(vec!["@", "*"])).prop_map(|(n, k)| format!("${{{n}[{k}]}}")),
        (
            name(),
            prop::sample::select(vec!["@", "*"]),
            pattern(),
            prop::sample::select(vec!["#", "%%", "/", "//"])
        )
            .prop_map(|(n, k, p, op)| format!("${{{n}[{k}]{op}{p}}}")),
        name().prop_map(|n| format!("${{#{n}[@]}}")),
        name().prop_map(|n| format!("${{!{n}[@]}}")),
        (name(), -2..4_i32).prop_map(|(n, i)| format!("${{{n}[{i}]}}")),
        (name(), -2..3_i32, 0..3_i32).prop_map(|(n, o, l)| format!("${{{n}[@]: {o}:{l}}}")),
        (name(), prop::sample::select(vec!["@Q", "^^", ",", "@U"]))
            .prop_map(|(n, o)| format!("${{{n}[@]{o}}}")),
        (
            1..20_i32,
            prop::sample::select(vec![
                "+", "-", "*", "/", "%", "<<", "<", "==", "&&", "|", "**", ","
            ]),
            1..9_i32
        )
            .prop_map(|(a, op, b)| format!("$(({a}{op}{b}))")),
    ]
}

/// Arithmetic whose order of evaluation shows.
fn expression() -> impl Strategy<Value = String> {
    let operand = prop::sample::select(vec![
        "vi", "vj", "vi++", "++vi", "vi--", "--vj", "3", "(vj+=2)", "vg[vi]", "vg[1]++",
        "vg[vi++]", "!vi", "-vj",
    ]);
    let operator = prop::sample::select(vec!["+", "-", "*", "<", "==", "&&", "||", ",", "|"]);
    let target = prop::sample::select(vec!["vi", "vj", "vg[vi]", "vg[vi++]", "vg[vj&1]"]);
    let change = prop::sample::select(vec!["=", "+=", "-=", "*=", "|="]);
    prop_oneof![
        (operand.clone(), operator.clone(), operand.clone())
            .prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (target, change, operand.clone(), operator, operand.clone())
            .prop_map(|(t, c, a, op, b)| format!("{t} {c} ({a} {op} {b})")),
        (operand.clone(), operand.clone(), operand)
            .prop_map(|(a, b, c)| format!("{a} ? ({b}) : ({c})")),
    ]
}

fn subscript() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "0",
        "1",
        "2",
        "5",
        "vi",
        "vi++",
        "$((vi++))",
        "vj=2",
        "${#va[@]}",
        "-1",
    ])
    .prop_map(str::to_owned)
}

/// An element of an array literal, with or without its subscript.
fn element() -> impl Strategy<Value = String> {
    prop_oneof![
        word(),
        (subscript(), word()).prop_map(|(i, w)| format!("[{i}]={w}")),
        (subscript(), word()).prop_map(|(i, w)| format!("[{i}]+={w}")),
        name().prop_map(|n| format!("\"${{{n}=new}}\"")),
        name().prop_map(|n| format!("${{{n}[1]:=other}}")),
        Just("$vi".to_owned()),
    ]
}

fn declaration() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "declare -g",
        "declare",
        "local",
        "export",
        "declare -ga",
        "typeset -g",
    ])
    .prop_map(str::to_owned)
}

fn word() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => literal(),
        3 => expansion(),
        2 => expansion().prop_map(|e| format!("\"{e}\"")),
        1 => (literal(), expansion()).prop_filter("no quotes inside quotes", |(l, _)| !l.contains(['"', '\'', '\\', '$']))
            .prop_map(|(l, e)| format!("\"{l} {e}\"")),
        1 => words().prop_map(|w| format!("$(echo {w})")),
        1 => (words(), prop::sample::select(vec!["cut -d. -f1", "cut -d. -f2-", "tr a-z A-Z", "sed 's/[0-9]/<&>/g'", "sed -e 's/\\(.\\)\\(.\\)/\\2\\1/'", "head -n1", "tr -d ab", "grep -o '[a-z]*'", "tail -c 3", "basename -a x/y"]))
            .prop_map(|(w, f)| format!("$(printf '%s\\n' {w} | {f})")),
    ];
    prop::collection::vec(piece, 1..3).prop_map(|pieces| pieces.concat())
}

fn words() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![
            literal(),
            expansion().prop_map(|e| format!("\"{e}\"")),
            expansion()
        ],
        0..3,
    )
    .prop_map(|words| words.join(" "))
}

fn statement() -> BoxedStrategy<String> {
    let condition = prop_oneof![
        (word(), pattern()).prop_map(|(w, p)| format!("[[ \"\"{w} == {p} ]]")),
        (expansion(), literal()).prop_map(|(e, l)| format!("[ \"{e}\" = {l} ]")),
        expansion().prop_map(|e| format!("[[ -n \"{e}\" ]]")),
        expansion().prop_map(|e| format!("[[ {e} =~ ^[a-z]+(.)[0-9]* ]]")),
    ];
    let simple = prop_oneof![
        4 => (name(), word()).prop_map(|(n, w)| format!("{n}={w}")),
        1 => (name(), word()).prop_map(|(n, w)| format!("{n}+={w}")),
        4 => (name(), prop::collection::vec(word(), 0..4)).prop_map(|(n, w)| format!("{n}=({})", w.join(" "))),
        1 => (name(), prop::collection::vec(word(), 0..3)).prop_map(|(n, w)| format!("{n}+=({})", w.join(" "))),
        1 => (name(), 0..4_u32, word()).prop_map(|(n, i, w)| format!("{n}[{i}]={w}")),
        1 => (name(), subscript(), prop::sample::select(vec!["=", "+="]), word()).prop_map(|(n, i, op, w)| format!("{n}[{i}]{op}{w}")),
        1 => (name(), prop::sample::select(vec!["=", "+="]), prop::collection::vec(element(), 0..4)).prop_map(|(n, op, e)| format!("{n}{op}({})", e.join(" "))),
        1 => (declaration(), name(), word(), name(), word()).prop_map(|(d, a, v, b, w)| format!("{d} {a}={v} {b}+={w}")),
        1 => (declaration(), name(), prop::collection::vec(element(), 0..3)).prop_map(|(d, n, e)| format!("{d} {n}=({})", e.join(" "))),
        1 => (name(), expression()).prop_map(|(n, e)| format!("{n}=$(({e})) vt=$vi$vj")),
        1 => (expression(), name(), word()).prop_map(|(e, n, w)| format!("(({e})) && {n}={w}")),
        1 => (name(), word(), name(), expansion()).prop_map(|(a, v, b, e)| format!("{a}={v} {b}={e} eval 've=${a}${{{b}[@]}}'")),
        1 => (words(), name(), name()).prop_map(|(w, a, b)| format!("read -r {a} {b} < <(printf '%s ' {w})")),
        1 => (name(), name()).prop_map(|(a, b)| format!("vn={a}; {b}=${{!vn}}; {b}+=(\"${{!vn-u}}\")")),
        1 => (name(), 0..3_u32).prop_map(|(n, i)| format!("unset '{n}[{i}]'")),
        1 => name().prop_map(|n| format!("unset {n}")),
        1 => (name(), word()).prop_map(|(n, w)| format!("printf -v {n} '%s|%5s|%q' {w}")),
        1 => (name(), word()).prop_map(|(n, w)| format!("IFS=.- read -ra {n} <<< {w}")),
        1 => (name(), word()).prop_map(|(n, w)| format!("read -r {n} vz <<< {w}")),
        1 => (name(), word()).prop_map(|(n, w)| format!("mapfile -t {n} <<< {w}")),
        1 => word().prop_map(|w| format!("set -- {w}; vp=\"$*\" vq=$#")),
        1 => (name(), word()).prop_map(|(n, w)| format!("eval '{n}='{w}").replace("''", "'\"\"'")),
    ]
    .boxed();
    prop_oneof![
        6 => simple.clone(),
        1 => (condition.clone(), simple.clone(), simple.clone()).prop_map(|(c, a, b)| format!("if {c}; then {a}; else {b}; fi")),
        1 => (condition, simple.clone()).prop_map(|(c, a)| format!("{c} && {a}")),
        1 => (words(), simple.clone()).prop_map(|(w, a)| format!("for vi in {w}; do {a}; vl+=$vi; done")),
        1 => (word(), pattern(), simple.clone()).prop_map(|(w, p, a)| format!("case {w} in {p}) {a};; *) vk=n;; esac")),
        1 => (words(), simple).prop_map(|(w, a)| format!("f() {{ local vo=$1; {a}; vr=\"$#:$*\"; }}; f {w}")),
    ]
    .boxed()
}

#[test]
fn random_scripts_agree_with_bash() {
    if !bash::has_bash() {
        return;
    }
    let count = std::env::var("EVALUATE_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(300);
    let script =
        prop::collection::vec(statement(), 2..8).prop_map(|lines| lines.join("\n") + "\n:\n");
    let seed: u8 = std::env::var("EVALUATE_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(7);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let scripts: Vec<String> = (0..count)
        .map(|_| script.new_tree(&mut runner).unwrap().current())
        .collect();
    let (mut wrong, mut unknown) = (Vec::new(), 0);
    for chunk in scripts.chunks(100) {
        let dumps = bash::in_bash(chunk);
        assert_eq!(dumps.len(), chunk.len(), "every script gives a dump");
        for (script, dump) in chunk.iter().zip(&dumps) {
            let ours = bash::ours(script);
            let partly = ours.iter().any(|line| line.contains("<dynamic>"));
            unknown += usize::from(partly);
            // A value that is not known may be what ends bash, as a subscript for example.
            let may_end = partly && dump.first().is_some_and(|outcome| outcome == "exited");
            if !may_end && !bash::agrees(&ours, dump) {
                wrong.push(format!("{script}\nours {ours:#?}\nbash {dump:#?}\n"));
            }
        }
    }
    eprintln!("{count} scripts, {unknown} with dynamic values");
    assert!(
        wrong.is_empty(),
        "{} of {count} differ:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(12)].join("\n")
    );
    assert!(unknown < count / 3, "{unknown} of {count} are dynamic");
}
