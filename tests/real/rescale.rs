//! A running job is given another parallelism, and a savepoint is started from with another one.

use crate::support::{Running, Scratch, newest_checkpoint, wait_until};

const SLOW: &str = "run keyed-count -o records=100000 -o keys=50 -o output=out -o rate=20000 \
                    --checkpoint-interval 50ms";

fn undisturbed(scratch: &Scratch) -> Vec<String> {
    scratch
        .finish("run keyed-count -o records=100000 -o keys=50 -o output=undisturbed --state other");
    scratch.output("undisturbed")
}

fn started(scratch: &Scratch, options: &str) -> Running {
    let running = scratch.start(&format!("{SLOW} {options}"));
    wait_until("a checkpoint is completed", || newest_checkpoint(scratch) > 0);
    running
}

// Rules: M7, M2
#[test]
fn a_job_is_rescaled_up_and_down_while_it_runs_and_writes_the_same() {
    let scratch = Scratch::new();
    let expected = undisturbed(&scratch);
    let disk = "-D state.backend.type=disk -D execution.checkpointing.incremental=true \
                -D execution.checkpointing.unaligned.enabled=true";
    for options in ["", disk] {
        let scratch = Scratch::new();
        let running = started(&scratch, options);
        for parallelism in [5, 1, 3] {
            let said = scratch.finish(&format!("rescale seawall-data --parallelism {parallelism}"));
            assert_eq!(said, format!("the job runs with parallelism {parallelism}\n"));
        }
        let ended = running.wait(&scratch);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(scratch.output("out"), expected, "with {options:?}");
    }
}

// Rules: M7
#[test]
fn a_killed_job_goes_on_with_the_parallelism_it_was_given() {
    let scratch = Scratch::new();
    let expected = undisturbed(&scratch);
    let running = started(&scratch, "");
    scratch.finish("rescale seawall-data --parallelism 4");
    running.kill();
    let again = scratch.run(SLOW);
    assert_eq!(again.code, 0, "{}", again.stderr);
    let said = "the job goes on with parallelism 4, as it was rescaled, and not with 2";
    assert!(again.stderr.contains(said), "{}", again.stderr);
    assert_eq!(scratch.output("out"), expected);
}

// Rules: M3
#[test]
fn too_few_key_groups_for_the_parallelism_it_was_given_are_refused() {
    let scratch = Scratch::new();
    let running = started(&scratch, "");
    scratch.finish("rescale seawall-data --parallelism 4");
    running.kill();
    let again = scratch.run(&format!("{SLOW} -D pipeline.max-parallelism=3"));
    assert_eq!(again.code, 2, "{}", again.stderr);
    assert!(again.stderr.contains("128 key groups, and has 3 now"), "{}", again.stderr);
}

// Rules: M3
#[test]
fn what_cannot_be_is_refused_and_the_job_runs_on() {
    let scratch = Scratch::new();
    let expected = undisturbed(&scratch);
    let running = started(&scratch, "-D taskmanager.numberOfTaskSlots=3");
    for (parallelism, why) in [
        (0, "parallelism 0 is not in 1..=128, which the key groups allow"),
        (129, "parallelism 129 is not in 1..=128, which the key groups allow"),
        (4, "parallelism 4 needs 4 slots, and there are 3"),
    ] {
        let said = scratch.run(&format!("rescale seawall-data --parallelism {parallelism}"));
        assert_eq!(said.code, 2, "{}", said.stderr);
        assert!(said.stderr.contains(why), "{}", said.stderr);
    }
    assert_eq!(running.wait(&scratch).code, 0);
    assert_eq!(scratch.output("out"), expected);
}

// Rules: M7, H8
#[test]
fn a_savepoint_is_started_from_with_more_and_with_fewer_subtasks() {
    let scratch = Scratch::new();
    let expected = undisturbed(&scratch);
    let running = started(&scratch, "");
    let said = scratch.finish("stop seawall-data --savepoint-dir kept");
    assert_eq!(running.wait(&scratch).code, 0);
    let kept = said.trim().rsplit('/').next().expect("a path");
    for parallelism in [1, 5] {
        let options = format!(
            "--parallelism {parallelism} --state state-{parallelism} --from-savepoint kept/{kept} \
             -o records=100000 -o keys=50 -o output=out-{parallelism}"
        );
        scratch.finish(&format!("run keyed-count {options}"));
        let found = scratch.output(&format!("out-{parallelism}"));
        assert_eq!(found, expected, "with parallelism {parallelism}");
    }
}
