//! Programs that report what the environment says.

use crate::evaluate::dynamic::{DynamicKind, Stop};
use crate::evaluate::shell::Shell;
use std::fmt::Write as _;

pub(super) fn nproc(shell: &mut Shell, args: &[&str]) -> Result<i32, Stop> {
    if !args.is_empty() {
        return Err(shell.unsupported("nproc", args[0]));
    }
    let Some(count) = shell.environment.facts.nproc else {
        return Err(shell.reason(DynamicKind::Host("nproc".to_owned())).into());
    };
    shell.write(&format!("{count}\n"))?;
    Ok(0)
}

pub(super) fn uname(shell: &mut Shell, args: &[&str]) -> Result<i32, Stop> {
    let facts = shell.environment.facts.clone();
    let Some(uname) = &facts.uname else {
        return Err(shell.reason(DynamicKind::Host("uname".to_owned())).into());
    };
    let mut wanted = String::new();
    for arg in args {
        wanted.push_str(match *arg {
            "--kernel-name" => "s",
            "--nodename" => "n",
            "--kernel-release" => "r",
            "--kernel-version" => "v",
            "--machine" => "m",
            "--operating-system" => "o",
            arg if arg.starts_with('-') && !arg.starts_with("--") => &arg[1..],
            arg => return Err(shell.unsupported("uname", arg)),
        });
    }
    if wanted.is_empty() {
        wanted.push('s');
    }
    if let Some(other) = wanted.chars().find(|c| !"snrvmo".contains(*c)) {
        return Err(shell.unsupported("uname", format!("-{other}")));
    }
    if wanted.contains('n') && uname.node.is_none() {
        let kind = DynamicKind::Host("uname -n".to_owned());
        return Err(shell.reason(kind).into());
    }
    let node = uname.node.clone().unwrap_or_default();
    let parts: Vec<&str> = [
        ('s', &uname.system),
        ('n', &node),
        ('r', &uname.release),
        ('v', &uname.version),
        ('m', &uname.machine),
        ('o', &uname.operating_system),
    ]
    .iter()
    .filter(|(letter, _)| wanted.contains(*letter))
    .map(|(_, value)| value.as_str())
    .collect();
    shell.write(&format!("{}\n", parts.join(" ")))?;
    Ok(0)
}

/// `date` with the environment's clock or a given second, in UTC.
pub(super) fn date(shell: &mut Shell, args: &[&str]) -> Result<i32, Stop> {
    let (mut utc, mut seconds, mut format) = (false, None, None);
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let arg = *arg;
        if let Some(text) = arg.strip_prefix('+') {
            format = Some(text.to_owned());
        } else if let Some(text) = arg.strip_prefix("--date=") {
            seconds = Some(text.to_owned());
        } else if matches!(arg, "--utc" | "--universal") {
            utc = true;
        } else if arg == "--iso-8601" {
            format = Some("%Y-%m-%d".to_owned());
        } else if arg == "--rfc-email" {
            format = Some("%a, %d %b %Y %H:%M:%S +0000".to_owned());
        } else if arg.starts_with('-') && !arg.starts_with("--") {
            for (at, letter) in arg.char_indices().skip(1) {
                match letter {
                    'u' => utc = true,
                    'R' => format = Some("%a, %d %b %Y %H:%M:%S +0000".to_owned()),
                    'I' if at + 1 == arg.len() => format = Some("%Y-%m-%d".to_owned()),
                    'd' => {
                        let joined = &arg[at + 1..];
                        let value = if joined.is_empty() {
                            rest.next().copied().unwrap_or("")
                        } else {
                            joined
                        };
                        seconds = Some(value.to_owned());
                        break;
                    }
                    other => return Err(shell.unsupported("date", format!("-{other}"))),
                }
            }
        } else {
            return Err(shell.unsupported("date", arg));
        }
    }
    // makepkg passes no time zone on, but the host may have one.
    let zone = shell.environment.variable("TZ").map(str::to_owned);
    if !utc && !matches!(zone.as_deref(), Some("UTC" | "UTC0" | "")) {
        return Err(shell
            .reason(DynamicKind::Host("the time zone".to_owned()))
            .into());
    }
    let Some(when) = seconds else {
        return Err(shell
            .reason(DynamicKind::Host("the time of day".to_owned()))
            .into());
    };
    let Some(seconds) = when
        .strip_prefix('@')
        .and_then(|text| text.trim().parse::<i64>().ok())
    else {
        return Err(shell.unsupported("date", format!("the date {when}")));
    };
    if !(-62_135_596_800..253_402_300_800).contains(&seconds) {
        return Err(shell.unsupported("date", format!("the date {when}")));
    }
    let format = format.unwrap_or_else(|| "%a %b %e %H:%M:%S UTC %Y".to_owned());
    match strftime(&format, seconds) {
        Some(text) => {
            shell.write(&format!("{text}\n"))?;
            Ok(0)
        }
        None => Err(shell.unsupported("date", format)),
    }
}

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Formats a second in UTC; `None` for a conversion that is not interpreted.
fn strftime(format: &str, seconds: i64) -> Option<String> {
    let days = seconds.div_euclid(86_400);
    let second = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    // Days to a civil date: eras of 400 years that begin in March.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let month_index = usize::try_from(month - 1).ok()?;
    let day_of_year = before[month_index] + day + i64::from(leap && month > 2);
    let weekday = usize::try_from((days + 4).rem_euclid(7)).ok()?;
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut conversion = chars.next()?;
        let unpadded = conversion == '-';
        if unpadded {
            conversion = chars.next()?;
        }
        let number = |value: i64, width: usize| {
            if unpadded {
                value.to_string()
            } else {
                format!("{value:0width$}")
            }
        };
        match conversion {
            'Y' => out.push_str(&year.to_string()),
            'y' => out.push_str(&number(year.rem_euclid(100), 2)),
            'C' => out.push_str(&number(year.div_euclid(100), 2)),
            'm' => out.push_str(&number(month, 2)),
            'd' => out.push_str(&number(day, 2)),
            'e' if !unpadded => {
                let _ = write!(out, "{day:2}");
            }
            'H' => out.push_str(&number(hour, 2)),
            'I' => out.push_str(&number((hour + 11) % 12 + 1, 2)),
            'M' => out.push_str(&number(minute, 2)),
            'S' => out.push_str(&number(second, 2)),
            'j' => out.push_str(&number(day_of_year, 3)),
            's' => out.push_str(&seconds.to_string()),
            'F' => {
                let _ = write!(out, "{year}-{month:02}-{day:02}");
            }
            'T' => {
                let _ = write!(out, "{hour:02}:{minute:02}:{second:02}");
            }
            'R' => {
                let _ = write!(out, "{hour:02}:{minute:02}");
            }
            'D' => {
                let _ = write!(out, "{month:02}/{day:02}/{:02}", year.rem_euclid(100));
            }
            'u' => out.push_str(&(if weekday == 0 { 7 } else { weekday }).to_string()),
            'w' => out.push_str(&weekday.to_string()),
            'a' => out.push_str(&DAYS[weekday][..3]),
            'A' => out.push_str(DAYS[weekday]),
            'b' | 'h' => out.push_str(&MONTHS[month_index][..3]),
            'B' => out.push_str(MONTHS[month_index]),
            'p' => out.push_str(if hour < 12 { "AM" } else { "PM" }),
            'Z' => out.push_str("UTC"),
            'z' => out.push_str("+0000"),
            'n' => out.push('\n'),
            't' => out.push('\t'),
            '%' => out.push('%'),
            _ => return None,
        }
    }
    Some(out)
}
