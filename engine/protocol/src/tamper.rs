//! A hook between a core and its driver, where planted bugs sit.
//!
//! A check that cannot fail is a defect. To show that each one can, the simulator and the models run
//! the same cores with inputs dropped or effects changed, from outside; the cores know nothing of it.
//! Production uses [`Honest`].

use alloc::vec::Vec;

use crate::{coordinator, subtask, worker};

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
}

/// Changes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Honest;

impl Tamper for Honest {}
