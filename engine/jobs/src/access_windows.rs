//! `access-windows`: what happens on a web server over time, from its log in Apache combined format.
//!
//! ```text
//! lines -> parse -> clock -+-> [ status ] -> requests per minute -> minutes/
//!            |             |        +----------- too late ---------> late/
//!        malformed/        +-> [ client ] -> sessions -------------> sessions/
//!                          +-> [ path ] ---> counts -> [ window ] -> paths/
//! ```
//!
//! Times are those of the lines, so the result does not depend on when they are read, nor on what fails
//! meanwhile. Lines may be out of order by `disorder`; one that comes later is counted in `late/`, and in
//! `minutes/` it is not. A minute is the shortest window, so what is too late for any is too late for it.

use std::cmp::Reverse;
use std::time::Duration;

use seawall_runtime::connectors::file_sink::FileSink;
use seawall_runtime::connectors::file_source::FileSource;
use seawall_runtime::connectors::rate::Rated;
use seawall_stream::window::{Count, Session, Sliding, Sum, TopN, Tumbling, Window, Windowed};
use seawall_stream::{EventTime, Job, JobBuilder, WatermarkStrategy};
use serde::{Deserialize, Serialize};

use crate::JobSpec;
use crate::access_log::{Fields, write_line};
use crate::options::{INPUT, OUTPUT, OptionKind, OptionSpec, Options, RATE};

const DISORDER: OptionSpec = OptionSpec {
    key: "disorder",
    about: "seconds by which a line may be older than one before it",
    kind: OptionKind::Number,
    default: Some("60"),
};

/// What `seawall run access-windows` offers.
pub const SPEC: JobSpec = JobSpec {
    name: "access-windows",
    about: "requests per minute, sessions and top paths in a web server's log in Apache combined format",
    output: "minutes/: start,status,requests; sessions/: start,client,seconds,requests,bytes; paths/: start,rank,path,requests",
    options: &[INPUT, DISORDER, OUTPUT, RATE],
    build,
};

const MINUTE: Duration = Duration::from_mins(1);
/// A session ends when nothing came for so long.
const GAP: Duration = Duration::from_mins(30);
/// Paths are counted over this time, each minute.
const PATHS_OVER: Duration = Duration::from_mins(5);
const PATHS_MAX: usize = 3;

fn build(options: &Options, parallelism: u32) -> Job {
    let builder = JobBuilder::new(SPEC.name, parallelism);
    let lines = FileSource::new(options.path("input"));
    let output = options.path("output");
    let in_order = WatermarkStrategy::bounded(Duration::from_secs(options.number("disorder")));
    let (requests, malformed) = builder
        .source("lines", Rated::new(lines, options.optional_number("rate")))
        .split("parse", "malformed", |line: String| Request::parse(&line).ok_or(line));
    let (requests, of_clients) =
        requests.watermarks("clock", in_order, |it| it.at).fork("of clients");
    let (requests, of_paths) = requests.fork("of paths");
    let (minutes, late) = requests
        .key_by(|it| it.status)
        .window(Tumbling::of(MINUTE), |it: &Request| it.at)
        .late_to("late")
        .aggregate("minutes", Count);
    let sessions = of_clients
        .key_by(|it| it.client.clone())
        .window(Session::gap(GAP), |it: &Request| it.at)
        .aggregate("sessions", (Count, Sum(|it: &Request| it.bytes)));
    let paths = of_paths
        .key_by(|it| it.path.clone())
        .window(Sliding::of(PATHS_OVER, MINUTE), |it: &Request| it.at)
        .aggregate("paths", Count)
        .key_by(|it| it.window)
        .window(Tumbling::of(MINUTE), |it: &Counted| it.window.last())
        // The path decides between equal counts: which of them comes first is nobody's choice.
        .aggregate(
            "top",
            TopN::new(PATHS_MAX, |it: &Counted| (it.result, Reverse(it.key.clone()))),
        );
    malformed.sink("lines", FileSink::new(output.join("malformed"), write_line));
    late.sink("lines", FileSink::new(output.join("late"), write_late));
    minutes.sink("lines", FileSink::new(output.join("minutes"), write_minute));
    sessions.sink("lines", FileSink::new(output.join("sessions"), write_session));
    paths.sink("lines", FileSink::new(output.join("paths"), write_paths));
    builder.build()
}

/// What one well-formed line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Request {
    at: EventTime,
    client: String,
    path: String,
    status: u16,
    bytes: u64,
}

