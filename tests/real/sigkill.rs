//! Killed with SIGKILL at any moment, the same command goes on, and the output is the same.
//!
//! The long campaign is `sigkill-100.sh` next to this file.

use std::thread::sleep;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

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
