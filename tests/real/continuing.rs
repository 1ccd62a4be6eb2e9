//! The same command again: after the end, after a signal, while it runs.

use crate::support::{Scratch, newest_checkpoint, wait_until};

/// Ends when it is told to: its input lasts longer than anybody's patience.
const SLOW: &str = "run keyed-count -o records=200000 -o keys=50 -o output=out -o rate=1000 \
                    --checkpoint-interval 20ms";
/// The same job, to its end.
const FAST: &str = "run keyed-count -o records=200000 -o keys=50 -o output=out";

#[test]
fn a_finished_job_says_so_and_leaves_its_output_alone() {
    let scratch = Scratch::new();
    scratch.write("words.txt", "one two two\n");
    let command = "run word-count -o input=words.txt -o output=out";
    scratch.finish(command);
    let before = scratch.tree();
    let said = scratch.run(command);
    assert_eq!(said.code, 0);
    insta::assert_snapshot!("already_finished", format!("{}{}", said.stdout, said.stderr));
    assert_eq!(scratch.tree(), before);
    // Its input may be gone by then.
    std::fs::remove_file(scratch.path("words.txt")).unwrap();
    assert_eq!(scratch.run(command).code, 0);
}

#[test]
fn an_interrupted_job_stops_at_once_and_continues() {
    let scratch = Scratch::new();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let before = newest_checkpoint(&scratch);
        let running = scratch.start(SLOW);
        wait_until("a checkpoint is completed", || newest_checkpoint(&scratch) > before);
        running.signal(signal);
        let said = running.wait(&scratch);
        assert_eq!(said.code, code, "{}", said.stderr);
        let last = said.stderr.lines().last().unwrap();
        assert!(
            last.starts_with("interrupted; the same command continues from checkpoint "),
            "{last}"
        );
    }
    let said = scratch.run(FAST);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("continuing from checkpoint "), "{}", said.stderr);
    scratch.finish("run keyed-count -o records=200000 -o keys=50 -o output=other");
    assert_eq!(scratch.output("out"), scratch.output("other"));
}

#[test]
fn a_second_process_on_the_same_job_is_refused() {
    let scratch = Scratch::new();
    let mut running = scratch.start(SLOW);
    wait_until("a checkpoint is completed", || newest_checkpoint(&scratch) > 0);
    let second = scratch.run(SLOW);
    assert_eq!(second.code, 2);
    insta::assert_snapshot!("a_second_process", second.stderr);
    running.goes_on(&scratch);
    running.kill();
    scratch.finish(FAST);
    assert_eq!(scratch.output("out").len(), 50);
}

#[test]
fn a_job_continues_from_another_working_directory_and_at_another_rate() {
    let scratch = Scratch::new();
    scratch.leave_unfinished(SLOW);
    let (output, state) = (scratch.path("out"), scratch.path("seawall-data"));
    let command = format!(
        "run keyed-count -o records=200_000 -o keys=50 -o output={} --state {}",
        output.display(),
        state.display()
    );
    let said = scratch.command(&command).current_dir("/").output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    assert_eq!(scratch.output("out").len(), 50);
}
