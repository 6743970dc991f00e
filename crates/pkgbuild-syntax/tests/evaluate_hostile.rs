//! Hostile recipes end with an error in bounded time and memory, on a small stack.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use pkgbuild_syntax::{Budget, Environment, EvaluateError, Evaluated, Evaluation, evaluate, parse};

/// Evaluates on a stack of 2 MiB, as a thread of a runtime has; with fewer steps than usual,
/// because tests are not optimised.
fn run(script: String) -> Evaluation {
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(move || {
            let budget = Budget {
                steps: 200_000,
                ..Budget::default()
            };
            evaluate(
                &parse(&script).file,
                &Environment::default().with_budget(budget),
            )
        })
        .unwrap()
        .join()
        .unwrap()
}

fn assert_bounded(script: &str) {
    let evaluation = run(script.to_owned());
    let shown = &script[..script.len().min(80)];
    assert!(
        matches!(
            evaluation.failure(),
            Some(
                EvaluateError::Steps { .. }
                    | EvaluateError::Memory { .. }
                    | EvaluateError::Depth { .. }
            )
        ),
        "{shown}: {:?}",
        evaluation.failure()
    );
}

#[test]
fn endless_loops_end() {
    for script in [
        "while true; do :; done",
        "while :; do x+=aaaaaaaaaaaaaaaa; done",
        "while :; do x+=(a); done",
        "while :; do x=(\"${x[@]}\" a); done",
        "while :; do x[${#x[@]}]=a; done",
        "declare -A x; while :; do x[$((i++))]=a; done",
        "until false; do x=1; done",
        "for ((;;)); do :; done",
        "for ((i=0; i<10; i--)); do a+=($i); done",
        "while :; do $(echo true); done",
        "f() { f; }; f",
        "f() { g; }; g() { f; }; f",
        "f() { $(f); }; f",
        "f() { eval f; }; f",
        "f() { x=$(f | f); }; f",
        "x=x; : $((x))",
        "x='x+1'; y=$((x))",
        "a=b; b=a; : $((a))",
        "eval 'while :; do :; done'",
        "while read -r x; do :; done < <(while :; do echo; done)",
        "x='eval \"$x\"'; eval \"$x\"",
    ] {
        assert_bounded(script);
    }
}

#[test]
fn expansion_bombs_end() {
    let mut doubling = String::from("x=aaaaaaaaaaaaaaaa\n");
    for _ in 0..60 {
        doubling.push_str("x=$x$x\n");
    }
    assert_bounded(&doubling);
    let mut replacing = String::from("x=aaaaaaaaaaaaaaaa\n");
    for _ in 0..60 {
        replacing.push_str("x=${x//a/aaaa}\n");
    }
    assert_bounded(&replacing);
    let mut arrays = String::from("x=(a b c d)\n");
    for _ in 0..60 {
        arrays.push_str("x=(\"${x[@]}\" \"${x[@]}\")\n");
    }
    assert_bounded(&arrays);
    for script in [
        "x={1..1000000000}; x=({1..1000000000})",
        "x=({1..100}{1..100}{1..100}{1..100})",
        "x=({a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b})",
        "printf -v x '%999999999d' 1",
        "printf -v x '%*s' 2000000000 a",
        "x=$(printf '%s' {1..3000000})",
    ] {
        assert_bounded(script);
    }
}

#[test]
fn patterns_take_no_exponential_time() {
    let text = "a".repeat(5000);
    for pattern in [
        "*a*a*a*a*a*a*a*a*a*a*b",
        "*(*(*(*(a))))b",
        "+(a|aa|aaa)b",
        "!(*(a)b)c",
        "*(a|*(a|*(a)))b",
    ] {
        let script = format!(
            "shopt -s extglob\nx={text}\n[[ $x == {pattern} ]] && y=1\nz=${{x//{pattern}}}\nw=${{x%%{pattern}}}\n:"
        );
        let evaluation = run(script);
        let ended = evaluation.failure().is_none()
            || matches!(evaluation.failure(), Some(EvaluateError::Steps { .. }));
        assert!(ended, "{pattern}: {:?}", evaluation.failure());
    }
}

#[test]
fn deep_nesting_ends() {
    for (open, close) in [
        ("$(", ")"),
        ("${x:-", "}"),
        ("$((", "))"),
        ("\"$(", ")\""),
        ("`", "`"),
    ] {
        for depth in [50, 100, 1000, 100_000] {
            let script = format!("x={}1{}\n", open.repeat(depth), close.repeat(depth));
            let _ = run(script);
        }
    }
    for unit in ["{ ", "( ", "if ", "! ", "[[ ( ", "while ", "f() { "] {
        let _ = run(unit.repeat(100_000));
    }
    let mut braces = String::from("x=(");
    braces.push_str(&"{a,".repeat(10_000));
    braces.push_str(&"}".repeat(10_000));
    braces.push(')');
    let _ = run(braces);
    let _ = run(format!(
        "x=$(({}1{}))",
        "(".repeat(50_000),
        ")".repeat(50_000)
    ));
    let _ = run(format!("x=$(({}1))", "-".repeat(100_000)));
    let _ = run(format!("x=$(({}1))", "1+".repeat(100_000)));
    let _ = run(format!("x=$(({}1))", "2**".repeat(10_000)));
    let _ = run(format!("[ {} x ]", "! ".repeat(900)));
    let _ = run(format!("x=a; y=${{x/{}/b}}", "@(".repeat(5000)));
}

#[test]
fn nested_but_sane_recipes_work() {
    let mut script = String::new();
    for _ in 0..20 {
        script.push_str("if true; then ");
    }
    script.push_str("x=$(echo $(echo $(echo $(echo deep))))");
    for _ in 0..20 {
        script.push_str("; fi");
    }
    script.push_str("\nf() { [ $1 = 0 ] || { f $(($1-1)); r+=$1; }; }; f 10\n");
    let evaluation = run(script);
    assert_eq!(evaluation.failure(), None);
    assert_eq!(
        evaluation.scalar("x"),
        Some(Evaluated::Known("deep".into()))
    );
    assert_eq!(
        evaluation.scalar("r"),
        Some(Evaluated::Known("12345678910".into()))
    );
}

#[test]
fn odd_bytes_are_survived() {
    for bytes in [
        &b"x=\0\nx=$(printf '\\0')\n"[..],
        b"x=\xff\xfe\ny=$x\n# \xe9\nz=1\n",
        b"x='",
        b"\"",
        b"${",
        b"x=$'\\xff'",
        b"$(((",
        b"x=(\n",
        b"case",
    ] {
        let parse = parse(bytes);
        let _ = evaluate(&parse.file, &Environment::default());
    }
    let latin1 = parse(b"x=\xe9\nz=1\n");
    let evaluation = evaluate(&latin1.file, &Environment::default());
    assert!(matches!(
        evaluation.scalar("x"),
        Some(Evaluated::Dynamic(_))
    ));
    assert_eq!(evaluation.scalar("z"), Some(Evaluated::Known("1".into())));
}

#[test]
fn long_recipes_take_linear_time() {
    let mut script = String::new();
    for index in 0..20_000 {
        writeln!(script, "v{index}=${{v{}:-x}}", index / 2).unwrap();
    }
    let evaluation = run(script);
    assert_eq!(evaluation.failure(), None);
    assert_eq!(evaluation.variables().len(), 20_000);
}
