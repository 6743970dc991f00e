//! What a commit says, and the `$Format:...$` of the attribute `export-subst`: git's `pretty.c`, as far as the text
//! follows from the commit alone.

use git2::Oid;

/// A commit, taken apart.
pub(super) struct Commit {
    id: Oid,
    tree: Vec<u8>,
    parents: Vec<Vec<u8>>,
    author: Person,
    committer: Person,
    /// In another encoding than UTF-8, which git converts from.
    is_encoded: bool,
    message: Vec<u8>,
    /// Seconds since 1970, as git reads them: a negative number becomes a very large one.
    pub(super) committed: u64,
}

#[derive(Default)]
struct Person {
    name: Vec<u8>,
    mail: Vec<u8>,
    time: i64,
    zone: Vec<u8>,
}

impl Commit {
    /// Reads a commit object; what is missing is empty.
    pub(super) fn parse(id: Oid, data: &[u8]) -> Self {
        let mut commit = Self {
            id,
            tree: Vec::new(),
            parents: Vec::new(),
            author: Person::default(),
            committer: Person::default(),
            is_encoded: false,
            message: Vec::new(),
            committed: 0,
        };
        let mut rest = data;
        let mut is_behind_author = false;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            rest = after;
            if line.is_empty() {
                commit.message = after.to_vec();
                break;
            }
            let mut halves = line.splitn(2, |byte| *byte == b' ');
            let (key, value) = (
                halves.next().unwrap_or_default(),
                halves.next().unwrap_or_default(),
            );
            match key {
                b"tree" => commit.tree = value.to_vec(),
                b"parent" => commit.parents.push(value.to_vec()),
                b"author" => commit.author = Person::parse(value),
                b"committer" => {
                    commit.committer = Person::parse(value);
                    if is_behind_author {
                        commit.committed = seconds(line);
                    }
                }
                b"encoding" => commit.is_encoded = true,
                _ => {}
            }
            is_behind_author = key == b"author";
        }
        commit
    }

    /// Replaces every `$Format:...$`; nothing if one asks for what the commit alone does not say.
    pub(super) fn expand(&self, text: &[u8]) -> Option<Vec<u8>> {
        const MARK: &[u8] = b"$Format:";
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.windows(MARK.len()).position(|part| part == MARK) {
            let format = &rest[start + MARK.len()..];
            let Some(end) = format.iter().position(|byte| *byte == b'$') else {
                break;
            };
            out.extend_from_slice(&rest[..start]);
            self.format(&format[..end], &mut out)?;
            rest = &format[end + 1..];
        }
        out.extend_from_slice(rest);
        Some(out)
    }

    fn format(&self, format: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let mut rest = format;
        while let Some(percent) = rest.iter().position(|byte| *byte == b'%') {
            out.extend_from_slice(&rest[..percent]);
            let (placeholder, after) = self.placeholder(&rest[percent + 1..])?;
            out.extend(placeholder);
            rest = after;
        }
        out.extend_from_slice(rest);
        Some(())
    }

    fn placeholder<'t>(&self, text: &'t [u8]) -> Option<(Vec<u8>, &'t [u8])> {
        if self.is_encoded {
            return None;
        }
        let person = |person: &Person, field: u8| match field {
            b'n' => Some(person.name.clone()),
            b'e' => Some(person.mail.clone()),
            b't' => Some(person.time.to_string().into_bytes()),
            b'd' => person.date(Date::Usual),
            b'D' => person.date(Date::Mail),
            b'i' => person.date(Date::Iso),
            b's' => person.date(Date::Day),
            _ => None,
        };
        match text {
            [b'%', rest @ ..] => Some((b"%".to_vec(), rest)),
            [b'n', rest @ ..] => Some((b"\n".to_vec(), rest)),
            // Short ids are whole ones: makepkg sets `core.abbrev=no`.
            [b'H' | b'h', rest @ ..] => Some((self.id.to_string().into_bytes(), rest)),
            [b'T' | b't', rest @ ..] => Some((self.tree.clone(), rest)),
            [b'P' | b'p', rest @ ..] => Some((self.parents.join(&b' '), rest)),
            [b'a', field, rest @ ..] => Some((person(&self.author, *field)?, rest)),
            [b'c', field, rest @ ..] => Some((person(&self.committer, *field)?, rest)),
            _ => None,
        }
    }
}

#[derive(Clone, Copy)]
enum Date {
    Usual,
    Mail,
    Iso,
    Day,
}

impl Person {
    fn parse(line: &[u8]) -> Self {
        let open = line.iter().position(|byte| *byte == b'<');
        let close = line.iter().rposition(|byte| *byte == b'>');
        let (Some(open), Some(close)) = (open, close) else {
            return Self::default();
        };
        let mut words = line[close + 1..]
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty());
        let time = words.next().and_then(|word| std::str::from_utf8(word).ok());
        Self {
            name: line[..open].trim_ascii_end().to_vec(),
            mail: line.get(open + 1..close).unwrap_or_default().to_vec(),
            time: time.and_then(|time| time.parse().ok()).unwrap_or_default(),
            zone: words.next().unwrap_or_default().to_vec(),
        }
    }

    /// The date where the person was; nothing for a date or zone that is not an ordinary one.
    fn date(&self, form: Date) -> Option<Vec<u8>> {
        let zone = std::str::from_utf8(&self.zone).ok()?;
        let digits = zone.strip_prefix(['+', '-'])?;
        if digits.len() != 4 || !(0..=4_102_444_800).contains(&self.time) {
            return None;
        }
        let number: i64 = digits.parse().ok()?;
        let minutes = number / 100 * 60 + number % 100;
        let minutes = if zone.starts_with('-') {
            -minutes
        } else {
            minutes
        };
        let local = self.time + minutes * 60;
        let (days, second) = (local.div_euclid(86_400), local.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let weekday = *WEEKDAYS.get(usize::try_from((days + 4).rem_euclid(7)).ok()?)?;
        let name = *MONTHS.get(usize::try_from(month - 1).ok()?)?;
        let text = match form {
            Date::Usual => {
                format!("{weekday} {name} {day} {hour:02}:{minute:02}:{second:02} {year} {zone}")
            }
            Date::Mail => {
                format!("{weekday}, {day} {name} {year} {hour:02}:{minute:02}:{second:02} {zone}")
            }
            Date::Iso => {
                format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} {zone}")
            }
            Date::Day => format!("{year:04}-{month:02}-{day:02}"),
        };
        Some(text.into_bytes())
    }
}

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Year, month and day of a number of days since 1970, by eras of 400 years that begin in March.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (year + era * 400, (month + 2) % 12 + 1);
    (if month <= 2 { year + 1 } else { year }, month, day)
}

/// When a commit was made, by its committer's line: git's `parse_commit_date`.
fn seconds(line: &[u8]) -> u64 {
    let Some(close) = line.iter().rposition(|byte| *byte == b'>') else {
        return 0;
    };
    let text = line[close + 1..].trim_ascii_start();
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let number =
        digits
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .fold(0_u64, |number, digit| {
                number
                    .saturating_mul(10)
                    .saturating_add(u64::from(digit - b'0'))
            });
    if is_negative {
        number.wrapping_neg()
    } else {
        number
    }
}
