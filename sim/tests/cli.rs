//! The program as its user meets it: exit codes, and messages for what cannot be done.

use std::path::Path;
use std::process::{Command, Output};

fn sim(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_seawall-sim"))
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("the program is built");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("it ended by itself"), text(output.stdout), text(output.stderr))
}

fn repository() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a package of the workspace").to_owned()
}

#[test]
fn a_scenario_that_does_not_exist_names_the_nearest() {
    let (code, _, error) = sim(&repository(), &["run", "smoke/worker-carsh"]);
    assert_eq!(code, 2);
    insta::assert_snapshot!(error.trim(), @r"
    error: no such scenario or directory: smoke/worker-carsh
    hint: did you mean smoke/worker-crash?
    ");
}

#[test]
fn a_directory_is_no_scenario_to_run() {
    let (code, _, error) = sim(&repository(), &["run", "scenarios/smoke"]);
    assert_eq!(code, 2);
    assert!(error.contains("expected one scenario\nhint: `sweep` runs them all"), "{error}");
}

#[test]
fn an_empty_range_of_seeds_is_refused() {
    let (code, _, error) = sim(&repository(), &["sweep", "smoke/no-faults", "--seeds", "5..1"]);
    assert_eq!(code, 2);
    assert!(error.contains("the range `5..1` is empty"), "{error}");
}

#[test]
fn every_scenario_file_is_checked_and_every_wrong_one_told() {
    let scratch = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        let path = scratch.path().join(format!("{name}.toml"));
        std::fs::write(path, "about = \"nothing\"\nexpcet = []\n").unwrap();
    }
    let (code, _, error) = sim(scratch.path(), &["check", "."]);
    assert_eq!(code, 2);
    insta::assert_snapshot!(error.trim());
}

#[test]
fn a_run_that_holds_ends_with_zero() {
    let scratch = tempfile::tempdir().unwrap();
    let (code, output, _) =
        sim(scratch.path(), &["run", "smoke/no-faults", "--trace", "trace.txt"]);
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("holds: every property holds"), "{output}");
    let (code, output, _) = sim(scratch.path(), &["diff", "trace.txt", "trace.txt"]);
    assert_eq!((code, output.trim()), (0, "the traces are the same"));
}

#[test]
fn a_run_that_violates_a_property_leaves_a_seed_file_that_replays() {
    let scratch = tempfile::tempdir().unwrap();
    let (code, output, _) = sim(scratch.path(), &["run", "planted/last-record-is-read-again"]);
    assert_eq!(code, 1, "{output}");
    let file = "target/seeds/planted-last-record-is-read-again-1.seed.toml";
    assert!(output.contains(&format!("replay: cargo sim replay {file}")), "{output}");
    let (code, output, _) = sim(scratch.path(), &["replay", file]);
    assert_eq!(code, 1, "{output}");
    assert!(output.contains("the same run: "), "{output}");
}

#[test]
fn a_red_run_is_shrunk_explained_and_replayed() {
    let scratch = tempfile::tempdir().unwrap();
    let (code, output, _) = sim(scratch.path(), &["run", "planted/token-is-reused"]);
    assert_eq!(code, 1, "{output}");
    let file = "target/seeds/planted-token-is-reused-1.seed.toml";
    let (code, output, progress) = sim(scratch.path(), &["shrink", file, "--for", "2min"]);
    assert_eq!(code, 1, "{output}");
    assert!(output.contains("violated: one-leader"), "{output}");
    assert!(output.contains("nothing simpler fails alike"), "{output}");
    assert!(progress.contains(" runs: faults 1, "), "{progress}");
    let small = "target/seeds/planted-token-is-reused-1.shrunk.seed.toml";
    assert!(output.contains(&format!("replay: cargo sim replay {small}")), "{output}");
    let (code, output, _) = sim(scratch.path(), &["replay", small]);
    assert_eq!(code, 1, "{output}");
    assert!(output.contains("the same verdict: "), "{output}");
    let (code, output, _) = sim(scratch.path(), &["explain", small]);
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("Faults\n") && output.contains("How it came\n"), "{output}");
    let (code, output, _) = sim(scratch.path(), &["explain", small, "--json"]);
    assert_eq!(code, 0, "{output}");
    let json: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(json["signature"], "violated: one-leader");
    assert!(json["faults"][0]["need"]["needed"]["later_ms"].is_u64(), "{output}");
}

