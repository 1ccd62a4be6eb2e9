//! Bugs of shared files (I).

use seawall_protocol::coordinator::{self, Effect as Order};
use seawall_protocol::event::{AckAnswer, Event};
use seawall_protocol::message::ToCoordinator;
use seawall_protocol::shared_files::SharedFileId;
use seawall_protocol::subtask::{Effect, Input, Plan};
use seawall_protocol::tamper::{DataStep, Tamper};
use seawall_protocol::{Attempt, CheckpointId, SubtaskId};

use super::{Plant, Skips};

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        name: "late-ack-deletes-shared-files",
        about: "the files that a late ack names are deleted with its checkpoint",
        bug: "FLINK-25395: cleaning up a failed snapshot deleted files that an earlier checkpoint shared",
        rules: &["G1", "I5"],
        violates: "restorable",
        model: Some("shared-files"),
        model_property: "restorable",
        in_simulator: true,
        tamper: || Box::new(LateAckDeletesSharedFiles),
    },
    Plant {
        name: "registry-starts-empty",
        about: "a new leader does not learn which files the retained checkpoints use",
        bug: "RisingWave #5715: after a recovery the vacuum took what it did not know of for orphans",
        rules: &["I8"],
        violates: "restorable",
        model: Some("shared-files"),
        model_property: "restorable",
        in_simulator: true,
        tamper: || Box::new(RegistryStartsEmpty),
    },
    Plant {
        name: "registry-knows-the-newest-only",
        about: "a new leader learns the files of the newest retained checkpoint and of no other",
        bug: "RisingWave #1454: what the newest version does not name was taken for an orphan",
        rules: &["I8"],
        violates: "restorable",
        model: Some("shared-files"),
        model_property: "restorable",
        in_simulator: true,
        tamper: || Box::new(RegistryKnowsTheNewestOnly),
    },
    Plant {
        name: "files-go-with-their-checkpoint",
        about: "the files that were written for a subsumed checkpoint go with it, whoever uses them",
        bug: "FLINK-21351: a removed checkpoint took files with it that later increments referred to",
        rules: &["I2", "I3"],
        violates: "restorable",
        model: Some("shared-files"),
        model_property: "restorable",
        in_simulator: true,
        tamper: || Box::new(FilesGoWithTheirCheckpoint),
    },
    Plant {
        name: "shared-files-go-before-the-record",
        about: "files that the new checkpoint does not use go when its manifest is written",
        bug: "FLINK-16770: what is old was deleted before what is new was stored",
        rules: &["H6", "H10", "I3"],
        violates: "restorable",
        model: Some("shared-files"),
        model_property: "restorable",
        in_simulator: true,
        tamper: || Box::new(SharedFilesGoBeforeTheRecord),
    },
    Plant {
        name: "unused-shared-files-stay",
        about: "shared files are never deleted while a leader leads",
        bug: "FLINK-30461: files of failed snapshots stayed for ever",
        rules: &["I1", "I3"],
        violates: "no-orphans",
        model: Some("shared-files"),
        model_property: "no-orphans",
        in_simulator: false,
        tamper: || Box::new(UnusedSharedFilesStay),
    },
    Plant {
        name: "names-of-shared-files-start-over",
        about: "a new leader numbers attempts and checkpoints from the beginning",
        bug: "RisingWave #5364: after a recovery an id was used again that old writers had data under",
        rules: &["A1", "I9"],
        violates: "ids-increase",
        model: Some("shared-files"),
        model_property: "names-are-used-once",
        in_simulator: false,
        tamper: || Box::new(NamesStartOver),
    },
    Plant {
        name: "references-are-not-checked",
        about: "an ack counts although it refers to files that have been deleted meanwhile",
        bug: "SPARK-55892: a snapshot that came late referred to what clean-up had removed",
        rules: &["I4"],
        violates: "restorable",
        model: Some("shared-files"),
        model_property: "restorable",
        in_simulator: false,
        tamper: || Box::new(Skips(DataStep::CheckReferences)),
    },
    Plant {
        name: "acked-counts-as-confirmed",
        about: "the next snapshot builds on the last one that was acked, whatever became of its checkpoint",
        bug: "FLINK-24611: files of checkpoints that were never confirmed were built upon",
        rules: &["I6"],
        violates: "exactly-once-state",
        model: Some("shared-files"),
        model_property: "builds-on-confirmed",
        // The files are kept for it (I1) and looked at (I4), so alone it does no harm.
        in_simulator: false,
        tamper: || Box::new(AckedCountsAsConfirmed),
    },
    Plant {
        name: "given-up-files-stay",
        about: "an abort leaves what was written for its checkpoint",
        bug: "FLINK-5063 and FLINK-30461: what was written for a checkpoint that failed had no owner",
        rules: &["G5", "G1"],
        violates: "no-orphans",
        model: Some("shared-files"),
        model_property: "no-orphans",
        in_simulator: false,
        tamper: || Box::new(GivenUpFilesStay),
    },
];

