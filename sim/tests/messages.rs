//! Every message that a scenario file can provoke, as its author meets it.

use seawall_sim::scenario::Scenario;
use seawall_sim::seed_file::SeedFile;
use seawall_sim::trace::Trace;

const SOUND: &str = r#"about  = "A worker dies after it acked the barrier and before the checkpoint completed."
expect = ["exactly-once-output", "recovers"]
seeds  = [1, 42]
until  = "60s"

[job]
name = "keyed-count"
parallelism = 4
records = 10_000
keys = 100
rate = "1000/s"

[cluster]
workers = 3
slots_per_worker = 2
coordinators = 1

[checkpoint]
interval = "500ms"
timeout = "5s"

[restart]
strategy = "fixed-delay"
attempts = 10
delay = "500ms"

[[fault]]
on = { event = "snapshot-acked", nth = 3 }
crash = { node = "worker-1", restart_after = "2s" }

[[fault]]
at = "10s..20s"
partition = { from = ["coordinator"], to = ["worker-2"], heal_after = "3s" }
"#;

/// What its author is told about the sound scenario with `from` replaced by `to`.
fn message(kind: &str, from: &str, to: &str) -> String {
    assert!(SOUND.contains(from), "the case replaces nothing: {from}");
    let text = SOUND.replacen(from, to, 1);
    match Scenario::parse(&format!("{kind}/case"), &text) {
        Ok(_) => panic!("accepted: {to}"),
        Err(error) => error.to_string(),
    }
}

macro_rules! messages {
    ($($name:ident: $kind:literal, $from:literal => $to:literal;)*) => {
        $(#[test] fn $name() {
            let shown = message($kind, $from, $to);
            insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false,
                snapshot_path => "snapshots/messages" }, {
                insta::assert_snapshot!(stringify!($name), shown);
            });
        })*
    };
}

#[test]
fn a_sound_scenario_is_accepted() {
    let scenario = Scenario::parse("crash/case", SOUND).unwrap();
    assert_eq!(scenario.faults.len(), 2);
}

messages! {
    a_verb_that_is_misspelt: "crash", "crash =" => "crahs =";
    a_key_at_the_top_that_is_misspelt: "crash", "until " => "untli ";
    a_key_that_is_missing: "crash", "until  = \"60s\"" => "";
    a_duration_without_unit: "crash", "\"500ms\"" => "500";
    a_duration_with_the_number_only: "crash", "\"500ms\"" => "\"500\"";
    a_duration_with_an_unknown_unit: "crash", "\"500ms\"" => "\"500millis\"";
    an_empty_range: "crash", "\"10s..20s\"" => "\"20s..10s\"";
    a_rate_without_unit: "crash", "\"1000/s\"" => "1000";
    seeds_that_are_no_seeds: "crash", "[1, 42]" => "\"many\"";
    seeds_that_repeat: "crash", "[1, 42]" => "[1, 42, 1]";
    no_seeds: "crash", "[1, 42]" => "[]";
    two_verbs: "crash", "crash = {" => "pause = { node = \"worker-2\" }\ncrash = {";
    no_verb: "crash", "crash = { node = \"worker-1\", restart_after = \"2s\" }" => "";
    no_trigger: "crash", "at = \"10s..20s\"" => "";
    two_triggers: "crash", "at = \"10s..20s\"" => "at = \"1s\"\nevery = \"10s\"";
    an_unknown_event: "crash", "snapshot-acked" => "snapshot-ackd";
    an_unknown_node: "crash", "node = \"worker-1\"" => "node = \"worker-4\"";
    a_node_on_both_sides: "crash", "to = [\"worker-2\"]" => "to = [\"coordinator\"]";
    a_fault_after_the_end: "crash", "\"10s..20s\"" => "\"50s..70s\"";
    an_unknown_property: "crash", "\"recovers\"" => "\"recover\"";
    a_property_twice: "crash", "\"exactly-once-output\", " => "\"recovers\", ";
    an_unknown_job: "crash", "keyed-count" => "keyed-cuont";
    an_option_without_effect: "crash", "keys = 100" => "keys = 100\nfiles = 3";
    too_few_slots: "crash", "parallelism = 4" => "parallelism = 7";
    more_keys_than_records: "crash", "keys = 100" => "keys = 100_000";
    more_than_one_coordinator: "crash", "coordinators = 1" => "coordinators = 2";
    a_strategy_key_without_effect: "crash", "attempts = 10" => "attempts = 10\nmax = \"3s\"";
    a_strategy_key_that_is_missing: "crash", "attempts = 10" => "";
    an_unknown_strategy: "crash", "\"fixed-delay\"" => "\"fixed_delay\"";
    an_interval_that_is_too_short: "crash", "interval = \"500ms\"" => "interval = \"5ms\"";
    a_claim_that_is_missing: "crash", "expect = [\"exactly-once-output\", \"recovers\"]" => "";
    a_plant_outside_its_folder: "crash", "expect = [\"exactly-once-output\", \"recovers\"]"
        => "plant = \"files-are-not-synced\"\nviolates = \"restorable\"";
    an_expectation_of_a_planted_bug: "planted", "seeds" => "seeds";
    a_plant_without_its_property: "planted", "expect = [\"exactly-once-output\", \"recovers\"]"
        => "plant = \"files-are-not-synced\"";
    several_problems_at_once: "crash", "[1, 42]\nuntil  = \"60s\"" => "[7, 7]\nuntil  = \"0s\"";
}

