//! An explanation for people.

use std::fmt;
use std::time::Duration;

use crate::scenario::quantity::show_time;

use super::{Explanation, FaultReport, Inevitable, Need};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n", self.signature, self.failure)?;
        if self.faults.is_empty() {
            writeln!(f, "Faults: none, and it fails all the same.")?;
        } else {
            writeln!(f, "Faults")?;
        }
        for (number, report) in self.faults.iter().enumerate() {
            writeln!(f, "  {}  {}\n     {}", number + 1, report.fault, told(report))?;
        }
        if self.faults.len() > 1 {
            let alone = if self.is_sufficient {
                "The needed faults alone make it fail."
            } else {
                "The needed faults alone do not make it fail: of the others, some can stand in for each other."
            };
            writeln!(f, "  {alone}")?;
        }
        writeln!(f)?;
        match &self.inevitable {
            Inevitable::Start => {
                writeln!(f, "Inevitable from the start: it fails without any fault.")?;
            }
            Inevitable::End => {
                writeln!(
                    f,
                    "Not inevitable before the end of the safety phase: healed earlier, it does not fail."
                )?;
            }
            Inevitable::Event { number, lines, is_monotone } => {
                writeln!(
                    f,
                    "Inevitable from event {number} on; healed before that, it does not fail"
                )?;
                lines.iter().try_for_each(|it| writeln!(f, "  {it}"))?;
                if !is_monotone {
                    writeln!(
                        f,
                        "  At some other moments it is the other way round: this is one such event, not the only one."
                    )?;
                }
            }
        }
        writeln!(f, "\nHow it came")?;
        for link in &self.chain {
            writeln!(f, "  {:<10}  {}", link.why, link.line)?;
        }
        write!(f, "\n{} runs", self.runs)
    }
}

fn told(report: &FaultReport) -> String {
    let without = report.without.as_deref().unwrap_or("the same");
    match report.need {
        Need::NeverBegan => "not needed: it never began".to_owned(),
        Need::NotNeeded => "not needed".to_owned(),
        Need::Needed { earlier_ms, later_ms } => {
            let part = |millis: u64, word: &str| match millis {
                0 => format!("not {word}"),
                far if far == Need::far_ms() => format!("far {word}"),
                some => format!("up to {} {word}", show_time(Duration::from_millis(some))),
            };
            let moment = match (earlier_ms, later_ms) {
                (0, 0) => "exactly that moment".to_owned(),
                (earlier, later) if earlier == Need::far_ms() && later == earlier => {
                    "whatever moment".to_owned()
                }
                (earlier, later) => {
                    format!("that moment ({}, {})", part(earlier, "earlier"), part(later, "later"))
                }
            };
            format!("needed at {moment}; without it: {without}")
        }
    }
}
