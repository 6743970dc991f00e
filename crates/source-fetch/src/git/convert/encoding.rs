//! `working-tree-encoding` of gitattributes(5). git asks the system's iconv(3); what is written here is byte for byte what
//! that of glibc writes, or a refusal: compared over every character of the basic plane with each encoding below.

use encoding_rs as tables;

/// Why text does not become what iconv(3) would make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// iconv fails too, and git then writes the file as it is.
    AsGit,
    /// iconv may know the character.
    Unknown(char),
}

/// An encoding that files can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::git) enum Encoding {
    /// With four bytes for each character or with two or four; little endian or not; with a byte order mark or without.
    Wide {
        four: bool,
        little: bool,
        mark: bool,
    },
    /// The first so many characters, each as one byte.
    Narrow(u32),
    /// A table that holds what that of iconv holds.
    Table(&'static tables::Encoding),
    /// The same, but for the control characters from U+0080 to U+009F, which iconv has not.
    Windows(&'static tables::Encoding),
    /// JIS X 0208 and nothing else: `SJIS` of iconv.
    ShiftJis,
    /// As Windows has it; its private characters are left to iconv.
    Cp932,
    /// GB 18030; its private characters are left to iconv.
    Gb18030,
}

impl Encoding {
    /// The encoding with this name, in the ways in which iconv(3) and git take it.
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_uppercase();
        if let Some(rest) = name.strip_prefix("UTF") {
            return Self::wide(rest.strip_prefix('-').unwrap_or(rest));
        }
        let code_page = name
            .strip_prefix("WINDOWS-")
            .or_else(|| name.strip_prefix("CP"))
            .or_else(|| name.strip_prefix("MS-CP"));
        if let Some(page) = code_page {
            return Self::code_page(page);
        }
        let latin = name
            .strip_prefix("ISO-8859-")
            .or_else(|| name.strip_prefix("ISO8859-"))
            .or_else(|| name.strip_prefix("ISO_8859-"));
        if let Some(part) = latin {
            return Self::latin(part);
        }
        Some(match name.as_str() {
            "ASCII" | "US-ASCII" => Self::Narrow(0x80),
            "LATIN1" | "LATIN-1" | "L1" => Self::Narrow(0x100),
            "KOI8-R" => Self::Table(tables::KOI8_R),
            "SHIFT-JIS" | "SHIFT_JIS" | "SJIS" | "MS_KANJI" => Self::ShiftJis,
            "GB18030" => Self::Gb18030,
            "UHC" => Self::Table(tables::EUC_KR),
            _ => return None,
        })
    }

    fn wide(rest: &str) -> Option<Self> {
        let (four, rest) = match (rest.strip_prefix("16"), rest.strip_prefix("32")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return None,
        };
        let (little, mark) = match rest {
            "" => (cfg!(target_endian = "little"), true),
            "LE" => (true, false),
            "BE" => (false, false),
            // git's own names, for 16 bits alone.
            "LE-BOM" if !four => (true, true),
            "BE-BOM" if !four => (false, true),
            _ => return None,
        };
        Some(Self::Wide { four, little, mark })
    }

    fn code_page(page: &str) -> Option<Self> {
        Some(match page {
            "1250" => Self::Windows(tables::WINDOWS_1250),
            "1251" => Self::Windows(tables::WINDOWS_1251),
            "1252" => Self::Windows(tables::WINDOWS_1252),
            "1253" => Self::Windows(tables::WINDOWS_1253),
            "1254" => Self::Windows(tables::WINDOWS_1254),
            "1256" => Self::Table(tables::WINDOWS_1256),
            "1257" => Self::Windows(tables::WINDOWS_1257),
            "866" => Self::Table(tables::IBM866),
            "874" => Self::Windows(tables::WINDOWS_874),
            "932" | "31J" => Self::Cp932,
            "949" => Self::Table(tables::EUC_KR),
            _ => return None,
        })
    }

    fn latin(part: &str) -> Option<Self> {
        Some(Self::Table(match part {
            "1" => return Some(Self::Narrow(0x100)),
            "2" => tables::ISO_8859_2,
            "3" => tables::ISO_8859_3,
            "4" => tables::ISO_8859_4,
            "5" => tables::ISO_8859_5,
            "7" => tables::ISO_8859_7,
            "8" => tables::ISO_8859_8,
            "10" => tables::ISO_8859_10,
            "13" => tables::ISO_8859_13,
            "14" => tables::ISO_8859_14,
            "15" => tables::ISO_8859_15,
            "16" => tables::ISO_8859_16,
            _ => return None,
        }))
    }

    /// What iconv(3) makes of UTF-8 text.
    pub(super) fn encode(self, text: &[u8]) -> Result<Vec<u8>, Failed> {
        let text = std::str::from_utf8(text).map_err(|_| Failed::AsGit)?;
        let mut out = Vec::with_capacity(text.len());
        match self {
            Self::Wide { four, little, mark } => {
                let mark = mark.then_some('\u{feff}');
                for character in mark.into_iter().chain(text.chars()) {
                    wide(character, four, little, &mut out);
                }
            }
            Self::Narrow(limit) => {
                for character in text.chars() {
                    let byte = u8::try_from(u32::from(character)).map_err(|_| Failed::AsGit)?;
                    if u32::from(byte) >= limit {
                        return Err(Failed::AsGit);
                    }
                    out.push(byte);
                }
            }
            Self::Table(table) => return from_table(table, text),
            Self::Windows(table) => {
                if text.chars().any(|c| matches!(c, '\u{80}'..='\u{9f}')) {
                    return Err(Failed::AsGit);
                }
                return from_table(table, text);
            }
            Self::ShiftJis => {
                for character in text.chars() {
                    shift_jis(character, &mut out)?;
                }
            }
            Self::Cp932 => {
                for character in text.chars() {
                    match character {
                        '\u{80}' => return Err(Failed::AsGit),
                        '\u{e000}'..='\u{f8ff}' => return Err(Failed::Unknown(character)),
                        '\u{2014}' => one(tables::SHIFT_JIS, '\u{2015}', &mut out)?,
                        character => one(tables::SHIFT_JIS, of_windows(character), &mut out)?,
                    }
                }
            }
            Self::Gb18030 => {
                let is_private = |c: &char| matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fe10}'..='\u{fe19}' | '\u{9fb4}'..='\u{9fbb}');
                if let Some(character) = text.chars().find(is_private) {
                    return Err(Failed::Unknown(character));
                }
                return from_table(tables::GB18030, text);
            }
        }
        Ok(out)
    }
}

