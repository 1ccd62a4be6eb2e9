//! How a storm runs a job, and the scenario that says the same as text.
//!
//! There is one way into a run, the scenario file. So whatever a storm does can be written down, and a
//! setting that is not legal in a file is not legal here, with the same message.

use std::fmt::{self, Write as _};
use std::time::Duration;

use seawall_protocol::config::{
    Alignment, CheckpointConfig, CheckpointMode, RetentionOnCancel, StateBackend,
    TriggerCombination,
};
use toml::Value;

use crate::fault;
use crate::fault::Fault;
use crate::legal;
use crate::run::is_exactly_once;
use crate::scenario::quantity::show_time;
use crate::scenario::{Cluster, Scenario};

/// How long the faults of a storm go on, in virtual time. The input lasts three quarters of it.
const SAFETY_PHASE: Duration = Duration::from_secs(12);

/// Cluster, parallelism and checkpoints of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The nodes.
    pub cluster: Cluster,
    /// Subtasks of each operator, at most the slots of the cluster.
    pub parallelism: u32,
    /// When checkpoints are taken.
    pub checkpoint: CheckpointConfig,
    /// Where live state is.
    pub state: StateBackend,
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cluster { workers, slots_per_worker } = self.cluster;
        let plural = |count: u32| if count == 1 { "" } else { "s" };
        write!(f, "parallelism {} on {workers} worker{} ", self.parallelism, plural(workers))?;
        write!(f, "with {slots_per_worker} slot{} each, ", plural(slots_per_worker))?;
        match self.checkpoint.interval {
            Some(interval) => write!(f, "a checkpoint every {}, ", show_time(interval))?,
            None => f.write_str("no periodic checkpoints, ")?,
        }
        match self.checkpoint.alignment {
            Alignment::Aligned => f.write_str("aligned, ")?,
            Alignment::Unaligned => f.write_str("unaligned, ")?,
            Alignment::AlignedFor(time) => write!(f, "aligned for {}, ", show_time(time))?,
        }
        match (self.state, self.checkpoint.is_incremental) {
            (StateBackend::Heap, _) => f.write_str("state in memory"),
            (StateBackend::Disk { .. }, false) => f.write_str("state on disk"),
            (StateBackend::Disk { .. }, true) => f.write_str("state on disk, incremental"),
        }
    }
}

impl Settings {
    /// Those of a scenario.
    pub(crate) fn of(scenario: &Scenario) -> Self {
        Self {
            cluster: scenario.cluster,
            parallelism: scenario.workload.parallelism,
            checkpoint: scenario.checkpoint.clone(),
            state: scenario.state,
        }
    }

    /// The scenario of one run of a job with this many records.
    ///
    /// # Panics
    /// When a scenario file may not say these settings or faults; the message is the file's.
    pub(crate) fn scenario(
        &self,
        job: &str,
        seed: u64,
        records: u64,
        faults: &[Fault],
    ) -> Scenario {
        let text = self.text(job, seed, records, faults);
        let scenario = Scenario::parse(job, &text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(&Self::of(&scenario), self, "no scenario file can say one of these settings");
        scenario
    }

    fn text(&self, job: &str, seed: u64, records: u64, faults: &[Fault]) -> String {
        let mut out = String::new();
        let mut line = |text: fmt::Arguments<'_>| {
            writeln!(out, "{text}").expect("writing to a string cannot fail");
        };
        let name = Value::from(job);
        let about = Value::from(format!("The job {job} of another crate, in a storm."));
        line(format_args!("about = {about}"));
        line(format_args!("expect = {}", Value::from(self.promised())));
        line(format_args!("seeds = [{seed}]"));
        line(format_args!("until = \"{}\"", show_time(SAFETY_PHASE)));
        line(format_args!("\n[own_job]\nname = {name}\nparallelism = {}", self.parallelism));
        line(format_args!("records = {records}\nrate = \"{}/s\"", rate(records)));
        let Cluster { workers, slots_per_worker } = self.cluster;
        line(format_args!("\n[cluster]\nworkers = {workers}"));
        line(format_args!("slots_per_worker = {slots_per_worker}"));
        line(format_args!("\n[checkpoint]"));
        self.checkpoints(&mut line);
        if let StateBackend::Disk { cache_bytes } = self.state {
            let cache = cache_bytes >> 10;
            line(format_args!("\n[state]\nbackend = \"disk\"\ncache = \"{cache}KiB\""));
        }
        for fault in faults {
            line(format_args!("\n[[fault]]"));
            // Inline, because a table within would end the one of its fault.
            for (key, value) in fault::to_toml(fault) {
                line(format_args!("{key} = {value}"));
            }
        }
        out
    }

