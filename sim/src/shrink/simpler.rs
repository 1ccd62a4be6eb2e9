//! What is simpler than a run: each pass lists candidates from the boldest to the most timid.
//!
//! Every candidate is smaller in the order of [`super::Size`], or has the same size and less text or
//! rounder numbers; so the search ends. A list may hold what is not legal.

use std::time::Duration;

use toml::{Table, Value};

use super::Failing;
use super::candidate::{Candidate, number};
use crate::fault::to_toml;
use crate::fault::{Fault, Trigger};
use crate::pin;
use crate::scenario::quantity::{parse_time, show_time};

/// One way to make a run simpler.
pub(super) struct Pass {
    /// What is simpler than this one.
    pub(super) simpler: fn(&Failing) -> Vec<Candidate>,
    /// Whether it changes so much that another seed is worth a try.
    pub(super) may_reseed: bool,
}

/// In the order of what matters.
pub(super) const PASSES: [Pass; 8] = [
    Pass { simpler: fewer_faults, may_reseed: true },
    Pass { simpler: pinned_faults, may_reseed: true },
    Pass { simpler: fewer_records, may_reseed: true },
    Pass { simpler: fewer_keys_and_files, may_reseed: false },
    Pass { simpler: fewer_nodes, may_reseed: true },
    Pass { simpler: fewer_settings, may_reseed: false },
    Pass { simpler: simpler_faults, may_reseed: false },
    Pass { simpler: shorter, may_reseed: true },
];

/// Without those that never began, and without chunks of half of them, a quarter, and so on.
fn fewer_faults(from: &Failing) -> Vec<Candidate> {
    let faults = &from.candidate.faults;
    let mut list = Vec::new();
    let happened = from.verdict.happened.iter().zip(faults).filter(|(did, _)| **did);
    let began: Vec<Table> = happened.map(|(_, fault)| fault.clone()).collect();
    if began.len() < faults.len() {
        list.push(from.candidate.with_faults(began));
    }
    let mut length = faults.len();
    while length > 0 {
        for start in (0..faults.len()).step_by(length) {
            let mut left = faults.clone();
            left.drain(start..faults.len().min(start + length));
            list.push(from.candidate.with_faults(left));
        }
        length /= 2;
    }
    list
}

/// With a fault at the event before it: in the place of that event if possible, otherwise as long after it
/// as it was.
fn pinned_faults(from: &Failing) -> Vec<Candidate> {
    let trace = &from.verdict.trace;
    let mut list = Vec::new();
    for (index, fault) in from.scenario.faults.iter().enumerate() {
        let is_timed = match &fault.trigger {
            Trigger::At(_) => true,
            Trigger::On(on) if !on.delay().least.is_zero() => false,
            Trigger::On(_) | Trigger::Every(_) => continue,
        };
        let Some(begun) = from.verdict.begun[index] else { continue };
        let Some(event) = pin::event_before(trace, begun) else { continue };
        let after = trace.entries[begun].at.saturating_sub(trace.entries[event].at);
        let mut pins = vec![pin::on(trace, event, Duration::ZERO)];
        if is_timed {
            pins.push(pin::on(trace, event, after));
        }
        list.extend(pins.into_iter().flatten().map(|on| {
            let pinned = Fault { trigger: Trigger::On(on), verb: fault.verb.clone() };
            from.candidate.with_fault(index, to_toml(&pinned))
        }));
    }
    list
}

/// With less input: as fast as before, or slower and as long as before.
fn fewer_records(from: &Failing) -> Vec<Candidate> {
    let it = &from.candidate;
    let records = it.number("job", "records");
    let mut list = Vec::new();
    for fewer in round_below(records) {
        let keys = it.number("job", "keys").min(fewer);
        let small = it.with("job", "records", number(fewer)).with("job", "keys", number(keys));
        let mut slow = small.clone();
        for key in ["rate", "sink_rate"] {
            let rate =
                it.get("job", key).and_then(Value::as_str).and_then(|it| it.strip_suffix("/s"));
            if let Some(rate) = rate.and_then(|it| it.replace('_', "").parse::<u64>().ok()) {
                let rate = (rate * fewer / records).max(1);
                slow = slow.with("job", key, Value::String(format!("{rate}/s")));
            }
        }
        list.extend([small, slow]);
    }
    list
}

fn fewer_keys_and_files(from: &Failing) -> Vec<Candidate> {
    let it = &from.candidate;
    let fewer = |key: &'static str| {
        let below = round_below(it.number("job", key)).into_iter();
        below.map(move |less| it.with("job", key, number(less)))
    };
    fewer("keys").chain(fewer("files")).collect()
}