struct AckedCountsAsConfirmed;
impl Tamper for AckedCountsAsConfirmed {
    fn after_subtask(&self, _: &Plan, _: &Input, effects: &mut Vec<Effect>) {
        let acked: Vec<_> = effects
            .iter()
            .filter_map(|effect| if let Effect::Ack(it) = effect { Some(*it) } else { None })
            .collect();
        effects.extend(acked.into_iter().map(Effect::Confirm));
    }
}

struct GivenUpFilesStay;
impl Tamper for GivenUpFilesStay {
    fn after_coordinator(&self, _: &coordinator::Input, effects: &mut Vec<Order>) {
        let given_up = effects.iter().filter_map(|effect| {
            let Order::Note(Event::CheckpointAborted { checkpoint, .. }) = effect else {
                return None;
            };
            Some(*checkpoint)
        });
        let given_up: Vec<_> = given_up.collect();
        effects.retain(
            |effect| !matches!(effect, Order::DeleteCheckpoint(it) if given_up.contains(it)),
        );
    }
}

struct NamesStartOver;
impl Tamper for NamesStartOver {
    fn admits_to_coordinator(&self, input: &mut coordinator::Input) -> bool {
        if let coordinator::Input::Recovered { record, .. } = input {
            record.attempt = Attempt(0);
            record.next_checkpoint = CheckpointId(1);
        }
        true
    }
}

struct LateAckDeletesSharedFiles;
impl Tamper for LateAckDeletesSharedFiles {
    fn after_coordinator(&self, input: &coordinator::Input, effects: &mut Vec<Order>) {
        let coordinator::Input::Message { message: ToCoordinator::Ack { snapshot, .. }, .. } =
            input
        else {
            return;
        };
        let is_late = |effect: &Order| {
            matches!(effect, Order::Note(Event::AckIgnored { reason: AckAnswer::Discarded, .. }))
        };
        if effects.iter().any(is_late) {
            effects.push(Order::DeleteShared(snapshot.shared.iter().map(|it| it.id).collect()));
        }
    }
}

struct RegistryStartsEmpty;
impl Tamper for RegistryStartsEmpty {
    fn admits_to_coordinator(&self, input: &mut coordinator::Input) -> bool {
        if let coordinator::Input::Recovered { shared, .. } = input {
            shared.clear();
        }
        true
    }
}

struct RegistryKnowsTheNewestOnly;
impl Tamper for RegistryKnowsTheNewestOnly {
    fn admits_to_coordinator(&self, input: &mut coordinator::Input) -> bool {
        if let coordinator::Input::Recovered { shared, .. } = input {
            let older = shared.len().saturating_sub(1);
            shared.drain(..older);
        }
        true
    }
}

/// Every name that a file of the checkpoint could have in a small job.
fn names(checkpoint: CheckpointId) -> Vec<SharedFileId> {
    let mut names = Vec::new();
    for (operator, index) in (0..3).flat_map(|it| (0..4).map(move |index| (it, index))) {
        for (attempt, sequence) in (1..9).flat_map(|it| (0..3).map(move |nth| (it, nth))) {
            let (subtask, attempt) = (SubtaskId::new(operator, index), Attempt(attempt));
            names.push(SharedFileId { checkpoint, subtask, attempt, sequence });
        }
    }
    names
}

struct FilesGoWithTheirCheckpoint;
impl Tamper for FilesGoWithTheirCheckpoint {
    fn after_coordinator(&self, _: &coordinator::Input, effects: &mut Vec<Order>) {
        let subsumed = effects.iter().filter_map(|effect| {
            let Order::Note(Event::CheckpointSubsumed { checkpoint }) = effect else { return None };
            Some(*checkpoint)
        });
        let deleted: Vec<_> = subsumed.map(|it| Order::DeleteShared(names(it))).collect();
        effects.extend(deleted);
    }
}

struct SharedFilesGoBeforeTheRecord;
impl Tamper for SharedFilesGoBeforeTheRecord {
    fn after_coordinator(&self, _: &coordinator::Input, effects: &mut Vec<Order>) {
        let sweeps = effects.iter().filter_map(|effect| {
            let Order::WriteManifest { checkpoint, snapshots, .. } = effect else { return None };
            let keep = snapshots.iter().flat_map(|it| &it.shared).map(|it| it.id).collect();
            Some(Order::SweepShared { below: *checkpoint, keep })
        });
        let sweeps: Vec<_> = sweeps.collect();
        effects.extend(sweeps);
    }
}

struct UnusedSharedFilesStay;
impl Tamper for UnusedSharedFilesStay {
    fn after_coordinator(&self, _: &coordinator::Input, effects: &mut Vec<Order>) {
        effects.retain(|it| !matches!(it, Order::DeleteShared(_)));
    }
}
