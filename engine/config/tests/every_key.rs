//! Every key of the table: its default is Flink's, its value reaches a setting or is refused by name.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;

use seawall_config::table::{self, Key, Support};
use seawall_config::{Configuration, Problem, Settings};

/// Each key with Flink's default ("-" is none), another legal value, and the part of the settings that
/// the value shows up in ("" for a key that is refused).
const ROWS: &[(&str, &str, &str, &str)] = &[
    ("execution.checkpointing.interval", "-", "10 s", "interval: Some(10s)"),
    (
        "execution.checkpointing.interval-during-backlog",
        "-",
        "1 min",
        "interval_during_backlog: Some(60s)",
    ),
    ("execution.checkpointing.trigger.records", "-", "1000", "every_records: Some(1000)"),
    (
        "execution.checkpointing.trigger.dirty-bytes",
        "-",
        "1 mb",
        "every_dirty_bytes: Some(1048576)",
    ),
    ("execution.checkpointing.trigger.combination", "any", "all", "combination: All"),
    ("execution.checkpointing.mode", "EXACTLY_ONCE", "at-least-once", "mode: AtLeastOnce"),
    ("execution.checkpointing.timeout", "10 min", "90 s", "timeout: 90s"),
    ("execution.checkpointing.min-pause", "0", "2 s", "min_pause: 2s"),
    ("execution.checkpointing.max-concurrent-checkpoints", "1", "3", "max_concurrent: 3"),
    ("execution.checkpointing.tolerable-failed-checkpoints", "0", "4", "tolerable_failures: 4"),
    ("execution.checkpointing.num-retained", "1", "5", "retained: 5"),
    ("execution.checkpointing.expiration", "-", "1 d", "expiration: Some(86400s)"),
    (
        "execution.checkpointing.externalized-checkpoint-retention",
        "NO_EXTERNALIZED_CHECKPOINTS",
        "RETAIN_ON_CANCELLATION",
        "on_cancel: Retain",
    ),
    ("execution.checkpointing.unaligned.enabled", "false", "true", "alignment: Unaligned"),
    ("execution.checkpointing.aligned-checkpoint-timeout", "0", "1 s", "alignment: AlignedFor(1s)"),
    ("execution.checkpointing.unaligned.forced", "false", "true", ""),
    ("execution.checkpointing.unaligned.interruptible-timers.enabled", "false", "true", ""),
    ("execution.checkpointing.unaligned.max-subtasks-per-channel-state-file", "5", "6", ""),
    (
        "execution.checkpointing.checkpoints-after-tasks-finish",
        "true",
        "false",
        "is_taken_after_finish: false",
    ),
    ("execution.checkpointing.incremental", "false", "true", "is_incremental: true"),
    ("execution.checkpointing.local-backup.enabled", "false", "true", ""),
    ("execution.checkpointing.dir", "-", "/data/chk", "directory: Some(\"/data/chk\")"),
    (
        "execution.checkpointing.savepoint-dir",
        "-",
        "/data/save",
        "savepoint_directory: Some(\"/data/save\")",
    ),
    ("execution.checkpointing.storage", "-", "jobmanager", ""),
    ("execution.checkpointing.data-inline-threshold", "20 kb", "1 mb", ""),
    ("execution.checkpointing.write-buffer-size", "4096", "8192", ""),
    ("execution.checkpointing.create-subdir", "true", "false", ""),
    ("execution.checkpointing.cleaner.parallel-mode", "true", "false", ""),
    ("execution.checkpointing.snapshot-compression", "false", "true", ""),
    ("execution.checkpointing.file-merging.enabled", "false", "true", ""),
    ("execution.checkpointing.file-merging.max-file-size", "32 mb", "64 mb", ""),
    ("execution.checkpointing.file-merging.max-space-amplification", "2.0", "3", ""),
    ("execution.checkpointing.file-merging.across-checkpoint-boundary", "false", "true", ""),
    ("execution.checkpointing.file-merging.pool-blocking", "false", "true", ""),
    ("execution.state-recovery.path", "-", "/data/save/1", "path: \"/data/save/1\""),
    ("execution.state-recovery.claim-mode", "NO_CLAIM", "CLAIM", "is_claiming: true"),
    (
        "execution.state-recovery.ignore-unclaimed-state",
        "false",
        "true",
        "ignores_unclaimed_state: true",
    ),
    ("execution.state-recovery.from-local", "false", "true", ""),
    (
        "execution.state-recovery.without-channel-state.checkpoint-id",
        "-1",
        "7",
        "without_channel_state: Some(CheckpointId(7))",
    ),
    ("state.backend.type", "hashmap", "disk", "Disk { cache_bytes: 67108864 }"),
    ("state.backend.disk.cache-size", "64 mb", "1 mb", "cache_bytes: 1048576"),
    ("state.backend.disk.directory", "-", "/data/scratch", "scratch: Some(\"/data/scratch\")"),
    ("pipeline.max-parallelism", "-1", "256", "key_groups: Some(256)"),
    ("pipeline.auto-watermark-interval", "200 ms", "1 s", "watermark_interval: 1s"),
    ("execution.buffer-timeout.interval", "100 ms", "1 s", ""),
    ("restart-strategy.type", "-", "fixed-delay", "FixedDelay { attempts: 1, delay: 1s }"),
    ("restart-strategy.fixed-delay.attempts", "1", "7", "attempts: 7"),
    ("restart-strategy.fixed-delay.delay", "1 s", "7 s", "delay: 7s"),
    ("restart-strategy.failure-rate.max-failures-per-interval", "1", "7", "max_failures: 7"),
    ("restart-strategy.failure-rate.failure-rate-interval", "1 min", "7 s", "interval: 7s, delay"),
    ("restart-strategy.failure-rate.delay", "1 s", "7 s", "delay: 7s"),
    ("restart-strategy.exponential-delay.initial-backoff", "1 s", "7 s", "initial: 7s"),
    ("restart-strategy.exponential-delay.max-backoff", "1 min", "7 s", "max: 7s"),
    (
        "restart-strategy.exponential-delay.backoff-multiplier",
        "1.5",
        "2",
        "multiplier_percent: 200",
    ),
    ("restart-strategy.exponential-delay.jitter-factor", "0.1", "0.25", "jitter_percent: 25"),
    ("restart-strategy.exponential-delay.reset-backoff-threshold", "1 h", "7 s", "reset_after: 7s"),
    ("restart-strategy.exponential-delay.attempts-before-reset-backoff", "infinite", "7", ""),
    ("heartbeat.interval", "10 s", "7 s", "HeartbeatConfig { interval: 7s"),
    ("heartbeat.timeout", "50 s", "70 s", "timeout: 70s"),
    ("heartbeat.rpc-failure-threshold", "2", "3", ""),
    ("task.cancellation.interval", "30 s", "7 s", ""),
    ("task.cancellation.timeout", "3 min", "7 s", "cancel_timeout: 7s"),
    ("taskmanager.registration.timeout", "5 min", "7 s", ""),
    ("resourcemanager.job.timeout", "5 min", "7 s", ""),
    ("high-availability.type", "NONE", "zookeeper", ""),
    ("high-availability.cluster-id", "/default", "/mine", ""),
    ("high-availability.storageDir", "-", "/data/ha", ""),
    ("high-availability.zookeeper.client.session-timeout", "1 min", "7 s", ""),
    ("high-availability.zookeeper.client.connection-timeout", "15 s", "7 s", ""),
    ("high-availability.zookeeper.client.retry-wait", "5 s", "7 s", ""),
    ("high-availability.zookeeper.client.max-retry-attempts", "3", "7", ""),
    ("high-availability.zookeeper.client.tolerate-suspended-connections", "false", "true", ""),
    ("job-result-store.delete-on-commit", "true", "false", ""),
    ("cleanup-strategy.type", "exponential-delay", "none", ""),
    ("taskmanager.numberOfTaskSlots", "1", "4", "slots: Some(4)"),
    ("slot.request.timeout", "5 min", "7 s", ""),
    ("slot.idle.timeout", "50 s", "7 s", ""),
    ("taskmanager.slot.timeout", "10 s", "7 s", ""),
    ("resourcemanager.taskmanager-timeout", "30 s", "7 s", ""),
    ("jobmanager.scheduler", "Default", "Adaptive", ""),
    ("jobmanager.execution.failover-strategy", "region", "full", "both"),
    ("jobmanager.execution.attempts-history-size", "16", "7", ""),
    ("jobmanager.adaptive-scheduler.submission.resource-wait-timeout", "5 min", "7 s", ""),
    ("jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout", "10 s", "7 s", ""),
    ("jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling", "30 s", "7 s", ""),
    ("jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout", "1 min", "7 s", ""),
    ("jobmanager.adaptive-scheduler.rescale-trigger.max-checkpoint-failures", "2", "7", ""),
    ("jobmanager.adaptive-scheduler.rescale-trigger.max-delay", "-", "7 s", ""),
];