/// With fewer workers and subtasks, and no slot without use. Faults on nodes and subtasks that are no more
/// go to the ones that are.
fn fewer_nodes(from: &Failing) -> Vec<Candidate> {
    let it = &from.candidate;
    let (workers, slots) =
        (it.number("cluster", "workers"), it.number("cluster", "slots_per_worker"));
    let parallelism = it.number("job", "parallelism");
    let mut list = Vec::new();
    for fewer in 1..=workers {
        for narrower in 1..=parallelism {
            let needed = narrower.div_ceil(fewer);
            if needed > slots || (fewer, narrower, needed) == (workers, parallelism, slots) {
                continue;
            }
            let mut other = it
                .with("cluster", "workers", number(fewer))
                .with("cluster", "slots_per_worker", number(needed))
                .with("job", "parallelism", number(narrower));
            for fault in &mut other.faults {
                fault.iter_mut().for_each(|(_, value)| rename(value, fewer, narrower));
            }
            list.push(other);
        }
    }
    list
}

/// Brings `worker-3` and `count/2` into the bounds of a smaller cluster.
fn rename(value: &mut Value, workers: u64, parallelism: u64) {
    match value {
        Value::Table(table) => {
            table.iter_mut().for_each(|(_, value)| rename(value, workers, parallelism));
        }
        Value::Array(array) => {
            for value in array {
                rename(value, workers, parallelism);
            }
        }
        Value::String(name) => {
            let parse = |it: &str| it.parse::<u64>().ok();
            if let Some(worker) = name.strip_prefix("worker-").and_then(parse) {
                *name = format!("worker-{}", (worker.max(1) - 1) % workers + 1);
            } else if let Some((chain, index)) = name.rsplit_once('/')
                && let Some(index) = parse(index)
            {
                *name = format!("{chain}/{}", index % parallelism);
            }
        }
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
    }
}

/// Without a section, without a key of any section, with round times.
fn fewer_settings(from: &Failing) -> Vec<Candidate> {
    let it = &from.candidate;
    let mut list = Vec::new();
    let sections =
        || it.document.iter().filter_map(|(name, value)| Some((name, value.as_table()?)));
    for (name, _) in sections() {
        let mut other = it.clone();
        other.document.remove(name);
        list.push(other);
    }
    for (name, section) in sections() {
        for (key, value) in section {
            let mut other = it.clone();
            if let Some(Value::Table(table)) = other.document.get_mut(name) {
                table.remove(key);
            }
            list.push(other);
            let round = value.as_str().and_then(|it| parse_time(it).ok()).map(rounded);
            let round = round.unwrap_or_default().into_iter();
            list.extend(round.map(|time| it.with(name, key, show(time))));
        }
    }
    list
}

/// With one fault that says less.
fn simpler_faults(from: &Failing) -> Vec<Candidate> {
    let faults = from.candidate.faults.iter().enumerate();
    let list = faults.flat_map(|(index, fault)| {
        simpler_tables(fault).into_iter().map(move |it| from.candidate.with_fault(index, it))
    });
    list.collect()
}

/// With an earlier end of the safety phase.
fn shorter(from: &Failing) -> Vec<Candidate> {
    let shorter = times_below(from.scenario.until).into_iter();
    let shorter = shorter.filter(|it| *it >= Duration::from_secs(1));
    shorter.map(|until| from.candidate.with("", "until", show(until))).collect()
}

/// A table without a key, or with a simpler value. A fault without its length lasts longer, so a key
/// that holds a time stays; only a trigger's delay goes.
fn simpler_tables(table: &Table) -> Vec<Table> {
    let mut list = Vec::new();
    for (key, value) in table {
        let is_length = value.as_str().is_some_and(|it| parse_time(it).is_ok()) && key != "after";
        if !is_length && !value.is_table() {
            let mut without = table.clone();
            without.remove(key);
            list.push(without);
        }
        for simpler in simpler_values(value) {
            let mut with = table.clone();
            with.insert(key.clone(), simpler);
            list.push(with);
        }
    }
    list
}

