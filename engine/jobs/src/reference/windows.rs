//! What `access-windows` must output: every window looked at on its own, over all lines at once.

use std::collections::{BTreeMap, BTreeSet};

use super::{Output, fields, until};

const MINUTE: i64 = 60;
const GAP: i64 = 30 * MINUTE;
const PATHS_OVER: i64 = 5 * MINUTE;

/// One well-formed line.
pub(crate) struct Request {
    pub(crate) second: i64,
    pub(crate) client: String,
    pub(crate) path: String,
    pub(crate) status: u32,
    bytes: u64,
}

/// The request of a line, unless it is malformed.
pub(crate) fn request(line: &str) -> Option<Request> {
    let (client, status, bytes) = fields(line)?;
    let mut rest = line;
    until(&mut rest, " [")?;
    let second = second(until(&mut rest, "] \"")?)?;
    let end = closing_quote(rest)?;
    let words: Vec<&str> = rest[..end].split(' ').collect();
    let path = if words.len() > 1 { words[1] } else { words[0] };
    let client = client.to_owned();
    Some(Request { second, client, path: path.to_owned(), status, bytes })
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (at, character) in text.char_indices() {
        if character == '"' && !is_escaped {
            return Some(at);
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    None
}

/// Counts days one by one.
fn second(text: &str) -> Option<i64> {
    let text = text.replace(['/', ':', ' '], ",");
    let [day, month, year, hour, minute, second, zone] =
        text.split(',').collect::<Vec<_>>().try_into().ok()?;
    let number = |text: &str, most: i64| {
        let is_number = !text.is_empty() && text.chars().all(|it| it.is_ascii_digit());
        text.parse().ok().filter(|it: &i64| is_number && *it <= most)
    };
    let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = (month.len() == 3).then(|| months.find(month)).flatten()?;
    if month % 3 != 0 {
        return None;
    }
    let (month, year, day) = (month / 3, number(year, 9999)?, number(day, 31)?);
    if year < 1970 || day == 0 {
        return None;
    }
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut days = day - 1;
    for before in 1970..year {
        days += if is_leap(before) { 366 } else { 365 };
    }
    for length in [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].iter().take(month) {
        days += length;
    }
    days += i64::from(is_leap(year) && month > 1);
    let (sign, offset) = (zone.get(..1)?, zone.get(1..)?);
    let offset = number(offset.get(..2)?, 23)? * 60 + number(offset.get(2..)?, 59)?;
    let offset = match sign {
        "+" => offset,
        "-" => -offset,
        _ => return None,
    };
    let minutes = (days * 24 + number(hour, 23)?) * 60 + number(minute, 59)? - offset;
    Some(minutes * 60 + number(second, 60)?)
}

/// The lines of each directory.
pub(super) fn output(lines: &[String]) -> Output {
    let malformed = lines.iter().filter(|it| request(it).is_none()).cloned().collect();
    let mut requests: Vec<Request> = lines.iter().filter_map(|it| request(it)).collect();
    requests.sort_by_key(|it| it.second);
    let mut output = Output::new();
    output.insert("malformed".to_owned(), malformed);
    output.insert("minutes".to_owned(), minutes(&requests));
    output.insert("sessions".to_owned(), sessions(&requests));
    output.insert("paths".to_owned(), paths(&requests));
    output
}

fn minutes(requests: &[Request]) -> Vec<String> {
    let mut counts: BTreeMap<(i64, u32), u64> = BTreeMap::new();
    for request in requests {
        let start = request.second - request.second.rem_euclid(MINUTE);
        *counts.entry((start, request.status)).or_default() += 1;
    }
    counts.iter().map(|((start, status), count)| format!("{start},{status:03},{count}")).collect()
}

fn sessions(requests: &[Request]) -> Vec<String> {
    let clients: BTreeSet<_> = requests.iter().map(|it| &it.client).collect();
    let mut lines = Vec::new();
    for client in clients {
        let of_client: Vec<_> = requests.iter().filter(|it| it.client == *client).collect();
        // Ascending by time: a session ends where the next request is more than the gap away.
        for session in of_client.chunk_by(|one, next| next.second - one.second <= GAP) {
            let (start, end) = (session[0].second, session[session.len() - 1].second);
            let bytes = session.iter().fold(0_u64, |sum, it| sum.saturating_add(it.bytes));
            lines.push(format!("{start},{client},{},{},{bytes}", end - start, session.len()));
        }
    }
    lines
}

fn paths(requests: &[Request]) -> Vec<String> {
    let Some((first, last)) = requests.first().zip(requests.last()) else { return Vec::new() };
    let first_minute = first.second - first.second.rem_euclid(MINUTE);
    let mut lines = Vec::new();
    let mut start = first_minute - PATHS_OVER + MINUTE;
    while start <= last.second {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        let from = requests.partition_point(|it| it.second < start);
        for request in requests[from..].iter().take_while(|it| it.second < start + PATHS_OVER) {
            *counts.entry(&request.path).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (index, (path, count)) in counts.iter().take(3).enumerate() {
            lines.push(format!("{start},{},{path},{count}", index + 1));
        }
        start += MINUTE;
    }
    lines
}

/// Whether a line of input is one of those that a line of output, or a part of it, stems from. A session's
/// line tells where it begins and how long it is.
pub(crate) fn has_part_in(input: &str, output: &str) -> bool {
    let Some((directory, text)) = output.split_once(": ") else { return false };
    let Some(request) = request(input) else { return directory == "malformed" && input == text };
    let mut fields = text.split(',');
    let Some(start) = fields.next().and_then(|it| it.parse::<i64>().ok()) else { return false };
    let within = |length: i64| (start..start + length).contains(&request.second);
    let mut next = || fields.next().unwrap_or_default();
    match directory {
        "minutes" => next().parse() == Ok(request.status) && within(MINUTE),
        "sessions" => {
            next() == request.client && next().parse().is_ok_and(|it: i64| within(it + 1))
        }
        // Behind the rank.
        "paths" => fields.nth(1) == Some(&request.path) && within(PATHS_OVER),
        "late" => next() == request.client && within(1),
        _ => false,
    }
}
