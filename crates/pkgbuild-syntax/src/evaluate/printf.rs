//! `printf` formats and the escapes that `echo -e`, `%b` and formats share.

use super::arithmetic;
use super::dynamic::Stop;
use super::quote;
use super::shell::Shell;

/// Decodes backslash escapes; tells whether `\c` ended the output.
///
/// `echo -e` and `%b` want a zero in front of octal digits (and take them without, in `%b` and
/// formats), which `zero` selects.
pub(crate) fn escapes(shell: &mut Shell, text: &str, zero: bool) -> Result<(String, bool), Stop> {
    let mut decoded = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut stopped = false;
    while at < bytes.len() {
        if bytes[at] != b'\\' || at + 1 == bytes.len() {
            decoded.push(bytes[at]);
            at += 1;
            continue;
        }
        at += 2;
        match bytes[at - 1] {
            b'a' => decoded.push(7),
            b'b' => decoded.push(8),
            b'e' | b'E' => decoded.push(27),
            b'f' => decoded.push(12),
            b'n' => decoded.push(b'\n'),
            b'r' => decoded.push(b'\r'),
            b't' => decoded.push(b'\t'),
            b'v' => decoded.push(11),
            b'\\' => decoded.push(b'\\'),
            b'"' if !zero => decoded.push(b'"'),
            b'\'' if !zero => decoded.push(b'\''),
            b'?' if !zero => decoded.push(b'?'),
            b'c' if zero => {
                stopped = true;
                break;
            }
            digit @ b'0'..=b'7' if !zero || digit == b'0' => {
                let limit = if zero { 3 } else { 2 };
                let mut value = if zero { 0 } else { u32::from(digit - b'0') };
                for _ in 0..limit {
                    match bytes.get(at) {
                        Some(next @ b'0'..=b'7') => {
                            value = value * 8 + u32::from(next - b'0');
                            at += 1;
                        }
                        _ => break,
                    }
                }
                decoded.push(value.to_le_bytes()[0]);
            }
            kind @ (b'x' | b'u' | b'U') => {
                let limit = match kind {
                    b'x' => 2,
                    b'u' => 4,
                    _ => 8,
                };
                let digits = bytes[at..]
                    .iter()
                    .take(limit)
                    .take_while(|b| b.is_ascii_hexdigit())
                    .count();
                if digits == 0 {
                    decoded.extend([b'\\', kind]);
                    continue;
                }
                let value = u32::from_str_radix(&text[at..at + digits], 16).unwrap_or(0);
                at += digits;
                if kind == b'x' {
                    decoded.push(value.to_le_bytes()[0]);
                } else {
                    let c = char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
                    decoded.extend(c.encode_utf8(&mut [0; 4]).bytes());
                }
            }
            other => decoded.extend([b'\\', other]),
        }
    }
    if let Ok(text) = String::from_utf8(decoded) {
        Ok((text, stopped))
    } else {
        let kind = super::dynamic::DynamicKind::Encoding;
        Err(shell.reason(kind).into())
    }
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one flag of a conversion"
)]
#[derive(Debug, Clone, Default)]
struct Spec {
    left: bool,
    zero: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
}

/// Formats as bash's `printf`; the text and the exit status.
pub(crate) fn format(
    shell: &mut Shell,
    format: &str,
    args: &[&str],
) -> Result<(String, i32), Stop> {
    let mut out = String::new();
    let mut status = 0;
    let mut args = Args {
        list: args,
        next: 0,
    };
    loop {
        let before = args.next;
        let stopped = once(shell, format, &mut args, &mut out, &mut status)?;
        shell.fuel.spend(1 + format.len() as u64)?;
        if stopped || args.next >= args.list.len() || args.next == before {
            break;
        }
        if !shell.fuel.allows(out.len()) {
            return Err(super::budget::Exhausted::Memory.into());
        }
    }
    Ok((out, status))
}

struct Args<'a> {
    list: &'a [&'a str],
    next: usize,
}

impl<'a> Args<'a> {
    fn take(&mut self) -> Option<&'a str> {
        let arg = self.list.get(self.next).copied();
        self.next += 1;
        arg
    }
}

