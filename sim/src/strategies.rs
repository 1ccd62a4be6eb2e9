//! Public proptest strategies: clusters, checkpoint settings and fault schedules, for property checks of a
//! job with the ordinary `proptest!` macro, its shrinking and its regression files.
//!
//! ```
//! use proptest::prelude::*;
//! use seawall_sim::strategies;
//! # fn my_storm() -> seawall_sim::Storm {
//! #     seawall_sim::Storm::new("numbers", |at| {
//! #         use seawall_runtime::connectors::{FileSink, GeneratorSource};
//! #         let builder = seawall_stream::JobBuilder::new("numbers", at.parallelism);
//! #         let source = GeneratorSource { records: 50, keys: 5, seed: at.seed };
//! #         let sink = FileSink::new(&at.output, |it: &u64, line: &mut Vec<u8>| {
//! #             line.extend_from_slice(format!("{it}\n").as_bytes());
//! #         });
//! #         builder.source("numbers", source).sink("lines", sink);
//! #         builder.build()
//! #     })
//! #     .generated(50)
//! # }
//!
//! proptest! {
//!     #![proptest_config(ProptestConfig::with_cases(10))]
//!     fn no_storm_changes_what_my_job_says(
//!         seed in 0..1_000_u64,
//!         (settings, faults) in strategies::storm(),
//!     ) {
//!         my_storm().check(seed, &settings, &faults)?;
//!     }
//! }
//! no_storm_changes_what_my_job_says();
//! ```
//!
//! Every fault heals within the storm or at its end, so the world stays legal and liveness may be demanded.
//! They shrink towards fewer and earlier faults of short duration, and towards a small cluster. A third are of
//! any kind of the catalogue (`docs/faults.md`), as the swarm spells it: what that leaves open is drawn from the
//! seed.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::sync::LazyLock;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use seawall_protocol::config::{Alignment, CheckpointConfig, StateBackend};

use crate::fault::kinds::{KINDS, Kind};
use crate::fault::{
    Crash, DiskError, Each, FailDisk, Fault, FaultText, Nodes, On, Partition, Pause, Reset, Side,
    SlowCheckpoint, SlowDisk, SlowNetwork, Trigger, Verb,
};
use crate::scenario::quantity::TimeRange;
use crate::scenario::{Cluster, Node};
use crate::settings::Settings;

/// Events worth a fault, and how often each may be waited for.
const MOMENTS: [(&str, u32); 12] = [
    ("checkpoint-triggered", 8),
    ("snapshot-taken", 20),
    ("snapshot-acked", 20),
    ("manifest-written", 8),
    ("checkpoint-completed", 8),
    ("transaction-precommitted", 12),
    ("transaction-committed", 12),
    ("alignment-started", 12),
    ("attempt-failed", 2),
    ("attempt-deployed", 3),
    ("attempt-started", 3),
    ("subtask-ended", 4),
];

/// One to three workers with one or two slots each.
pub fn cluster() -> impl Strategy<Value = Cluster> + Clone {
    (1..=3_u32, 1..=2_u32)
        .prop_map(|(workers, slots_per_worker)| Cluster { workers, slots_per_worker })
}

/// Exactly-once checkpoints, many in a run: how often, how patient, how many at once, aligned or not.
pub fn checkpointing() -> impl Strategy<Value = CheckpointConfig> + Clone {
    let alignment = prop_oneof![
        2 => Just(Alignment::Aligned),
        1 => Just(Alignment::Unaligned),
        1 => millis(10..=500).prop_map(Alignment::AlignedFor),
    ];
    let counts = (1..=2_u32, 0..=3_u32, 1..=3_u32);
    (millis(100..=1_500), millis(2_000..=10_000), millis(0..=300), alignment, counts).prop_map(
        |(interval, timeout, min_pause, alignment, counts)| {
            let (max_concurrent, tolerable_failures, retained) = counts;
            CheckpointConfig {
                interval: Some(interval),
                timeout,
                min_pause,
                alignment,
                // Checkpoints whose barriers overtake are taken one at a time.
                max_concurrent: if alignment == Alignment::Aligned { max_concurrent } else { 1 },
                tolerable_failures,
                retained,
                ..CheckpointConfig::default()
            }
        },
    )
}

