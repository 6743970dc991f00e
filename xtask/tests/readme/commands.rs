//! The commands that a README shows.

/// The lines of all `sh` blocks, without comments and with continued lines joined.
pub(crate) fn block_commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for block in text.split("\n```sh\n").skip(1) {
        let block = block.split("\n```").next().unwrap().replace("\\\n", " ");
        for line in block.lines() {
            let line = line.split(" # ").next().unwrap().trim();
            let line = line.strip_prefix("$ ").unwrap_or(line);
            if !line.is_empty() && !line.starts_with('#') {
                commands.push(line.split_whitespace().collect::<Vec<_>>().join(" "));
            }
        }
    }
    commands
}

/// The programs of this repository, as a reader types them.
pub(crate) const PROGRAMS: [&str; 2] = ["cargo xtask ", "cargo worker "];

/// Commands in backquotes; in the first cell of a table, what follows `cargo xtask A` or `cargo worker
/// A` are its sisters: `B`, `C`.
pub(crate) fn inline_commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut fenced = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced && line.starts_with('|') {
            let cell = line.trim_matches('|').split('|').next().unwrap();
            let mut sisters = None;
            for code in codes(cell) {
                let program = PROGRAMS.into_iter().find(|name| code.starts_with(name));
                sisters = sisters.or(program);
                if code.starts_with("cargo ") {
                    commands.push(code);
                } else if let Some(program) = sisters
                    && code.starts_with(|c: char| c.is_ascii_lowercase())
                {
                    commands.push(format!("{program}{code}"));
                }
            }
        } else if !fenced {
            prose.push_str(line);
            prose.push(' ');
        }
    }
    commands.extend(codes(&prose).filter(|code| code.starts_with("cargo ") || code == ".ci/run"));
    commands
}

/// What stands in single backquotes, blanks made single.
fn codes(text: &str) -> impl Iterator<Item = String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(|code| code.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[test]
fn commands_are_found_in_blocks_and_in_prose() {
    let text = "a\n\n```sh\n# first\n$ cargo xtask one \\\n  --two\n```\n\nUse `cargo\nxtask three`.\n\n\
        | command | what |\n|---|---|\n| `cargo xtask four`, `five FILE` | `cargo xtask no` |\n\
        | `cargo worker six`, `seven` | |\n";
    assert_eq!(block_commands(text), ["cargo xtask one --two"]);
    assert_eq!(
        inline_commands(text),
        [
            "cargo xtask four",
            "cargo xtask five FILE",
            "cargo worker six",
            "cargo worker seven",
            "cargo xtask three"
        ]
    );
}
