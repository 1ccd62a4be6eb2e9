//! The fault schedule of one run: a scenario's faults with every draw made.
//!
//! All draws come before the run, in the order of the file, from a stream of their own. So the schedule
//! is known whole before the first event, a seed file can carry it, and nothing that happens in the run
//! changes what is drawn.

use std::fmt::Write as _;
use std::time::Duration;

use seawall_runtime::control::Ask;

use crate::scenario::quantity::{TimeRange, show_time};
use crate::scenario::{Fault, Node, Nodes, On, Scenario, Trigger, Verb};

/// How many faults one `every` may become.
pub const REPEATS_MAX: usize = 1_000;

/// Draws a number below its argument.
pub type Draw<'a> = dyn FnMut(u64) -> u64 + 'a;

/// Resolves every range, every `worker-*` and every `every` of the scenario. Beside each fault stands the
/// index of the scenario's fault that it comes from.
pub fn resolve(scenario: &Scenario, draw: &mut Draw<'_>) -> Vec<(usize, Fault)> {
    let mut schedule = Vec::new();
    for (origin, fault) in scenario.faults.iter().enumerate() {
        let mut add = |trigger: Trigger, draw: &mut Draw<'_>| {
            schedule.push((origin, Fault { trigger, verb: verb(&fault.verb, scenario, draw) }));
        };
        match &fault.trigger {
            Trigger::At(range) => {
                let trigger = Trigger::At(exact(*range, draw));
                add(trigger, draw);
            }
            Trigger::On(on) => {
                let trigger = Trigger::On(On { after: exact(on.after, draw), ..on.clone() });
                add(trigger, draw);
            }
            Trigger::Every(mean) => {
                let mut at = gap(*mean, draw);
                for _ in 0..REPEATS_MAX {
                    if at >= scenario.until {
                        break;
                    }
                    add(Trigger::At(TimeRange::exactly(at)), draw);
                    at += gap(*mean, draw);
                }
            }
        }
    }
    schedule
}

/// A gap between two faults: uniform over half to one and a half of the mean.
fn gap(mean: Duration, draw: &mut Draw<'_>) -> Duration {
    time(TimeRange { least: mean / 2, most: mean + mean / 2 }, draw)
}

/// Times are drawn in whole microseconds, so that a file can say them exactly.
fn time(range: TimeRange, draw: &mut Draw<'_>) -> Duration {
    let micros = |it: Duration| u64::try_from(it.as_micros()).expect("a scenario is shorter");
    let (least, most) = (micros(range.least), micros(range.most));
    if least == most {
        return range.least;
    }
    Duration::from_micros(least + draw(most - least + 1))
}

fn exact(range: TimeRange, draw: &mut Draw<'_>) -> TimeRange {
    TimeRange::exactly(time(range, draw))
}

fn maybe(range: Option<TimeRange>, draw: &mut Draw<'_>) -> Option<TimeRange> {
    range.map(|it| exact(it, draw))
}

fn node(nodes: Nodes, scenario: &Scenario, draw: &mut Draw<'_>) -> Nodes {
    let workers = scenario.cluster.workers;
    let worker = |number: u64| {
        Node::Worker(1 + u32::try_from(number).expect("drawn below the number of workers"))
    };
    Nodes::One(match nodes {
        Nodes::One(node) => node,
        Nodes::AnyWorker => worker(draw(u64::from(workers))),
        Nodes::Any => match draw(u64::from(workers) + 1) {
            0 => Node::Coordinator,
            number => worker(number - 1),
        },
    })
}

fn side(nodes: &[Nodes], scenario: &Scenario, draw: &mut Draw<'_>) -> Vec<Nodes> {
    nodes.iter().map(|it| node(*it, scenario, draw)).collect()
}

