//! `access-log`: requests, bytes and errors of each client in a web server's log.
//!
//! Apache combined format: `client identity user [time] "request" status bytes "referer" "agent"`. A
//! line of another form goes whole to the side output; it is counted, never lost.

use seawall_runtime::connectors::file_sink::FileSink;
use seawall_runtime::connectors::file_source::FileSource;
use seawall_runtime::connectors::rate::Rated;
use seawall_stream::{Collect, Job, JobBuilder, KeyedProcess};
use serde::{Deserialize, Serialize};

use crate::JobSpec;
use crate::options::{INPUT, OUTPUT, Options, RATE};

/// What `seawall run access-log` offers.
pub const SPEC: JobSpec = JobSpec {
    name: "access-log",
    about: "sums up a web server's log in Apache combined format; other lines go to malformed/",
    output: "client,requests,bytes,errors",
    options: &[INPUT, OUTPUT, RATE],
    build,
};

fn build(options: &Options, parallelism: u32) -> Job {
    let builder = JobBuilder::new(SPEC.name, parallelism);
    let lines = FileSource::new(options.path("input"));
    let output = options.path("output");
    let (requests, malformed) = builder
        .source("lines", Rated::new(lines, options.optional_number("rate")))
        .split("parse", "malformed", |line: String| Request::parse(&line).ok_or(line));
    requests
        .key_by(|request: &Request| request.client.clone())
        .process("sum", Sum)
        .sink("clients", FileSink::new(output.clone(), write_totals));
    malformed.sink("lines", FileSink::new(output.join("malformed"), write_line));
    builder.build()
}

/// What one well-formed line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Request {
    client: String,
    bytes: u64,
    is_error: bool,
}

impl Request {
    fn parse(line: &str) -> Option<Self> {
        let Fields { client, status, bytes, .. } = Fields::parse(line)?;
        Some(Self { client: client.to_owned(), bytes, is_error: status >= 400 })
    }
}

/// The fields of a well-formed line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    pub(crate) client: &'a str,
    /// As it is written between the brackets.
    pub(crate) time: &'a str,
    /// Method, path and protocol, if it is like that.
    pub(crate) request: &'a str,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
}

impl<'a> Fields<'a> {
    pub(crate) fn parse(line: &'a str) -> Option<Self> {
        let (client, rest) = line.split_once(' ')?;
        let (_identity, rest) = rest.split_once(' ')?;
        // The user is whatever stands before the time; it may contain spaces.
        let (_user, rest) = rest.split_once(" [")?;
        let (time, rest) = rest.split_once("] \"")?;
        let (request, rest) = quoted(rest)?;
        let mut fields = rest.strip_prefix(' ')?.splitn(3, ' ');
        let status = fields.next()?;
        let bytes = fields.next()?;
        let (_referer, rest) = quoted(fields.next()?.strip_prefix('"')?)?;
        let (_agent, rest) = quoted(rest.strip_prefix(" \"")?)?;
        let is_status = status.len() == 3 && status.bytes().all(|it| it.is_ascii_digit());
        if client.is_empty() || !rest.is_empty() || !is_status {
            return None;
        }
        let bytes = match bytes {
            "-" => 0,
            digits if digits.bytes().all(|it| it.is_ascii_digit()) => digits.parse().ok()?,
            _ => return None,
        };
        Some(Self { client, time, request, status: status.parse().ok()?, bytes })
    }
}

/// Splits after the next quote that no backslash escapes.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let mut is_escaped = false;
    for (position, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !is_escaped => return Some((&text[..position], &text[position + 1..])),
            _ => is_escaped = byte == b'\\' && !is_escaped,
        }
    }
    None
}

/// What is kept of a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Requests.
    pub requests: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Requests whose status is 400 or more.
    pub errors: u64,
}

/// Sums up each client and emits the totals once, at the end.
#[derive(Clone)]
struct Sum;

impl KeyedProcess for Sum {
    type Key = String;
    type In = Request;
    type State = Totals;
    type Out = (String, Totals);

    fn on_record(
        &mut self,
        _: &String,
        request: Request,
        totals: &mut Option<Totals>,
        _: &mut impl Collect<(String, Totals)>,
    ) {
        let totals = totals.get_or_insert_default();
        totals.requests += 1;
        totals.bytes = totals.bytes.saturating_add(request.bytes);
        totals.errors += u64::from(request.is_error);
    }

    fn on_end(
        &mut self,
        client: &String,
        totals: &Totals,
        out: &mut impl Collect<(String, Totals)>,
    ) {
        out.push((client.clone(), *totals));
    }
}

fn write_totals((client, totals): &(String, Totals), line: &mut Vec<u8>) {
    let Totals { requests, bytes, errors } = totals;
    line.extend_from_slice(format!("{client},{requests},{bytes},{errors}\n").as_bytes());
}

pub(crate) fn write_line(text: &String, line: &mut Vec<u8>) {
    line.extend_from_slice(text.as_bytes());
    line.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<(&str, u64, bool)>) {
        let parsed = Request::parse(line);
        let parsed = parsed.as_ref().map(|it| (it.client.as_str(), it.bytes, it.is_error));
        assert_eq!(parsed, expected, "{line}");
    }

    #[test]
    fn a_well_formed_line_is_a_request() {
        let line = |status: &str, bytes: &str| {
            format!(
                r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" {status} {bytes} "-" "agent \"x\" y""#
            )
        };
        check(&line("200", "17"), Some(("1.2.3.4", 17, false)));
        check(&line("304", "-"), Some(("1.2.3.4", 0, false)));
        check(&line("404", "0"), Some(("1.2.3.4", 0, true)));
        check(&line("500", "1"), Some(("1.2.3.4", 1, true)));
    }

    #[test]
    fn a_line_of_another_form_is_malformed() {
        for line in [
            "",
            "hello",
            r#"1.2.3.4 - - [time] "GET / HTTP/1.1" 200 17"#,
            r#"1.2.3.4 - - [time] "GET / HTTP/1.1" abc 17 "-" "a""#,
            r#"1.2.3.4 - - [time] "GET / HTTP/1.1" 200 -5 "-" "a""#,
            r#"1.2.3.4 - - [time] "GET / HTTP/1.1" 200 17 "-" "a" more"#,
            r#"1.2.3.4 - - [time] "GET / HTTP/1.1 200 17 "-" "a"#,
        ] {
            check(line, None);
        }
    }
}
