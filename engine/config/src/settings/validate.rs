//! What must not be together, and what cannot be had at all.

use seawall_protocol::config::{Alignment, CheckpointMode, RestartStrategy, TriggerCombination};
use seawall_protocol::limits::CHECKPOINT_TIME_MIN;

use super::Settings;
use super::reader::{Reader, default_of, effective};
use crate::configuration::Origin;
use crate::problem::{Problem, Warning};
use crate::quantity::show_duration;
use crate::table::Support;
use crate::value::{Kind, Value};

const UNALIGNED: &str = "execution.checkpointing.unaligned.enabled";
const MAX_CONCURRENT: &str = "execution.checkpointing.max-concurrent-checkpoints";
const MODE: &str = "execution.checkpointing.mode";

impl Reader {
    /// Known keys and values whose feature Seawall does not have.
    pub(super) fn refuse_what_is_not_there(&self, problems: &mut Vec<Problem>) {
        for (key, given) in self.chosen.values() {
            let (value, origin) = (given.value.to_string(), given.origin.clone());
            let refused = match (key.kind, &given.value) {
                (Kind::Choice(choices), Value::Choice(name)) => {
                    choices.iter().find(|it| it.name == *name).and_then(|it| it.refused)
                }
                _ => None,
            };
            let is_default = default_of(key).unwrap_or(Value::Unset) == given.value;
            match key.support {
                _ if refused.is_some() => problems.push(Problem::Refused {
                    key: key.key,
                    value,
                    origin,
                    why: refused.expect("it is refused"),
                    allowed: key.kind.allowed(),
                }),
                Support::Works(_) => {}
                Support::Fixed { accepts, why } => {
                    let is_accepted = accepts
                        .iter()
                        .any(|it| key.kind.read(it).is_ok_and(|it| it.value == given.value));
                    if !is_accepted && given.value != Value::Unset {
                        let allowed = accepts.join(" or ");
                        problems.push(Problem::Refused {
                            key: key.key,
                            value,
                            origin,
                            why,
                            allowed,
                        });
                    }
                }
                Support::Absent(_) if is_default => {}
                Support::Absent(missing) => {
                    let hint = match key.default {
                        Some(default) => format!("leave it out, or at {default}"),
                        None => "leave it out".to_owned(),
                    };
                    problems.push(Problem::NotThere { key: key.key, value, origin, missing, hint });
                }
            }
        }
    }

    /// Keys that another key switches off. A program's own defaults are not held against anyone.
    pub(super) fn refuse_what_has_no_effect(
        &self,
        settings: &Settings,
        problems: &mut Vec<Problem>,
    ) {
        for (key, given) in self.chosen.values() {
            let Some((needed, values)) = key.needs else { continue };
            let is_of_program = matches!(given.origin, Origin::Program(_));
            let is_default = default_of(key).unwrap_or(Value::Unset) == given.value;
            let is_refused = matches!(key.support, Support::Absent(_));
            if is_of_program || is_default || is_refused {
                continue;
            }
            let found = match needed {
                "restart-strategy.type" => Some(name_of(&settings.restart).to_owned()),
                _ => effective(&self.chosen, needed).map(|it| it.to_string()),
            };
            let is_effective = match (&found, values) {
                (Some(_), []) => true,
                (Some(found), values) => values.contains(&found.as_str()),
                (None, _) => false,
            };
            if !is_effective {
                let hint = match values {
                    [] => format!("set {needed}, or leave this one out"),
                    values => {
                        format!("set {needed} to {}, or leave this one out", values.join(" or "))
                    }
                };
                problems.push(Problem::NoEffect {
                    key: key.key,
                    value: given.value.to_string(),
                    origin: given.origin.clone(),
                    needed,
                    found: found.unwrap_or_else(|| "not set".to_owned()),
                    hint,
                });
            }
        }
    }

    /// `all` of one condition is that condition, and an interval of a backlog has its bound (B8).
    pub(super) fn refuse_odd_triggers(&self, settings: &Settings, problems: &mut Vec<Problem>) {
        let checkpoint = &settings.checkpoint;
        let conditions = usize::from(checkpoint.interval.is_some())
            + usize::from(checkpoint.every_records.is_some())
            + usize::from(checkpoint.every_dirty_bytes.is_some());
        if let Some((key, given)) = self.chosen.get("execution.checkpointing.trigger.combination")
            && checkpoint.combination == TriggerCombination::All
            && conditions < 2
        {
            problems.push(Problem::NoEffect {
                key: key.key,
                value: given.to_string(),
                origin: given.origin.clone(),
                needed: "the number of conditions",
                found: conditions.to_string(),
                hint: "set two of execution.checkpointing.interval, execution.checkpointing.trigger.records \
                       and execution.checkpointing.trigger.dirty-bytes, or leave this one out"
                    .to_owned(),
            });
        }
        if let Some((key, given)) =
            self.chosen.get("execution.checkpointing.interval-during-backlog")
            && let Some(interval) = checkpoint.interval_during_backlog
            && !interval.is_zero()
            && interval < CHECKPOINT_TIME_MIN
        {
            problems.push(Problem::WrongValue {
                key: key.key,
                value: given.to_string(),
                origin: given.origin.clone(),
                allowed: format!(
                    "0, or a time of {} or longer",
                    show_duration(CHECKPOINT_TIME_MIN)
                ),
            });
        }
    }

