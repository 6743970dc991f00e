//! Repositories for comparisons.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::git_support::{git, git_with};

/// A repository made at random.
pub(crate) struct Made {
    pub bare: PathBuf,
    pub commit: String,
}

/// A stream for git-fast-import(1).
struct Stream(Vec<u8>);

impl Stream {
    fn commit(time: u64) -> Self {
        let text = format!(
            "commit refs/heads/main\nmark :1\nauthor Ö Author <o@example.org> {time} -0330\n\
             committer A <a@example.org> {time} +0130\ndata 5\nfirst\n"
        );
        Self(text.into_bytes())
    }

    fn file(&mut self, mode: &str, path: &[u8], content: &[u8]) {
        let mut quoted = String::new();
        for byte in path {
            match byte {
                b'"' | b'\\' => {
                    quoted.push('\\');
                    quoted.push(char::from(*byte));
                }
                b' '..=b'~' => quoted.push(char::from(*byte)),
                byte => {
                    let _ = write!(quoted, "\\{byte:03o}");
                }
            }
        }
        let head = format!("M {mode} inline \"{quoted}\"\ndata {}\n", content.len());
        self.0.extend(head.as_bytes());
        self.0.extend(content);
        self.0.push(b'\n');
    }

    fn import(self, root: &Path) -> PathBuf {
        let bare = root.join("made.git");
        fs::create_dir_all(&bare).unwrap();
        git(&bare, &["init", "-q", "--bare", "-b", "main"]);
        git_with(&bare, &["fast-import", "--quiet", "--force"], &self.0);
        bare
    }
}

pub(crate) fn of_files(root: &Path, files: &[(&str, &str)]) -> PathBuf {
    let mut stream = Stream::commit(1_700_000_000);
    for (path, content) in files {
        stream.file("100644", path.as_bytes(), content.as_bytes());
    }
    stream.import(root)
}

/// Every encoding that there is a table for, over characters that it has, lacks, or may lack.
pub(crate) fn of_encodings(root: &Path) -> PathBuf {
    let names = [
        "UTF-16",
        "utf16",
        "UTF-16LE",
        "UTF-16BE",
        "UTF-16LE-BOM",
        "utf-16be-bom",
        "UTF-32",
        "UTF-32LE",
        "UTF32BE",
        "UTF-8",
        "utf8",
        "ASCII",
        "latin1",
        "latin-1",
        "ISO-8859-1",
        "ISO-8859-2",
        "ISO8859-5",
        "ISO_8859-15",
        "cp1250",
        "CP1251",
        "windows-1252",
        "CP1253",
        "CP1254",
        "CP1256",
        "CP1257",
        "CP866",
        "CP874",
        "KOI8-R",
        "SHIFT-JIS",
        "SJIS",
        "CP932",
        "CP949",
        "GB18030",
    ];
    let texts: [&[u8]; 6] = [
        b"plain\n",
        "é ä ¥ ‾ \\ ~\n".as_bytes(),
        "Привет €\n".as_bytes(),
        "日本語 〜 ① 한국어 😀\n".as_bytes(),
        "\u{feff}mark \u{81}\n".as_bytes(),
        b"no \xff text\n",
    ];
    let mut attributes = String::from("*.crlf text eol=crlf\n");
    let mut stream = Stream::commit(1_700_000_000);
    for name in names {
        let _ = writeln!(attributes, "{name}/* working-tree-encoding={name}");
        for (number, text) in texts.iter().enumerate() {
            let ending = if number % 2 == 0 { "txt" } else { "crlf" };
            let path = format!("{name}/{number}.{ending}");
            stream.file("100644", path.as_bytes(), text);
        }
    }
    stream.file("100644", b".gitattributes", attributes.as_bytes());
    stream.import(root)
}

