//! The shared-file registry against a model that remembers every use of every file (I1-I9).

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use seawall_protocol::shared_files::{
    Claim, Refused, RetainedFiles, SharedFile, SharedFileId, SharedFiles,
};
use seawall_protocol::{Attempt, CheckpointId, SubtaskId};

fn id(checkpoint: u64, index: u32) -> SharedFileId {
    SharedFileId {
        checkpoint: CheckpointId(checkpoint),
        subtask: SubtaskId::new(0, index),
        attempt: Attempt(1),
        sequence: 0,
    }
}

fn file(checkpoint: u64, index: u32) -> SharedFile {
    SharedFile { id: id(checkpoint, index), is_base: true, is_own: false, bytes: 10, checksum: 7 }
}

fn chk(checkpoint: u64) -> CheckpointId {
    CheckpointId(checkpoint)
}

// Rules: I1, I5
#[test]
fn an_ack_of_an_aborted_checkpoint_is_registered_and_its_file_goes_with_the_next_subsumption() {
    let mut files = SharedFiles::new();
    files.begin(chk(3), Some(chk(2)));
    files.end(chk(3)); // Aborted; the ack is late.
    assert_eq!(files.register(chk(3), &[file(3, 0)]), Ok(()));
    assert_eq!(files.take_unused(chk(2)), [], "an abort deletes nothing");
    assert_eq!(files.take_unused(chk(3)), [], "it may have been published after all");
    assert_eq!(files.take_unused(chk(4)), [id(3, 0)]);
    assert_eq!(files.take_unused(chk(9)), [], "returned once");
}

// Rules: I2, I3
#[test]
fn a_file_lives_as_long_as_the_newest_checkpoint_that_uses_it() {
    let mut files = SharedFiles::new();
    assert_eq!(files.register(chk(1), &[file(1, 0)]), Ok(()));
    assert_eq!(files.register(chk(4), &[file(1, 0), file(4, 0)]), Ok(()));
    assert_eq!(files.register(chk(2), &[file(1, 0)]), Ok(()), "late, and lowers nothing");
    assert_eq!(files.last_used(id(1, 0)), Some(chk(4)));
    assert_eq!(files.take_unused(chk(4)), []);
    assert_eq!(files.take_unused(chk(5)), [id(1, 0), id(4, 0)]);
}

// Rules: I3, I5
#[test]
fn a_file_stays_while_a_pending_checkpoint_may_build_on_it() {
    let mut files = SharedFiles::new();
    assert_eq!(files.register(chk(1), &[file(1, 0)]), Ok(()));
    files.begin(chk(2), Some(chk(1)));
    files.begin(chk(3), Some(chk(1)));
    assert_eq!(files.register(chk(2), &[file(2, 0)]), Ok(()), "2 has a base of its own");
    files.end(chk(2));
    assert_eq!(files.take_unused(chk(2)), [], "3 may still refer to a file of 1");
    assert_eq!(files.register(chk(3), &[file(1, 0), file(3, 0)]), Ok(()));
    files.end(chk(3));
    assert_eq!(files.take_unused(chk(3)), [id(2, 0)]);
}

// Rules: I4
#[test]
fn a_reference_to_an_unknown_file_is_refused_and_the_new_files_beside_it_are_known() {
    let mut files = SharedFiles::new();
    let refused = files.register(chk(3), &[file(1, 0), file(3, 0)]);
    assert_eq!(refused, Err(Refused::UnknownFile(id(1, 0))));
    assert_eq!(files.take_unused(chk(4)), [id(3, 0)]);
}

// Rules: I4, I9
#[test]
fn two_different_files_under_one_name_are_refused() {
    let mut files = SharedFiles::new();
    assert_eq!(files.register(chk(1), &[file(1, 0)]), Ok(()));
    let other = SharedFile { checksum: 8, ..file(1, 0) };
    assert_eq!(files.register(chk(1), &[other]), Err(Refused::OtherFile(id(1, 0))));
    assert_eq!(files.register(chk(1), &[file(1, 0)]), Ok(()), "a repeated ack changes nothing");
}

// Rules: I7
#[test]
fn files_restored_without_claim_are_never_deleted_and_claimed_ones_are_once_unused() {
    let mut files = SharedFiles::new();
    files.restore(chk(5), &[file(3, 0)], Claim::NoClaim);
    files.restore(chk(5), &[file(4, 0)], Claim::Claim);
    assert_eq!(files.register(chk(6), &[file(6, 0)]), Ok(()));
    assert_eq!(files.take_unused(chk(9)), [id(4, 0), id(6, 0)]);
    assert_eq!(files.ids(), [id(3, 0)].into());
}

