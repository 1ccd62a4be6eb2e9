//! A job of a user under seeds: it is judged like any other, by what its author says of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use seawall_protocol::config::{Alignment, CheckpointConfig, StateBackend};
use seawall_runtime::connectors::{FileSink, FileSource, GeneratorSource};
use seawall_sim::fault::{Ask, AskFor, Fault, Trigger};
use seawall_sim::scenario::Cluster;
use seawall_sim::scenario::quantity::TimeRange;
use seawall_sim::seed_file::SeedFile;
use seawall_sim::{At, Input, Settings, Storm};
use seawall_stream::{Collect, Job, JobBuilder, KeyedProcess};

/// Counts lines; in a field of the operator when it forgets.
#[derive(Clone)]
struct Count {
    is_forgetful: bool,
    in_a_field: BTreeMap<String, u64>,
}

impl KeyedProcess for Count {
    type Key = String;
    type In = String;
    type State = u64;
    type Out = (String, u64);

    fn on_record(
        &mut self,
        line: &String,
        _: String,
        count: &mut Option<u64>,
        _: &mut impl Collect<(String, u64)>,
    ) {
        let count = count.get_or_insert(0);
        if self.is_forgetful {
            *self.in_a_field.entry(line.clone()).or_default() += 1;
        } else {
            *count += 1;
        }
    }

    fn on_end(&mut self, line: &String, count: &u64, out: &mut impl Collect<(String, u64)>) {
        let in_a_field = self.in_a_field.remove(line).unwrap_or(0);
        out.push((line.clone(), count + in_a_field));
    }
}

fn count(at: &At, is_forgetful: bool) -> Job {
    let builder = JobBuilder::new("count", at.parallelism);
    builder
        .source("lines", FileSource::new(&at.input))
        .key_by(String::clone)
        .process("count", Count { is_forgetful, in_a_field: BTreeMap::new() })
        .sink(
            "counts",
            FileSink::new(&at.output, |(line, count): &(String, u64), out| {
                out.extend_from_slice(format!("{line},{count}\n").as_bytes());
            }),
        );
    builder.build()
}

fn words(name: &str, is_forgetful: bool) -> Storm {
    Storm::new(name, move |at| count(at, is_forgetful))
        .input(|rng| (0..300).map(|_| format!("word{}", rng.below(20))).collect::<Vec<_>>())
        .seeds(0..20)
}

fn counts(input: &Input) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    input.lines().for_each(|it| *counts.entry(it.to_owned()).or_default() += 1);
    counts
}

fn lines(input: &Input) -> Vec<String> {
    counts(input).into_iter().map(|(line, count)| format!("{line},{count}")).collect()
}

fn settings() -> Settings {
    Settings {
        cluster: Cluster { workers: 2, slots_per_worker: 1 },
        parallelism: 2,
        checkpoint: CheckpointConfig {
            interval: Some(Duration::from_millis(400)),
            ..CheckpointConfig::default()
        },
        state: StateBackend::Heap,
    }
}

fn asked(what: AskFor) -> Vec<Fault> {
    let at = Trigger::At(TimeRange::exactly(Duration::from_secs(4)));
    vec![Fault { trigger: at, verb: Ask { what }.into() }]
}

#[test]
fn a_sound_job_holds_in_output_and_state() {
    let held = words("sound", false).reference(lines).state("count", counts).sweep().unwrap();
    assert_eq!(held.seeds, 20);
    assert!(held.counts.recoveries > 10, "the storm is one: {held}");
    assert_eq!(held.unjudged.into_iter().collect::<Vec<_>>(), ["records-in-order"]);
}

#[test]
fn input_lasts_as_long_as_the_faults() {
    let verdict = words("paced", false).check(1, &settings(), &[]).unwrap();
    assert!(verdict.virtual_time > Duration::from_secs(9), "{:?}", verdict.virtual_time);
    assert!(verdict.counts.checkpoints > 15, "{}", verdict.counts.checkpoints);
}

#[test]
fn a_job_that_forgets_is_told_from_a_run_without_faults() {
    let failure = words("forgetful-calm", true).sweep().unwrap_err();
    assert!(failure.verdict.violates("exactly-once-output"), "{failure}");
}

#[test]
fn a_job_that_forgets_violates_its_state() {
    let failure = words("forgetful-state", true)
        .reference(lines)
        .state("count", counts)
        .check(1, &settings(), &[])
        .unwrap_err();
    // No fault is needed to see that a checkpoint lacks what the operator has.
    assert!(failure.verdict.violates("exactly-once-state"), "{failure}");
}

#[test]
fn an_invariant_is_judged_in_place_of_the_run_without_faults() {
    let failure = words("forgetful-invariant", true)
        .invariant(|input, committed| {
            let lines = committed.iter().map(|it| it.lines.len()).sum::<usize>();
            let due = counts(input).len();
            if lines == due + 1 { Ok(()) } else { Err(format!("{lines} of {due} lines")) }
        })
        .check(1, &settings(), &[])
        .unwrap_err();
    assert_eq!(failure.verdict.violated, ["invariant"]);
    assert!(failure.to_string().contains("invariant (the job's own): 20 of 20 lines"), "{failure}");
    assert!(failure.verdict.unjudged.contains("exactly-once-output"));
}

