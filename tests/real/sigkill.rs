//! Killed with SIGKILL at any moment, the same command goes on, and the output is the same.
//!
//! The long campaign is `sigkill-100.sh` next to this file.

use std::thread::sleep;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::Value;

use crate::support::{Scratch, count_access, newest_checkpoint, sample};

const KILLS: u32 = 6;

/// Runs the command, killed `KILLS` times at moments drawn from the seed, and then to its end.
fn survive(scratch: &Scratch, command: &str, seed: u64) {
    let mut moments = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..KILLS {
        let running = scratch.start(command);
        // The start takes a part of it; a kill there is a case too.
        sleep(Duration::from_millis(u64::from(moments.next_u32() % 700)));
        running.kill();
    }
    scratch.finish(command);
}

// Rules: H2, K3, K4
#[test]
fn access_log_survives_kills_at_random_moments() {
    let scratch = Scratch::new();
    scratch.write("access.log", sample());
    let command = "run access-log -o input=access.log -o output=out -o rate=150 \
                   --checkpoint-interval 20ms";
    survive(&scratch, command, 1);
    let (clients, malformed) = count_access(&sample());
    assert_eq!(scratch.output("out"), clients);
    assert_eq!(scratch.output("out/malformed"), malformed);
}

// Rules: H2, K2, K5
#[test]
fn a_job_that_commits_all_the_time_survives_kills_at_random_moments() {
    let scratch = Scratch::new();
    let options = "-o records=3000 -o keys=20 -o seed=3";
    scratch
        .finish(&format!("run ledger {options} -o output=undisturbed --state undisturbed-state"));
    let command =
        format!("run ledger {options} -o output=out -o rate=1500 --checkpoint-interval 20ms");
    survive(&scratch, &command, 2);
    assert_eq!(scratch.output("out"), scratch.output("undisturbed"));
    assert!(newest_checkpoint(&scratch) > 5, "there were too few commits to kill");
}

/// Barriers overtake, and the sink is so slow that there is always something to overtake.
const OVERTAKING: &str = "-o records=3000 -o keys=20 -o seed=4 -o output=out -o rate=2000 -o sink-rate=700 \
     --checkpoint-interval 50ms -D execution.checkpointing.unaligned.enabled=true";

/// The newest checkpoint and the bytes of the records in flight that it holds.
fn newest_in_flight(scratch: &Scratch) -> (u64, u64) {
    let shown = scratch.finish("checkpoint show seawall-data --json");
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let of = |it: &Value| it["figures"]["alignment"]["persisted"].as_u64().unwrap();
    let bytes = shown["snapshots"].as_array().unwrap().iter().map(of).sum();
    (newest_checkpoint(scratch), bytes)
}

fn undisturbed(scratch: &Scratch) -> Vec<String> {
    scratch.finish(
        "run ledger -o records=3000 -o keys=20 -o seed=4 -o output=whole --state whole-state",
    );
    scratch.output("whole")
}

// Rules: E2, E6, K4
#[test]
fn records_that_barriers_overtake_before_a_slow_sink_survive_kills_at_random_moments() {
    let scratch = Scratch::new();
    let whole = undisturbed(&scratch);
    let command = format!("run ledger {OVERTAKING}");
    let mut in_flight = 0;
    for pause in [0, 150, 300] {
        scratch.leave_unfinished(&command);
        let running = scratch.start(&command);
        sleep(Duration::from_millis(400 + pause));
        running.kill();
        in_flight += newest_in_flight(&scratch).1;
    }
    assert!(in_flight > 0, "no checkpoint held records in flight");
    scratch.finish(&command);
    assert_eq!(scratch.output("out"), whole);
}

// Rules: E12
#[test]
fn records_in_flight_are_given_up_only_when_their_checkpoint_is_named() {
    let scratch = Scratch::new();
    let whole = undisturbed(&scratch);
    let command = format!("run ledger {OVERTAKING}");
    let running = scratch.start(&command);
    sleep(Duration::from_millis(900));
    running.kill();
    let (checkpoint, bytes) = newest_in_flight(&scratch);
    assert!(bytes > 0, "checkpoint {checkpoint} holds no records in flight");
    let named = "-D execution.state-recovery.without-channel-state.checkpoint-id";
    scratch.finish(&format!("{command} {named}={checkpoint}"));
    let lossy = scratch.output("out");
    assert!(lossy.len() < whole.len(), "{} records, and nothing was given up", lossy.len());
}
