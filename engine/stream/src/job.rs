//! The job graph: chains as operators, and the edges between them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use seawall_env::{BoxFuture, Env};
use seawall_protocol::config::StateBackend;
pub use seawall_protocol::graph::Pattern;
use seawall_protocol::key_group::default_key_groups;
use seawall_protocol::{CheckpointId, OperatorId, SubtaskId};

use crate::batch::Batch;
use crate::chain::{Chain, EdgeId, Place};
use crate::error::{ConnectorError, StreamError};
use crate::pipe::SourcePipe;
use crate::record::Record;
use crate::sink::Traces;
use crate::source::Source;
use crate::stream::Stream;

/// Lists a source's splits, encoded.
pub type Enumerate =
    Arc<dyn Fn(Env) -> BoxFuture<'static, Result<Vec<Vec<u8>>, ConnectorError>> + Send + Sync>;

/// Looks what a sink's earlier writers left ([`crate::Sink::traces`]), after it was rewound to a checkpoint
/// if one is given ([`crate::Sink::rewind`]).
pub type Survey = Arc<
    dyn Fn(Env, Option<CheckpointId>) -> BoxFuture<'static, Result<Traces, ConnectorError>>
        + Send
        + Sync,
>;

/// A streaming program, ready to run. Cheap to clone.
#[derive(Clone)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// Subtasks of every operator.
    pub parallelism: u32,
    /// Key groups (M3).
    pub key_groups: u32,
    /// The chains; an operator's id is its index.
    pub operators: Vec<Operator>,
    /// The edges; an edge's id is its index.
    pub edges: Vec<Edge>,
}

/// One chain of the job graph.
#[derive(Clone)]
pub struct Operator {
    /// Its id.
    pub id: OperatorId,
    /// The name of its first operator: what traces show.
    pub name: String,
    /// What its state is found by in a savepoint: given by the user, or derived from the name.
    pub uid: String,
    /// The names of all its operators: `lines -> words`.
    pub label: String,
    /// The edges it reads, in order.
    pub inputs: Vec<EdgeId>,
    /// Whether a sink is at its tail.
    pub has_sink: bool,
    /// When the system behind the sink ends a transaction that was not committed, if it does (K9).
    pub transaction_timeout: Option<Duration>,
    /// Present when a sink is at its tail.
    pub survey: Option<Survey>,
    /// Present on a source.
    pub enumerate: Option<Enumerate>,
    /// Builds one subtask's chain.
    pub build: Arc<dyn Fn(Place) -> Chain + Send + Sync>,
}

/// An edge between two chains.
#[derive(Debug, Clone)]
pub struct Edge {
    /// Emits.
    pub from: OperatorId,
    /// Receives.
    pub to: OperatorId,
    /// How subtasks are connected.
    pub pattern: Pattern,
    /// Decodes a batch of the edge's record type.
    pub decode: fn(&[u8]) -> Result<Batch, StreamError>,
}

impl Job {
    /// The same program with so many subtasks per operator. Key groups stay (M3).
    ///
    /// # Panics
    /// When there are not so many key groups, or it is 0.
    #[must_use]
    pub fn at(&self, parallelism: u32) -> Self {
        let legal = 1..=self.key_groups;
        assert!(legal.contains(&parallelism), "parallelism {parallelism} is not in {legal:?}");
        Self { parallelism, ..self.clone() }
    }

    /// A chain of the operator to ask for what it is made of; nobody runs it.
    pub fn unplaced(&self, operator: &Operator) -> Chain {
        let (parallelism, key_groups) = (self.parallelism, self.key_groups);
        (operator.build)(Place { parallelism, index: 0, key_groups, state: StateBackend::Heap })
    }

    /// Every subtask, ascending.
    pub fn subtasks(&self) -> impl Iterator<Item = SubtaskId> + '_ {
        let of = |operator: &Operator| {
            let id = operator.id.0;
            (0..self.parallelism).map(move |index| SubtaskId::new(id, index))
        };
        self.operators.iter().flat_map(of)
    }

    /// The input channels of a subtask, in the order of their ids: the edge and the sending subtask.
    pub fn channels_into(&self, subtask: SubtaskId) -> Vec<(EdgeId, SubtaskId)> {
        let operator = &self.operators[subtask.operator.0 as usize];
        let mut channels = Vec::new();
        for &edge in &operator.inputs {
            let from = self.edges[edge.0 as usize].from.0;
            match self.edges[edge.0 as usize].pattern {
                Pattern::AllToAll => channels
                    .extend((0..self.parallelism).map(|index| (edge, SubtaskId::new(from, index)))),
                Pattern::Forward => channels.push((edge, SubtaskId::new(from, subtask.index))),
            }
        }
        channels
    }

    /// The receiving subtasks of `subtask`'s channels on `edge`, in the order of channel indices.
    pub fn channels_out_of(&self, subtask: SubtaskId, edge: EdgeId) -> Vec<SubtaskId> {
        let edge = &self.edges[edge.0 as usize];
        match edge.pattern {
            Pattern::AllToAll => {
                (0..self.parallelism).map(|index| SubtaskId::new(edge.to.0, index)).collect()
            }
            Pattern::Forward => vec![SubtaskId::new(edge.to.0, subtask.index)],
        }
    }

    /// The name of a subtask as people write it: `count/2`.
    pub fn subtask_name(&self, subtask: SubtaskId) -> String {
        format!("{}/{}", self.operators[subtask.operator.0 as usize].name, subtask.index)
    }
}

