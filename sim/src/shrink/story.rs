//! What is left after shrinking, for people.

use std::fmt;

use super::Shrunk;
use crate::fault::{Fault, Trigger};
use crate::scenario::quantity::show_time;

/// A fault in words: when and what.
pub fn tell_fault(fault: &Fault) -> String {
    format!("{}: {}", tell_trigger(&fault.trigger), fault.verb.describe())
}

fn tell_trigger(trigger: &Trigger) -> String {
    match trigger {
        Trigger::At(range) => format!("at {range}"),
        Trigger::Every(mean) => format!("every {}", show_time(*mean)),
        Trigger::On(on) => {
            let delay = on.delay();
            let mut told =
                if delay.most.is_zero() { "at ".to_owned() } else { format!("{delay} after ") };
            told.extend((on.nth > 1).then(|| format!("number {} of ", on.nth)));
            told.push_str(&on.what());
            told.extend(on.checkpoint.map(|it| format!(" of checkpoint {it}")));
            told.extend(on.subtask.iter().map(|it| format!(" of {it}")));
            told.extend(on.node.map(|it| format!(" on {it}")));
            told.extend(on.path.iter().map(|it| format!(" of a path with {it}")));
            told
        }
    }
}

impl fmt::Display for Shrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, before, after, runs, elapsed, .. } = self;
        writeln!(f, "{}\n{}", self.signature, self.verdict.result.explain())?;
        writeln!(f)?;
        writeln!(f, "{:<12} {:>8} {:>8}", "", "before", "after")?;
        for ((name, before), (_, after)) in before.rows().into_iter().zip(after.rows()) {
            writeln!(f, "{name:<12} {before:>8} {after:>8}")?;
        }
        writeln!(f)?;
        match file.schedule.as_slice() {
            [] => writeln!(f, "no fault is needed, with seed {}", file.seed)?,
            _ => writeln!(f, "what is left, with seed {}:", file.seed)?,
        }
        for fault in &file.schedule {
            writeln!(f, "  {}", tell_fault(fault))?;
        }
        let end = if self.is_minimal {
            "nothing simpler fails alike"
        } else {
            "the search was cut short"
        };
        write!(f, "{runs} runs in {:.1} s: {end}", elapsed.as_secs_f64())
    }
}
