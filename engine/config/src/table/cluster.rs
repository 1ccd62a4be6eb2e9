//! Coordinator and workers: how death is suspected, leadership, slots and schedulers.

use std::time::Duration;

use super::{Key, old};
use crate::value::{Choice, INFINITE, Kind};

const TIME: Kind = Kind::Duration { least: Duration::ZERO };
const POSITIVE_TIME: Kind = Kind::Duration { least: Duration::from_millis(1) };
const COUNT: Kind = Kind::Whole { least: 0, most: INFINITE };

const CLUSTER: &str = "a cluster: coordinator and worker share one process";
const LEADERS: &str = "a second coordinator that takes over";
const ADAPTING: &str = "a job that changes its parallelism by itself";

/// Heartbeats and other limits after which something is taken for dead.
pub(super) const DETECTION: &[Key] = &[
    Key::works(
        "heartbeat.interval",
        POSITIVE_TIME,
        Some("10 s"),
        "Time between two signs of life, in both directions.",
        "HeartbeatConfig::interval",
    ),
    Key::works(
        "heartbeat.timeout",
        POSITIVE_TIME,
        Some("50 s"),
        "Silence after which the other side is taken for dead.",
        "HeartbeatConfig::timeout",
    ),
    Key::absent(
        "heartbeat.rpc-failure-threshold",
        Kind::Whole { least: -1, most: INFINITE },
        Some("2"),
        "Failed messages in a row after which the other side is taken for dead.",
        "a count of failed messages: one broken connection is enough",
    ),
    Key::absent(
        "task.cancellation.interval",
        TIME,
        Some("30 s"),
        "Time between two attempts to stop a subtask.",
        "a second attempt to stop a subtask: the first one drops it",
    ),
    Key::works(
        "task.cancellation.timeout",
        POSITIVE_TIME,
        Some("3 min"),
        "How long a cancelled attempt may take to stop before its worker is taken for dead.",
        "HeartbeatConfig::cancel_timeout",
    ),
    Key::absent(
        "taskmanager.registration.timeout",
        TIME,
        Some("5 min"),
        "How long a worker tries to register.",
        CLUSTER,
    ),
    Key::absent(
        "resourcemanager.job.timeout",
        TIME,
        Some("5 min"),
        "How long a job without a leader keeps its slots.",
        LEADERS,
    ),
];

/// Leadership, and what outlives a coordinator.
pub(super) const AVAILABILITY: &[Key] = &[
    Key::absent(
        "high-availability.type",
        Kind::Choice(&[
            Choice::new("NONE"),
            Choice::new("zookeeper").refused("Seawall does not elect leaders through ZooKeeper"),
            Choice::new("kubernetes").refused("Seawall does not elect leaders through Kubernetes"),
        ]),
        Some("NONE"),
        "How a leader is elected.",
        LEADERS,
    )
    .aliases(&[old("high-availability")]),
    Key::absent(
        "high-availability.cluster-id",
        Kind::Text,
        Some("/default"),
        "The name of the cluster where several share a service.",
        LEADERS,
    ),
    Key::absent(
        "high-availability.storageDir",
        Kind::Text,
        None,
        "Where a leader keeps what the next one needs.",
        LEADERS,
    ),
    Key::absent(
        "high-availability.zookeeper.client.session-timeout",
        TIME,
        Some("1 min"),
        "Silence after which ZooKeeper ends a session.",
        LEADERS,
    ),
    Key::absent(
        "high-availability.zookeeper.client.connection-timeout",
        TIME,
        Some("15 s"),
        "How long a connection to ZooKeeper may take.",
        LEADERS,
    ),
    Key::absent(
        "high-availability.zookeeper.client.retry-wait",
        TIME,
        Some("5 s"),
        "Time before ZooKeeper is tried again.",
        LEADERS,
    ),
    Key::absent(
        "high-availability.zookeeper.client.max-retry-attempts",
        COUNT,
        Some("3"),
        "How often ZooKeeper is tried again.",
        LEADERS,
    ),
    Key::absent(
        "high-availability.zookeeper.client.tolerate-suspended-connections",
        Kind::Boolean,
        Some("false"),
        "Whether a leader stays leader while its connection to ZooKeeper is suspended.",
        LEADERS,
    ),
    Key::absent(
        "job-result-store.delete-on-commit",
        Kind::Boolean,
        Some("true"),
        "Whether the result of a job is removed once everything else is.",
        LEADERS,
    ),
    Key::absent(
        "cleanup-strategy.type",
        Kind::Choice(&[
            Choice::new("exponential-delay").also(&["exponentialdelay"]),
            Choice::new("fixed-delay").also(&["fixeddelay"]),
            Choice::new("none").also(&["off", "disable"]),
        ]),
        Some("exponential-delay"),
        "How often the removal of what a job leaves is tried again.",
        "a choice: what could not be removed is removed at the next start",
    )
    .aliases(&[old("cleanup-strategy")]),
];

