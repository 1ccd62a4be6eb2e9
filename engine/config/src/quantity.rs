//! Durations, sizes and factors, read and written as Flink does.

use std::time::Duration;

/// Units of time with the nanoseconds of one, longest first. The first spelling is the one written.
const TIMES: &[(&[&str], u64)] = &[
    (&["d", "day", "days"], 86_400_000_000_000),
    (&["h", "hour", "hours"], 3_600_000_000_000),
    (&["min", "m", "minute", "minutes"], 60_000_000_000),
    (&["s", "sec", "secs", "second", "seconds"], 1_000_000_000),
    (&["ms", "milli", "millis", "millisecond", "milliseconds"], 1_000_000),
    (&["µs", "us", "micro", "micros", "microsecond", "microseconds"], 1_000),
    (&["ns", "nano", "nanos", "nanosecond", "nanoseconds"], 1),
];

/// Units of size with the bytes of one, largest first. The first spelling is the one written.
const SIZES: &[(&[&str], u64)] = &[
    (&["tb", "t", "tebibytes"], 1 << 40),
    (&["gb", "g", "gibibytes"], 1 << 30),
    (&["mb", "m", "mebibytes"], 1 << 20),
    (&["kb", "k", "kibibytes"], 1 << 10),
    (&["bytes", "b"], 1),
];

/// Reads `10 min`, `10s`, `500 ms` or ISO 8601 (`PT10S`). A number alone is in milliseconds, as in Flink.
pub fn parse_duration(text: &str) -> Option<Duration> {
    if let Some(iso) = text.strip_prefix(['P', 'p']) {
        return parse_iso(iso);
    }
    let (number, unit) = split(text)?;
    let nanos = if unit.is_empty() { 1_000_000 } else { unit_of(TIMES, &unit)? };
    number.checked_mul(nanos).map(Duration::from_nanos)
}

/// The longest unit that divides it: `10 min`.
pub fn show_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0 ms".to_owned();
    }
    let (names, unit) = TIMES
        .iter()
        .find(|(_, unit)| nanos.is_multiple_of(u128::from(*unit)))
        .expect("every number is divided by one");
    format!("{} {}", nanos / u128::from(*unit), names[0])
}

/// Reads `20 kb`, `32mb` or a number of bytes; a kilobyte has 1024 of them.
pub fn parse_memory(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let bytes = if unit.is_empty() { 1 } else { unit_of(SIZES, &unit)? };
    number.checked_mul(bytes)
}

/// The largest unit that divides it: `20 kb`.
pub fn show_memory(bytes: u64) -> String {
    if bytes == 0 {
        return "0 bytes".to_owned();
    }
    let (names, unit) =
        SIZES.iter().find(|(_, unit)| bytes.is_multiple_of(*unit)).expect("one divides it");
    format!("{} {}", bytes / unit, names[0])
}

/// Reads `1.5` as 150 hundredths; more than two decimals are refused.
pub fn parse_factor(text: &str) -> Option<u32> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    let decimals = decimals.trim_end_matches('0');
    if !is_digits(whole) || decimals.len() > 2 || !(decimals.is_empty() || is_digits(decimals)) {
        return None;
    }
    let hundredths: u32 = format!("{decimals:0<2}").parse().ok()?;
    whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(hundredths)
}

/// `150` hundredths as `1.5`.
pub fn show_factor(hundredths: u32) -> String {
    let decimals = format!("{:02}", hundredths % 100);
    let decimals = decimals.trim_end_matches('0');
    let decimals = if decimals.is_empty() { "0" } else { decimals };
    format!("{}.{decimals}", hundredths / 100)
}

/// A whole number and what follows it, in lower case.
fn split(text: &str) -> Option<(u64, String)> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim().to_lowercase()))
}

fn unit_of(units: &[(&[&str], u64)], name: &str) -> Option<u64> {
    units.iter().find(|(names, _)| names.contains(&name)).map(|(_, unit)| *unit)
}

/// What follows the `P` of an ISO 8601 duration of days, hours, minutes and seconds.
fn parse_iso(text: &str) -> Option<Duration> {
    let text = text.to_ascii_uppercase();
    let (days, time) = text.split_once('T').unwrap_or((&text, ""));
    let has_time = text.contains('T');
    if (days.is_empty() && !has_time) || (has_time && time.is_empty()) {
        return None;
    }
    let mut seconds = 0_u64;
    for (part, legal) in
        [(days, [("D", 86_400)].as_slice()), (time, &[("H", 3600), ("M", 60), ("S", 1)])]
    {
        let (mut rest, mut legal) = (part, legal);
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number: u64 = rest[..digits].parse().ok()?;
            let unit = rest.get(digits..=digits)?;
            let at = legal.iter().position(|(name, _)| *name == unit)?;
            seconds = seconds.checked_add(number.checked_mul(legal[at].1)?)?;
            (rest, legal) = (&rest[digits + 1..], &legal[at + 1..]);
        }
    }
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_flink_writes_them() {
        let ms = Duration::from_millis;
        for (text, duration) in [
            ("10 min", ms(600_000)),
            ("10s", ms(10_000)),
            ("500 ms", ms(500)),
            ("500", ms(500)),
            ("0", ms(0)),
            ("1 D", ms(86_400_000)),
            ("2 hours", ms(7_200_000)),
            (" 3 Minutes ", ms(180_000)),
            ("250 µs", Duration::from_micros(250)),
            ("7ns", Duration::from_nanos(7)),
            ("PT10S", ms(10_000)),
            ("PT1H30M", ms(5_400_000)),
            ("P1D", ms(86_400_000)),
            ("p1dt1s", ms(86_401_000)),
        ] {
            assert_eq!(parse_duration(text), Some(duration), "{text}");
        }
        for text in [
            "",
            "s",
            "-1 s",
            "1.5 s",
            "10 parsecs",
            "99999999999999999999 s",
            "999999999999 d",
            "P",
            "PT",
            "PT5",
            "PTS",
            "PT1S1M",
            "P1H",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for nanos in [0, 1, 1_000, 90_000_000_000, 600_000_000_000, 3_600_000_000_000] {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(parse_duration(&show_duration(duration)), Some(duration));
        }
        assert_eq!(show_duration(Duration::from_mins(10)), "10 min");
        for bytes in [0, 1, 4096, 20 << 10, 32 << 20, 5 << 40] {
            assert_eq!(parse_memory(&show_memory(bytes)), Some(bytes));
        }
        assert_eq!(show_memory(20 << 10), "20 kb");
        for hundredths in [0, 1, 10, 100, 150, 234] {
            assert_eq!(parse_factor(&show_factor(hundredths)), Some(hundredths));
        }
        assert_eq!(show_factor(150), "1.5");
    }

    #[test]
    fn sizes_and_factors_have_their_spellings() {
        assert_eq!(parse_memory("20 kb"), Some(20 << 10));
        assert_eq!(parse_memory("32MB"), Some(32 << 20));
        assert_eq!(parse_memory("4096"), Some(4096));
        assert_eq!(parse_memory("1 gibibytes"), Some(1 << 30));
        for text in ["", "kb", "-1 kb", "1.5 kb", "1 xb", "99999999999 tb"] {
            assert_eq!(parse_memory(text), None, "{text}");
        }
        assert_eq!(parse_factor("2"), Some(200));
        assert_eq!(parse_factor("0.1"), Some(10));
        assert_eq!(parse_factor("1.500"), Some(150));
        for text in ["", ".", ".5", "1.234", "-1", "1,5", "1e3", "99999999"] {
            assert_eq!(parse_factor(text), None, "{text}");
        }
    }
}
