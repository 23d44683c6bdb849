//! US dollars in whole millionths, so that sums are exact.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// An amount of US dollars in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Usd(i64);

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount in millionths of a dollar.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Whole dollars.
    pub const fn from_dollars(dollars: i64) -> Self {
        Self(dollars.saturating_mul(1_000_000))
    }

    /// Reads `5`, `2.50` or `$2.50`; at most six decimals, at most a million dollars, never negative.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('$').unwrap_or(text);
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || whole.len() > 7 || part.len() > 6 || !digits(whole) || !digits(part) {
            return None;
        }
        let part: i64 = format!("{part:0<6}").parse().ok()?;
        let amount = whole.parse::<i64>().ok()? * 1_000_000 + part;
        (amount <= 1_000_000_000_000).then_some(Self(amount))
    }

    /// The amount in millionths of a dollar.
    pub const fn micros(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cents = (self.0 + 5_000) / 10_000;
        if self.0 != 0 && cents == 0 {
            return write!(f, "$0.{:04}", self.0 / 100);
        }
        write!(f, "${}.{:02}", cents / 100, cents % 100)
    }
}

impl Add for Usd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Usd {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_and_print() {
        let cases = [("5", "$5.00"), ("2.5", "$2.50"), ("$0.126", "$0.13"), ("0.001", "$0.0010"), ("0", "$0.00")];
        for (text, printed) in cases {
            assert_eq!(Usd::parse(text).map(|u| u.to_string()).as_deref(), Some(printed), "{text}");
        }
        for bad in ["", "-1", "1.1234567", "abc", "12345678", "1e3", "1,5"] {
            assert_eq!(Usd::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn amounts_are_exact_to_the_millionth_and_end_at_a_million() {
        for (text, micros) in [("0.000001", 1), ("7", 7_000_000), ("$2.5", 2_500_000), ("1000000", 1_000_000_000_000)] {
            assert_eq!(Usd::parse(text).map(Usd::micros), Some(micros), "{text}");
        }
        for bad in ["1000000.000001", "1000001", "9999999999999", "00000005", ".5", "0.0000001"] {
            assert_eq!(Usd::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn sums_and_differences_are_exact_and_never_wrap() {
        let (ten, cents) = (Usd::from_dollars(10), Usd::from_micros(30_000));
        assert_eq!((ten + cents, ten - cents), (Usd::from_micros(10_030_000), Usd::from_micros(9_970_000)));
        let mut sum = Usd::ZERO;
        for micros in 1..=100 {
            sum += Usd::from_micros(micros);
        }
        assert_eq!(sum, Usd::from_micros(5_050));
        let most = Usd::from_micros(i64::MAX);
        assert_eq!((most + ten, Usd::ZERO - most - ten), (most, Usd::from_micros(i64::MIN)));
    }
}
