//! What only a shell could find out is dynamic, with its reason, and everything else is not.

#![allow(clippy::unwrap_used)]

use pkgbuild_syntax::{Environment, Evaluated, Evaluation, Uname, evaluate, parse, with_pkgver};

fn run(script: &str) -> Evaluation {
    evaluate(&parse(script).file, &Environment::default())
}

fn known(evaluation: &Evaluation, name: &str) -> Option<String> {
    match evaluation.array(name)? {
        Evaluated::Known(values) => {
            let values: Option<Vec<String>> = values
                .into_iter()
                .map(|value| value.known().map(Into::into))
                .collect();
            values.map(|values| values.join("|"))
        }
        Evaluated::Dynamic(_) => None,
    }
}

#[test]
fn a_recipe_that_was_read_to_its_end_did_not_leave() {
    let read = |text: &str, environment: Environment| {
        let parsed = parse(text);
        evaluate(&parsed.file, &environment)
    };
    for (text, decided) in [
        ("curl x || exit 1\nv=1\n", true),
        ("if ! curl x; then return 1; fi\nv=1\n", true),
        ("f() { curl x || exit 1; }; f\nv=1\n", true),
        ("v=$(curl x || exit 1; echo a)\n", false),
        ("(curl x || exit 1) && v=1\n", false),
        ("v=1; curl x\n", true),
    ] {
        let before = read(text, Environment::default());
        assert!(
            before.uncertain().is_some() || before.scalar("v").is_none_or(|v| v.known().is_none()),
            "{text}"
        );
        let after = read(text, Environment::default().with_recipe_read_to_end());
        assert!(after.uncertain().is_none(), "{text}");
        let known = after
            .scalar("v")
            .and_then(pkgbuild_syntax::Evaluated::known);
        assert_eq!(known.is_some(), decided, "{text}");
    }
}

#[test]
fn a_value_knows_where_it_comes_from() {
    let text = "v=(a)\nv=(b)\nw=1\nv+=(c)\nv[5]=d\nif true; then v+=(e); fi\ns=x\ns+=y\nu=1; u=2\n";
    let evaluation = run(text);
    let origins = |name: &str| -> Vec<&str> {
        let spans = evaluation.origins(name);
        spans.into_iter().map(|span| &text[span.range()]).collect()
    };
    assert_eq!(origins("v"), ["v=(b)", "v+=(c)", "v[5]=d", "v+=(e)"]);
    assert_eq!(origins("s"), ["s=x", "s+=y"]);
    assert_eq!(origins("u"), ["u=2"]);
    assert!(origins("CARCH").is_empty());
}

#[test]
fn the_architecture_brings_its_target() {
    for (carch, chost) in [
        ("aarch64", Some("aarch64-unknown-linux-gnu")),
        ("x86_64", Some("x86_64-pc-linux-gnu")),
        ("z80", None),
    ] {
        let parsed = parse("v=$CHOST\n");
        let evaluation = evaluate(&parsed.file, &Environment::default().with_carch(carch));
        let known = evaluation
            .scalar("v")
            .and_then(pkgbuild_syntax::Evaluated::known);
        assert_eq!(known.as_deref(), chost, "{carch}");
    }
}

#[test]
fn taint_reaches_exactly_what_depends_on_it() {
    for (script, dynamic, static_ones) in [
        ("v=$(curl x); w=a; x=$v; y=\"$w\"", "v x", "w y"),
        (
            "a=(x \"$(curl x)\" z); b=${a[0]}; c=${a[1]}; d=${#a[@]}",
            "c",
            "b d",
        ),
        ("a=(x $(curl x) z); b=${a[0]}; d=${#a[@]}", "a b d", ""),
        (
            "if curl x; then v=1; else w=1; fi; x=2; v2=$v",
            "v w v2",
            "x",
        ),
        ("curl x && v=1; w=2; curl x || x=3; :", "v x", "w"),
        ("case $(curl x) in a) v=1;; *) w=1;; esac; z=1", "v w", "z"),
        ("for i in $(curl x); do v+=$i; done; z=1", "v i", "z"),
        ("while curl x; do v=1; done; z=1", "v", "z"),
        ("f() { curl x && return; v=1; }; f; z=1", "v", "z"),
        (
            "for i in 1 2 3; do curl x && break; v=$i; done; z=1",
            "v",
            "z",
        ),
        ("curl x && f() { v=1; }; z=1", "", "z"),
        ("v=$(echo a | curl x | cut -c1); w=$(echo a)", "v", "w"),
        (
            "v=$(curl x || echo b); w=$RANDOM; x=$$; y=$HOME; z=1",
            "v w x y",
            "z",
        ),
        ("v=old; curl x && v=new; w=1", "v", "w"),
        ("read -r v < /etc/os-release; w=1", "v", "w"),
        ("v=$(< /etc/hostname); w=$(cat missing); z=1", "v w", "z"),
        (
            "v=$(uname -r); w=$(nproc); x=$(date +%Y); z=1",
            "v w x",
            "z",
        ),
        ("v=1; unset v; curl x && unset w; z=1", "", "z"),
        (
            "declare -g v=$(curl x); export w=$(curl y); z=1",
            "v w",
            "z",
        ),
        ("printf -v v '%s' $(curl x); z=1", "v", "z"),
        (
            "v=${RANDOM:-x}; w=${NOPE:-x}; (( v2 = RANDOM )); z=1",
            "v v2",
            "w z",
        ),
        ("v=(~/x); w=/usr/*; x=(/usr/*); y=(*.patch)", "v x", "w y"),
        (
            "[[ -e /etc/arch-release ]] && v=1; [[ -e some.patch ]] && w=1; z=1",
            "v",
            "z",
        ),
    ] {
        let evaluation = run(script);
        for name in dynamic.split_whitespace() {
            assert_eq!(known(&evaluation, name), None, "{name} in {script}");
            assert!(
                evaluation.array(name).is_some(),
                "{name} is set in {script}"
            );
        }
        for name in static_ones.split_whitespace() {
            assert!(known(&evaluation, name).is_some(), "{name} in {script}");
        }
    }
}

