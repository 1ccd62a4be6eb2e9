//! How the engine recovers, line by line. Review a change here as you would review code: the trace says
//! what a change of the protocol does.

use seawall_sim::run;

use crate::scenario;

/// Snapshots the recovery trace of a scenario's first seed.
fn check(name: &str) {
    let scenario = scenario(name);
    let verdict = run::run(&scenario, scenario.seeds[0]);
    let shown = format!(
        "# {name} seed {}: {}\n{}# {}\n",
        verdict.seed,
        scenario.about,
        verdict.trace.recovery(),
        verdict.result.explain()
    );
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name.replace('/', "-"), shown);
    });
}

macro_rules! traces {
    ($($test:ident: $name:literal,)*) => {
        $(#[test] fn $test() { check($name); })*
    };
}

traces! {
    a_job_that_nothing_disturbs: "smoke/no-faults",
    a_worker_that_dies_after_its_ack: "crash/worker-after-ack-before-completion",
    a_sink_that_dies_before_it_commits: "crash/after-final-checkpoint-before-commit",
    a_leader_that_dies_between_manifest_and_record: "crash/coordinator-between-manifest-and-record",
    everything_dies_at_once: "crash/everything-at-once",
    a_snapshot_that_cannot_be_written: "disk/error-while-writing-a-snapshot",
    a_worker_that_is_cut_off_while_aligning: "network/worker-cut-off-while-aligning",
    acks_that_do_not_arrive: "network/one-way-partition-hides-acks",
    a_zombie: "slow/worker-paused-becomes-zombie",
    a_checkpoint_that_expires: "slow/snapshot-stalls-past-timeout",
}
