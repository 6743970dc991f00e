//! The order of versions: vercmp(8) of pacman.

use std::cmp::Ordering;
use std::fmt;

use crate::receipt::Receipt;

/// A full version of PKGBUILD(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FullVersion {
    pub(crate) epoch: u64,
    pub(crate) pkgver: String,
    pub(crate) pkgrel: String,
}

impl FullVersion {
    /// That of an installed version; older receipts have no epoch, which counts as none.
    pub(crate) fn of(receipt: &Receipt) -> Self {
        Self {
            epoch: receipt.epoch,
            pkgver: receipt.pkgver.clone(),
            pkgrel: receipt.pkgrel.clone(),
        }
    }

    /// The epoch decides, then pkgver, then pkgrel.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare(&self.pkgver, &other.pkgver))
            .then_with(|| compare(&self.pkgrel, &other.pkgrel))
    }
}

impl fmt::Display for FullVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.epoch > 0 {
            write!(formatter, "{}:", self.epoch)?;
        }
        write!(formatter, "{}-{}", self.pkgver, self.pkgrel)
    }
}

/// The order of two parts of a version, segment by segment: pacman, `lib/libalpm/version.c`,
/// "rpmvercmp".
fn compare(one: &str, two: &str) -> Ordering {
    let (mut one, mut two) = (one.as_bytes(), two.as_bytes());
    while !one.is_empty() && !two.is_empty() {
        let (one_gap, two_gap) = (gap(one), gap(two));
        (one, two) = (&one[one_gap..], &two[two_gap..]);
        if one.is_empty() || two.is_empty() {
            break;
        }
        if one_gap != two_gap {
            return one_gap.cmp(&two_gap);
        }
        let is_number = one[0].is_ascii_digit();
        let (first, one_rest) = segment(one, is_number);
        let (second, two_rest) = segment(two, is_number);
        if second.is_empty() {
            // A number is newer than letters.
            return if is_number {
                Ordering::Greater
            } else {
                Ordering::Less
            };
        }
        let order = if is_number {
            let (first, second) = (significant(first), significant(second));
            first.len().cmp(&second.len()).then(first.cmp(second))
        } else {
            first.cmp(second)
        };
        if order != Ordering::Equal {
            return order;
        }
        (one, two) = (one_rest, two_rest);
    }
    match (one.first(), two.first()) {
        (None, None) => Ordering::Equal,
        // `1.0rc` comes before `1.0`, and `1.0.1` after it.
        (Some(next), _) if next.is_ascii_alphabetic() => Ordering::Less,
        (None, Some(next)) if !next.is_ascii_alphabetic() => Ordering::Less,
        _ => Ordering::Greater,
    }
}

fn gap(text: &[u8]) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric();
    text.iter().position(is_part).unwrap_or(text.len())
}

fn segment(text: &[u8], is_number: bool) -> (&[u8], &[u8]) {
    let is_in = |byte: &u8| {
        if is_number {
            byte.is_ascii_digit()
        } else {
            byte.is_ascii_alphabetic()
        }
    };
    let end = text.iter().position(|byte| !is_in(byte));
    text.split_at(end.unwrap_or(text.len()))
}

fn significant(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().position(|digit| *digit != b'0');
    &digits[zeros.unwrap_or(digits.len())..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_pacman_orders_them() {
        // pacman, `test/util/vercmptest.sh`.
        let cases = [
            ("1.5.0", "1.5.0", Ordering::Equal),
            ("1.5.1", "1.5.0", Ordering::Greater),
            ("1.5.1", "1.5", Ordering::Greater),
            ("1.5.b", "1.5", Ordering::Greater),
            ("1.5b", "1.5", Ordering::Less),
            ("1.5b", "1.5.1", Ordering::Less),
            ("1.0a", "1.0alpha", Ordering::Less),
            ("1.0alpha", "1.0b", Ordering::Less),
            ("1.0beta", "1.0rc", Ordering::Less),
            ("1.0rc", "1.0", Ordering::Less),
            ("1.1.a", "1.1", Ordering::Greater),
            ("1.11", "1.1", Ordering::Greater),
            ("1.011", "1.11", Ordering::Equal),
            ("1.1.1", "1_1_1", Ordering::Equal),
            ("2.0", "2_0", Ordering::Equal),
            ("2.0.", "2.0", Ordering::Greater),
            ("2..0", "2.0", Ordering::Greater),
            ("20240101", "r5.abc", Ordering::Greater),
        ];
        for (one, two, expected) in cases {
            assert_eq!(compare(one, two), expected, "{one} {two}");
            assert_eq!(compare(two, one), expected.reverse(), "{two} {one}");
        }
    }

    #[test]
    fn the_epoch_decides_then_pkgver_then_pkgrel() {
        let version = |epoch, pkgver: &str, pkgrel: &str| FullVersion {
            epoch,
            pkgver: pkgver.to_owned(),
            pkgrel: pkgrel.to_owned(),
        };
        let order = [
            version(0, "1.0", "1"),
            version(0, "1.0", "1.1"),
            version(0, "1.0", "2"),
            version(0, "2.0", "1"),
            version(1, "0.1", "1"),
        ];
        for pair in order.windows(2) {
            assert_eq!(pair[0].compare(&pair[1]), Ordering::Less, "{pair:?}");
        }
        assert_eq!(order[4].to_string(), "1:0.1-1");
        assert_eq!(order[0].to_string(), "1.0-1");
    }
}
