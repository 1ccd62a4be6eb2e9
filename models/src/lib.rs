//! The engine's own cores under a model checker, at sizes that can be exhausted.
//!
//! ```text
//!   alignment    Subtask × 5          one barrier on each channel cuts the job at one place
//!   checkpoint   Coordinator, Worker  a checkpoint is whole, durable and the newest, whoever crashes when
//!   shared-files Coordinator, Subtask no file goes that a checkpoint refers to, and none stays for nothing
//!   commit       Subtask × 2          each record is visible exactly once, whatever crashes between two steps
//!   unaligned    Subtask × 3          what a barrier overtakes is in the checkpoint and processed once, in order
//!   rescale      Coordinator          another parallelism loses nothing and doubles nothing
//!   stop         Coordinator, Subtask a savepoint that is handed out stands, and a stopped job is whole
//! ```
//!
//! Messages, disks, timers and crashes are the model's; every decision is taken by the core that decides it
//! in production. Each model is checked by [`check()`], breadth first and to its end. Each planted bug of
//! [`plants`] that a model can reach makes a property of it fail, with a shortest path in words; which rule
//! each of them turns off, and why some rules have none, is in `docs/models.md`.
//!
//! Assumed, as in the papers: channels are first in, first out for each connection; the store record is
//! replaced atomically; input can be read again.

pub mod alignment;
pub mod check;
pub mod checkpoint;
pub mod commit;
pub mod plants;
pub mod rescale;
pub mod shared_files;
pub mod stop;
pub mod unaligned;

use seawall_protocol::tamper::{Honest, Tamper};

pub use check::{Report, Size, Verdict};
pub use plants::Plant;

/// States after which a search is given up as unfinished; what fits in memory, with a margin.
const STATES_MAX: usize = 40_000_000;

/// A model, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelInfo {
    /// The name.
    pub name: &'static str,
    /// What it shows, in one sentence.
    pub about: &'static str,
}

/// Every model.
pub fn models() -> &'static [ModelInfo] {
    &[
        ModelInfo {
            name: "alignment",
            about: "barriers on FIFO channels cut the whole job at one consistent place",
        },
        ModelInfo {
            name: "checkpoint",
            about: "a checkpoint is whole, durable and the newest, whoever crashes between two steps",
        },
        ModelInfo {
            name: "commit",
            about: "each record becomes visible exactly once, whatever crashes between two steps",
        },
        ModelInfo {
            name: "shared-files",
            about: "no retained checkpoint refers to a file that is gone, and none stays for nothing",
        },
        ModelInfo {
            name: "unaligned",
            about: "what a barrier overtakes is in the checkpoint, and processed once and in order",
        },
        ModelInfo {
            name: "rescale",
            about: "another parallelism loses nothing and doubles nothing, whoever crashes when",
        },
        ModelInfo {
            name: "stop",
            about: "a savepoint that is handed out stands, and a job that stopped with one is whole",
        },
    ]
}

/// Checks a model at a size; `None` when there is no model of that name.
pub fn check(name: &str, size: Size) -> Option<Report> {
    run(name, size, Box::new(Honest))
}

/// Checks, at the smallest size, that the plant's model catches it; `None` when no model reaches it.
pub fn check_planted(plant: &Plant) -> Option<Report> {
    run(plant.model?, Size::Smoke, (plant.tamper)())
}

/// Whether the report of [`check_planted`] names the property that must catch the plant.
pub fn is_caught(plant: &Plant, report: &Report) -> bool {
    match &report.verdict {
        Verdict::Violated { property, .. } => property == plant.model_property,
        Verdict::Exhausted | Verdict::Bounded { .. } | Verdict::Unreached { .. } => false,
    }
}

fn run(name: &str, size: Size, tamper: Box<dyn Tamper>) -> Option<Report> {
    let name = models().iter().find(|model| model.name == name)?.name;
    Some(match name {
        "alignment" => {
            check::check(name, size, &alignment::Alignment::new(size, tamper), STATES_MAX)
        }
        "checkpoint" => {
            check::check(name, size, &checkpoint::Checkpoint::new(size, tamper), STATES_MAX)
        }
        "commit" => check::check(name, size, &commit::Commit::new(size, tamper), STATES_MAX),
        "shared-files" => {
            let model = shared_files::SharedFilesModel::new(size, tamper);
            check::check(name, size, &model, STATES_MAX)
        }
        "unaligned" => {
            check::check(name, size, &unaligned::Unaligned::new(size, tamper), STATES_MAX)
        }
        "rescale" => check::check(name, size, &rescale::Rescale::new(size, tamper), STATES_MAX),
        "stop" => check::check(name, size, &stop::Stop::new(size, tamper), STATES_MAX),
        other => unreachable!("{other} is listed and not run"),
    })
}
