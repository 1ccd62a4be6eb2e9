//! A run as pictures: one page that a person can explore, and two diagrams for a small run.
//!
//! ```text
//! trace ─► spans (lanes, marks, spans) ─┐
//! verdict, messages ────────────────────┼─► timeline.html with its style and script: one file, no other
//! recovery trace ─┬─────────────────────┘   is read, and without a script the recovery trace is text
//!                 └─► diagram: Mermaid, SVG
//! ```
//!
//! Deliberately absent: judgement. A picture shows what the trace and the verdict say.

pub mod diagram;
mod spans;

use std::time::Duration;

use serde::Serialize;

use crate::scenario::Scenario;
use crate::verdict::{Result as Outcome, Verdict};
use crate::world::Message;
use spans::Drawing;

#[derive(Serialize)]
struct Page<'a> {
    #[serde(flatten)]
    drawing: Drawing,
    messages: Vec<Shown>,
    result: &'a str,
}

/// A message as the page reads it, in microseconds.
#[derive(Serialize)]
struct Shown {
    sent: u64,
    arrives: Option<u64>,
    from: String,
    to: String,
    bytes: usize,
}

/// The page of a run, whole.
pub fn html(scenario: &Scenario, verdict: &Verdict, messages: &[Message]) -> String {
    let workers = scenario.cluster.workers;
    let micros = |it: Duration| u64::try_from(it.as_micros()).expect("a run is shorter than that");
    let messages = messages.iter().map(|it| Shown {
        sent: micros(it.sent),
        arrives: it.arrived.map(micros),
        from: it.from.to_string(),
        to: it.to.to_string(),
        bytes: it.bytes,
    });
    let page = Page {
        drawing: Drawing::of(&verdict.trace, workers),
        messages: messages.collect(),
        result: verdict.result.name(),
    };
    // Inside a script element only `<` can end it, and JSON has it in strings only.
    let data =
        serde_json::to_string(&page).expect("a page has an encoding").replace('<', "\\u003c");
    let counts = verdict.counts;
    let facts = format!(
        "{} events in {:.1} s of virtual time · {} · {} completed · {}",
        verdict.trace.entries.len(),
        verdict.virtual_time.as_secs_f64(),
        counted(counts.faults, "fault", "faults"),
        counted(counts.checkpoints, "checkpoint", "checkpoints"),
        counted(counts.recoveries, "recovery", "recoveries"),
    );
    fill(
        include_str!("timeline.html"),
        &[
            ("style", include_str!("timeline.css")),
            ("script", include_str!("timeline.js")),
            ("name", &escape(&scenario.name)),
            ("seed", &verdict.seed.to_string()),
            ("about", &escape(&scenario.about)),
            ("facts", &facts),
            ("result", verdict.result.name()),
            ("class", if verdict.result == Outcome::Holds { "holds" } else { "broken" }),
            ("explanation", &escape(&verdict.result.explain())),
            ("recovery", &escape(&verdict.trace.recovery())),
            ("data", &data),
        ],
    )
}

fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// The template with each `{{name}}` replaced once; what is put in is not looked at again.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut parts = template.split("{{");
    let mut page = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").expect("the template closes what it opens");
        let value = values.iter().find(|(it, _)| *it == name);
        page.push_str(value.expect("the template asks for what there is").1);
        page.push_str(rest);
    }
    page
}

/// Text as part of HTML or XML.
fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        let page = fill("<{{one}}{{two}}>", &[("one", "{{two}}"), ("two", "2")]);
        assert_eq!(page, "<{{two}}2>");
    }

    #[test]
    fn no_text_can_leave_its_place() {
        assert_eq!(escape("a < b & \"c\" > d"), "a &lt; b &amp; &quot;c&quot; &gt; d");
    }
}