/// Cluster, parallelism, checkpoints and state backend that fit together.
pub fn settings() -> impl Strategy<Value = Settings> + Clone {
    let backend = prop_oneof![
        2 => Just((StateBackend::Heap, false)),
        1 => any::<bool>().prop_map(|it| (StateBackend::Disk { cache_bytes: 64 << 10 }, it)),
    ];
    (cluster(), 1..=4_u32, checkpointing(), backend).prop_map(
        |(cluster, parallelism, checkpoint, (state, is_incremental))| Settings {
            parallelism: parallelism.min(cluster.workers * cluster.slots_per_worker),
            checkpoint: CheckpointConfig { is_incremental, ..checkpoint },
            cluster,
            state,
        },
    )
}

/// Up to five faults on the nodes of a cluster.
pub fn faults(cluster: Cluster) -> impl Strategy<Value = Vec<Fault>> + Clone {
    vec(fault(cluster), 0..=5)
}

/// Settings, and faults for them.
pub fn storm() -> impl Strategy<Value = (Settings, Vec<Fault>)> + Clone {
    settings().prop_flat_map(|settings| {
        let faults = faults(settings.cluster);
        (Just(settings), faults)
    })
}

/// One fault on the nodes of a cluster, which heals within the storm or at its end.
pub fn fault(cluster: Cluster) -> impl Strategy<Value = Fault> + Clone {
    (trigger(), verb(cluster)).prop_map(|(trigger, verb)| Fault { trigger, verb })
}

fn trigger() -> impl Strategy<Value = Trigger> + Clone {
    let on = |((event, most), turn, after): ((&str, u32), u32, Duration)| {
        Trigger::On(On {
            nth: 1 + turn % most,
            after: Some(TimeRange::exactly(after)),
            ..On::event(event)
        })
    };
    prop_oneof![
        millis(200..=10_000).prop_map(|it| Trigger::At(TimeRange::exactly(it))),
        (select(&MOMENTS[..]), 0..20_u32, millis(0..=500)).prop_map(on),
    ]
}

/// The verbs of the catalogue that strike any job, at any moment, and change nothing of what it must say.
static CATALOGUE: LazyLock<Vec<Verb>> = LazyLock::new(|| {
    let is_general = |it: &&Kind| {
        let is_fault = it.is_survivable() && !it.is_setting() && it.verb() != "ask";
        is_fault && it.trigger.is_none() && it.jobs.is_empty()
    };
    KINDS.iter().filter(is_general).map(spelled).collect()
});

fn spelled(kind: &Kind) -> Verb {
    let text: FaultText =
        toml::from_str(kind.spelling).expect("the catalogue is spelled as files are");
    let (_, verb) = text.verbs().pop().expect("a kind has a verb");
    verb
}

fn verb(cluster: Cluster) -> impl Strategy<Value = Verb> + Clone {
    let node = || node(cluster.workers);
    let two = || two_nodes(cluster.workers);
    prop_oneof![
        4 => (node(), millis(100..=3_000)).prop_map(|(node, back)| crash(node, back)),
        2 => (node(), millis(100..=5_000)).prop_map(|(node, length)| pause(node, length)),
        2 => (two(), any::<bool>(), millis(200..=6_000))
            .prop_map(|(two, both, length)| partition(two, both, length)),
        1 => two().prop_map(reset),
        1 => (two(), any::<bool>(), latency(200), millis(500..=5_000))
            .prop_map(|(two, both, latency, length)| slow_network(two, both, latency, length)),
        1 => (node(), latency(50), millis(500..=5_000))
            .prop_map(|(node, latency, length)| slow_disk(node, latency, length)),
        1 => (node(), millis(100..=4_000)).prop_map(|(node, stall)| slow_checkpoint(node, stall)),
        1 => (node(), select(&[DiskError::Io, DiskError::Full][..]), 1..=3_u32)
            .prop_map(|(node, error, count)| fail_disk(node, error, count)),
        6 => select(CATALOGUE.as_slice()),
    ]
}

