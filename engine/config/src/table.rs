//! The one table: every key with its kind, default, meaning and spellings, and what Seawall does with it.
//!
//! A row is what parsing, validation, the `config` command, the documentation and the tests read; there
//! is no second list.

use crate::value::Kind;

mod checkpointing; // execution.checkpointing.*
mod cluster; // failure detection, high availability, slots, schedulers
mod pipeline; // the data plane and the state backend
mod recovery; // execution.state-recovery.*
mod restart; // restart-strategy.*

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its full name.
    pub key: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Flink's default, and Seawall's; `None` is "not set".
    pub default: Option<&'static str>,
    /// What it means.
    pub about: &'static str,
    /// What Seawall does with it.
    pub support: Support,
    /// Another key that must have one of these values, or this one has no effect.
    pub needs: Option<(&'static str, &'static [&'static str])>,
    /// Other names of it, understood with a warning.
    pub aliases: &'static [Alias],
}

/// What Seawall does with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It has an effect; the text names the setting in code.
    Works(&'static str),
    /// Seawall always behaves as with these values, and refuses any other.
    Fixed {
        /// The values, the one that is shown first.
        accepts: &'static [&'static str],
        /// What Seawall does.
        why: &'static str,
    },
    /// Seawall does not have the feature: only the default is accepted. The text says what is missing.
    Absent(&'static str),
}

/// Another name of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alias {
    /// The name.
    pub key: &'static str,
    /// Who uses it.
    pub from: Source,
}

/// Where an alias comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Flink before 2.0.
    OldFlink,
    /// Articles about Flink; Flink itself never had it.
    Articles,
}

impl Source {
    /// For messages: "the name of … is".
    pub fn about(self) -> &'static str {
        match self {
            Self::OldFlink => "its name in older versions of Flink",
            Self::Articles => "its name in articles about Flink",
        }
    }
}

impl Key {
    /// A key whose feature is not there.
    const fn absent(
        key: &'static str,
        kind: Kind,
        default: Option<&'static str>,
        about: &'static str,
        missing: &'static str,
    ) -> Self {
        let support = Support::Absent(missing);
        Self { key, kind, default, about, support, needs: None, aliases: &[] }
    }

    /// A key that has an effect.
    const fn works(
        key: &'static str,
        kind: Kind,
        default: Option<&'static str>,
        about: &'static str,
        setting: &'static str,
    ) -> Self {
        let support = Support::Works(setting);
        Self { key, kind, default, about, support, needs: None, aliases: &[] }
    }

    /// Seawall always behaves as with one of these values.
    const fn fixed(self, accepts: &'static [&'static str], why: &'static str) -> Self {
        Self { support: Support::Fixed { accepts, why }, ..self }
    }

    /// Without effect unless `key` has one of these values.
    const fn needs(self, key: &'static str, values: &'static [&'static str]) -> Self {
        Self { needs: Some((key, values)), ..self }
    }

    const fn aliases(self, aliases: &'static [Alias]) -> Self {
        Self { aliases, ..self }
    }
}

const fn old(key: &'static str) -> Alias {
    Alias { key, from: Source::OldFlink }
}

const fn article(key: &'static str) -> Alias {
    Alias { key, from: Source::Articles }
}

/// A group of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Its title.
    pub title: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// Every key, in groups.
pub const GROUPS: &[Group] = &[
    Group { title: "Checkpoints", keys: checkpointing::KEYS },
    Group { title: "Recovery from a checkpoint or savepoint", keys: recovery::KEYS },
    Group { title: "State backend and data plane", keys: pipeline::KEYS },
    Group { title: "Restart strategies", keys: restart::KEYS },
    Group { title: "Failure detection", keys: cluster::DETECTION },
    Group { title: "High availability", keys: cluster::AVAILABILITY },
    Group { title: "Slots and scheduler", keys: cluster::SLOTS },
    Group { title: "Adaptive scheduler", keys: cluster::ADAPTIVE },
];

/// Every key.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    GROUPS.iter().flat_map(|group| group.keys)
}

/// The key of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    keys().find(|it| it.key == name)
}

/// The key that has this other name.
pub fn find_alias(name: &str) -> Option<(&'static Key, Alias)> {
    keys().find_map(|key| key.aliases.iter().find(|it| it.key == name).map(|alias| (key, *alias)))
}

/// The name nearest to one that nothing has, if one is near.
pub fn nearest(name: &str) -> Option<&'static str> {
    let names = keys().flat_map(|it| {
        std::iter::once((it.key, it.key)).chain(it.aliases.iter().map(|alias| (alias.key, it.key)))
    });
    let scored =
        names.map(|(name_of_it, key)| (strsim::damerau_levenshtein(name, name_of_it), key));
    let (distance, nearest) = scored.min()?;
    // A last part that is one of ours, behind any other first part, is most likely meant.
    let tail = name.rsplit('.').next().unwrap_or(name);
    if distance <= nearest.len() / 3 {
        return Some(nearest);
    }
    keys().map(|it| it.key).find(|it| it.ends_with(&format!(".{tail}")))
}
