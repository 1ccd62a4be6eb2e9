//! What the tables of verbs are made of: nodes, sides of a link, lengths that the seed draws.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::Draw;
use crate::scenario::quantity::{BytesPerSecond, PerMillion, Percent, TimeRange};
use crate::scenario::{Cluster, Node, problem};

/// A value in the table of a verb.
pub(crate) trait Field {
    /// Draws what the file leaves open.
    fn resolve(&mut self, _: Cluster, _: &mut Draw<'_>) {}
    /// The nodes it names.
    fn nodes(&self) -> Vec<Nodes> {
        Vec::new()
    }
    /// Whether it is one side of a link.
    fn is_side(&self) -> bool {
        false
    }
}

macro_rules! plain {
    ($($type:ty),*) => { $(impl Field for $type {})* };
}
pub(crate) use plain;

plain!(bool, u32, String, NonZeroU32, BytesPerSecond, Percent, PerMillion, Each);

impl<T: Field> Field for Option<T> {
    fn resolve(&mut self, cluster: Cluster, draw: &mut Draw<'_>) {
        if let Some(it) = self {
            it.resolve(cluster, draw);
        }
    }
    fn nodes(&self) -> Vec<Nodes> {
        self.as_ref().map_or_else(Vec::new, Field::nodes)
    }
}

impl Field for TimeRange {
    fn resolve(&mut self, _: Cluster, draw: &mut Draw<'_>) {
        *self = TimeRange::exactly(time(*self, draw));
    }
}

/// Draws a time, in whole microseconds, so that a file can say it exactly.
pub(super) fn time(range: TimeRange, draw: &mut Draw<'_>) -> Duration {
    let micros = |it: Duration| u64::try_from(it.as_micros()).expect("a scenario is shorter");
    let (least, most) = (micros(range.least), micros(range.most));
    if least == most {
        return range.least;
    }
    Duration::from_micros(least + draw(most - least + 1))
}

/// A range that stays one: each time something happens a length of its own is drawn from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Each(pub TimeRange);

/// One node, or one that the seed chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nodes {
    /// This one.
    One(Node),
    /// `worker-*`: a worker drawn from the seed.
    AnyWorker,
    /// `*`: any node, drawn from the seed.
    Any,
}

impl Nodes {
    /// The node, once the seed has chosen it.
    ///
    /// # Panics
    /// Before that.
    pub(crate) fn one(self) -> Node {
        match self {
            Self::One(node) => node,
            Self::AnyWorker | Self::Any => unreachable!("a schedule is resolved"),
        }
    }
}

impl std::fmt::Display for Nodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One(node) => node.fmt(f),
            Self::AnyWorker => f.write_str("worker-*"),
            Self::Any => f.write_str("*"),
        }
    }
}

impl Serialize for Nodes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Nodes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        match name.as_str() {
            "*" => return Ok(Self::Any),
            "worker-*" => return Ok(Self::AnyWorker),
            _ => {}
        }
        Node::from_name(&name).map(Self::One).ok_or_else(|| {
            let legal = problem::list_names(["coordinator", "worker-1", "worker-*", "*"]);
            de::Error::custom(format!("unknown node `{name}`, expected one of {legal}"))
        })
    }
}

impl Field for Nodes {
    fn resolve(&mut self, cluster: Cluster, draw: &mut Draw<'_>) {
        let workers = u64::from(cluster.workers);
        let worker = |number: u64| {
            Node::Worker(1 + u32::try_from(number).expect("drawn below the number of workers"))
        };
        *self = Self::One(match *self {
            Self::One(node) => node,
            Self::AnyWorker => worker(draw(workers)),
            Self::Any => match draw(workers + 1) {
                0 => Node::Coordinator,
                number => worker(number - 1),
            },
        });
    }
    fn nodes(&self) -> Vec<Nodes> {
        vec![*self]
    }
}

/// Several nodes: one side of a link, or all that a fault strikes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Side(pub Vec<Nodes>);

impl Field for Side {
    fn resolve(&mut self, cluster: Cluster, draw: &mut Draw<'_>) {
        self.0.iter_mut().for_each(|it| it.resolve(cluster, draw));
    }
    fn nodes(&self) -> Vec<Nodes> {
        self.0.clone()
    }
    fn is_side(&self) -> bool {
        true
    }
}

impl Side {
    /// The nodes, once the seed has chosen them.
    pub(crate) fn all(&self) -> Vec<Node> {
        self.0.iter().map(|it| it.one()).collect()
    }
}

/// So many subtasks per operator; `*` is a number that the seed chooses among those there are slots for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parallelism {
    /// So many.
    Exactly(NonZeroU32),
    /// Drawn from the seed.
    Any,
}

impl Parallelism {
    /// The number, once the seed has chosen it.
    ///
    /// # Panics
    /// Before that.
    pub(crate) fn exactly(self) -> u32 {
        match self {
            Self::Exactly(parallelism) => parallelism.get(),
            Self::Any => unreachable!("a schedule is resolved"),
        }
    }
}

impl Serialize for Parallelism {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Exactly(parallelism) => parallelism.serialize(serializer),
            Self::Any => serializer.serialize_str("*"),
        }
    }
}

impl<'de> Deserialize<'de> for Parallelism {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Text {
            Number(u32),
            Word(String),
        }
        match Text::deserialize(deserializer)? {
            Text::Word(word) if word == "*" => Ok(Self::Any),
            Text::Number(number) if number > 0 => {
                Ok(Self::Exactly(NonZeroU32::new(number).expect("it is above 0")))
            }
            Text::Word(_) | Text::Number(_) => {
                Err(de::Error::custom("expected a number of subtasks above 0, or \"*\""))
            }
        }
    }
}

impl Field for Parallelism {
    fn resolve(&mut self, cluster: Cluster, draw: &mut Draw<'_>) {
        if *self == Self::Any {
            let chosen = draw(u64::from(cluster.workers * cluster.slots_per_worker));
            let chosen = u32::try_from(chosen).expect("drawn below the number of slots");
            *self = Self::Exactly(NonZeroU32::MIN.saturating_add(chosen));
        }
    }
}
