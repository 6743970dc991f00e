//! A visitor meets every node of a tree.

#![allow(clippy::unwrap_used)]

mod support;

use pkgbuild_syntax::{
    Assignment, Command, Compound, CompoundCommand, File, Function, LeafKind, Place, Span, Visitor,
    WordPart, parse, walk,
};

#[derive(Default)]
struct Names {
    found: Vec<Span>,
    /// Where expansions and quoted strings without structure begin.
    pieces: Vec<u32>,
    foreign: usize,
}

impl Visitor for Names {
    fn assignment(&mut self, file: &File, assignment: &Assignment) {
        self.found.push(assignment.name);
        walk::assignment(self, file, assignment);
    }

    fn function(&mut self, file: &File, function: &Function) {
        self.found.push(function.name);
        self.compound(file, &function.body);
    }

    fn command(&mut self, file: &File, command: &Command) {
        if let Command::Coprocess(coprocess) = command {
            self.found.extend(coprocess.name);
        }
        walk::command(self, file, command);
    }

    fn compound(&mut self, file: &File, command: &CompoundCommand) {
        if let Compound::For { name, .. } | Compound::Select { name, .. } = &command.compound {
            self.found.push(*name);
        }
        walk::compound(self, file, command);
    }

    fn part(&mut self, file: &File, part: &WordPart) {
        self.pieces.push(part.span().start);
        let before = (self.found.len(), self.pieces.len());
        walk::part(self, file, part);
        // What stands between backquotes has spans of its own.
        if file.text(part.span()).starts_with(b"`") {
            self.found.truncate(before.0);
            self.pieces.truncate(before.1);
            self.foreign += 1;
        }
    }
}

#[test]
fn every_name_and_quoted_piece_is_visited() {
    let mut texts: Vec<String> = support::cases().into_iter().map(|case| case.text).collect();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/parse/ok");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "sh") {
            texts.push(String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned());
        }
    }
    assert!(texts.len() > 300);
    for text in texts {
        let file = parse(&text).file;
        let mut names = Names::default();
        walk::file(&mut names, &file);
        names.found.sort();
        let leaves = file.leaves().filter(|leaf| leaf.kind == LeafKind::Name);
        let leaves: Vec<Span> = leaves.map(|leaf| leaf.span).collect();
        for leaf in &leaves {
            assert!(
                names.found.contains(leaf),
                "{} in {text}",
                file.text_lossy(*leaf)
            );
        }
        for leaf in file.leaves().filter(|leaf| leaf.kind == LeafKind::Quoted) {
            assert!(
                names.pieces.contains(&leaf.span.start),
                "{:?} in {text}",
                leaf.span
            );
        }
    }
}

#[test]
fn places_count_as_editors_do() {
    let text = "é=1\n\t𝄞\u{301}x\r\n\n".as_bytes();
    let index = pkgbuild_syntax::LineIndex::new(text);
    let at = |byte| index.place(byte);
    let place = |byte, line, character, utf16| Place {
        byte,
        line,
        character,
        utf16,
    };
    assert_eq!(at(0), place(0, 0, 0, 0));
    assert_eq!(at(2), place(2, 0, 1, 1));
    assert_eq!(at(5), place(5, 1, 0, 0));
    assert_eq!(at(10), place(10, 1, 2, 3));
    assert_eq!(at(12), place(12, 1, 3, 4));
    assert_eq!(at(99), place(16, 3, 0, 0));
    assert_eq!(index.line(1), Some("\t𝄞\u{301}x\r".as_bytes()));
    assert_eq!(index.line(9), None);
    let broken = pkgbuild_syntax::LineIndex::new(b"\xff\xfex");
    assert_eq!(broken.place(2), place(2, 0, 2, 2));
}