fn simpler_values(value: &Value) -> Vec<Value> {
    match value {
        Value::Table(table) => simpler_tables(table).into_iter().map(Value::Table).collect(),
        Value::Array(all) if all.len() > 1 => {
            let without = |index: usize| {
                let mut fewer = all.clone();
                fewer.remove(index);
                Value::Array(fewer)
            };
            (0..all.len()).map(without).collect()
        }
        Value::Integer(it) => {
            round_below(u64::try_from(*it).unwrap_or(0)).into_iter().map(number).collect()
        }
        Value::String(text) => match (text.split_once(".."), parse_time(text)) {
            (Some((least, most)), _) => {
                [least, most].map(|it| Value::String(it.to_owned())).to_vec()
            }
            (None, Ok(time)) => {
                times_below(time).into_iter().chain(rounded(time)).map(show).collect()
            }
            (None, Err(_)) => Vec::new(),
        },
        Value::Boolean(true) => vec![Value::Boolean(false)],
        Value::Boolean(false) | Value::Array(_) | Value::Float(_) | Value::Datetime(_) => {
            Vec::new()
        }
    }
}

fn show(time: Duration) -> Value {
    Value::String(show_time(time))
}

/// What people write: 1, 2, 5, 10, 20, 50 and so on.
fn round_numbers() -> impl Iterator<Item = u64> {
    let decades = std::iter::successors(Some(1_u64), |it| it.checked_mul(10));
    decades.flat_map(|it| [1, 2, 5].map(|digit| it.saturating_mul(digit)))
}

/// Round numbers below this one, and numbers ever nearer to it.
fn round_below(number: u64) -> Vec<u64> {
    let parts = std::iter::successors(Some(number / 4), |it| Some(it / 2));
    let near = parts.take_while(|it| *it > 0).map(|it| number - it);
    let mut list: Vec<u64> = round_numbers().take_while(|it| *it < number).chain(near).collect();
    list.sort_unstable();
    list.dedup();
    list
}

/// Round times from 10 ms on.
fn times_below(time: Duration) -> Vec<Duration> {
    let round = round_numbers().map(Duration::from_millis);
    round.skip_while(|it| *it < Duration::from_millis(10)).take_while(|it| *it < time).collect()
}

/// The nearest times with one digit and with two, if it has more.
fn rounded(time: Duration) -> Vec<Duration> {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let digits = micros.checked_ilog10().unwrap_or(0);
    let to = |kept: u32| {
        let unit = 10_u64.pow((digits + 1).saturating_sub(kept));
        (micros + unit / 2) / unit * unit
    };
    let mut list = vec![to(1), to(2)];
    list.dedup();
    list.retain(|it| *it != micros && *it > 0);
    list.into_iter().map(Duration::from_micros).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn below(text: &str) -> Vec<String> {
        let value = Value::String(text.to_owned());
        simpler_values(&value).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn simpler_numbers_are_round_ones_and_some_near() {
        assert_eq!(round_below(120), [1, 2, 5, 10, 20, 50, 90, 100, 105, 113, 117, 119]);
        assert_eq!(round_below(3), [1, 2]);
        assert!(round_below(1).is_empty());
    }

    #[test]
    fn simpler_times_are_shorter_or_rounder() {
        assert_eq!(
            below("123ms"),
            [r#""10ms""#, r#""20ms""#, r#""50ms""#, r#""100ms""#, r#""100ms""#, r#""120ms""#]
        );
        assert_eq!(below("1s..3s"), [r#""1s""#, r#""3s""#]);
        assert!(below("10ms").is_empty());
        assert!(below("worker-1").is_empty());
    }

    #[test]
    fn a_fault_loses_what_it_need_not_say_and_keeps_its_length() {
        let fault: Table = toml::from_str(
            r#"on = { event = "snapshot-acked", nth = 2 }
               partition = { from = ["worker-1"], to = ["worker-2"], both = true, heal_after = "10ms" }"#,
        )
        .unwrap();
        let simpler: Vec<String> = simpler_tables(&fault)
            .into_iter()
            .map(|it| Value::Table(it["partition"].as_table().unwrap().clone()).to_string())
            .collect();
        assert!(simpler.iter().any(|it| !it.contains("both")), "{simpler:?}");
        assert!(simpler.iter().all(|it| it.contains("heal_after")), "{simpler:?}");
    }

    #[test]
    fn names_of_nodes_and_subtasks_stay_within_a_smaller_cluster() {
        let mut value: Value = toml::from_str::<Table>(
            r#"on = { event = "snapshot-acked", subtask = "count/2" }
               crash = { node = "worker-3", path = "a/b" }"#,
        )
        .map(Value::Table)
        .unwrap();
        rename(&mut value, 2, 2);
        assert_eq!(value["on"]["subtask"].as_str(), Some("count/0"));
        assert_eq!(value["crash"]["node"].as_str(), Some("worker-1"));
        assert_eq!(value["crash"]["path"].as_str(), Some("a/b"));
    }
}