/// Slots, and who gives them out.
pub(super) const SLOTS: &[Key] = &[
    Key::works(
        "taskmanager.numberOfTaskSlots",
        Kind::Whole { least: 1, most: 1 << 15 },
        Some("1"),
        "Subtasks of each operator that one worker has room for. `seawall run`, which is one worker, has \
         as many as its parallelism unless this is set.",
        "Settings::slots",
    ),
    Key::absent(
        "slot.request.timeout",
        TIME,
        Some("5 min"),
        "How long a job waits for slots before it fails.",
        CLUSTER,
    ),
    Key::absent(
        "slot.idle.timeout",
        TIME,
        Some("50 s"),
        "How long a job keeps slots that it does not use.",
        CLUSTER,
    ),
    Key::absent(
        "taskmanager.slot.timeout",
        TIME,
        Some("10 s"),
        "How long a worker keeps a slot for a job that does not use it.",
        CLUSTER,
    ),
    Key::absent(
        "resourcemanager.taskmanager-timeout",
        TIME,
        Some("30 s"),
        "How long an idle worker is kept.",
        CLUSTER,
    ),
    Key::absent(
        "jobmanager.scheduler",
        Kind::Choice(&[
            Choice::new("Default"),
            Choice::new("Adaptive"),
            Choice::new("AdaptiveBatch"),
        ]),
        Some("Default"),
        "Which scheduler places subtasks.",
        ADAPTING,
    ),
    Key::absent(
        "jobmanager.execution.failover-strategy",
        Kind::Choice(&[Choice::new("region"), Choice::new("full")]),
        Some("region"),
        "Which subtasks restart with one that failed.",
        "",
    )
    .fixed(
        &["region", "full"],
        "the subtasks of a job are connected, so its one region is the whole job",
    ),
    Key::absent(
        "jobmanager.execution.attempts-history-size",
        COUNT,
        Some("16"),
        "Earlier attempts that are remembered.",
        "a history of attempts",
    ),
];

/// A job that changes its parallelism.
pub(super) const ADAPTIVE: &[Key] = &[
    Key::absent(
        "jobmanager.adaptive-scheduler.submission.resource-wait-timeout",
        TIME,
        Some("5 min"),
        "How long a job waits for the slots it would like to have.",
        ADAPTING,
    ),
    Key::absent(
        "jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout",
        TIME,
        Some("10 s"),
        "How long the number of slots must stay the same before a job starts with fewer than it wants.",
        ADAPTING,
    ),
    Key::absent(
        "jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling",
        TIME,
        Some("30 s"),
        "Least time between two changes of parallelism.",
        ADAPTING,
    ),
    Key::absent(
        "jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout",
        TIME,
        Some("1 min"),
        "How long the number of slots must stay the same before a running job uses fewer than it wants.",
        ADAPTING,
    ),
    Key::absent(
        "jobmanager.adaptive-scheduler.rescale-trigger.max-checkpoint-failures",
        COUNT,
        Some("2"),
        "Failed checkpoints after which the parallelism changes without a new one.",
        ADAPTING,
    ),
    Key::absent(
        "jobmanager.adaptive-scheduler.rescale-trigger.max-delay",
        TIME,
        None,
        "The longest time a change of parallelism waits for a checkpoint.",
        ADAPTING,
    ),
];