/// The keys that a key needs beside it.
fn beside(key: &Key) -> Configuration {
    let configuration = Configuration::new();
    match (key.needs, key.key) {
        (Some((needed, [value, ..])), _) => configuration.set(needed, value).unwrap(),
        (Some((needed @ "execution.checkpointing.interval", [])), _) => {
            configuration.set(needed, "1 s").unwrap()
        }
        (Some((needed, [])), _) => configuration.set(needed, "/data/save/1").unwrap(),
        (None, "execution.checkpointing.trigger.combination") => configuration
            .set("execution.checkpointing.trigger.records", "10")
            .and_then(|it| it.set("execution.checkpointing.interval", "1 s"))
            .unwrap(),
        (None, _) => configuration,
    }
}

/// The key with those that it needs.
fn with(key: &Key, value: &str) -> Configuration {
    beside(key).set(key.key, value).unwrap()
}

fn settings(configuration: &Configuration) -> Settings {
    configuration.settings().unwrap()
}

#[test]
fn every_key_has_its_row_and_no_row_is_left() {
    let keys: Vec<_> = table::keys().map(|it| it.key).collect();
    let rows: Vec<_> = ROWS.iter().map(|it| it.0).collect();
    assert_eq!(keys, rows);
    let names: BTreeSet<_> = keys.iter().collect();
    assert_eq!(names.len(), keys.len());
}

