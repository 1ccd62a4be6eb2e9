//! Talking to a running job: its socket, who answers, and what is said when nobody does.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use crate::support::{Scratch, newest_checkpoint, wait_until};

/// Ends when it is told to: its input lasts longer than anybody's patience.
const SLOW: &str = "run keyed-count -o records=200000 -o keys=50 -o output=out -o rate=1000 \
                    --checkpoint-interval 20ms";
/// The same job, to its end.
const FAST: &str = "run keyed-count -o records=200000 -o keys=50 -o output=out";

/// Stops the job, as soon as all of it runs.
fn stop(scratch: &Scratch, state: &str) {
    wait_until("the job stops", || scratch.run(&format!("stop {state}")).code == 0);
}

#[test]
fn nobody_answers_for_a_job_that_does_not_run() {
    let scratch = Scratch::new();
    scratch.leave_unfinished(SLOW);
    let refused = scratch.run("savepoint trigger seawall-data");
    assert_eq!(refused.code, 2);
    insta::assert_snapshot!("no_job_runs", refused.stderr);
    scratch.finish(FAST);
    for command in ["savepoint trigger", "stop", "cancel", "checkpoint trigger"] {
        let refused = scratch.run(&format!("{command} seawall-data"));
        assert_eq!(refused.code, 2);
        assert!(refused.stderr.starts_with("error: the job has ended: "), "{}", refused.stderr);
    }
    insta::assert_snapshot!("job_has_ended", scratch.run("stop seawall-data").stderr);
}

#[test]
fn the_socket_of_a_killed_process_is_replaced_and_that_of_an_ended_job_removed() {
    let scratch = Scratch::new();
    scratch.leave_unfinished(SLOW);
    let socket = scratch.job_directory().join("control.sock");
    assert!(socket.exists(), "a killed process removes nothing");
    fs::remove_file(&socket).unwrap();
    drop(UnixListener::bind(&socket).unwrap());
    let running = scratch.start(SLOW);
    wait_until("the job answers", || UnixStream::connect(&socket).is_ok());
    stop(&scratch, "seawall-data");
    assert_eq!(running.wait(&scratch).code, 0);
    assert!(!socket.exists());
}

#[test]
fn the_checkpoints_of_a_running_job_can_be_listed() {
    let scratch = Scratch::new();
    let mut running = scratch.start(SLOW);
    wait_until("a checkpoint is completed", || newest_checkpoint(&scratch) > 0);
    let socket = scratch.job_directory().join("control.sock");
    wait_until("the job answers", || UnixStream::connect(&socket).is_ok());
    // The history is written beside the checkpoints, and may come a little later.
    wait_until("the history is listed", || {
        let listed = scratch.run("checkpoint list seawall-data");
        assert_eq!(listed.code, 0, "{}", listed.stderr);
        listed.stdout.contains(" triggered: ")
    });
    running.goes_on(&scratch);
}

#[test]
fn what_cannot_be_understood_is_answered_and_disturbs_nobody() {
    let scratch = Scratch::new();
    let mut running = scratch.start(SLOW);
    wait_until("a checkpoint is completed", || newest_checkpoint(&scratch) > 0);
    let socket = scratch.job_directory().join("control.sock");
    for nonsense in ["nonsense\n", "{\"ask\":\"dance\"}\n", "{\"ask\":\"stop\",\"drain\":1}\n"] {
        let mut connection = UnixStream::connect(&socket).unwrap();
        connection.write_all(nonsense.as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(connection).read_line(&mut answer).unwrap();
        assert!(
            answer.starts_with("{\"answer\":\"refused\",\"why\":\"this is nothing"),
            "{answer}"
        );
    }
    running.goes_on(&scratch);
    running.kill();
    scratch.finish(FAST);
    assert_eq!(scratch.output("out").len(), 50);
}

#[test]
fn a_job_answers_however_long_the_path_of_its_directory_is() {
    let scratch = Scratch::new();
    let state = format!("{}/seawall-data", "long".repeat(40));
    let running = scratch.start(&format!("{SLOW} --state {state}"));
    wait_until("the job answers", || {
        // Refused or done: either way it was the job that said so.
        let said = scratch.run(&format!("checkpoint trigger {state}"));
        said.code == 0 || said.stderr.starts_with("error: the job refused")
    });
    stop(&scratch, &state);
    assert_eq!(running.wait(&scratch).code, 0);
}
