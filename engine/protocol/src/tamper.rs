//! A hook between a core and its driver, where planted bugs sit.
//!
//! A check that cannot fail is a defect. To show that each one can, the simulator and the models run
//! the same cores with inputs dropped or effects changed, from outside; the cores know nothing of it.
//! Production uses [`Honest`].

use alloc::vec::Vec;

use crate::{ChannelId, Watermark, coordinator, subtask, worker};

/// Changes what goes into a core and what comes out. The defaults change nothing.
pub trait Tamper: Send + Sync {
    /// Before the coordinator is made of `plan`.
    fn before_coordinator(&self, plan: &mut coordinator::JobPlan) {
        let _ = plan;
    }
    /// Before `input` reaches the coordinator; `false` drops it.
    fn admits_to_coordinator(&self, input: &mut coordinator::Input) -> bool {
        let _ = input;
        true
    }
    /// After the coordinator answered `input` with `effects`.
    fn after_coordinator(
        &self,
        input: &coordinator::Input,
        effects: &mut Vec<coordinator::Effect>,
    ) {
        let _ = (input, effects);
    }
    /// Before `input` reaches a worker; `false` drops it.
    fn admits_to_worker(&self, plan: &worker::Plan, input: &mut worker::Input) -> bool {
        let _ = (plan, input);
        true
    }
    /// After a worker answered `input` with `effects`.
    fn after_worker(
        &self,
        plan: &worker::Plan,
        input: &worker::Input,
        effects: &mut Vec<worker::Effect>,
    ) {
        let _ = (plan, input, effects);
    }
    /// Before `input` reaches a subtask; `false` drops it.
    fn admits_to_subtask(&self, plan: &subtask::Plan, input: &mut subtask::Input) -> bool {
        let _ = (plan, input);
        true
    }
    /// After a subtask answered `input` with `effects`.
    fn after_subtask(
        &self,
        plan: &subtask::Plan,
        input: &subtask::Input,
        effects: &mut Vec<subtask::Effect>,
    ) {
        let _ = (plan, input, effects);
    }
    /// After a subtask's valve answered what a channel `said` with what is `told` to the operators.
    fn after_valve(
        &self,
        plan: &subtask::Plan,
        channel: ChannelId,
        said: Watermark,
        told: &mut Option<Watermark>,
    ) {
        let _ = (plan, channel, said, told);
    }
    /// Whether a driver leaves this step out.
    fn skips(&self, step: DataStep) -> bool {
        let _ = step;
        false
    }
}

/// What a driver does without asking a core: with in-flight data, transactions, positions, files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataStep {
    /// Records that a barrier went ahead of in the output are added to the snapshot (E2).
    CaptureOutput,
    /// Restored input is put at the head of its channels (E6).
    ReplayInput,
    /// Restored output is put into the output channels (E6).
    ReplayOutput,
    /// And that before anything new (E6).
    ReplayFirst,
    /// The restored records of a channel are put back in their order (E6).
    ReplayInOrder,
    /// A subtask of another parallelism gets the state of every former owner of its key groups (M2).
    MergeOwners,
    /// And the transactions of the subtasks whose place it takes (K10).
    InheritTransactions,
    /// On a pointwise edge a barrier that overtakes keeps its place (E7). Only the model asks, as of all below.
    AlignPointwise,
    /// What was pre-committed for a checkpoint that was given up stays (K7, H4). The engine has no way to
    /// remove it.
    KeepGivenUp,
    /// What a snapshot holds as pre-committed is given to the new attempt to be committed (K4).
    RestoreTransactions,
    /// The position in a snapshot moves with the records that the rest of it holds (J1).
    MovePosition,
    /// References of an ack to files that are gone are looked at (I4).
    CheckReferences,
}

/// Changes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Honest;

impl Tamper for Honest {}