/// Builds a [`Job`].
#[derive(Clone)]
pub struct JobBuilder {
    pub(crate) graph: Rc<RefCell<Graph>>,
}

pub(crate) struct Graph {
    name: String,
    parallelism: u32,
    pub(crate) operators: Vec<Option<Operator>>,
    pub(crate) edges: Vec<PendingEdge>,
}

/// An edge whose ends become known one after the other.
pub(crate) struct PendingEdge {
    pub(crate) from: Option<OperatorId>,
    pub(crate) to: Option<OperatorId>,
    pattern: Pattern,
    decode: fn(&[u8]) -> Result<Batch, StreamError>,
}

impl Graph {
    pub(crate) fn reserve_operator(&mut self) -> OperatorId {
        let id = u32::try_from(self.operators.len()).expect("a job has fewer than 2^32 operators");
        self.operators.push(None);
        OperatorId(id)
    }

    pub(crate) fn add_edge<T: Record>(&mut self, pattern: Pattern) -> EdgeId {
        let id = u32::try_from(self.edges.len()).expect("a job has fewer than 2^32 edges");
        self.edges.push(PendingEdge { from: None, to: None, pattern, decode: Batch::decode::<T> });
        EdgeId(id)
    }
}

impl JobBuilder {
    /// An empty job.
    ///
    /// # Panics
    /// When `parallelism` is 0.
    pub fn new(name: &str, parallelism: u32) -> Self {
        assert!(parallelism > 0, "a job has at least one subtask per operator");
        let graph =
            Graph { name: name.to_owned(), parallelism, operators: Vec::new(), edges: Vec::new() };
        Self { graph: Rc::new(RefCell::new(graph)) }
    }

    /// Adds a source.
    pub fn source<S: Source>(&self, name: &str, source: S) -> Stream<S::Record, SourcePipe<S>> {
        let mut graph = self.graph.borrow_mut();
        let parallelism = graph.parallelism;
        let listed = source.clone();
        let enumerate: Enumerate = Arc::new(move |env| {
            let source = listed.clone();
            Box::pin(async move {
                let splits = source.enumerate(&env, parallelism).await?;
                let encode = |split: &S::Split| {
                    postcard::to_allocvec(split).map_err(|source| {
                        let error = StreamError::Encode { what: "a split", source };
                        ConnectorError::Fatal(error.to_string())
                    })
                };
                splits.iter().map(encode).collect()
            })
        });
        Stream {
            builder: self.clone(),
            operator: graph.reserve_operator(),
            names: vec![name.to_owned()],
            uid: None,
            inputs: Vec::new(),
            enumerate: Some(enumerate),
            pipe: SourcePipe(source),
            record: PhantomData,
        }
    }

    /// The finished job.
    ///
    /// # Panics
    /// When a stream ends in neither a sink nor another operator: its records would vanish. When two
    /// operators were given the same uid.
    pub fn build(self) -> Job {
        let graph = self.graph.borrow();
        let mut operators: Vec<Operator> = graph
            .operators
            .iter()
            .map(|it| it.clone().expect("every stream ends in a sink or another operator"))
            .collect();
        derive_uids(&mut operators);
        let edges = graph
            .edges
            .iter()
            .map(|edge| Edge {
                from: edge.from.expect("every edge has its emitting operator"),
                to: edge.to.expect("every stream ends in a sink or another operator"),
                pattern: edge.pattern,
                decode: edge.decode,
            })
            .collect();
        Job {
            name: graph.name.clone(),
            parallelism: graph.parallelism,
            key_groups: default_key_groups(graph.parallelism),
            operators,
            edges,
        }
    }
}

/// Gives every operator without a uid its name, and a number where the name is not the first of its kind.
fn derive_uids(operators: &mut [Operator]) {
    let mut taken = BTreeSet::new();
    for operator in operators.iter().filter(|it| !it.uid.is_empty()) {
        assert!(taken.insert(operator.uid.clone()), "two operators have the uid {}", operator.uid);
    }
    for operator in operators.iter_mut().filter(|it| it.uid.is_empty()) {
        let numbered = (2..).map(|number| format!("{}-{number}", operator.name));
        let mut names = std::iter::once(operator.name.clone()).chain(numbered);
        let free = names.find(|it| !taken.contains(it)).expect("numbers do not end");
        taken.insert(free.clone());
        operator.uid = free;
    }
}