    /// Settings that cannot be had together.
    pub(super) fn refuse_contradictions(&self, settings: &Settings, problems: &mut Vec<Problem>) {
        let refuse = |problems: &mut Vec<Problem>,
                      first: &str,
                      second: &str,
                      why: &'static str,
                      hint: &str| {
            problems.push(Problem::Contradiction {
                first: self.shown(first),
                second: self.shown(second),
                why,
                hint: hint.to_owned(),
            });
        };
        let checkpoint = &settings.checkpoint;
        if checkpoint.alignment != Alignment::Aligned {
            if checkpoint.max_concurrent > 1 {
                refuse(
                    problems,
                    UNALIGNED,
                    MAX_CONCURRENT,
                    "an unaligned checkpoint is the only one pending",
                    "set execution.checkpointing.max-concurrent-checkpoints to 1, or let barriers wait",
                );
            }
            if checkpoint.mode == CheckpointMode::AtLeastOnce {
                refuse(
                    problems,
                    UNALIGNED,
                    MODE,
                    "at-least-once never waits, so there is nothing to overtake",
                    "set execution.checkpointing.mode to EXACTLY_ONCE, or let barriers wait",
                );
            }
        }
        if let Some((scheme, _)) = settings.directory.as_deref().and_then(|it| it.split_once("://"))
            && !["file", "s3", "s3a", "hdfs", "memory"].contains(&scheme)
        {
            let (_, given) = &self.chosen["execution.checkpointing.dir"];
            problems.push(Problem::Refused {
                key: "execution.checkpointing.dir",
                value: given.to_string(),
                origin: given.origin.clone(),
                why: "Seawall does not have this kind of storage",
                allowed: "a directory, file:///data/checkpoints, s3://bucket/prefix, hdfs:// or memory://"
                    .to_owned(),
            });
        }
        if settings.heartbeat.timeout <= settings.heartbeat.interval {
            refuse(
                problems,
                "heartbeat.interval",
                "heartbeat.timeout",
                "everyone would be taken for dead before the next sign of life",
                "make heartbeat.timeout longer than heartbeat.interval",
            );
        }
        if let RestartStrategy::ExponentialDelay { initial, max, .. } = settings.restart
            && initial > max
        {
            refuse(
                problems,
                "restart-strategy.exponential-delay.initial-backoff",
                "restart-strategy.exponential-delay.max-backoff",
                "the first time is longer than the longest",
                "make initial-backoff at most max-backoff",
            );
        }
    }

    /// What can be had, and is hardly meant.
    pub(super) fn warnings(&self, settings: &Settings) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let checkpoint = &settings.checkpoint;
        if let Some(interval) = checkpoint.interval.filter(|it| *it < checkpoint.min_pause) {
            warnings.push(Warning(format!(
                "{} is shorter than {}: checkpoints are {} apart",
                self.shown("execution.checkpointing.interval"),
                self.shown("execution.checkpointing.min-pause"),
                show_duration(interval.max(checkpoint.min_pause)),
            )));
        }
        if let Alignment::AlignedFor(time) = checkpoint.alignment
            && time >= checkpoint.timeout
        {
            warnings.push(Warning(format!(
                "{} is not shorter than {}: a checkpoint is given up before its barriers overtake",
                self.shown("execution.checkpointing.aligned-checkpoint-timeout"),
                self.shown("execution.checkpointing.timeout"),
            )));
        }
        warnings
    }

    /// `key = value, where`.
    fn shown(&self, name: &str) -> String {
        match self.chosen.get(name) {
            Some((_, given)) => format!("{name} = {given} ({})", given.origin),
            None => match effective(&self.chosen, name) {
                Some(value) => format!("{name} = {value} (its default)"),
                None => format!("{name}, which is not set"),
            },
        }
    }
}

/// The strategy's name in a configuration.
fn name_of(restart: &RestartStrategy) -> &'static str {
    match restart {
        RestartStrategy::None => "none",
        RestartStrategy::FixedDelay { .. } => "fixed-delay",
        RestartStrategy::FailureRate { .. } => "failure-rate",
        RestartStrategy::ExponentialDelay { .. } => "exponential-delay",
    }
}
