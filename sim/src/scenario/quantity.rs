//! Quantities as scenario files write them: a number and its unit in one text.
//!
//! A range `"a..b"` is drawn once from the seed, both ends included. Deliberately absent: bare numbers
//! with an implied unit, and expressions.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A duration such as `"500ms"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub Duration);

/// A duration or a range of durations such as `"10s..20s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// The shortest.
    pub least: Duration,
    /// The longest.
    pub most: Duration,
}

/// A share such as `"150%"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(pub u32);

/// A rate such as `"2000/s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerSecond(pub u64);

/// An amount of memory such as `"64KiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

/// A bandwidth such as `"64KiB/s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BytesPerSecond(pub u64);

/// How much a clock gains, such as `"200000ppm"`; it loses with a minus sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerMillion(pub i32);

impl TimeRange {
    /// Always `duration`.
    pub const fn exactly(duration: Duration) -> Self {
        Self { least: duration, most: duration }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl fmt::Display for PerMillion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ppm", self.0)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, size): &&(&str, u64)| self.0.is_multiple_of(*size);
        let (unit, size) = BYTE_UNITS.iter().rev().find(fits).unwrap_or(&BYTE_UNITS[0]);
        write!(f, "{}{unit}", self.0 / size)
    }
}

impl fmt::Display for BytesPerSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", Bytes(self.0))
    }
}

/// Writes a range the way scenario files do.
impl fmt::Display for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.least == self.most {
            f.write_str(&show_time(self.least))
        } else {
            write!(f, "{}..{}", show_time(self.least), show_time(self.most))
        }
    }
}

const BYTE_UNITS: [(&str, u64); 4] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