fn verb(verb: &Verb, scenario: &Scenario, draw: &mut Draw<'_>) -> Verb {
    match verb {
        Verb::Crash { node: it, restart_after } => Verb::Crash {
            node: node(*it, scenario, draw),
            restart_after: maybe(*restart_after, draw),
        },
        Verb::Pause { node: it, resume_after } => Verb::Pause {
            node: node(*it, scenario, draw),
            resume_after: maybe(*resume_after, draw),
        },
        Verb::Partition { from, to, both, heal_after } => Verb::Partition {
            from: side(from, scenario, draw),
            to: side(to, scenario, draw),
            both: *both,
            heal_after: maybe(*heal_after, draw),
        },
        Verb::Reset { from, to } => {
            Verb::Reset { from: side(from, scenario, draw), to: side(to, scenario, draw) }
        }
        Verb::SlowNetwork { from, to, both, latency, lasts } => Verb::SlowNetwork {
            from: side(from, scenario, draw),
            to: side(to, scenario, draw),
            both: *both,
            latency: *latency,
            lasts: maybe(*lasts, draw),
        },
        Verb::SlowDisk { node: it, latency, lasts } => Verb::SlowDisk {
            node: node(*it, scenario, draw),
            latency: *latency,
            lasts: maybe(*lasts, draw),
        },
        Verb::SlowCheckpoint { node: it, stall } => {
            Verb::SlowCheckpoint { node: node(*it, scenario, draw), stall: exact(*stall, draw) }
        }
        Verb::Ask(ask) => Verb::Ask(ask.clone()),
        Verb::FailDisk { node: it, error, count, path } => Verb::FailDisk {
            node: node(*it, scenario, draw),
            error: *error,
            count: *count,
            path: path.clone(),
        },
    }
}

/// What somebody can ask for, by the name in a file.
pub const ASKS: [(&str, Ask); 5] = [
    ("checkpoint", Ask::Checkpoint),
    ("cancel", Ask::Cancel),
    ("savepoint", Ask::Savepoint { target: None }),
    ("stop", Ask::Stop { drain: false, target: None }),
    ("drain", Ask::Stop { drain: true, target: None }),
];

fn name_of_ask(ask: &Ask) -> &'static str {
    ASKS.iter().find(|(_, it)| it == ask).map_or("something", |(name, _)| name)
}

/// What a trace says when the fault begins.
pub fn describe(verb: &Verb) -> String {
    let mut out = verb.name().replace('_', " ");
    let arrow = |both: bool| if both { "<->" } else { "->" };
    let write = |out: &mut String, text: std::fmt::Arguments<'_>| {
        out.write_fmt(text).expect("writing to a string cannot fail");
    };
    match verb {
        Verb::Crash { node, restart_after: length } => {
            write(&mut out, format_args!(" {}", show_nodes(*node)));
            lasting(&mut out, "back after", *length);
        }
        Verb::Pause { node, resume_after: length } => {
            write(&mut out, format_args!(" {}", show_nodes(*node)));
            lasting(&mut out, "resumes after", *length);
        }
        Verb::Partition { from, to, both, heal_after } => {
            write(
                &mut out,
                format_args!(" {} {} {}", show_side(from), arrow(*both), show_side(to)),
            );
            lasting(&mut out, "heals after", *heal_after);
        }
        Verb::Reset { from, to } => {
            write(&mut out, format_args!(" {} <-> {}", show_side(from), show_side(to)));
        }
        Verb::SlowNetwork { from, to, both, latency, lasts } => {
            write(
                &mut out,
                format_args!(
                    " {} {} {}, {} a frame",
                    show_side(from),
                    arrow(*both),
                    show_side(to),
                    tell_range(*latency)
                ),
            );
            lasting(&mut out, "for", *lasts);
        }
        Verb::SlowDisk { node, latency, lasts } => {
            write(
                &mut out,
                format_args!(" {}, {} an operation", show_nodes(*node), tell_range(*latency)),
            );
            lasting(&mut out, "for", *lasts);
        }
        Verb::SlowCheckpoint { node, stall } => {
            write(&mut out, format_args!(" {}, stalls {}", show_nodes(*node), tell_range(*stall)));
        }
        Verb::Ask(ask) => write(&mut out, format_args!(" for {}", name_of_ask(ask))),
        Verb::FailDisk { node, error, count, path } => {
            write(
                &mut out,
                format_args!(
                    " {}, the next {count} writes of *{}* fail: {}",
                    show_nodes(*node),
                    path.as_deref().unwrap_or(""),
                    error.name()
                ),
            );
        }
    }
    out
}

fn lasting(out: &mut String, what: &str, length: Option<TimeRange>) {
    let length = length.map_or_else(|| "the safety phase".to_owned(), tell_range);
    write!(out, ", {what} {length}").expect("writing to a string cannot fail");
}