// Rules: I5
#[test]
fn a_file_of_its_own_checkpoint_is_in_no_registry() {
    let mut files = SharedFiles::new();
    let own = SharedFile { is_own: true, ..file(1, 0) };
    assert_eq!(files.register(chk(1), &[own]), Ok(()));
    files.restore(chk(1), &[own], Claim::Claim);
    assert_eq!(files.ids(), [].into());
}

// Rules: I8
#[test]
fn a_new_leader_knows_the_files_of_every_retained_checkpoint() {
    let of = |checkpoint, files: &[SharedFile]| RetainedFiles {
        checkpoint: chk(checkpoint),
        files: files.to_vec(),
    };
    let mut files =
        SharedFiles::rebuild(&[of(3, &[file(1, 0), file(3, 0)]), of(4, &[file(1, 0), file(4, 0)])]);
    assert_eq!(files.register(chk(5), &[file(1, 0), file(5, 0)]), Ok(()));
    assert_eq!(files.take_unused(chk(4)), [id(3, 0)]);
    assert_eq!(files.take_unused(chk(5)), [id(4, 0)]);
}

/// Remembers every use; a file is in use while any use of it is.
#[derive(Default)]
struct Remembering {
    uses: BTreeMap<SharedFileId, BTreeSet<CheckpointId>>,
    deleted: BTreeSet<SharedFileId>,
    pending: BTreeMap<CheckpointId, CheckpointId>,
    lowest: CheckpointId,
}

#[derive(Debug, Clone)]
enum Step {
    Begin(u64),
    End(u64),
    Ack { checkpoint: u64, uses: Vec<u64>, index: u32 },
    Subsume(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..12_u64).prop_map(Step::Begin),
        (1..12_u64).prop_map(Step::End),
        (1..12_u64, prop::collection::vec(1..12_u64, 0..3), 0..2_u32)
            .prop_map(|(checkpoint, uses, index)| Step::Ack { checkpoint, uses, index }),
        (1..12_u64).prop_map(Step::Subsume),
    ]
}

proptest! {
    // Rules: I1, I2, I3, I4, I5
    #[test]
    fn nothing_in_use_is_deleted_and_nothing_unused_is_kept(steps in prop::collection::vec(step(), 0..60)) {
        let (mut files, mut model) = (SharedFiles::new(), Remembering::default());
        for step in steps {
            match step {
                Step::Begin(checkpoint) => {
                    files.begin(chk(checkpoint), Some(model.lowest));
                    model.pending.insert(chk(checkpoint), model.lowest);
                }
                Step::End(checkpoint) => {
                    files.end(chk(checkpoint));
                    model.pending.remove(&chk(checkpoint));
                }
                Step::Ack { checkpoint, mut uses, index } => {
                    uses.push(checkpoint);
                    let acked: Vec<_> = uses.iter().map(|it| file(*it, index)).collect();
                    let known = |it: &SharedFile| {
                        it.id.checkpoint == chk(checkpoint) || model.uses.contains_key(&it.id)
                    };
                    let unknown = acked.iter().find(|it| !known(it)).map(|it| it.id);
                    let answer = files.register(chk(checkpoint), &acked);
                    prop_assert_eq!(answer.err(), unknown.map(Refused::UnknownFile));
                    let known: Vec<_> = acked.iter().filter(|it| known(it)).map(|it| it.id).collect();
                    for it in known {
                        model.uses.entry(it).or_default().insert(chk(checkpoint));
                    }
                }
                Step::Subsume(lowest) => {
                    model.lowest = model.lowest.max(chk(lowest));
                    let may_be_used = |uses: &BTreeSet<CheckpointId>| uses.iter().any(|used| {
                        *used >= model.lowest || model.pending.values().any(|floor| used >= floor)
                    });
                    let gone: Vec<_> = model
                        .uses
                        .iter()
                        .filter(|(_, uses)| !may_be_used(uses))
                        .map(|(id, _)| *id)
                        .collect();
                    prop_assert_eq!(&files.take_unused(model.lowest), &gone);
                    for it in gone {
                        model.uses.remove(&it);
                        model.deleted.insert(it);
                    }
                }
            }
            prop_assert_eq!(files.ids(), model.uses.keys().copied().collect());
        }
    }
}