#[test]
fn unknown_text_taints_everything() {
    for script in [
        "v=1; eval \"$(curl x)\"; w=2",
        "v=1; source /etc/profile; w=2",
        "v=1; $(curl x) y; w=2",
    ] {
        let evaluation = run(script);
        assert!(evaluation.uncertain().is_some(), "{script}");
        assert_eq!(known(&evaluation, "v"), None, "{script}");
    }
    assert!(run("curl x || exit 1; v=1").uncertain().is_some());
    assert!(run("v=1; curl x").uncertain().is_some());
    assert!(run("curl x || true; v=1").uncertain().is_none());
}

#[test]
fn reasons_are_for_people() {
    let script = "a=1\nb=2\nv=$(curl -s https://example.org)\n";
    let evaluation = run(script);
    let Some(Evaluated::Dynamic(reason)) = evaluation.scalar("v") else {
        panic!("v is dynamic")
    };
    assert_eq!(
        reason.describe(script.as_bytes()),
        "`curl` would have to run, line 3"
    );
}

#[test]
fn the_environment_answers() {
    let uname = Uname {
        system: "Linux".into(),
        node: Some("host".into()),
        release: "6.1".into(),
        version: "#1".into(),
        machine: "x86_64".into(),
        operating_system: "GNU/Linux".into(),
    };
    let environment = Environment::default()
        .with_uname(uname)
        .with_nproc(8)
        .with_command("clang")
        .with_directory("/build")
        .with_variable("HOME", "/home/me")
        .with_file("version.txt", "1.2\n")
        .with_file("lib.sh", "_lib() { v6=lib; }\n")
        .with_file("a.patch", "")
        .with_file("b.patch", "");
    let script = "v1=$(uname -m); v2=$(nproc); command -v clang &>/dev/null && v3=yes
command -v nvidia-smi &>/dev/null || v4=no; v5=$(<version.txt); source ./lib.sh; _lib
v7=$PWD v8=$startdir v9=~/x; v10=(*.patch); [[ -f $startdir/a.patch ]] && v11=1
v12=$(cat version.txt | cut -d. -f1); v13=$CARCH; read -r v14 < version.txt; :
";
    let evaluation = evaluate(&parse(script).file, &environment);
    assert_eq!(evaluation.uncertain(), None);
    for (name, value) in [
        ("v1", "x86_64"),
        ("v2", "8"),
        ("v3", "yes"),
        ("v4", "no"),
        ("v5", "1.2"),
        ("v6", "lib"),
        ("v7", "/build"),
        ("v8", "/build"),
        ("v9", "/home/me/x"),
        ("v10", "a.patch|b.patch"),
        ("v11", "1"),
        ("v12", "1"),
        ("v13", "x86_64"),
        ("v14", "1.2"),
    ] {
        assert_eq!(known(&evaluation, name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn overrides_are_evaluated_with_the_package_name() {
    let mut evaluation = run("pkgname=(a b); pkgver=1; depends=(x)");
    evaluation.assign("pkgname", "b");
    evaluation.eval("outvalue=(\"$pkgname=$pkgver\" \"${depends[@]}\")");
    assert_eq!(known(&evaluation, "outvalue").as_deref(), Some("b=1|x"));
    evaluation.eval("outvalue=\"$srcdir/x\"");
    assert_eq!(known(&evaluation, "outvalue"), None);
}

#[test]
fn a_new_version_is_evaluated_on_top() {
    let text = "pkgver=1 # old\npkgrel=5\nsource=(\"x-$pkgver\")\nnoextract+=(y)";
    let mut evaluation = run(text);
    let text = with_pkgver(text, "2.r3");
    assert_eq!(
        text,
        "pkgver=2.r3 # old\npkgrel=1\nsource=(\"x-$pkgver\")\nnoextract+=(y)\n"
    );
    evaluation.evaluate_again(&parse(&text).file);
    assert_eq!(known(&evaluation, "source").as_deref(), Some("x-2.r3"));
    assert_eq!(known(&evaluation, "noextract").as_deref(), Some("y|y"));
}

#[test]
fn output_and_traps_show() {
    assert_eq!(
        run("echo banner; v=$(echo no)").stdout(),
        Evaluated::Known("banner\n")
    );
    assert!(matches!(run("curl x || :").stdout(), Evaluated::Dynamic(_)));
    assert!(matches!(
        run("trap 'echo bye' EXIT").stdout(),
        Evaluated::Dynamic(_)
    ));
    assert_eq!(run("trap 'rm -f x' EXIT").stdout(), Evaluated::Known(""));
}

/// What is not known about the fields of a recipe, each with its line.
fn told(recipe: &str) -> Vec<String> {
    let evaluation = evaluate(&parse(recipe).file, &Environment::default());
    let package = pkgbuild_syntax::Package::from_evaluation(&evaluation).unwrap();
    package
        .reasons()
        .map(|reason| reason.describe(recipe.as_bytes()))
        .collect()
}

#[test]
fn what_is_not_known_is_told_with_the_line_that_needs_it() {
    let head = "pkgname=a\npkgver=1\npkgrel=1\narch=(any)\n";
    let cases = [
        (
            "\n_d=$@\nsource=($_d)\n",
            "`$1` depends on the host, line 6",
        ),
        (
            "for _d; do\nsource=($_d)\ndone\n",
            "`$1` depends on the host, line 5",
        ),
        (
            "package() {\n: x\ndepends=(a\n $(foo)\n b)\n:\n}\n",
            "`foo` would have to run, line 7",
        ),
        (
            "package() {\nif x; then\npkgdesc=a\nelse\npkgdesc=$(foo)\nfi\n}\n",
            "`foo` would have to run, line 9",
        ),
        (
            "package() {\n:\ninstall=$srcdir/x\n:\n}\n",
            "`srcdir` depends on the host, line 7",
        ),
        (
            "package() {\n:\n url=$list\n:\n}\n",
            "`$list` is not interpreted here: makepkg uses the variable itself while it reads \
             package functions, line 7",
        ),
        (
            "\neval \"package() {\nurl=\\$(foo)\n:\n}\"\n",
            "`foo` would have to run, line 6",
        ),
    ];
    for (recipe, expected) in cases {
        assert_eq!(told(&format!("{head}{recipe}")), [expected], "{recipe}");
    }
}

#[test]
fn a_recipe_that_gives_up_is_told_in_its_own_words() {
    let long = format!("echo '{}' >&2; exit 1\n", "ä".repeat(5_000));
    let cases = [
        (
            "\nerror \"no key: buy one\"; exit 1\n",
            "no key: buy one",
            2,
        ),
        ("error 'no %s for %d' key 7\nexit 3\n", "no key for 7", 2),
        ("warning a; plainerr b\necho c >&2\nexit 1\n", "a; b; c", 3),
        ("f() { echo no; exit 1; }\nf >&2\n", "no", 1),
        ("echo asked too late; exit 1\n", "asked too late", 1),
        ("[[ x ]] && { echo bad key >&2; return 4; }\n", "bad key", 1),
        ("echo hidden 2>/dev/null >&2; exit 1\n", "", 1),
        ("x=$(error e 2>&1; echo y); exit 1\n", "", 1),
        (
            "printf 'a\\e]0;t\\ab\\rc\\n' >&2; exit 1\n",
            "a\\u{1b}]0;t\\u{7}b\\u{d}c",
            1,
        ),
        ("echo \"$(foo)\" >&2; error n; exit 1\n", "n", 1),
        (&long, &"ä".repeat(255), 1),
    ];
    for (recipe, expected, line) in cases {
        let evaluation = run(recipe);
        let failure = evaluation.failure().unwrap();
        let (pkgbuild_syntax::EvaluateError::Exit { said, span, .. }
        | pkgbuild_syntax::EvaluateError::Status { said, span, .. }) = failure
        else {
            panic!("{failure:?}");
        };
        assert_eq!(said, expected, "{recipe}");
        let found = pkgbuild_syntax::Position::of(recipe.as_bytes(), span.start).line;
        assert_eq!(found, line, "{recipe}");
        assert_eq!(failure.to_string().contains("it says"), !said.is_empty());
    }
}