#[test]
fn a_sweep_reports_for_people_and_machines() {
    let scratch = tempfile::tempdir().unwrap();
    let (code, output, _) = sim(
        scratch.path(),
        &["sweep", "smoke/no-faults", "--seeds", "1..3", "--json", "r.json", "--junit", "r.xml"],
    );
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("smoke/no-faults"), "{output}");
    let json = std::fs::read_to_string(scratch.path().join("r.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["rows"][0]["seeds"], 3);
    assert_eq!(json["exit_code"], 0);
    let junit = std::fs::read_to_string(scratch.path().join("r.xml")).unwrap();
    assert!(junit.contains("<testcase name=\"smoke/no-faults\""), "{junit}");
}

#[test]
fn a_run_that_is_stuck_ends_with_four_and_names_what_is_pending() {
    let scratch = tempfile::tempdir().unwrap();
    let (code, output, _) =
        sim(scratch.path(), &["run", "planted/worker-outlives-its-leader", "--seed", "1"]);
    assert_eq!(code, 4, "{output}");
    let pending = "stuck: after all faults healed, the job waits for slots: 0 of 3";
    assert!(output.contains(pending), "{output}");
}

#[test]
fn a_fault_that_never_happens_is_an_error_of_the_scenario() {
    let scratch = tempfile::tempdir().unwrap();
    let path = repository().join("scenarios/smoke/worker-crash.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let at = text.find("at = ").unwrap();
    let line = text[at..].lines().next().unwrap();
    let text = text.replace(line, "on = { event = \"job-failed\" }");
    let path = scratch.path().join("case.toml");
    std::fs::write(&path, text).unwrap();
    let (code, output, _) = sim(scratch.path(), &["sweep", "case.toml", "--seeds", "1..2"]);
    assert_eq!(code, 2, "{output}");
    assert!(output.contains("fault 1 never happened in 2 seeds\nhint: "), "{output}");
}

#[test]
fn a_trace_that_is_not_there_cannot_be_compared() {
    let scratch = tempfile::tempdir().unwrap();
    let (code, _, error) = sim(scratch.path(), &["diff", "one.txt", "two.txt"]);
    assert_eq!(code, 2);
    assert!(error.starts_with("error: cannot read the trace one.txt: "), "{error}");
}

#[test]
fn a_run_and_its_replay_leave_a_timeline_and_diagrams() {
    let scratch = tempfile::tempdir().unwrap();
    let read = |name: &str| std::fs::read_to_string(scratch.path().join(name)).unwrap();
    let scenario = "planted/last-record-is-read-again";
    let (code, output, _) =
        sim(scratch.path(), &["run", scenario, "--timeline", "run.html", "--diagram", "run.svg"]);
    assert_eq!(code, 1, "{output}");
    assert!(read("run.svg").starts_with("<svg"));
    let file = "target/seeds/planted-last-record-is-read-again-1.seed.toml";
    let (code, output, _) =
        sim(scratch.path(), &["replay", file, "--timeline", "again.html", "--diagram", "run.mmd"]);
    assert_eq!(code, 1, "{output}");
    assert_eq!(read("run.html"), read("again.html"));
    assert!(read("run.mmd").contains("sequenceDiagram"));
}

#[test]
fn a_diagram_of_another_kind_is_refused() {
    let arguments = ["run", "smoke/no-faults", "--diagram", "run.png"];
    let (code, _, error) = sim(&repository(), &arguments);
    assert_eq!(code, 2);
    assert!(error.contains("expected a file that ends in .mmd or .svg"), "{error}");
}

#[test]
fn a_sweep_of_the_swarm_says_what_it_reached_and_lists_what_stayed_dark() {
    let scratch = tempfile::tempdir().unwrap();
    let arguments = ["sweep", "swarm/quick", "--seeds", "1..3", "--dark", "--json", "r.json"];
    let (code, output, _) = sim(scratch.path(), &arguments);
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("\nreached ") && output.contains(" faults in a phase, "), "{output}");
    assert!(output.contains("\nprobes that were never hit\n"), "{output}");
    assert!(output.contains("  bandwidth: no-leader, slots, "), "{output}");
    let json = std::fs::read_to_string(scratch.path().join("r.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["reached"]["runs"], 3);
    assert_eq!(json["reached"]["faults"]["bandwidth"]["no-leader"], 0);
}

#[test]
fn a_guided_sweep_is_of_a_swarm() {
    let (code, _, error) = sim(&repository(), &["sweep", "smoke/no-faults", "--guided"]);
    assert_eq!(code, 2);
    insta::assert_snapshot!(error.trim(), @r"
    error: a guided sweep is of one swarm, such as swarm/deep
    hint: leave the paths out for the quick one
    ");
}