type Counted = Windowed<String, u64>;

impl Request {
    fn parse(line: &str) -> Option<Self> {
        let Fields { client, time, request, status, bytes } = Fields::parse(line)?;
        // What is no request, as port scanners send it, is its own path.
        let path = request.split(' ').nth(1).unwrap_or(request);
        let (client, path) = (client.to_owned(), path.to_owned());
        Some(Self { at: parse_time(time)?, client, path, status, bytes })
    }
}

/// `17/May/2015:10:05:03 +0200`.
fn parse_time(text: &str) -> Option<EventTime> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (time, zone) = text.split_once(' ')?;
    let mut fields = time.split(['/', ':']);
    let day = number(fields.next()?, 1..=31)?;
    let name = fields.next()?;
    let month = (0..).zip(MONTHS).find(|(_, it)| *it == name).map(|(index, _)| index)?;
    let year = number(fields.next()?, 1970..=9999)?;
    let hour = number(fields.next()?, 0..=23)?;
    let minute = number(fields.next()?, 0..=59)?;
    let second = number(fields.next()?, 0..=60)?;
    let (sign, zone) = zone.split_at_checked(1)?;
    let (hours, minutes) = zone.split_at_checked(2)?;
    let ahead = 60 * number(hours, 0..=23)? + number(minutes, 0..=59)?;
    let ahead = match sign {
        "+" => ahead,
        "-" => -ahead,
        _ => return None,
    };
    if fields.next().is_some() {
        return None;
    }
    let minutes = (days_before(year, month) + day - 1) * 24 * 60 + hour * 60 + minute - ahead;
    Some(EventTime((minutes * 60 + second) * 1_000))
}

fn number(text: &str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
    let is_number = text.bytes().all(|it| it.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number)?;
    range.contains(&number).then_some(number)
}

/// Days from the epoch to the first of a month, which is counted from 0.
fn days_before(year: i64, month: i64) -> i64 {
    // Years that begin in March have their odd day at the end.
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let leap_days = year / 4 - year / 100 + year / 400;
    365 * year + leap_days + (153 * month + 2) / 5 - 719_468
}

fn seconds(time: EventTime) -> i64 {
    time.0.div_euclid(1_000)
}

fn write_minute(it: &Windowed<u16, u64>, line: &mut Vec<u8>) {
    let Windowed { key: status, window, result: requests } = it;
    line.extend(format!("{},{status:03},{requests}\n", seconds(window.start)).bytes());
}

fn write_session(it: &Windowed<String, (u64, u64)>, line: &mut Vec<u8>) {
    let Windowed { key: client, window: Window { start, end }, result: (requests, bytes) } = it;
    let length = seconds(end.before(GAP)) - seconds(*start);
    line.extend(format!("{},{client},{length},{requests},{bytes}\n", seconds(*start)).bytes());
}

fn write_paths(it: &Windowed<Window, Vec<Counted>>, lines: &mut Vec<u8>) {
    let start = seconds(it.key.start);
    for (rank, Windowed { key: path, result: requests, .. }) in (1..).zip(&it.result) {
        lines.extend(format!("{start},{rank},{path},{requests}\n").bytes());
    }
}

fn write_late(Request { at, client, status, .. }: &Request, line: &mut Vec<u8>) {
    line.extend(format!("{},{client},{status:03}\n", seconds(*at)).bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_since_the_epoch_wherever_they_were_written() {
        for (text, expected) in [
            ("01/Jan/1970:00:00:00 +0000", 0),
            ("17/May/2015:10:05:03 +0000", 1_431_857_103),
            ("17/May/2015:12:05:03 +0200", 1_431_857_103),
            ("17/May/2015:06:35:03 -0330", 1_431_857_103),
            ("29/Feb/2000:23:59:59 +0000", 951_868_799),
            ("01/Mar/2000:00:00:00 +0000", 951_868_800),
            ("31/Dec/2026:23:59:60 +0000", 1_798_761_600),
        ] {
            assert_eq!(parse_time(text), Some(EventTime(expected * 1_000)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_makes_a_line_malformed() {
        for text in [
            "",
            "time",
            "17/May/2015:10:05:03",
            "17/Mai/2015:10:05:03 +0000",
            "32/May/2015:10:05:03 +0000",
            "17/May/2015:24:05:03 +0000",
            "17/May/2015:10:05:03:01 +0000",
            "17/May/2015:10:05:03 0000",
            "17/May/2015:10:05:03 +00",
            "17/May/+015:10:05:03 +0000",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
