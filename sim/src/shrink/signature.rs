//! How a run fails, as far as shrinking keeps it: the property, the place of a panic, or what is pending.
//!
//! Deliberately absent: the values of a message. Another checkpoint or another record is the same failure.

use std::collections::BTreeSet;
use std::fmt;

use crate::run::NO_PANIC;
use crate::scenario::Claim;
use crate::seed_file::{Expected, SeedFile};
use crate::verdict::{Result as Outcome, Verdict};

/// How a run fails.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signature {
    /// This property is violated.
    Violated(String),
    /// An assertion of the engine fails, in this line.
    Panicked(String),
    /// After everything healed the job waits for such things.
    Stuck(BTreeSet<String>),
}

impl Signature {
    /// Of a verdict; `None` when everything held.
    pub fn of(verdict: &Verdict) -> Option<Self> {
        match &verdict.result {
            Outcome::Holds | Outcome::NotDeterministic { .. } => None,
            Outcome::Violated { property, message } if property == NO_PANIC => {
                let place = message.rsplit_once(", at ").map_or(message.as_str(), |it| it.1);
                Some(Self::Panicked(place.to_owned()))
            }
            Outcome::Violated { property, .. } => Some(Self::Violated(property.clone())),
            Outcome::Stuck { pending } => Some(Self::Stuck(pending.lines().map(kind).collect())),
        }
    }

    /// Of the run of a seed file, which must be what the file says. A planted bug fails by the property
    /// that its scenario names, when that is violated too.
    ///
    /// # Errors
    /// What it is instead, and what to do.
    pub fn recorded(file: &SeedFile, verdict: &Verdict) -> Result<Self, String> {
        let found = Expected::of(&verdict.result);
        let Some(signature) = Self::of(verdict) else {
            return Err(format!(
                "{} seed {} does not fail: {found}\nhint: only a run that fails has a reason to look for",
                file.scenario.name, file.seed
            ));
        };
        if found != file.expected {
            return Err(format!(
                "{} seed {} was `{}` and is `{found}`\nhint: record the run anew: cargo sim run {} --seed {}",
                file.scenario.name, file.seed, file.expected, file.scenario.name, file.seed
            ));
        }
        match (&file.scenario.claim, &signature) {
            (Claim::Violates { property, .. }, Self::Violated(_)) if verdict.violates(property) => {
                Ok(Self::Violated(property.clone()))
            }
            _ => Ok(signature),
        }
    }

    /// Whether this run fails in this way, whatever else it does.
    pub fn is_of(&self, verdict: &Verdict) -> bool {
        match self {
            Self::Violated(property) => verdict.violates(property),
            Self::Panicked(_) | Self::Stuck(_) => Self::of(verdict).as_ref() == Some(self),
        }
    }
}

/// One line of what is pending, without names, numbers and causes.
fn kind(line: &str) -> String {
    let end = line.find([':', ';', '(']).unwrap_or(line.len());
    let is_word = |it: &&str| it.chars().all(|it| it.is_ascii_lowercase());
    line[..end].split_whitespace().filter(is_word).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violated(property) => write!(f, "violated: {property}"),
            Self::Panicked(place) => write!(f, "violated: {NO_PANIC}, at {place}"),
            Self::Stuck(kinds) => {
                write!(f, "stuck: {}", kinds.iter().cloned().collect::<Vec<_>>().join("; "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pending_is_the_same_kind_whatever_its_numbers_and_names() {
        let same = [
            ("the job waits for slots: 0 of 3", "the job waits for slots: 2 of 4"),
            (
                "checkpoint 3 lacks the ack of count/0",
                "checkpoint 9 lacks the ack of spread/1, count/2",
            ),
            (
                "attempt 2 runs; checkpoint 3 was the last",
                "attempt 1 runs; no checkpoint completed yet",
            ),
            (
                "attempt 2 failed (a disk) and is not stopped yet: count/0",
                "attempt 1 failed (the network) and is not stopped yet: count/1",
            ),
        ];
        for (one, other) in same {
            assert_eq!(kind(one), kind(other));
        }
        assert_ne!(
            kind("the job waits for slots: 0 of 3"),
            kind("attempt 1 is not ready yet: count/0")
        );
    }
}