    /// The table `[checkpoint]`: what is not the default.
    fn checkpoints(&self, line: &mut impl FnMut(fmt::Arguments<'_>)) {
        let (it, default) = (&self.checkpoint, CheckpointConfig::default());
        let mut times = |key: &str, time: Option<Duration>, default: Option<Duration>| {
            if let Some(time) = time.filter(|_| time != default) {
                line(format_args!("{key} = \"{}\"", show_time(time)));
            }
        };
        times("interval", it.interval, default.interval);
        times("interval_during_backlog", it.interval_during_backlog, None);
        times("timeout", Some(it.timeout), Some(default.timeout));
        times("min_pause", Some(it.min_pause), Some(default.min_pause));
        times("expiration", it.expiration, None);
        let numbers = [
            ("max_concurrent", it.max_concurrent, default.max_concurrent),
            ("tolerable_failures", it.tolerable_failures, default.tolerable_failures),
            ("retained", it.retained, default.retained),
        ];
        for (key, number, _) in numbers.into_iter().filter(|(_, it, default)| it != default) {
            line(format_args!("{key} = {number}"));
        }
        if let Some(records) = it.every_records {
            line(format_args!("every_records = {records}"));
        }
        if let Some(bytes) = it.every_dirty_bytes {
            line(format_args!("every_dirty_bytes = \"{}KiB\"", bytes >> 10));
        }
        if it.combination == TriggerCombination::All {
            line(format_args!("combination = \"all\""));
        }
        if it.mode == CheckpointMode::AtLeastOnce {
            line(format_args!("mode = \"at-least-once\""));
        }
        if it.on_cancel == RetentionOnCancel::Retain {
            line(format_args!("on_cancel = \"retain\""));
        }
        match it.alignment {
            Alignment::Aligned => {}
            Alignment::Unaligned => line(format_args!("alignment = \"unaligned\"")),
            Alignment::AlignedFor(time) => {
                line(format_args!("alignment = \"{}\"", show_time(time)));
            }
        }
        if it.is_incremental {
            line(format_args!("incremental = true"));
        }
    }

    /// Every property that the mode promises.
    fn promised(&self) -> Vec<&'static str> {
        let is_promised = |property: &&str| match self.checkpoint.mode {
            CheckpointMode::ExactlyOnce => true,
            CheckpointMode::AtLeastOnce => !is_exactly_once(property),
        };
        legal::properties().into_iter().filter(is_promised).collect()
    }
}

/// Records per second with which this many last three quarters of the safety phase.
fn rate(records: u64) -> u64 {
    (records * 4).div_ceil(SAFETY_PHASE.as_secs() * 3).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::strategies;

    proptest! {
        #[test]
        fn a_scenario_says_the_settings_and_faults_of_a_storm(
            (settings, faults) in strategies::storm(),
            records in 0..10_000_u64,
        ) {
            let scenario = settings.scenario("a \"job\"", 7, records, &faults);
            prop_assert_eq!(Settings::of(&scenario), settings);
            prop_assert_eq!(scenario.faults, faults);
            prop_assert_eq!(scenario.workload.records, records);
        }
    }

    #[test]
    fn a_scenario_says_every_setting_that_has_a_key() {
        let checkpoint = CheckpointConfig {
            mode: CheckpointMode::AtLeastOnce,
            interval: Some(Duration::from_millis(70)),
            interval_during_backlog: Some(Duration::from_secs(3)),
            every_records: Some(5),
            every_dirty_bytes: Some(64 << 10),
            combination: TriggerCombination::All,
            alignment: Alignment::Aligned,
            timeout: Duration::from_secs(9),
            min_pause: Duration::from_millis(1),
            max_concurrent: 3,
            tolerable_failures: 4,
            retained: 5,
            expiration: Some(Duration::from_mins(1)),
            on_cancel: RetentionOnCancel::Retain,
            is_incremental: true,
            is_taken_after_finish: true,
        };
        let cluster = Cluster { workers: 3, slots_per_worker: 2 };
        let state = StateBackend::Disk { cache_bytes: 32 << 10 };
        let settings = Settings { cluster, parallelism: 5, checkpoint, state };
        assert_eq!(Settings::of(&settings.scenario("job", 1, 10, &[])), settings);
    }

    #[test]
    #[should_panic(expected = "no scenario file can say one of these settings")]
    fn a_setting_that_no_scenario_can_say_is_refused() {
        let mut settings = Settings::of(&calm().scenario("job", 1, 10, &[]));
        settings.checkpoint.is_taken_after_finish = false;
        settings.scenario("job", 1, 10, &[]);
    }

    #[test]
    #[should_panic(expected = "parallelism 9 needs 9 slots, the cluster has 1")]
    fn a_setting_that_is_not_legal_is_refused_as_in_a_file() {
        Settings { parallelism: 9, ..calm() }.scenario("job", 1, 10, &[]);
    }

    fn calm() -> Settings {
        Settings {
            cluster: Cluster { workers: 1, slots_per_worker: 1 },
            parallelism: 1,
            checkpoint: CheckpointConfig::default(),
            state: StateBackend::Heap,
        }
    }
}
