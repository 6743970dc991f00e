//! What git does to the bytes of a file on their way into a checkout: `convert.c`, for a person who has set up nothing. A
//! `filter` then has no program, and the bytes stay as they are.

use git2::Oid;

use super::attributes::{Value, Values};
use super::error::ConversionError;

mod encoding;
mod ident;

pub(super) use encoding::Encoding;
use encoding::Failed;

/// When a line that ends in LF is made to end in CR LF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum LineEnds {
    #[default]
    Kept,
    /// `eol=crlf`
    Windows,
    /// `text=auto eol=crlf`: only in what looks like text and has no CR yet.
    WindowsIfText,
}

/// How `$Id$` is expanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Ident {
    #[default]
    Kept,
    /// In the whole file at once.
    Whole,
    /// In a checkout as git does it in a stream, which differs in odd cases.
    Streamed,
}

/// What the files are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Checkout,
    Archive,
}

/// How one file is converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Conversion {
    pub(super) ident: Ident,
    pub(super) line_ends: LineEnds,
    pub(super) encoding: Option<Encoding>,
}

impl Conversion {
    /// Reads what the attributes say; nothing if no byte can change.
    pub(super) fn of(values: &Values) -> Result<Option<Self>, ConversionError> {
        let (line_ends, is_by_content) = line_ends(values);
        let encoding = encoding_of(&values.encoding)?;
        let ident = match values.ident {
            Value::True if is_by_content || encoding.is_some() => Ident::Whole,
            Value::True => Ident::Streamed,
            _ => Ident::Kept,
        };
        let conversion = Self {
            ident,
            line_ends,
            encoding,
        };
        Ok((conversion != Self::default()).then_some(conversion))
    }

    /// Whether no more than single bytes have to be looked at.
    pub(super) fn is_by_line_ends(self) -> bool {
        self.ident == Ident::Kept && self.encoding.is_none()
    }

    /// The bytes of a whole file, converted; `id` is that of what they were.
    pub(super) fn apply(
        self,
        mut bytes: Vec<u8>,
        id: Oid,
        purpose: Purpose,
    ) -> Result<Vec<u8>, ConversionError> {
        bytes = match (self.ident, purpose) {
            (Ident::Kept, _) => bytes,
            (Ident::Streamed, Purpose::Checkout) => ident::streamed(&bytes, id),
            (Ident::Whole | Ident::Streamed, _) => ident::whole(&bytes, id),
        };
        let mut statistics = Statistics::default();
        if self.line_ends != LineEnds::Kept {
            statistics.add(&bytes);
        }
        if statistics.converts(self.line_ends) {
            let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 16);
            LineConverter::default().convert(&bytes, &mut out);
            bytes = out;
        }
        match self.encoding {
            Some(encoding) if !bytes.is_empty() => match encoding.encode(&bytes) {
                Ok(encoded) => Ok(encoded),
                Err(Failed::AsGit) => Ok(bytes),
                Err(Failed::Unknown(character)) => Err(ConversionError::Character(character)),
            },
            _ => Ok(bytes),
        }
    }
}

/// What the attribute `text` says.
#[derive(Clone, Copy)]
enum Said {
    Text,
    Binary,
    ByContent,
}

/// git's `convert_attrs`, on a system whose own line ends are LF, and whether what is in a file has a say.
fn line_ends(values: &Values) -> (LineEnds, bool) {
    let read = |value: &Value| match value {
        Value::True => Some(Said::Text),
        Value::False => Some(Said::Binary),
        value if value.is(b"input") => Some(Said::Text),
        value if value.is(b"auto") => Some(Said::ByContent),
        _ => None,
    };
    let (windows, other) = (values.eol.is(b"crlf"), values.eol.is(b"lf"));
    match read(&values.text).or_else(|| read(&values.crlf)) {
        Some(Said::ByContent) if windows => (LineEnds::WindowsIfText, true),
        Some(Said::ByContent) => (LineEnds::Kept, !other),
        None | Some(Said::Text) if windows => (LineEnds::Windows, false),
        None | Some(Said::Text | Said::Binary) => (LineEnds::Kept, false),
    }
}

fn encoding_of(value: &Value) -> Result<Option<Encoding>, ConversionError> {
    let name = match value {
        Value::Unspecified => return Ok(None),
        Value::True | Value::False => return Err(ConversionError::NoEncoding),
        Value::Text(name) => String::from_utf8_lossy(name),
    };
    if name.is_empty() || ["utf-8", "utf8"].contains(&name.to_ascii_lowercase().as_str()) {
        return Ok(None);
    }
    match Encoding::named(&name) {
        Some(encoding) => Ok(Some(encoding)),
        None => Err(ConversionError::Encoding(
            name.escape_debug().take(64).collect(),
        )),
    }
}

/// What bytes there are in a file, as git counts them to tell text from other things.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    pub(super) length: u64,
    nul: u64,
    lone_cr: u64,
    pub(super) lone_lf: u64,
    crlf: u64,
    printable: u64,
    other: u64,
    last: Option<u8>,
}

impl Statistics {
    /// Counts the next bytes.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        for byte in bytes {
            let after_cr = self.last == Some(b'\r');
            self.last = Some(*byte);
            match byte {
                b'\n' if after_cr => {
                    self.lone_cr -= 1;
                    self.crlf += 1;
                }
                b'\n' => self.lone_lf += 1,
                b'\r' => self.lone_cr += 1,
                0x08 | b'\t' | 0x1b | 0x0c => self.printable += 1,
                0 => {
                    self.nul += 1;
                    self.other += 1;
                }
                1..=31 | 127 => self.other += 1,
                _ => self.printable += 1,
            }
        }
    }

    /// Whether such a file gets other line ends.
    pub(super) fn converts(&self, ends: LineEnds) -> bool {
        if self.lone_lf == 0 {
            return false;
        }
        match ends {
            LineEnds::Kept => false,
            LineEnds::Windows => true,
            LineEnds::WindowsIfText => {
                // The end-of-file mark of DOS is not counted.
                let other = self.other - u64::from(self.last == Some(0x1a));
                let is_binary = self.nul > 0 || (self.printable >> 7) < other;
                self.lone_cr == 0 && self.crlf == 0 && !is_binary
            }
        }
    }
}

/// Puts a CR before each LF that has none, over pieces of a file.
#[derive(Debug, Default)]
pub(super) struct LineConverter {
    after_cr: bool,
}

impl LineConverter {
    pub(super) fn convert(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if let Some(content) = line.strip_suffix(b"\n") {
                let has_cr = match content {
                    [] => self.after_cr,
                    content => content.ends_with(b"\r"),
                };
                out.extend_from_slice(content);
                out.extend_from_slice(if has_cr { b"\n" } else { b"\r\n" });
                self.after_cr = false;
            } else {
                out.extend_from_slice(line);
                self.after_cr = line.ends_with(b"\r");
            }
        }
    }
}

#[cfg(test)]
mod tests;
