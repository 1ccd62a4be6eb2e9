//! Connections that die without a word are noticed by whoever can, and soon.

use std::time::Duration;

use seawall_protocol::event::Event;
use seawall_sim::run;
use seawall_sim::scenario::Scenario;
use seawall_sim::trace::What;
use seawall_sim::verdict::Result as Outcome;

/// For fifteen seconds nobody sends anything; after one of them the channels between the workers are dead.
const IDLE: &str = r#"
about = "Idle channels die without a word."
expect = ["exactly-once-output", "exactly-once-state", "recovers"]
seeds = [1]
until = "25s"

[job]
name = "keyed-count"
parallelism = 2
records = 2_000
keys = 50
rate = "500/s"

[cluster]
workers = 2
slots_per_worker = 1

[checkpoint]
interval = "60s"

[[fault]]
at = "1s"
idle_input = { for = "15s" }

[[fault]]
at = "2s"
half_open = { from = ["worker-1"], to = ["worker-2"] }
"#;

// Rules: O1
#[test]
fn a_sender_that_has_nothing_to_send_fails_when_its_receiver_is_silent() {
    let scenario = Scenario::parse("idle", IDLE).unwrap_or_else(|error| panic!("{error}"));
    let verdict = run::run(&scenario, 1);
    assert_eq!(verdict.result, Outcome::Holds);
    let failed = verdict.trace.entries.iter().find_map(|entry| {
        let What::Event(Event::SubtaskFailed { cause, .. }) = &entry.what else { return None };
        Some((entry.at, cause.clone()))
    });
    let (at, cause) = failed.expect("a channel broke");
    assert_eq!(cause, "a channel broke: its receiver gave no sign of life");
    assert!(at < Duration::from_secs(2) + 2 * scenario.heartbeat.timeout, "only at {at:?}");
}
