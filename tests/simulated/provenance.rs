//! A violation says which record it is about, which checkpoint holds it, and which attempt had it.

use seawall_sim::run;
use seawall_sim::verdict::Result as Outcome;

use crate::scenario;

#[test]
fn a_line_too_many_is_traced_to_its_record_its_checkpoint_and_its_attempts() {
    let scenario = scenario("planted/last-record-is-read-again");
    let verdict = run::run(&scenario, 1);
    let Outcome::Violated { property, message } = &verdict.result else {
        panic!("{:?}", verdict.result)
    };
    assert_eq!(property, "exactly-once-output");
    let line = message.lines().find(|it| it.contains("stems from record")).expect("one is traced");
    assert!(line.contains("read before the cut of checkpoint"), "{line}");
    assert!(line.contains("is wrong from checkpoint"), "{line}");
    let file = message.lines().find(|it| it.contains("in /output/")).expect("a file holds it");
    for step in ["transaction of checkpoint", "pre-committed by spread/", "committed by spread/"] {
        assert!(file.contains(step), "{file}");
    }
}

#[test]
fn a_record_in_the_wrong_window_is_named_with_the_window_that_lacks_it() {
    let scenario = scenario("planted/timers-fire-early");
    let Outcome::Violated { message, .. } = run::run(&scenario, 1).result else {
        panic!("the planted bug is caught at seed 1")
    };
    let misplaced = message.lines().find(|it| it.contains("in the wrong place"));
    let misplaced = misplaced.expect("a record that came late is on time in truth");
    assert!(misplaced.contains("/input/part-"), "{misplaced}");
    assert!(misplaced.contains("belongs to minutes: "), "{misplaced}");
}