/// Workers more often than the coordinator, because there are more of them.
fn node(workers: u32) -> impl Strategy<Value = Node> + Clone {
    prop_oneof![3 => (1..=workers).prop_map(Node::Worker), 1 => Just(Node::Coordinator)]
}

/// Two different nodes.
fn two_nodes(workers: u32) -> impl Strategy<Value = (Node, Node)> + Clone {
    let of = |number: u32| if number == 0 { Node::Coordinator } else { Node::Worker(number) };
    (0..=workers, 1..=workers)
        .prop_map(move |(one, further)| (of(one), of((one + further) % (workers + 1))))
}

/// From a tenth of what is drawn up to it.
fn latency(most: u64) -> impl Strategy<Value = TimeRange> + Clone {
    millis(10..=most).prop_map(|most| TimeRange { least: most / 10, most })
}

fn millis(range: RangeInclusive<u64>) -> impl Strategy<Value = Duration> + Clone {
    range.prop_map(Duration::from_millis)
}

// The faults themselves, each with an end.

fn crash(node: Node, back: Duration) -> Verb {
    let (node, back) = (Nodes::One(node), TimeRange::exactly(back));
    Crash { node, restart_after: Some(back), again_after: None, leaving: None }.into()
}

fn pause(node: Node, length: Duration) -> Verb {
    let resume_after = Some(TimeRange::exactly(length));
    Pause { node: Nodes::One(node), resume_after }.into()
}

fn partition((from, to): (Node, Node), both: bool, length: Duration) -> Verb {
    let heal_after = Some(TimeRange::exactly(length));
    Partition { from: side(from), to: side(to), both, heal_after }.into()
}

fn reset((from, to): (Node, Node)) -> Verb {
    Reset { from: side(from), to: side(to) }.into()
}

fn slow_network(
    (from, to): (Node, Node),
    both: bool,
    latency: TimeRange,
    length: Duration,
) -> Verb {
    let lasts = Some(TimeRange::exactly(length));
    SlowNetwork { from: side(from), to: side(to), both, latency: Each(latency), lasts }.into()
}

fn slow_disk(node: Node, latency: TimeRange, length: Duration) -> Verb {
    let lasts = Some(TimeRange::exactly(length));
    SlowDisk { node: Nodes::One(node), latency: Each(latency), lasts }.into()
}

fn slow_checkpoint(node: Node, stall: Duration) -> Verb {
    let stall = TimeRange::exactly(stall);
    SlowCheckpoint { node: Nodes::One(node), stall, phase: None }.into()
}

fn fail_disk(node: Node, error: DiskError, count: u32) -> Verb {
    let (node, count) = (Nodes::One(node), NonZeroU32::new(count));
    FailDisk { node, error, operation: None, count, path: None }.into()
}

fn side(node: Node) -> Side {
    Side(vec![Nodes::One(node)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_the_catalogue_is_legal_in_a_storm_on_every_cluster() {
        let kinds = CATALOGUE.iter().map(Verb::name).collect::<std::collections::BTreeSet<_>>();
        assert!(kinds.len() > 20, "{kinds:?}");
        for (workers, slots_per_worker) in [(1, 1), (2, 1), (3, 2)] {
            let settings = Settings {
                cluster: Cluster { workers, slots_per_worker },
                parallelism: 1,
                checkpoint: CheckpointConfig::default(),
                state: StateBackend::Heap,
            };
            for verb in CATALOGUE.iter() {
                let at = TimeRange::exactly(Duration::from_secs(1));
                let fault = Fault { trigger: Trigger::At(at), verb: verb.clone() };
                let scenario = settings.scenario("any", 1, 10, std::slice::from_ref(&fault));
                assert_eq!(scenario.faults, [fault]);
            }
        }
    }
}