/// Written in format 1, which stays readable.
const SEED_FILE: &str = include_str!("fixtures/format-1.seed.toml");

#[test]
fn a_seed_file_of_the_first_format_is_read_and_written_in_the_newest() {
    let file = SeedFile::parse("case.seed.toml", SEED_FILE).unwrap_or_else(|it| panic!("{it}"));
    let text = file.to_text();
    assert!(text.starts_with("format = 2\nprogram = \"seawall-sim "), "{text}");
    assert_eq!(SeedFile::parse("case.seed.toml", &text), Ok(file));
}

#[test]
fn a_seed_file_without_marks_is_judged_by_its_verdict_alone() {
    let file = SeedFile::parse("case.seed.toml", SEED_FILE).unwrap_or_else(|it| panic!("{it}"));
    let bare = SeedFile { footprint: None, ..file };
    let text = bare.to_text();
    assert!(!text.contains("marks"), "{text}");
    let read = SeedFile::parse("case.seed.toml", &text).unwrap_or_else(|it| panic!("{it}"));
    assert_eq!(read, bare);
    assert_eq!(read.diverges_at(&Trace::default()), None);
}

/// What its reader is told about the sound seed file with the first line that begins with `from`
/// replaced by `to`.
fn seed_message(from: &str, to: &str) -> String {
    let line = SEED_FILE.lines().find(|it| it.starts_with(from)).expect("the case replaces a line");
    let text = SEED_FILE.replacen(line, to, 1);
    match SeedFile::parse("case.seed.toml", &text) {
        Ok(_) => panic!("accepted: {to}"),
        Err(error) => error.to_string(),
    }
}

macro_rules! seed_messages {
    ($($name:ident: $from:literal => $to:literal;)*) => {
        $(#[test] fn $name() {
            let shown = seed_message($from, $to);
            insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false,
                snapshot_path => "snapshots/messages" }, {
                insta::assert_snapshot!(stringify!($name), shown);
            });
        })*
    };
}

seed_messages! {
    a_seed_file_of_another_format: "format" => "format = 3\nprogram = \"seawall-sim 0.9.0\"";
    a_seed_file_of_a_format_that_never_was: "format" => "format = 0";
    a_seed_file_of_the_first_format_without_digest: "digest" => "";
    a_seed_file_with_a_digest_that_is_no_number: "digest" => "digest = \"none\"";
    a_seed_file_with_an_unknown_key: "seed" => "sede = 1";
    a_seed_file_with_a_scenario_that_is_wrong: "until" => "until = \"30\"";
    a_seed_file_with_a_node_that_is_not_there: "node = \"worker-2\"" => "node = \"worker-9\"";
}