#[test]
fn an_assertion_in_an_invariant_is_a_violation() {
    let failure = words("assertion", false)
        .invariant(|_, committed| panic!("{} files are too many", committed.len()))
        .check(1, &settings(), &[])
        .unwrap_err();
    assert_eq!(failure.verdict.violated, ["invariant"]);
    assert!(failure.to_string().contains("files are too many, at"), "{failure}");
}

#[test]
fn a_reference_that_is_wrong_is_told_without_faults() {
    let failure = words("wrong-reference", false)
        .reference(|input| lines(input).into_iter().skip(1).collect::<Vec<_>>())
        .check(1, &settings(), &[])
        .unwrap_err();
    let text = failure.to_string();
    assert!(text.contains("invented: word0,"), "{text}");
    assert!(text.contains("no fault happened"), "{text}");
}

#[test]
fn a_drained_job_is_judged_by_the_reference_of_what_it_read() {
    let drain = asked(AskFor::Drain);
    let storm = words("drained", false).reference(lines);
    let verdict = storm.check(1, &settings(), &drain).unwrap();
    let committed: usize = verdict.committed.iter().map(|it| it.lines.len()).sum();
    assert!(committed > 0);
    assert!(!verdict.unjudged.contains("exactly-once-output"));
    // Without a reference nobody knows what the part that was read becomes.
    let verdict = words("drained-calm", false).check(1, &settings(), &drain).unwrap();
    assert!(verdict.unjudged.contains("exactly-once-output"));
}

#[test]
fn state_is_compared_on_disk_and_left_alone_where_records_are_in_flight() {
    let storm = words("backends", false).reference(lines).state("count", counts);
    let on_disk = Settings { state: StateBackend::Disk { cache_bytes: 64 << 10 }, ..settings() };
    storm.check(1, &on_disk, &[]).unwrap();
    let mut unaligned = settings();
    unaligned.checkpoint.alignment = Alignment::Unaligned;
    storm.check(1, &unaligned, &[]).unwrap();
}

#[test]
fn a_failing_run_replays_byte_for_byte_and_only_with_its_storm() {
    let storm = words("replayed", true).reference(lines);
    let failure = storm.sweep().unwrap_err();
    let path = failure.seed_file.unwrap();
    let again = storm.replay(&path).unwrap_err();
    assert_eq!(again.verdict.trace, failure.verdict.trace);
    assert_eq!(again.verdict.result, failure.verdict.result);

    let file = SeedFile::load_any(&path).unwrap();
    assert_eq!(file.diverges_at(&failure.verdict.trace), None);
    assert_eq!(SeedFile::parse("x", &file.to_text()).unwrap(), file);

    // The bug is fixed: the same file is a regression test that passes.
    words("replayed", false).reference(lines).replay(&path).unwrap();
}

#[test]
#[should_panic(expected = "is a seed file of the job mine, this storm is other")]
fn a_seed_file_of_another_storm_is_refused() {
    let failure = words("mine", true).reference(lines).sweep().unwrap_err();
    let _ = words("other", true).replay(failure.seed_file.unwrap());
}

#[test]
fn the_program_says_who_can_replay_a_job_that_it_does_not_have() {
    let failure = words("elsewhere", true).reference(lines).sweep().unwrap_err();
    let error = SeedFile::load(&failure.seed_file.unwrap()).unwrap_err().to_string();
    assert!(error.contains("the job `elsewhere` is of another crate"), "{error}");
    assert!(error.contains("`.replay(\"FILE\").unwrap()` on its `Storm`"), "{error}");
}

#[test]
fn records_out_of_sequence_are_judged_when_the_author_has_a_word_for_it() {
    let numbers = |name: &str| {
        Storm::new(name, |at| {
            let builder = JobBuilder::new("numbers", at.parallelism);
            let source = GeneratorSource { records: 200, keys: 10, seed: at.seed };
            let sink = FileSink::new(&at.output, |key: &u64, line: &mut Vec<u8>| {
                line.extend_from_slice(format!("{key}\n").as_bytes());
            });
            builder.source("numbers", source).sink("lines", sink);
            builder.build()
        })
        .generated(200)
        .settings(|it| it.parallelism = 1)
        .seeds(0..5)
    };
    numbers("generated").run();
    let failure = numbers("generated-in-order")
        .sequence(|line| Some(("all".to_owned(), line.parse().ok()?)))
        .sweep()
        .unwrap_err();
    assert!(failure.verdict.violates("records-in-order"), "{failure}");
}

#[test]
fn a_storm_that_is_not_the_same_twice_is_told() {
    let calls = AtomicUsize::new(0);
    let failure = words("not-deterministic", false)
        .input(move |_| {
            let extra = calls.fetch_add(1, Ordering::Relaxed);
            (0..40 + 5 * extra).map(|it| format!("word{it}")).collect::<Vec<_>>()
        })
        .reference(lines)
        .seeds([1])
        .sweep()
        .unwrap_err();
    assert_eq!(failure.verdict.result.name(), "not deterministic", "{failure}");
}

#[test]
#[should_panic(expected = "nothing was put to the test")]
fn a_storm_without_input_puts_nothing_to_the_test() {
    words("empty", false).input(|_| Vec::<String>::new()).seeds(0..10).run();
}

#[test]
#[should_panic(expected = "no-operator has no operator total")]
fn state_of_an_operator_that_is_not_there_is_refused() {
    let storm = words("no-operator", false).state("total", counts);
    storm.check(1, &settings(), &[]).unwrap();
}