const UNITS: [(&str, u64); 5] = [
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a duration.
///
/// # Errors
/// What is wrong with it, as a clause.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let expected =
        "expected a duration with its unit (us, ms, s, min, h), such as \"500ms\" or \"2s\"";
    let digits = text.find(|it: char| !it.is_ascii_digit() && it != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number
        .replace('_', "")
        .parse()
        .map_err(|_| format!("invalid duration `{text}`, {expected}"))?;
    if unit.is_empty() {
        return Err(format!("`{text}` has no unit, {expected}"));
    }
    let (_, nanos) = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(|| format!("unknown unit `{unit}` in `{text}`, {expected}"))?;
    let nanos = number.checked_mul(*nanos).ok_or_else(|| format!("`{text}` is too long"))?;
    Ok(Duration::from_nanos(nanos))
}

/// Writes a duration the way [`parse_time`] reads it, with the largest unit that is exact.
pub fn show_time(time: Duration) -> String {
    let nanos = u64::try_from(time.as_nanos()).expect("a scenario lasts less than 500 years");
    let (unit, size) =
        UNITS[..3].iter().rev().find(|(_, size)| nanos.is_multiple_of(*size)).unwrap_or(&UNITS[0]);
    format!("{}{unit}", nanos / size)
}

fn parse_time_range(text: &str) -> Result<TimeRange, String> {
    let Some((least, most)) = text.split_once("..") else {
        return parse_time(text).map(TimeRange::exactly);
    };
    let (least, most) = (parse_time(least)?, parse_time(most)?);
    if least >= most {
        return Err(format!("the range `{text}` is empty, expected the smaller end first"));
    }
    Ok(TimeRange { least, most })
}

fn parse_percent(text: &str) -> Result<Percent, String> {
    text.strip_suffix('%').and_then(|it| it.parse().ok()).map(Percent).ok_or_else(|| {
        format!("invalid share `{text}`, expected a whole percentage, such as \"150%\"")
    })
}

fn parse_per_second(text: &str) -> Result<PerSecond, String> {
    text.strip_suffix("/s")
        .and_then(|it| it.replace('_', "").parse().ok())
        .filter(|it| *it > 0)
        .map(PerSecond)
        .ok_or_else(|| {
            format!("invalid rate `{text}`, expected a rate with its unit, such as \"2000/s\"")
        })
}

fn parse_bytes(text: &str) -> Result<Bytes, String> {
    let parse = |(unit, size): &(&str, u64)| {
        let number: u64 = text.strip_suffix(unit)?.replace('_', "").parse().ok()?;
        number.checked_mul(*size)
    };
    // `KiB` ends in `B`, so the longer units come first.
    BYTE_UNITS.iter().rev().find_map(parse).filter(|it| *it > 0).map(Bytes).ok_or_else(|| {
        format!("invalid size `{text}`, expected a size with its unit, such as \"64KiB\"")
    })
}

fn parse_bytes_per_second(text: &str) -> Result<BytesPerSecond, String> {
    let bytes = text.strip_suffix("/s").and_then(|it| parse_bytes(it).ok());
    bytes.map(|it| BytesPerSecond(it.0)).ok_or_else(|| {
        format!("invalid bandwidth `{text}`, expected one with its unit, such as \"64KiB/s\"")
    })
}

/// A clock that gains or loses half is broken, not fast or slow.
const DRIFT_MAX: i32 = 500_000;

fn parse_per_million(text: &str) -> Result<PerMillion, String> {
    let number = text.strip_suffix("ppm").and_then(|it| it.replace('_', "").parse().ok());
    number.filter(|it: &i32| it.abs() <= DRIFT_MAX).map(PerMillion).ok_or_else(|| {
        format!(
            "invalid drift `{text}`, expected parts per million up to {DRIFT_MAX}, such as \"200_000ppm\""
        )
    })
}

macro_rules! quantity {
    ($type:ty, $parse:ident, $expecting:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        $parse(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

fn parse_time_only(text: &str) -> Result<Time, String> {
    parse_time(text).map(Time)
}

quantity!(Time, parse_time_only, "a duration with its unit, such as \"500ms\" or \"2s\"");
quantity!(
    TimeRange,
    parse_time_range,
    "a duration or a range of durations with units, such as \"2s\" or \"10s..20s\""
);
quantity!(Percent, parse_percent, "a percentage, such as \"150%\"");
quantity!(Bytes, parse_bytes, "a size with its unit, such as \"64KiB\"");
quantity!(BytesPerSecond, parse_bytes_per_second, "a bandwidth, such as \"64KiB/s\"");
quantity!(PerMillion, parse_per_million, "a drift in parts per million, such as \"200_000ppm\"");
quantity!(PerSecond, parse_per_second, "a rate with its unit, such as \"2000/s\"");

macro_rules! written {
    ($($type:ty),*) => { $(impl serde::Serialize for $type {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    })* };
}

written!(TimeRange, Percent, Bytes, BytesPerSecond, PerMillion);

/// Seeds as a file writes them: a list, or a range of which both ends are included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seeds(pub Vec<u64>);

/// The most seeds one scenario file or one sweep may ask for.
pub const SEEDS_MAX: u64 = 10_000_000;

/// The greatest seed: what a file can write as a number.
pub const SEED_MAX: u64 = i64::MAX as u64;

/// Reads `"1..20"`, both ends included.
///
/// # Errors
/// What is wrong with it, as a clause.
pub fn parse_seed_range(text: &str) -> Result<Vec<u64>, String> {
    let expected = "expected a range of seeds with both ends included, such as \"1..20\"";
    let parse = |it: &str| it.replace('_', "").parse::<u64>().ok();
    let (first, last) = match text.split_once("..") {
        Some((first, last)) => (parse(first), parse(last)),
        None => return Err(format!("invalid seeds `{text}`, {expected}")),
    };
    let (Some(first), Some(last)) = (first, last) else {
        return Err(format!("invalid seeds `{text}`, {expected}"));
    };
    if first > last {
        return Err(format!("the range `{text}` is empty, expected the smaller end first"));
    }
    if last > SEED_MAX {
        return Err(format!("the range `{text}` goes beyond the greatest seed, {SEED_MAX}"));
    }
    if last - first >= SEEDS_MAX {
        return Err(format!("the range `{text}` has more than {SEEDS_MAX} seeds"));
    }
    Ok((first..=last).collect())
}

impl<'de> Deserialize<'de> for Seeds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Seeds;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of seeds such as [1, 42] or a range such as \"1..20\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Seeds, E> {
                parse_seed_range(text).map(Seeds).map_err(E::custom)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Seeds, A::Error> {
                let mut seeds = Vec::new();
                while let Some(seed) = list.next_element()? {
                    seeds.push(seed);
                }
                Ok(Seeds(seeds))
            }
        }
        deserializer.deserialize_any(List)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_written_the_way_it_is_read() {
        for text in ["1us", "1500us", "500ms", "2s", "90s"] {
            assert_eq!(show_time(parse_time(text).unwrap()), text);
        }
        assert_eq!(parse_time("2min"), Ok(Duration::from_mins(2)));
    }

    #[test]
    fn a_range_of_seeds_includes_both_ends() {
        assert_eq!(parse_seed_range("3..5"), Ok(vec![3, 4, 5]));
        assert!(parse_seed_range("5..3").is_err());
    }
}
