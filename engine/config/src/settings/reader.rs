//! From chosen values to typed ones. Which keys were read is remembered: one that the table says works
//! and that nobody reads would be ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use seawall_protocol::CheckpointId;
use seawall_protocol::config::{
    Alignment, CheckpointConfig, CheckpointMode, HeartbeatConfig, RestartStrategy,
    RetentionOnCancel, StateBackend, TriggerCombination,
};

use super::{Recovery, Settings};
use crate::configuration::Given;
use crate::table::{self, Key, Support};
use crate::value::Value;

/// Reads the chosen values and remembers which keys were read.
pub(super) struct Reader {
    pub(super) chosen: BTreeMap<&'static str, (&'static Key, Given)>,
    read: BTreeSet<&'static str>,
}

impl Reader {
    pub(super) fn new(chosen: BTreeMap<&'static str, (&'static Key, Given)>) -> Self {
        Self { chosen, read: BTreeSet::new() }
    }

    pub(super) fn settings(&mut self) -> Settings {
        let checkpoint = self.checkpoint();
        let is_checkpointing = checkpoint.interval.is_some()
            || checkpoint.every_records.is_some()
            || checkpoint.every_dirty_bytes.is_some();
        Settings {
            restart: self.restart(is_checkpointing),
            heartbeat: HeartbeatConfig {
                interval: self.duration("heartbeat.interval"),
                timeout: self.duration("heartbeat.timeout"),
                cancel_timeout: self.duration("task.cancellation.timeout"),
            },
            backend: self.backend(),
            scratch: self.text("state.backend.disk.directory").map(PathBuf::from),
            watermark_interval: self.duration("pipeline.auto-watermark-interval"),
            directory: self.text("execution.checkpointing.dir"),
            savepoint_directory: self.text("execution.checkpointing.savepoint-dir"),
            recovery: self.recovery(),
            slots: self.given("taskmanager.numberOfTaskSlots").map(to_u32),
            key_groups: self.given("pipeline.max-parallelism").filter(|it| *it != -1).map(to_u32),
            without_channel_state: self
                .given("execution.state-recovery.without-channel-state.checkpoint-id")
                .and_then(|it| u64::try_from(it).ok())
                .map(CheckpointId),
            checkpoint,
            warnings: Vec::new(),
        }
    }

    fn checkpoint(&mut self) -> CheckpointConfig {
        let at = |name: &str| table::find(&format!("execution.checkpointing.{name}"));
        let at = |name: &str| at(name).expect("the table has this key").key;
        CheckpointConfig {
            mode: match self.choice(at("mode")) {
                "AT_LEAST_ONCE" => CheckpointMode::AtLeastOnce,
                _ => CheckpointMode::ExactlyOnce,
            },
            interval: self.optional_duration(at("interval")),
            interval_during_backlog: self.optional_duration(at("interval-during-backlog")),
            every_records: self.number(at("trigger.records")),
            every_dirty_bytes: self.number(at("trigger.dirty-bytes")),
            combination: match self.choice(at("trigger.combination")) {
                "all" => TriggerCombination::All,
                _ => TriggerCombination::Any,
            },
            expiration: self.optional_duration(at("expiration")),
            is_taken_after_finish: self.boolean(at("checkpoints-after-tasks-finish")),
            alignment: self.alignment(),
            timeout: self.duration(at("timeout")),
            min_pause: self.duration(at("min-pause")),
            max_concurrent: self.count(at("max-concurrent-checkpoints")),
            tolerable_failures: self.count(at("tolerable-failed-checkpoints")),
            retained: self.count(at("num-retained")),
            on_cancel: match self.choice(at("externalized-checkpoint-retention")) {
                "RETAIN_ON_CANCELLATION" => RetentionOnCancel::Retain,
                _ => RetentionOnCancel::Delete,
            },
            is_incremental: self.boolean(at("incremental")),
        }
    }

    fn alignment(&mut self) -> Alignment {
        // Both are read: a time that is given without the other is seen to have no effect.
        let time = self.duration("execution.checkpointing.aligned-checkpoint-timeout");
        match self.value("execution.checkpointing.unaligned.enabled") {
            Some(Value::Boolean(true)) if time.is_zero() => Alignment::Unaligned,
            Some(Value::Boolean(true)) => Alignment::AlignedFor(time),
            _ => Alignment::Aligned,
        }
    }

    fn restart(&mut self, is_checkpointing: bool) -> RestartStrategy {
        let strategy = match self.value("restart-strategy.type") {
            Some(Value::Choice(name)) => name,
            _ if is_checkpointing => "exponential-delay",
            _ => "none",
        };
        // All are read, so that what is given for another strategy is seen to have no effect.
        let fixed = RestartStrategy::FixedDelay {
            attempts: self.count("restart-strategy.fixed-delay.attempts"),
            delay: self.duration("restart-strategy.fixed-delay.delay"),
        };
        let rate = RestartStrategy::FailureRate {
            max_failures: self.count("restart-strategy.failure-rate.max-failures-per-interval"),
            interval: self.duration("restart-strategy.failure-rate.failure-rate-interval"),
            delay: self.duration("restart-strategy.failure-rate.delay"),
        };
        let exponential = RestartStrategy::ExponentialDelay {
            initial: self.duration("restart-strategy.exponential-delay.initial-backoff"),
            max: self.duration("restart-strategy.exponential-delay.max-backoff"),
            multiplier_percent: self
                .factor("restart-strategy.exponential-delay.backoff-multiplier"),
            jitter_percent: self.factor("restart-strategy.exponential-delay.jitter-factor"),
            reset_after: self
                .duration("restart-strategy.exponential-delay.reset-backoff-threshold"),
        };
        match strategy {
            "fixed-delay" => fixed,
            "failure-rate" => rate,
            "exponential-delay" => exponential,
            _ => RestartStrategy::None,
        }
    }

    fn recovery(&mut self) -> Option<Recovery> {
        // All are read, so that what is given without a path is seen to have no effect.
        let is_claiming = self.choice("execution.state-recovery.claim-mode") == "CLAIM";
        let ignores_unclaimed_state =
            self.boolean("execution.state-recovery.ignore-unclaimed-state");
        let path = self.text("execution.state-recovery.path")?;
        Some(Recovery { path, is_claiming, ignores_unclaimed_state })
    }

    fn backend(&mut self) -> StateBackend {
        let cache_bytes = self.memory("state.backend.disk.cache-size");
        match self.choice("state.backend.type") {
            "disk" => StateBackend::Disk { cache_bytes },
            // The others are refused.
            _ => StateBackend::Heap,
        }
    }

    // One value.

    /// The value that counts: the given one, or the default.
    pub(super) fn value(&mut self, name: &'static str) -> Option<Value> {
        self.read.insert(name);
        effective(&self.chosen, name)
    }

    fn optional_duration(&mut self, name: &'static str) -> Option<Duration> {
        self.value(name).map(|it| {
            let Value::Duration(duration) = it else { unreachable!("{name} is a time: {it}") };
            duration
        })
    }

    fn duration(&mut self, name: &'static str) -> Duration {
        self.optional_duration(name).expect("it has a default")
    }

    fn count(&mut self, name: &'static str) -> u32 {
        match self.value(name) {
            Some(Value::Whole(it)) => to_u32(it),
            other => unreachable!("{name} is a whole number with a default: {other:?}"),
        }
    }

    /// A whole number or a size that may be left unset.
    fn number(&mut self, name: &'static str) -> Option<u64> {
        self.value(name).map(|it| match it {
            Value::Memory(bytes) => bytes,
            Value::Whole(number) => u64::try_from(number).expect("the table bounds it"),
            Value::Duration(_)
            | Value::Boolean(_)
            | Value::Factor(_)
            | Value::Choice(_)
            | Value::Text(_)
            | Value::Unset => unreachable!("{name} is a number: {it}"),
        })
    }

    fn memory(&mut self, name: &'static str) -> u64 {
        match self.value(name) {
            Some(Value::Memory(it)) => it,
            other => unreachable!("{name} is a size with a default: {other:?}"),
        }
    }

    fn boolean(&mut self, name: &'static str) -> bool {
        match self.value(name) {
            Some(Value::Boolean(it)) => it,
            other => unreachable!("{name} is true or false by default: {other:?}"),
        }
    }

    fn factor(&mut self, name: &'static str) -> u32 {
        match self.value(name) {
            Some(Value::Factor(it)) => it,
            other => unreachable!("{name} is a factor with a default: {other:?}"),
        }
    }

    fn choice(&mut self, name: &'static str) -> &'static str {
        match self.value(name) {
            Some(Value::Choice(it)) => it,
            other => unreachable!("{name} is a name with a default: {other:?}"),
        }
    }

    fn text(&mut self, name: &'static str) -> Option<String> {
        self.value(name).map(|it| it.to_string())
    }

    /// A whole number, when it was given.
    fn given(&mut self, name: &'static str) -> Option<i64> {
        self.read.insert(name);
        self.chosen.get(name).map(|(_, Given { value, .. })| {
            let Value::Whole(number) = value else {
                unreachable!("{name} is a whole number: {value}")
            };
            *number
        })
    }

    /// Keys that work and were not read.
    pub(super) fn unread(&self) -> Vec<&'static str> {
        table::keys()
            .filter(|it| matches!(it.support, Support::Works(_)) && !self.read.contains(it.key))
            .map(|it| it.key)
            .collect()
    }
}

/// The given value or the default.
pub(super) fn effective(
    chosen: &BTreeMap<&'static str, (&'static Key, Given)>,
    name: &str,
) -> Option<Value> {
    match chosen.get(name) {
        Some((_, Given { value: Value::Unset, .. })) => None,
        Some((_, given)) => Some(given.value.clone()),
        None => default_of(table::find(name).expect("the table has this key")),
    }
}

/// What a key that is not given means.
pub(super) fn default_of(key: &Key) -> Option<Value> {
    let read = |text| key.kind.read(text).expect("a default is of the key's kind").value;
    key.default.map(read)
}

/// Whole numbers that the table bounds.
fn to_u32(number: i64) -> u32 {
    u32::try_from(number).expect("the table bounds it")
}
