//! The decisions of Seawall: every choice that exactly-once depends on, as sans-IO state machines.
//!
//! ```text
//!             coordinator::Coordinator                 worker::Worker        subtask::Subtask
//!   trigger ── pending ── store ── failover            deploy, cancel,       aligner ── committer
//!   (when)     (acks)     (record) (restarts)          heartbeat             (cut)      (two-phase)
//! ```
//!
//! The contract of a core:
//!
//! 1. `core.handle(input, &mut effects)` is total: every input in every state has a defined answer.
//! 2. No clock, no randomness, no I/O. A core arms named timers; the driver says when they fire.
//!    Where jitter is wanted the effect carries a range and the driver draws.
//! 3. Effects are values, performed in order. A crash may fall between any two of them.
//! 4. Nothing is durable until the storage says so in an input.
//! 5. Late, duplicate, stale and unknown inputs have an explicit arm and a trace event.
//!
//! Deliberately absent: records. They never pass through a core.
#![no_std]

extern crate alloc;

pub mod aligner;
pub mod committer;
pub mod config;
pub mod coordinator;
pub mod event;
pub mod execution;
pub mod failover;
pub mod finished;
pub mod graph;
pub mod ids;
pub mod key_group;
pub mod limits;
pub mod message;
pub mod operator_state;
pub mod pending;
pub mod record;
pub mod savepoint;
pub mod shared_files;
pub mod store;
pub mod subtask;
pub mod takeover;
pub mod tamper;
pub mod trigger;
pub mod unaligned;
pub mod watermark;
pub mod worker;

pub use ids::{
    Attempt, AttemptId, ChannelId, CheckpointId, FencingToken, JobId, OperatorId, SessionId,
    SubtaskId, WorkerId,
};
pub use watermark::{EventTime, Watermark};
