//! Operators with state of their subtask, and with a word on checkpoints.
//!
//! ```
//! use seawall_stream::operator_state::{ListState, States};
//! use seawall_stream::{CheckpointId, Collect, Process};
//!
//! /// Holds records back until a checkpoint that contains them is completed.
//! #[derive(Clone, Default)]
//! struct HoldBack {
//!     held: ListState<u64>,
//! }
//!
//! impl Process for HoldBack {
//!     type In = u64;
//!     type Out = u64;
//!     const HEARS_CHECKPOINTS: bool = true;
//!
//!     fn states(&mut self, states: &mut States<'_, '_>) {
//!         states.declare("held", &mut self.held);
//!     }
//!
//!     fn on_record(&mut self, record: u64, _: &mut impl Collect<u64>) {
//!         self.held.push(record);
//!     }
//!
//!     fn on_checkpoint_completed(&mut self, _: CheckpointId, out: &mut impl Collect<u64>) {
//!         self.held.drain(..).for_each(|record| out.push(record));
//!     }
//!
//!     fn on_end(&mut self, out: &mut impl Collect<u64>) {
//!         self.held.drain(..).for_each(|record| out.push(record));
//!     }
//! }
//!
//! struct Printed(Vec<u64>);
//! impl Collect<u64> for Printed {
//!     fn push(&mut self, record: u64) {
//!         self.0.push(record);
//!     }
//! }
//! let (mut operator, mut out) = (HoldBack::default(), Printed(Vec::new()));
//! operator.on_record(7, &mut out);
//! assert_eq!(out.0, []);
//! operator.on_checkpoint_completed(CheckpointId(1), &mut out);
//! assert_eq!(out.0, [7]);
//! ```

use seawall_protocol::{CheckpointId, EventTime};

use crate::chain::Place;
use crate::operator::Collect;
use crate::operator_state::States;
use crate::record::Record;

/// A function over a stream with operator state and callbacks.
///
/// Every call happens between two records, so a snapshot holds all of what a call changed or nothing. In
/// the order of one subtask's life:
///
/// 1. `on_open`; after a failover the states are filled, then `on_restored`;
/// 2. `on_record`, `on_watermark`, snapshots and the callbacks of checkpoints, in any order;
/// 3. `on_end`, once; callbacks no longer come, and snapshots still do.
///
/// # Callbacks of checkpoints
///
/// `on_checkpoint_completed(n)` comes after the checkpoint's record is durable (H1), and before the sink at
/// the tail of the same chain commits the transaction of `n`. What it emits belongs to the next checkpoint.
///
/// The completion of `n` is the completion of every lower checkpoint, also of those that were aborted: what
/// they contained is contained in `n` (A3, "checkpoint subsuming contract"). A callback may be late,
/// repeated or left out, and is left out when an attempt fails first (K3). So nothing may depend on getting
/// one: what waits for a callback must be in state, and be acted on by a later callback or by `on_end`.
pub trait Process: Clone + Send + Sync + 'static {
    /// What it receives.
    type In: Record;
    /// What it emits.
    type Out: Record;
    /// Whether it wants the callbacks of checkpoints.
    const HEARS_CHECKPOINTS: bool = false;

    /// Called first, with the subtask's place.
    fn on_open(&mut self, place: Place) {
        let _ = place;
    }

    /// Declares every state, always the same.
    fn states(&mut self, states: &mut States<'_, '_>) {
        let _ = states;
    }

    /// The states are restored.
    fn on_restored(&mut self) {}

    /// Handles one record.
    fn on_record(&mut self, record: Self::In, out: &mut impl Collect<Self::Out>);

    /// The checkpoint is completed, and every lower one with it.
    #[doc(alias = "notify_checkpoint_complete")]
    fn on_checkpoint_completed(
        &mut self,
        checkpoint: CheckpointId,
        out: &mut impl Collect<Self::Out>,
    ) {
        let _ = (checkpoint, out);
    }

    /// The checkpoint was given up. What it contained rides with a later one (K7), so undo nothing here.
    #[doc(alias = "notify_checkpoint_aborted")]
    fn on_checkpoint_aborted(&mut self, checkpoint: CheckpointId) {
        let _ = checkpoint;
    }

    /// Event time rose: no record that follows is as old as `time`, but for late ones. What is emitted here
    /// goes ahead of the watermark. The last one, behind all input, is [`EventTime::MAX`]; a restored subtask
    /// may hear one again.
    fn on_watermark(&mut self, time: EventTime, out: &mut impl Collect<Self::Out>) {
        let _ = (time, out);
    }

    /// Called once, after the input ended.
    fn on_end(&mut self, out: &mut impl Collect<Self::Out>) {
        let _ = out;
    }
}