fn wide(character: char, four: bool, little: bool, out: &mut Vec<u8>) {
    if four {
        let unit = u32::from(character);
        out.extend(if little {
            unit.to_le_bytes()
        } else {
            unit.to_be_bytes()
        });
        return;
    }
    for unit in character.encode_utf16(&mut [0; 2]) {
        out.extend(if little {
            unit.to_le_bytes()
        } else {
            unit.to_be_bytes()
        });
    }
}

fn from_table(table: &'static tables::Encoding, text: &str) -> Result<Vec<u8>, Failed> {
    let (bytes, _, has_unknown) = table.encode(text);
    if has_unknown {
        return Err(Failed::AsGit);
    }
    Ok(bytes.into_owned())
}

/// Adds one character; a few at a time would need the table's own bookkeeping of what it could not write.
fn one(table: &'static tables::Encoding, character: char, out: &mut Vec<u8>) -> Result<(), Failed> {
    let mut buffer = [0; 4];
    let bytes = from_table(table, character.encode_utf8(&mut buffer))?;
    out.extend(bytes);
    Ok(())
}

/// The character that Windows has in the place where JIS has this one.
fn of_windows(character: char) -> char {
    match character {
        '\u{a2}' => '\u{ffe0}',
        '\u{a3}' => '\u{ffe1}',
        '\u{ac}' => '\u{ffe2}',
        '\u{2016}' => '\u{2225}',
        '\u{301c}' => '\u{ff5e}',
        character => character,
    }
}

fn shift_jis(character: char, out: &mut Vec<u8>) -> Result<(), Failed> {
    if matches!(
        character,
        '\u{80}' | '\u{ffe0}' | '\u{ffe1}' | '\u{ffe2}' | '\u{2225}' | '\u{ff5e}' | '\u{ff0d}'
    ) {
        return Err(Failed::AsGit);
    }
    let start = out.len();
    one(tables::SHIFT_JIS, of_windows(character), out)?;
    // Rows that Windows has added.
    if out.len() - start == 2 && matches!(out[start], 0x87 | 0xed | 0xee | 0xfa..=0xfc) {
        return Err(Failed::AsGit);
    }
    Ok(())
}
