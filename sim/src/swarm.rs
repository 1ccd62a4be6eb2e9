//! The swarm: a scenario for each seed, drawn whole. Which kinds of faults, how often and when, how many
//! nodes, which job over how much input, with which settings.
//!
//! Leaving kinds out matters as much as putting them in: a run in which everything happens never gets to
//! where one rare thing alone would show (Groce et al., "Swarm Testing", ISSTA 2012). So each seed takes a
//! random subset of the kinds, and of the settings that differ from their defaults.
//!
//! A drawn scenario is a text like any other: it can be printed, edited, shrunk and replayed. It claims
//! all that the engine promises under faults it must survive.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use seawall_protocol::config::{Alignment, CheckpointMode};

use crate::fault::kinds::{KINDS, Kind};
use crate::scenario::Scenario;
use crate::world::{Stream, Streams};

/// How large the drawn scenarios are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Some thousand records, a few faults: many seeds a second.
    Quick,
    /// At least 50,000 records, 20 checkpoints and 5 faults.
    Deep,
}

impl Profile {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Quick, Self::Deep];

    /// How commands name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quick => "swarm/quick",
            Self::Deep => "swarm/deep",
        }
    }

    /// From the name in a command; `swarm` alone is quick.
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "swarm" {
            return Some(Self::Quick);
        }
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

/// The scenario of this seed.
///
/// # Panics
/// When what was drawn is not legal, which a test over many seeds excludes.
pub fn scenario(profile: Profile, seed: u64) -> Scenario {
    let kinds: Vec<&Kind> = KINDS.iter().filter(|it| it.is_survivable()).collect();
    scenario_of(profile, seed, &kinds)
}

/// The same, with faults of these kinds only.
///
/// # Panics
/// As [`scenario`].
pub fn scenario_of(profile: Profile, seed: u64, kinds: &[&Kind]) -> Scenario {
    let text = text(profile, seed, kinds);
    Scenario::parse(profile.name(), &text)
        .unwrap_or_else(|error| panic!("the swarm drew an illegal scenario: {error}\n{text}"))
}

/// Whether all that the swarm claims is promised of a scenario that mixes what it drew.
pub(crate) fn is_promised(scenario: &Scenario) -> bool {
    let checkpoint = &scenario.checkpoint;
    let is_exact = checkpoint.mode == CheckpointMode::ExactlyOnce;
    let is_slow = scenario.workload.sink_rate.is_some();
    // Barriers wait behind what a slow sink has not taken, checkpoints expire, and each failover begins anew.
    let is_tolerant = checkpoint.tolerable_failures >= TOLERANT;
    let is_patient = !is_slow || is_tolerant || checkpoint.alignment != Alignment::Aligned;
    is_patient && (is_exact || may_repeat(&scenario.workload.job))
}

/// Where a line is a count, a record that counts twice makes the line another one.
fn may_repeat(job: &str) -> bool {
    matches!(job, "ledger" | "buffered")
}

/// Failed checkpoints that a job tolerates which is not to fail because of them.
const TOLERANT: u32 = 1_000;

/// The verbs of the faults that it draws, ascending.
pub fn verbs() -> Vec<&'static str> {
    let faults = KINDS.iter().filter(|it| it.is_survivable() && !it.is_setting());
    let verbs: BTreeSet<_> = faults.map(Kind::verb).collect();
    verbs.into_iter().collect()
}

/// What is drawn before the text is written.
struct Shape {
    job: &'static str,
    parallelism: u64,
    /// Seconds of the safety phase.
    until: u64,
    settings: Vec<Kind>,
}

