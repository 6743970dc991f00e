//! Paths that files name.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use memchr::memmem;

use crate::accelerator::next_data;

/// The most that is read of a script.
const MAX_SCRIPT: u64 = 1 << 20;
/// The largest file whose `#!` line is rewritten.
const MAX_REWRITTEN: u64 = 64 << 20;
/// The longest `#!` line that every kernel takes: execve(2), "Interpreter scripts".
const MAX_LINE: usize = 127;
/// How much is read at once.
const CHUNK: usize = 1 << 20;

/// Whether a file holds `needle` anywhere; its holes are not read.
pub(super) fn holds(file: &File, needle: &[u8], cancelled: &dyn Fn() -> bool) -> io::Result<bool> {
    let finder = memmem::Finder::new(needle);
    let mut buffer = vec![0; CHUNK + needle.len()];
    let (mut kept, mut offset) = (0, 0);
    loop {
        if cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let data = next_data(file, offset);
        if data > offset {
            (offset, kept) = (data, 0);
        }
        let read = match file.read_at(&mut buffer[kept..], offset) {
            Ok(0) => return Ok(false),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // Past what the file system can address: nothing but a hole is left.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(false),
            Err(error) => return Err(error),
        };
        offset += read as u64;
        let window = &buffer[..kept + read];
        if finder.find(window).is_some() {
            return Ok(true);
        }
        let end = window.len();
        kept = end.min(needle.len());
        buffer.copy_within(end - kept..end, 0);
    }
}

/// A script: execve(2), "Interpreter scripts".
#[derive(Debug)]
pub(super) struct Script {
    pub(super) interpreter: String,
    /// The rest of the `#!` line.
    pub(super) argument: String,
    text: Vec<u8>,
}

impl Script {
    /// Reads a script; nothing for what is none.
    pub(super) fn read(file: &File) -> io::Result<Option<Self>> {
        let mut magic = [0; 2];
        if file.read_exact_at(&mut magic, 0).is_err() || magic != *b"#!" {
            return Ok(None);
        }
        let mut text = Vec::new();
        let mut from_start = file.try_clone()?;
        io::Seek::rewind(&mut from_start)?;
        from_start.take(MAX_SCRIPT).read_to_end(&mut text)?;
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line.get(2..).unwrap_or_default()).into_owned();
        let line = line.trim();
        let (interpreter, argument) = line
            .split_once(char::is_whitespace)
            .map_or((line, ""), |(interpreter, rest)| (interpreter, rest.trim()));
        Ok(Some(Self {
            interpreter: interpreter.to_owned(),
            argument: argument.to_owned(),
            text,
        }))
    }

    /// The number of the first line that names something at or below `path`.
    pub(super) fn line_with(&self, path: &Path) -> Option<usize> {
        let at = memmem::find(&self.text, path.as_os_str().as_bytes())?;
        Some(self.line_at(at))
    }

    /// The first line that names a path, other than in a comment, for which `is_wanted`.
    pub(super) fn first_named(
        &self,
        is_wanted: impl Fn(&Path) -> bool,
    ) -> Option<(usize, PathBuf)> {
        let text = String::from_utf8_lossy(&self.text);
        let ends = |c: char| c.is_whitespace() || "\"'`;|&<>()$=:,{}[]*?\\".contains(c);
        for (number, line) in text.lines().enumerate().skip(1) {
            if line.trim_start().starts_with('#') {
                continue;
            }
            for word in line.split(ends).filter(|word| word.starts_with('/')) {
                let path = Path::new(word);
                if is_wanted(path) {
                    return Some((number + 1, path.to_owned()));
                }
            }
        }
        None
    }

    fn line_at(&self, at: usize) -> usize {
        memchr::memchr_iter(b'\n', &self.text[..at]).count() + 1
    }
}

/// The `#!` line for an interpreter; nothing where the kernel would not understand it.
pub(super) fn shebang(interpreter: &Path, argument: &str) -> Option<String> {
    let path = interpreter.to_str()?;
    let line = format!("#!{path} {argument}").trim_end().to_owned();
    (line.len() <= MAX_LINE && !path.contains(char::is_whitespace)).then_some(line)
}

/// Puts `line` in the place of the first line of a file, which keeps its mode.
pub(super) fn replace_line(path: &Path, line: &str) -> io::Result<()> {
    let permissions = fs::symlink_metadata(path)?.permissions();
    let old = untrusted_tree::open_file(path).map_err(io::Error::from)?;
    let mut text = Vec::new();
    let mut bounded = old.take(MAX_REWRITTEN + 1);
    bounded.read_to_end(&mut text)?;
    if text.len() as u64 > MAX_REWRITTEN {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let rest = memchr::memchr(b'\n', &text).map_or(&[][..], |at| &text[at..]);
    let parent = path.parent().unwrap_or(Path::new("/"));
    let mut new = tempfile::NamedTempFile::new_in(parent)?;
    new.write_all(line.as_bytes())?;
    new.write_all(rest)?;
    new.as_file().set_permissions(permissions)?;
    new.persist(path).map_err(|error| error.error)?;
    Ok(())
}