#[test]
fn every_default_is_flinks() {
    for (name, default, ..) in ROWS {
        let key = table::find(name).unwrap();
        match (*default, key.default) {
            ("-", None) => {}
            (flink, Some(ours)) => {
                // As values: 0 is 0 ms.
                let of = |text| Configuration::new().set(name, text).unwrap().given(name).cloned();
                assert_eq!(of(flink), of(ours), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn a_default_that_is_given_changes_nothing() {
    let none = settings(&Configuration::new());
    for key in table::keys() {
        // What Seawall always does may be another value than Flink's default.
        let default = match key.support {
            Support::Fixed { accepts, .. } => Some(accepts[0]),
            Support::Works(_) | Support::Absent(_) => key.default,
        };
        let is_explicit = key.key == "taskmanager.numberOfTaskSlots"; // Then it counts.
        if let Some(default) = default.filter(|_| !is_explicit) {
            let given = Configuration::new().set(key.key, default).unwrap();
            assert_eq!(settings(&given), none, "{}", key.key);
        }
    }
}

// Rules: B8
#[test]
fn every_value_reaches_its_setting_or_is_refused_by_name() {
    for (name, _, value, shown) in ROWS {
        let key = table::find(name).unwrap();
        let configuration = with(key, value);
        if shown.is_empty() {
            let error = configuration.settings().unwrap_err();
            let is_named = |it: &Problem| matches!(it, Problem::NotThere { key, .. } | Problem::Refused { key, .. } if key == name);
            assert!(error.problems().iter().any(is_named), "{name}: {error}");
            let text = error.to_string();
            assert!(text.contains(name) && text.contains("set in code"), "{text}");
            assert!(text.contains("hint: "), "{text}");
        } else if *shown != "both" {
            let with = format!("{:?}", settings(&configuration));
            let without = format!("{:?}", settings(&beside(key)));
            assert!(with.contains(shown), "{name}: {with}");
            assert!(!without.contains(shown), "{name}: {without}");
        }
    }
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_with_what_is_allowed() {
    for key in table::keys() {
        let refused = Configuration::new().set(key.key, "").unwrap_err().to_string();
        assert!(refused.contains("cannot be empty"), "{refused}");
        if key.kind != seawall_config::Kind::Text {
            let error = Configuration::new().set(key.key, "nonsense!").unwrap_err().to_string();
            let allowed = key.kind.allowed();
            let expected =
                format!("{} cannot be nonsense!, set in code\nhint: it is {allowed}", key.key);
            assert_eq!(error, expected);
        }
    }
}

#[test]
fn every_other_name_is_understood_with_a_warning() {
    let mut aliases = 0;
    for (name, _, value, _) in ROWS {
        for alias in table::find(name).unwrap().aliases {
            let configuration = Configuration::new().set(alias.key, value).unwrap();
            assert_eq!(
                configuration.given(name),
                with(table::find(name).unwrap(), value).given(name)
            );
            assert!(table::find(alias.key).is_none(), "{} is a key as well", alias.key);
            aliases += 1;
        }
    }
    assert!(aliases > 20);
    let settings = settings(&Configuration::new().set("checkpoint.interval", "5000").unwrap());
    assert_eq!(
        settings.warnings[0].to_string(),
        "checkpoint.interval, set in code, is execution.checkpointing.interval: \
         its name in articles about Flink"
    );
}

#[test]
fn every_key_that_the_articles_name_is_understood() {
    // The listing of the second article, whole, and the value types of its state backends.
    let article = Configuration::new()
        .set("checkpointing.mode", "CheckpointingMode.EXACTLY_ONCE")
        .and_then(|it| it.set("taskmanager.numberOfTaskSlots", "2"))
        .and_then(|it| it.set("state.backend", "FsStateBackend"))
        .and_then(|it| it.set("checkpoint.interval", "1000"))
        .and_then(|it| it.set("checkpoint.timeout", "60000"))
        .unwrap();
    let settings = settings(&article);
    assert_eq!(settings.checkpoint.interval.unwrap().as_secs(), 1);
    assert_eq!(settings.checkpoint.timeout.as_secs(), 60);
    assert_eq!(settings.warnings.len(), 6, "{:?}", settings.warnings);
    Configuration::new().set("checkpoint.expiration", "1 h").unwrap();
    for backend in ["MemoryStateBackend", "fsstatebackend", "filesystem", "HASHMAP"] {
        Configuration::new().set("state.backend", backend).unwrap().settings().unwrap();
    }
    let strategy = Configuration::new().set("restart-strategy", "restart-local-restore").unwrap();
    assert!(strategy.settings().unwrap().warnings[1].0.contains("Flink never had it"));
}