fn text(profile: Profile, seed: u64, kinds: &[&Kind]) -> String {
    let mut dice = Dice(Streams::new(seed).stream("swarm"));
    let mut chosen: Vec<&Kind> = kinds.iter().copied().filter(|_| dice.chance(1, 5)).collect();
    if chosen.is_empty() && !kinds.is_empty() {
        chosen.push(*dice.pick(kinds));
    }
    let job =
        *dice.pick(&["ledger", "ledger", "keyed-count", "buffered", "word-count", "access-log"]);
    // A deep run is to be long, with many checkpoints: nobody ends it early, and nothing holds up all of it.
    let is_short = |it: &Kind| matches!(it.name, "cancel" | "stop" | "drain" | "slow-sink");
    chosen.retain(|it| it.fits(job) && !(profile == Profile::Deep && is_short(it)));
    let workers = dice.between(1, 4);
    let parallelism = dice.between(1, 4);
    let until = match profile {
        Profile::Quick => dice.between(6, 15),
        Profile::Deep => dice.between(15, 25),
    };
    let settings = chosen.iter().filter(|it| it.is_setting()).map(|it| **it).collect();
    let shape = Shape { job, parallelism, until, settings };
    let faults: Vec<&Kind> = chosen.into_iter().filter(|it| !it.is_setting()).collect();

    let mut out = String::new();
    let may_repeat = may_repeat(shape.job);
    let is_repeating = dice.chance(1, 5) && may_repeat;
    let mode = if is_repeating { "at-least-once" } else { "exactly-once" };
    let expect = match mode {
        "exactly-once" => r#""exactly-once-output", "exactly-once-state", "no-loss", "recovers""#,
        _ => r#""no-loss", "recovers""#,
    };
    let names: Vec<&str> =
        faults.iter().copied().chain(&shape.settings).map(|it| it.name).collect();
    let names = if names.is_empty() { "no fault".to_owned() } else { names.join(", ") };
    line(&mut out, &format!("about = \"Drawn from seed {seed}: {names}.\""));
    line(&mut out, &format!("expect = [{expect}]\nseeds = [{seed}]\nuntil = \"{until}s\""));
    if dice.chance(1, 3) {
        line(&mut out, "buggify = true");
    }
    job_table(&mut out, profile, &shape, &mut dice);
    line(&mut out, "\n[cluster]");
    let spare = dice.below(2);
    let slots = parallelism.div_ceil(workers) + spare;
    line(&mut out, &format!("workers = {workers}\nslots_per_worker = {slots}"));
    checkpoint_table(&mut out, profile, &shape, mode, &mut dice);
    restart_tables(&mut out, &mut dice);
    fault_tables(&mut out, profile, &shape, &faults, &mut dice);
    out
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("writing to a string cannot fail");
}

fn job_table(out: &mut String, profile: Profile, shape: &Shape, dice: &mut Dice) {
    let Shape { job, parallelism, until, .. } = shape;
    line(out, &format!("\n[job]\nname = \"{job}\"\nparallelism = {parallelism}"));
    let records = match profile {
        Profile::Quick => dice.between(500, 4_000),
        Profile::Deep => dice.between(50_000, 60_000),
    };
    let keys = *dice.pick(&[1, 10, 100, 500]);
    line(out, &format!("records = {records}\nkeys = {keys}"));
    // The input lasts for about the safety phase, so that faults meet a job at work.
    let seconds = dice.between(until / 2, *until).max(1);
    line(out, &format!("rate = \"{}/s\"", (records / seconds).max(1)));
    if crate::workload::reads_files(job) {
        line(out, &format!("files = {}", dice.between(1, 4)));
    }
    for setting in &shape.settings {
        line(out, setting.spelling);
    }
}

fn checkpoint_table(
    out: &mut String,
    profile: Profile,
    shape: &Shape,
    mode: &str,
    dice: &mut Dice,
) {
    line(out, "\n[checkpoint]");
    let interval = match profile {
        Profile::Quick => *dice.pick(&["200ms", "300ms", "500ms", "1s"]),
        Profile::Deep => *dice.pick(&["200ms", "300ms", "400ms"]),
    };
    line(out, &format!("interval = \"{interval}\""));
    // A barrier that waits behind a slow sink needs its time.
    let is_slow = shape.settings.iter().any(|it| it.name == "slow-sink");
    let timeouts: &[&str] = if is_slow { &["10s"] } else { &["1s", "2s", "5s"] };
    line(out, &format!("timeout = \"{}\"", dice.pick(timeouts)));
    let tolerable = *dice.pick(&[0, 1, TOLERANT]);
    line(out, &format!("mode = \"{mode}\""));
    let overtakes = mode == "exactly-once" && dice.chance(1, 3);
    // A job that fails over for each barrier which waits behind a slow sink gets nowhere, and that would be
    // its settings' fault.
    let is_patient = overtakes || !is_slow;
    let tolerable = if is_patient { tolerable } else { TOLERANT };
    line(out, &format!("tolerable_failures = {tolerable}"));
    if overtakes {
        line(out, &format!("alignment = \"{}\"", dice.pick(&["unaligned", "50ms", "200ms"])));
    } else if dice.chance(1, 3) {
        line(out, "max_concurrent = 2");
    }
    if dice.chance(1, 4) {
        line(out, &format!("min_pause = \"{}\"", dice.pick(&["100ms", "500ms"])));
    }
    if dice.chance(1, 3) {
        line(out, &format!("retained = {}", dice.between(2, 3)));
    }
    let is_on_disk = dice.chance(1, 4);
    if is_on_disk && dice.chance(1, 2) {
        line(out, "incremental = true");
    }
    if is_on_disk {
        line(
            out,
            &format!(
                "\n[state]\nbackend = \"disk\"\ncache = \"{}\"",
                dice.pick(&["16KiB", "64KiB"])
            ),
        );
    }
}