fn show_nodes(nodes: Nodes) -> String {
    match nodes {
        Nodes::One(node) => node.to_string(),
        Nodes::AnyWorker => "worker-*".to_owned(),
        Nodes::Any => "*".to_owned(),
    }
}

fn show_side(side: &[Nodes]) -> String {
    side.iter().map(|it| show_nodes(*it)).collect::<Vec<_>>().join("+")
}

/// Writes a range for people: drawn times in seconds.
fn tell_range(range: TimeRange) -> String {
    let is_drawn = range.least == range.most && !range.least.subsec_micros().is_multiple_of(1_000);
    if is_drawn { format!("{:.6}s", range.least.as_secs_f64()) } else { show_range(range) }
}

/// Writes a range the way scenario files do.
pub fn show_range(range: TimeRange) -> String {
    if range.least == range.most {
        show_time(range.least)
    } else {
        format!("{}..{}", show_time(range.least), show_time(range.most))
    }
}

/// Writes one fault as a table of a scenario or seed file.
pub fn to_toml(fault: &Fault) -> toml::Table {
    use toml::Value;
    let text = |it: String| Value::String(it);
    let mut table = toml::Table::new();
    match &fault.trigger {
        Trigger::At(range) => {
            table.insert("at".to_owned(), text(show_range(*range)));
        }
        Trigger::Every(mean) => {
            table.insert("every".to_owned(), text(show_time(*mean)));
        }
        Trigger::On(on) => {
            let mut inner = toml::Table::new();
            inner.insert("event".to_owned(), text(on.event.clone()));
            inner.insert("nth".to_owned(), Value::Integer(i64::from(on.nth)));
            if let Some(checkpoint) = on.checkpoint {
                let checkpoint = i64::try_from(checkpoint).expect("read from TOML");
                inner.insert("checkpoint".to_owned(), Value::Integer(checkpoint));
            }
            if let Some(subtask) = &on.subtask {
                inner.insert("subtask".to_owned(), text(subtask.clone()));
            }
            if let Some(node) = on.node {
                inner.insert("node".to_owned(), text(node.to_string()));
            }
            if !on.after.most.is_zero() {
                inner.insert("after".to_owned(), text(show_range(on.after)));
            }
            table.insert("on".to_owned(), Value::Table(inner));
        }
    }
    let mut inner = toml::Table::new();
    let mut put = |key: &str, value: Value| {
        inner.insert(key.to_owned(), value);
    };
    let range = |it: &TimeRange| Value::String(show_range(*it));
    let names =
        |it: &[Nodes]| Value::Array(it.iter().map(|it| Value::String(show_nodes(*it))).collect());
    match &fault.verb {
        Verb::Crash { node, restart_after } => {
            put("node", text(show_nodes(*node)));
            if let Some(it) = restart_after {
                put("restart_after", range(it));
            }
        }
        Verb::Pause { node, resume_after } => {
            put("node", text(show_nodes(*node)));
            if let Some(it) = resume_after {
                put("resume_after", range(it));
            }
        }
        Verb::Partition { from, to, both, heal_after } => {
            put("from", names(from));
            put("to", names(to));
            put("both", Value::Boolean(*both));
            if let Some(it) = heal_after {
                put("heal_after", range(it));
            }
        }
        Verb::Reset { from, to } => {
            put("from", names(from));
            put("to", names(to));
        }
        Verb::SlowNetwork { from, to, both, latency, lasts } => {
            put("from", names(from));
            put("to", names(to));
            put("both", Value::Boolean(*both));
            put("latency", range(latency));
            if let Some(it) = lasts {
                put("for", range(it));
            }
        }
        Verb::SlowDisk { node, latency, lasts } => {
            put("node", text(show_nodes(*node)));
            put("latency", range(latency));
            if let Some(it) = lasts {
                put("for", range(it));
            }
        }
        Verb::SlowCheckpoint { node, stall } => {
            put("node", text(show_nodes(*node)));
            put("stall", range(stall));
        }
        Verb::Ask(ask) => put("for", text(name_of_ask(ask).to_owned())),
        Verb::FailDisk { node, error, count, path } => {
            put("node", text(show_nodes(*node)));
            put("error", text(error.name().to_owned()));
            put("count", Value::Integer(i64::from(*count)));
            if let Some(it) = path {
                put("path", text(it.clone()));
            }
        }
    }
    table.insert(fault.verb.name().to_owned(), Value::Table(inner));
    table
}