impl Made {
    /// With attributes in several directories, links, programs, submodules, long names and odd ones.
    pub(crate) fn at_random(root: &Path, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let times = [
            100_000,
            1_700_000_000,
            951_868_800,
            8_589_934_591,
            8_589_934_592,
        ];
        let mut stream = Stream::commit(times[random.usize(..times.len())]);
        for _ in 0..random.usize(5..40) {
            let path = path(&mut random);
            match random.u8(..10) {
                0 => {
                    let target = "t/".repeat(random.usize(1..90));
                    stream.file("120000", &path, target.as_bytes());
                }
                1 => {
                    let head = b"M 160000 1234567890123456789012345678901234567890 ";
                    stream.0.extend(head);
                    let name = format!("module{}\n", random.u8(..9));
                    stream.0.extend(name.as_bytes());
                }
                2 => stream.file("100755", &path, &content(&mut random)),
                _ => stream.file("100644", &path, &content(&mut random)),
            }
        }
        for directory in ["", "a/", "a/b/", "long-long/"] {
            if directory.is_empty() || random.bool() {
                let lines: String = (0..random.usize(1..8)).map(|_| rule(&mut random)).collect();
                let path = format!("{directory}.gitattributes");
                stream.file("100644", path.as_bytes(), lines.as_bytes());
            }
        }
        stream.0.extend(
            b"\nreset refs/tags/light\nfrom :1\n\ntag v1\nfrom :1\ntagger A <a@example.org> 5 +0000\ndata 2\nt\n\n",
        );
        let bare = stream.import(root);
        let commit = git(&bare, &["rev-parse", "main"]);
        Self { bare, commit }
    }
}

fn pick<'a>(random: &mut fastrand::Rng, parts: &[&'a str]) -> &'a str {
    parts[random.usize(..parts.len())]
}

fn path(random: &mut fastrand::Rng) -> Vec<u8> {
    let directories = [
        "",
        "",
        "a/",
        "a/b/",
        "a/b/c/d/",
        "a-b/",
        "long-long/",
        "é/",
        "ignored/",
        "ignored/deep/",
    ];
    let mut path = pick(random, &directories).as_bytes().to_vec();
    match random.u8(..12) {
        // Around the lengths of the fields of a header.
        0 => path.extend("n".repeat(random.usize(90..110)).bytes()),
        1 => {
            path.extend("d".repeat(random.usize(40..160)).bytes());
            path.push(b'/');
            path.extend("f".repeat(random.usize(80..110)).bytes());
        }
        2 => {
            path.extend("long/".repeat(random.usize(10..70)).bytes());
            path.push(b'z');
        }
        3 => path.extend(b"latin-\xe9\xff"),
        4 => path.extend("tab\t\"quote\" ü".bytes()),
        _ => {
            path.push(b'a' + random.u8(..6));
            path.extend(pick(random, &[".txt", ".bat", ".c", "", ".id", ".subst", ".u16"]).bytes());
        }
    }
    path
}

fn content(random: &mut fastrand::Rng) -> Vec<u8> {
    let parts = [
        "line\n",
        "line\r\n",
        "\r",
        "\n",
        "$Id$",
        "$Id: old $",
        "$Id: a b c $",
        "$Id: no end\n",
        "$Id",
        "$",
        "text ",
        "é",
        "\0",
        "$Format:%H %h%n%an <%ae>$",
        "$Format:%ad|%cD|%ci|%as$",
        "$Format:%T %P %%$",
        "$Format:no end",
        "$Format:$",
        "\u{1a}",
        "\u{1}",
        "long line of text ",
    ];
    let count = match random.u8(..20) {
        0 => 0,
        1 => random.usize(1000..3000),
        _ => random.usize(1..30),
    };
    let mut text: String = (0..count).map(|_| pick(random, &parts)).collect();
    if random.u8(..12) == 0 {
        text.push_str("$Format:%D$");
    }
    // Without the end-of-file mark and the like most files are text.
    if random.bool() {
        text = text.replace(['\0', '\u{1}', '\r'], "");
    }
    text.into_bytes()
}

fn rule(random: &mut fastrand::Rng) -> String {
    let patterns = [
        "*", "*.txt", "*.bat", "a/*", "/a/**", "**/b", "ignored", "ignored/", "a/b/", "[a-c]*",
        "*.id", "*.subst", "module*", "*.u16", "long", "latin*", "b.*", "d*",
    ];
    let states = [
        "text",
        "text=auto",
        "text=auto eol=crlf",
        "eol=crlf",
        "eol=lf",
        "-text",
        "!text",
        "binary",
        "crlf",
        "ident",
        "-ident",
        "export-subst",
        "export-subst",
        "export-ignore",
        "-export-ignore",
        "filter=lfs",
        "working-tree-encoding=UTF-16",
        "working-tree-encoding=latin1",
        "diff",
    ];
    let states: Vec<&str> = (0..random.usize(1..3))
        .map(|_| pick(random, &states))
        .collect();
    format!("{} {}\n", pick(random, &patterns), states.join(" "))
}