fn restart_tables(out: &mut String, dice: &mut Dice) {
    line(out, "\n[restart]");
    line(
        out,
        match dice.below(3) {
            0 => "strategy = \"fixed-delay\"\nattempts = 100_000\ndelay = \"100ms\"",
            1 => "strategy = \"fixed-delay\"\nattempts = 100_000\ndelay = \"1s\"",
            _ => {
                "strategy = \"exponential-delay\"\ninitial = \"50ms\"\nmax = \"2s\"\nmultiplier = \"200%\"\n\
             jitter = \"10%\"\nreset_after = \"10s\""
            }
        },
    );
    if dice.chance(1, 2) {
        line(out, "\n[heartbeat]\ninterval = \"300ms\"\ntimeout = \"1500ms\"");
    }
}

/// Events at which a fault of any kind may come, from every phase of a checkpoint and of a failover.
const MOMENTS: &[&str] = &[
    "coordinator-started",
    "worker-registered",
    "worker-lost",
    "attempt-deployed",
    "attempt-started",
    "attempt-failed",
    "restart-scheduled",
    "subtask-ready",
    "checkpoint-triggered",
    "alignment-started",
    "barrier-forwarded",
    "snapshot-taken",
    "snapshot-written",
    "transaction-precommitted",
    "snapshot-acked",
    "checkpoint-acknowledged",
    "manifest-written",
    "checkpoint-completed",
    "completion-told",
    "transaction-committed",
    "checkpoint-subsumed",
    "checkpoint-aborted",
    "subtask-ended",
];

fn fault_tables(
    out: &mut String,
    profile: Profile,
    shape: &Shape,
    kinds: &[&Kind],
    dice: &mut Dice,
) {
    if kinds.is_empty() {
        return;
    }
    let count = match profile {
        Profile::Quick => dice.between(1, 5),
        // Some wait for what never happens.
        Profile::Deep => dice.between(8, 14),
    };
    for _ in 0..count {
        let kind = *dice.pick(kinds);
        let trigger = trigger(kind, shape, dice);
        line(out, &format!("\n[[fault]]\n{trigger}\n{}", kind.spelling));
    }
}

fn trigger(kind: &Kind, shape: &Shape, dice: &mut Dice) -> String {
    let last = shape.until * 1_000 * 9 / 10;
    // Mostly early ones: an event that never comes is a fault that never happens.
    let nth = 1 + dice.below(6) * dice.below(6);
    if let Some(trigger) = kind.trigger {
        let nth =
            if trigger.starts_with("call") { 1 + dice.below(60) * dice.below(60) } else { nth };
        return format!("on = {{ {trigger}, nth = {nth} }}");
    }
    let after = if dice.chance(1, 3) { ", after = \"1ms..300ms\"" } else { "" };
    match dice.below(10) {
        0..6 => format!("at = \"{}ms\"", dice.between(300, last)),
        // Because something just went wrong elsewhere.
        6 => {
            let fault = dice.pick(&["crash", "pause", "partition", "reset"]);
            format!("on = {{ fault = \"{fault}\"{after} }}")
        }
        _ => {
            let event = dice.pick(MOMENTS);
            format!("on = {{ event = \"{event}\", nth = {nth}{after} }}")
        }
    }
}

/// Draws from one stream.
pub(crate) struct Dice(pub(crate) Stream);

impl Dice {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// Both ends included.
    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.0.below(most - least + 1)
    }

    pub(crate) fn chance(&mut self, of: u64, all: u64) -> bool {
        self.0.below(all) < of
    }

    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let index = self.0.below(all.len() as u64);
        &all[usize::try_from(index).expect("an index")]
    }
}