fn once(
    shell: &mut Shell,
    format: &str,
    args: &mut Args<'_>,
    out: &mut String,
    status: &mut i32,
) -> Result<bool, Stop> {
    let mut rest = format;
    while let Some(at) = rest.find(['%', '\\']) {
        out.push_str(&rest[..at]);
        if rest[at..].starts_with('\\') {
            let end = escape_end(rest, at);
            let (text, _) = escapes(shell, &rest[at..end], false)?;
            out.push_str(&text);
            rest = &rest[end..];
            continue;
        }
        rest = &rest[at + 1..];
        if let Some(tail) = rest.strip_prefix('%') {
            out.push('%');
            rest = tail;
            continue;
        }
        let spec = spec(&mut rest, args, status);
        let Some(conversion) = rest.chars().next() else {
            *status = 1;
            return Ok(true);
        };
        rest = &rest[conversion.len_utf8()..];
        if matches!(conversion, 'h' | 'l' | 'j' | 'z' | 't' | 'L') {
            return Err(shell.unsupported("printf", "a length modifier"));
        }
        let (text, stopped) = convert(shell, conversion, &spec, args, status)?;
        shell.fuel.store(text.len().max(spec.width))?;
        pad(out, &text, &spec);
        if stopped {
            return Ok(true);
        }
    }
    out.push_str(rest);
    Ok(false)
}

fn escape_end(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes();
    let Some(&kind) = bytes.get(at + 1) else {
        return at + 1;
    };
    let (limit, hex) = match kind {
        b'x' => (2, true),
        b'u' => (4, true),
        b'U' => (8, true),
        b'0'..=b'7' => (2, false),
        _ => {
            return at + 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8);
        }
    };
    let digits = bytes[at + 2..].iter().take(limit).take_while(|byte| {
        if hex {
            byte.is_ascii_hexdigit()
        } else {
            (b'0'..=b'7').contains(*byte)
        }
    });
    at + 2 + digits.count()
}

fn spec(rest: &mut &str, args: &mut Args<'_>, status: &mut i32) -> Spec {
    let mut spec = Spec::default();
    while let Some(c) = rest.chars().next() {
        match c {
            '-' => spec.left = true,
            '0' => spec.zero = true,
            '+' => spec.plus = true,
            ' ' => spec.space = true,
            '#' => spec.alternate = true,
            '\'' => {}
            _ => break,
        }
        *rest = &rest[1..];
    }
    let mut number = |rest: &mut &str, args: &mut Args<'_>| -> i64 {
        if let Some(tail) = rest.strip_prefix('*') {
            *rest = tail;
            return integer(args.take(), status);
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let value = rest[..digits].parse().unwrap_or(0);
        *rest = &rest[digits..];
        value
    };
    let width = number(rest, args);
    spec.left |= width < 0;
    spec.width = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
    if let Some(tail) = rest.strip_prefix('.') {
        *rest = tail;
        spec.precision = usize::try_from(number(rest, args)).ok();
    }
    spec
}

fn pad(out: &mut String, text: &str, spec: &Spec) {
    // bash counts bytes here, as C's printf does.
    let missing = spec.width.saturating_sub(text.len());
    if spec.left {
        out.push_str(text);
        out.extend(std::iter::repeat_n(' ', missing));
    } else {
        out.extend(std::iter::repeat_n(' ', missing));
        out.push_str(text);
    }
}

fn convert(
    shell: &mut Shell,
    conversion: char,
    spec: &Spec,
    args: &mut Args<'_>,
    status: &mut i32,
) -> Result<(String, bool), Stop> {
    let cut = |text: &str| -> String {
        match spec.precision {
            None => text.to_owned(),
            // Cut between characters only; bash cuts bytes.
            Some(limit) => {
                let mut limit = limit.min(text.len());
                while !text.is_char_boundary(limit) {
                    limit -= 1;
                }
                text[..limit].to_owned()
            }
        }
    };
    let wide = spec.width > 0 || spec.precision.is_some();
    Ok(match conversion {
        's' => {
            let text = args.take().unwrap_or("");
            if wide && !text.is_ascii() {
                return Err(shell.unsupported("printf", "a width for text that is not ASCII"));
            }
            (cut(text), false)
        }
        'c' => (args.take().unwrap_or("").chars().take(1).collect(), false),
        'q' => (cut(&quote::backslashed(args.take().unwrap_or(""))), false),
        'Q' => (quote::backslashed(&cut(args.take().unwrap_or(""))), false),
        'b' => {
            let (text, stopped) = escapes_in_argument(shell, args.take().unwrap_or(""))?;
            (cut(&text), stopped)
        }
        'd' | 'i' => {
            let value = integer(args.take(), status);
            (signed(value, spec), false)
        }
        'u' | 'o' | 'x' | 'X' => {
            let value = integer(args.take(), status).cast_unsigned();
            let digits = match conversion {
                'u' => value.to_string(),
                'o' if spec.alternate => format!("0{value:o}"),
                'o' => format!("{value:o}"),
                'x' if spec.alternate && value != 0 => format!("0x{value:x}"),
                'x' => format!("{value:x}"),
                _ if spec.alternate && value != 0 => format!("0X{value:X}"),
                _ => format!("{value:X}"),
            };
            (zero_filled("", &digits, spec), false)
        }
        'f' | 'F' => {
            let text = args.take().unwrap_or("0");
            match fixed(text, spec.precision.unwrap_or(6)) {
                Some(value) => {
                    let (sign, digits) = match value.strip_prefix('-') {
                        Some(digits) => ("-", digits),
                        None if spec.plus => ("+", value.as_str()),
                        None => ("", value.as_str()),
                    };
                    let spec = Spec {
                        precision: None,
                        ..spec.clone()
                    };
                    (zero_filled(sign, digits, &spec), false)
                }
                None => return Err(shell.unsupported("printf", format!("%f of {text}"))),
            }
        }
        other => return Err(shell.unsupported("printf", format!("%{other}"))),
    })
}

