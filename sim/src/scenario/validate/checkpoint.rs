//! When checkpoints are taken and where state is: the tables `[checkpoint]` and `[state]`.

use seawall_protocol::config::{
    Alignment, CheckpointConfig, CheckpointMode, RetentionOnCancel, StateBackend,
    TriggerCombination,
};
use seawall_protocol::limits;
use toml::Spanned;

use super::Reader;
use crate::scenario::problem::Problem;
use crate::scenario::{CheckpointText, StateText, quantity};

impl Reader<'_> {
    /// `"aligned"`, `"unaligned"`, or how long a barrier waits before it overtakes: `"200ms"`.
    fn alignment(&mut self, text: &CheckpointText) -> Alignment {
        let Some(alignment) = &text.alignment else { return Alignment::Aligned };
        let chosen = match alignment.get_ref().as_str() {
            "aligned" => return Alignment::Aligned,
            "unaligned" => Alignment::Unaligned,
            other => {
                let Ok(time) = quantity::parse_time(other) else {
                    let message = format!("`{other}` is no alignment");
                    let hint = "`aligned`, `unaligned`, or a time such as `200ms`";
                    self.problem(Problem::at(alignment.span(), message).hint(hint));
                    return Alignment::Aligned;
                };
                Alignment::AlignedFor(time)
            }
        };
        let is_counted = text.mode.as_ref().is_some_and(|it| it.get_ref() == "at-least-once");
        let overlaps = text.max_concurrent.as_ref().is_some_and(|it| *it.get_ref() > 1);
        if is_counted {
            let message = "at-least-once mode has no barrier that could overtake";
            self.problem(
                Problem::at(alignment.span(), message.to_owned())
                    .hint("leave `alignment` out, or set checkpoint.mode to \"exactly-once\""),
            );
        }
        if overlaps {
            let message = "checkpoints whose barriers overtake are taken one at a time";
            self.problem(
                Problem::at(alignment.span(), message.to_owned())
                    .hint("leave `max_concurrent` out, or set it to 1"),
            );
        }
        chosen
    }

    pub(super) fn checkpoint(&mut self, text: &CheckpointText) -> CheckpointConfig {
        let defaults = CheckpointConfig::default();
        let mode = match &text.mode {
            None => CheckpointMode::ExactlyOnce,
            Some(mode) => {
                self.name("mode", mode, &["exactly-once", "at-least-once"]);
                match mode.get_ref().as_str() {
                    "at-least-once" => CheckpointMode::AtLeastOnce,
                    _ => CheckpointMode::ExactlyOnce,
                }
            }
        };
        for time in [&text.interval, &text.timeout].into_iter().flatten() {
            if time.get_ref().0 < limits::CHECKPOINT_TIME_MIN {
                let message = format!(
                    "`{}` is too short, expected at least {}",
                    quantity::show_time(time.get_ref().0),
                    quantity::show_time(limits::CHECKPOINT_TIME_MIN)
                );
                self.problem(Problem::at(time.span(), message));
            }
        }
        let bounded =
            |this: &mut Self, value: &Option<Spanned<u32>>, what: &str, most: u32, default: u32| {
                let Some(value) = value else { return default };
                if *value.get_ref() == 0 || *value.get_ref() > most {
                    let message = format!("{what} is {}, expected 1 to {most}", value.get_ref());
                    this.problem(Problem::at(value.span(), message));
                }
                *value.get_ref()
            };
        let combination = text.combination.as_ref().is_some_and(|it| {
            self.name("combination", it, &["any", "all"]);
            it.get_ref() == "all"
        });
        let is_retaining = text.on_cancel.as_ref().is_some_and(|it| {
            self.name("retention", it, &["delete", "retain"]);
            it.get_ref() == "retain"
        });
        if let Some(records) = &text.every_records
            && *records.get_ref() == 0
        {
            let message = "`every_records` is 0, expected at least 1";
            self.problem(Problem::at(records.span(), message));
        }
        let counts = text.every_records.is_some() || text.every_dirty_bytes.is_some();
        let pending_max = u32::try_from(limits::PENDING_CHECKPOINTS_MAX).expect("a small limit");
        CheckpointConfig {
            mode,
            alignment: self.alignment(text),
            interval: match &text.interval {
                Some(interval) => Some(interval.get_ref().0),
                None if counts => None,
                None => defaults.interval,
            },
            interval_during_backlog: text.interval_during_backlog.map(|it| it.0),
            every_records: text.every_records.as_ref().map(|it| *it.get_ref()),
            every_dirty_bytes: text.every_dirty_bytes.as_ref().map(|it| it.get_ref().0),
            combination: if combination {
                TriggerCombination::All
            } else {
                TriggerCombination::Any
            },
            expiration: text.expiration.map(|it| it.0),
            on_cancel: if is_retaining {
                RetentionOnCancel::Retain
            } else {
                RetentionOnCancel::Delete
            },
            timeout: text.timeout.as_ref().map_or(defaults.timeout, |it| it.get_ref().0),
            min_pause: text.min_pause.map_or(defaults.min_pause, |it| it.0),
            max_concurrent: bounded(
                self,
                &text.max_concurrent,
                "`max_concurrent`",
                pending_max,
                defaults.max_concurrent,
            ),
            tolerable_failures: text.tolerable_failures.unwrap_or(defaults.tolerable_failures),
            retained: bounded(
                self,
                &text.retained,
                "`retained`",
                limits::RETAINED_MAX,
                defaults.retained,
            ),
            is_incremental: text.incremental.as_ref().is_some_and(|it| *it.get_ref()),
            ..defaults
        }
    }

    pub(super) fn state(&mut self, text: &StateText) -> StateBackend {
        /// Half of it is the store's, which must hold a few pages at least.
        const CACHE_MIN: u64 = 16 << 10;
        let backend = text.backend.as_ref().map_or("heap", |it| it.get_ref().as_str());
        if let Some(named) = &text.backend {
            self.name("backend", named, &["heap", "disk"]);
        }
        if backend != "disk" {
            if let Some(cache) = &text.cache {
                let message = "`cache` has no effect: only the disk backend has one";
                self.problem(Problem::at(cache.span(), message.to_owned()));
            }
            return StateBackend::Heap;
        }
        let cache_bytes = text.cache.as_ref().map_or(64 << 10, |it| it.get_ref().0);
        if let Some(cache) = text.cache.as_ref().filter(|it| it.get_ref().0 < CACHE_MIN) {
            let message = "`cache` is too small, expected at least 16KiB".to_owned();
            self.problem(Problem::at(cache.span(), message));
        }
        StateBackend::Disk { cache_bytes }
    }
}