/// `%b`: octal digits may lack the zero.
fn escapes_in_argument(shell: &mut Shell, text: &str) -> Result<(String, bool), Stop> {
    let mut prepared = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        prepared.push(c);
        if c == '\\' {
            match chars.peek() {
                Some('1'..='7') => prepared.push('0'),
                Some(_) => prepared.extend(chars.next()),
                None => {}
            }
        }
    }
    escapes(shell, &prepared, true)
}

/// A number as `printf` reads it: a leading quote gives the character's code.
fn integer(text: Option<&str>, status: &mut i32) -> i64 {
    let Some(text) = text else { return 0 };
    if let Some(quoted) = text.strip_prefix(['\'', '"']) {
        return quoted.chars().next().map_or(0, |c| i64::from(u32::from(c)));
    }
    let trimmed = text.trim_start();
    let (sign, digits) = match trimmed.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, trimmed.strip_prefix('+').unwrap_or(trimmed)),
    };
    if text.is_empty() {
        return 0;
    }
    // The longest prefix that is a number counts, even when the rest is an error.
    let valid = if digits.starts_with("0x") || digits.starts_with("0X") {
        2 + digits[2..]
            .bytes()
            .take_while(u8::is_ascii_hexdigit)
            .count()
    } else if digits.starts_with('0') {
        digits
            .bytes()
            .take_while(|byte| (b'0'..=b'7').contains(byte))
            .count()
    } else {
        digits.bytes().take_while(u8::is_ascii_digit).count()
    };
    if valid < digits.len() || valid == 0 {
        *status = 1;
    }
    if valid > 18 {
        let wide = digits[..valid].parse::<i128>().unwrap_or(i128::MAX) * i128::from(sign);
        if i64::try_from(wide).is_err() {
            *status = 1;
        }
        let wide = wide.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        return i64::try_from(wide).unwrap_or(i64::MAX);
    }
    sign * arithmetic::number(&digits[..valid]).unwrap_or(0)
}

fn signed(value: i64, spec: &Spec) -> String {
    let sign = if value < 0 {
        "-"
    } else if spec.plus {
        "+"
    } else if spec.space {
        " "
    } else {
        ""
    };
    zero_filled(sign, &value.unsigned_abs().to_string(), spec)
}

fn zero_filled(sign: &str, digits: &str, spec: &Spec) -> String {
    let wanted = match spec.precision {
        Some(precision) => precision,
        None if spec.zero && !spec.left => spec.width.saturating_sub(sign.len()),
        None => 0,
    };
    let missing = wanted.saturating_sub(digits.len()).min(1 << 16);
    format!("{sign}{}{digits}", "0".repeat(missing))
}

/// A plain decimal rounded to `places`; `None` where binary rounding could come out differently.
fn fixed(text: &str, places: usize) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.len() <= 12 && part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) || places > 18 {
        return None;
    }
    let whole_value: u64 = whole.parse().ok()?;
    if fraction.len() <= places {
        let point = if places > 0 { "." } else { "" };
        return Some(format!("{sign}{whole_value}{point}{fraction:0<places$}"));
    }
    let (kept, dropped) = fraction.split_at(places);
    if dropped.starts_with('5') && dropped[1..].bytes().all(|byte| byte == b'0') {
        return None;
    }
    let mut scaled: u64 = format!("{whole}{kept}").parse().ok()?;
    if dropped.as_bytes()[0] >= b'5' {
        scaled += 1;
    }
    let digits = format!("{scaled:0width$}", width = places + 1);
    let (whole, kept) = digits.split_at(digits.len() - places);
    let point = if places > 0 { "." } else { "" };
    Some(format!("{sign}{whole}{point}{kept}"))
}
