//! A subtask's life: transcripts of the notable rules, and properties over orderly and random worlds.

use proptest::prelude::*;
use seawall_protocol::config::CheckpointMode::{AtLeastOnce, ExactlyOnce};
use seawall_protocol::event::Event;
use seawall_protocol::limits::{COMMIT_RETRIES_MAX, SNAPSHOTS_WRITING_MAX};
use seawall_protocol::message::{Barrier, DeclineReason};
use seawall_protocol::subtask::{Effect, Input, Plan, Subtask};
use seawall_protocol::{Attempt, AttemptId, ChannelId, CheckpointId, SubtaskId};
use std::collections::BTreeSet;

// Transcripts.

// Rules: A3, H1, K3
#[test]
fn operators_hear_of_a_checkpoint_before_its_commit_and_no_longer_once_the_input_ended() {
    let mut subtask = Subtask::new(Plan { has_callbacks: true, ..plan(0, true) });
    let mut handle = |input: Input| {
        let mut effects = Vec::new();
        subtask.handle(input, &mut effects);
        effects.retain(|it| {
            matches!(it, Effect::TellCompleted(_) | Effect::TellAborted(_) | Effect::Commit(_))
        });
        effects
    };
    let completed =
        |checkpoint| Input::Completed { checkpoint: CheckpointId(checkpoint), is_final: false };
    assert_eq!(handle(Input::Start), []);
    assert_eq!(handle(trigger(1)), []);
    assert_eq!(handle(Input::SnapshotDurable(CheckpointId(1))), []);
    assert_eq!(
        handle(completed(1)),
        [Effect::TellCompleted(CheckpointId(1)), Effect::Commit(CheckpointId(1))]
    );
    assert_eq!(handle(completed(2)), [], "it cannot be completed without this subtask");
    assert_eq!(handle(Input::Committed(CheckpointId(1))), []);
    assert_eq!(handle(trigger(3)), []);
    assert_eq!(handle(Input::Aborted(CheckpointId(3))), [Effect::TellAborted(CheckpointId(3))]);
    assert_eq!(handle(Input::InputEnded), []);
    assert_eq!(handle(Input::Aborted(CheckpointId(3))), [], "the input ended");
}

fn plan(channels: u32, has_sink: bool) -> Plan {
    Plan {
        attempt: AttemptId { subtask: SubtaskId::new(0, 0), attempt: Attempt(1) },
        channels,
        pointwise: BTreeSet::new(),
        has_callbacks: false,
        has_sink,
        mode: ExactlyOnce,
        restored: None,
        restored_transactions: BTreeSet::new(),
        is_restored_at_end: false,
        finishes_together: false,
        is_stopping: false,
    }
}

fn restored(mut plan: Plan, checkpoint: u64, transactions: &[u64]) -> Plan {
    plan.restored = Some(CheckpointId(checkpoint));
    plan.restored_transactions = transactions.iter().copied().map(CheckpointId).collect();
    plan
}

fn trigger(checkpoint: u64) -> Input {
    Input::Trigger(Barrier::aligned(CheckpointId(checkpoint)))
}

fn barrier(channel: u32, checkpoint: u64) -> Input {
    Input::Barrier {
        channel: ChannelId(channel),
        barrier: Barrier::aligned(CheckpointId(checkpoint)),
    }
}

fn marker(channel: u32, checkpoint: u64) -> Input {
    Input::CancelMarker { channel: ChannelId(channel), checkpoint: CheckpointId(checkpoint) }
}

fn closed(channel: u32) -> Input {
    Input::Closed { channel: ChannelId(channel) }
}

fn durable(checkpoint: u64) -> Input {
    Input::SnapshotDurable(CheckpointId(checkpoint))
}

fn unwritten(checkpoint: u64) -> Input {
    Input::SnapshotFailed(CheckpointId(checkpoint))
}

fn completed(checkpoint: u64) -> Input {
    Input::Completed { checkpoint: CheckpointId(checkpoint), is_final: false }
}

fn completed_final(checkpoint: u64) -> Input {
    Input::Completed { checkpoint: CheckpointId(checkpoint), is_final: true }
}

fn aborted(checkpoint: u64) -> Input {
    Input::Aborted(CheckpointId(checkpoint))
}

fn committed(checkpoint: u64) -> Input {
    Input::Committed(CheckpointId(checkpoint))
}

fn commit_failed(checkpoint: u64) -> Input {
    Input::CommitFailed { checkpoint: CheckpointId(checkpoint), is_retryable: true }
}

fn show(effect: &Effect) -> String {
    match effect {
        Effect::Block(channel) => format!("block {channel}"),
        Effect::Unblock(channel) => format!("unblock {channel}"),
        Effect::ForwardBarrier(barrier) => format!("barrier {}", barrier.checkpoint),
        Effect::ForwardCancelMarker(checkpoint) => format!("marker {checkpoint}"),
        Effect::PreCommit(checkpoint) => format!("pre-commit {checkpoint}"),
        Effect::Snapshot(barrier) => format!("snapshot {}", barrier.checkpoint),
        Effect::Ack(checkpoint) => format!("ack {checkpoint}"),
        Effect::Decline(checkpoint, reason) => format!("decline {checkpoint} {reason:?}"),
        Effect::Confirm(checkpoint) => format!("confirm {checkpoint}"),
        Effect::Commit(checkpoint) => format!("commit {checkpoint}"),
        Effect::AbortLingering => "abort-lingering".into(),
        Effect::Run => "run".into(),
        Effect::EndInput => "end-input".into(),
        Effect::Pause => "pause".into(),
        Effect::Resume => "resume".into(),
        Effect::ReportEnded => "report-ended".into(),
        Effect::Finish => "finish".into(),
        Effect::Fail { cause } => format!("fail: {cause}"),
        Effect::OvertakeOutput(_)
        | Effect::CaptureInput { .. }
        | Effect::EndCapture { .. }
        | Effect::SealSnapshot(_)
        | Effect::DiscardSnapshot(_)
        | Effect::Arm(..)
        | Effect::Disarm(_) => panic!("an aligned barrier overtakes nothing: {effect:?}"),
        Effect::TellCompleted(checkpoint) => format!("tell-completed {checkpoint}"),
        Effect::TellAborted(checkpoint) => format!("tell-aborted {checkpoint}"),
        Effect::Note(event) => format!("({})", event.name()),
    }
}

fn answer(subtask: &mut Subtask, input: Input) -> Vec<Effect> {
    let mut effects = Vec::new();
    subtask.handle(input, &mut effects);
    effects
}

/// Plays the inputs. Of the notes only stale inputs are shown, as `(stale-input)`; the others, and
/// confirmations, have their own test.
fn check(plan: Plan, transcript: &[(Input, &str)]) {
    let mut subtask = Subtask::new(plan);
    for (index, (input, expected)) in transcript.iter().enumerate() {
        let effects = answer(&mut subtask, input.clone());
        let shown: Vec<_> = effects
            .iter()
            .filter(|it| !matches!(it, Effect::Confirm(_)))
            .filter(|it| !matches!(it, Effect::Note(event) if event.name() != "stale-input"))
            .map(show)
            .collect();
        assert_eq!(shown.join(", "), *expected, "step {index}: {input}");
    }
}

// Rules: I6
#[test]
fn only_a_completed_checkpoint_with_a_snapshot_here_is_confirmed() {
    let mut subtask = Subtask::new(restored(plan(0, false), 3, &[]));
    let mut confirmed = |input| {
        let effects = answer(&mut subtask, input);
        effects.into_iter().filter(|it| matches!(it, Effect::Confirm(_))).collect::<Vec<_>>()
    };
    assert_eq!(confirmed(Input::Start), []);
    assert_eq!(confirmed(trigger(5)), []);
    assert_eq!(confirmed(durable(5)), [], "durable is not completed");
    assert_eq!(confirmed(completed(6)), [], "it has no snapshot here");
    assert_eq!(confirmed(completed(5)), [Effect::Confirm(CheckpointId(5))]);
}

// Rules: F2, F7
#[test]
fn a_source_forwards_the_barrier_before_its_snapshot_and_acks_only_what_is_durable() {
    check(
        plan(0, false),
        &[
            (Input::Start, "run"),
            (trigger(1), "barrier 1, snapshot 1"),
            (durable(1), "ack 1"),
            (durable(1), "(stale-input)"),
        ],
    );
}

// Rules: F3
#[test]
fn a_repeated_or_older_trigger_is_ignored_and_not_acked() {
    check(
        plan(0, false),
        &[
            (Input::Start, "run"),
            (trigger(2), "barrier 2, snapshot 2"),
            (trigger(2), "(stale-input)"),
            (trigger(1), "(stale-input)"),
        ],
    );
}

// Rules: F4
#[test]
fn a_source_sends_a_cancel_marker_for_a_checkpoint_aborted_before_it_started() {
    check(
        plan(0, false),
        &[
            (Input::Start, "run"),
            (aborted(1), ""),
            (trigger(1), "(stale-input), marker 1"),
            (trigger(2), "barrier 2, snapshot 2"),
        ],
    );
}

// Rules: C2, F2, K1
#[test]
fn channels_flow_again_only_after_barrier_pre_commit_and_snapshot() {
    check(
        plan(2, true),
        &[
            (Input::Start, "abort-lingering, run"),
            (barrier(0, 1), "block ch0"),
            (barrier(1, 1), "barrier 1, pre-commit 1, snapshot 1, unblock ch0"),
        ],
    );
}

// Rules: C5
#[test]
fn a_newer_barrier_declines_the_older_checkpoint_as_subsumed() {
    check(
        plan(2, false),
        &[
            (Input::Start, "run"),
            (barrier(0, 1), "block ch0"),
            (barrier(1, 2), "unblock ch0, decline 1 Subsumed, marker 1, block ch1"),
            (barrier(0, 2), "barrier 2, snapshot 2, unblock ch1"),
        ],
    );
}

// Rules: G8
#[test]
fn a_snapshot_that_became_durable_after_its_abort_is_not_acked() {
    check(
        plan(0, false),
        &[
            (Input::Start, "run"),
            (trigger(1), "barrier 1, snapshot 1"),
            (aborted(1), ""),
            (durable(1), "(stale-input)"),
        ],
    );
}

// Rules: G8, G9
#[test]
fn an_abort_races_with_barriers_and_frees_the_channels() {
    check(
        plan(2, false),
        &[
            (Input::Start, "run"),
            (barrier(0, 1), "block ch0"),
            (aborted(1), "unblock ch0, marker 1"),
            (barrier(1, 1), ""),
            (marker(0, 1), ""),
        ],
    );
}

// Rules: F6
#[test]
fn a_snapshot_that_cannot_be_written_is_declined_and_the_subtask_runs_on() {
    check(
        plan(0, false),
        &[
            (Input::Start, "run"),
            (trigger(1), "barrier 1, snapshot 1"),
            (unwritten(1), "decline 1 AsyncException"),
            (trigger(2), "barrier 2, snapshot 2"),
        ],
    );
}

// Rules: K4, K5
#[test]
fn restored_transactions_are_visible_before_lingering_ones_are_removed_and_input_is_read() {
    check(
        restored(plan(1, true), 4, &[2, 4]),
        &[
            (Input::Start, "commit 2"),
            (committed(2), "commit 4"),
            (committed(4), "abort-lingering, run"),
        ],
    );
}

// Rules: F8, K5
#[test]
fn a_barrier_before_run_is_declined_because_its_transaction_would_count_as_lingering() {
    check(
        restored(plan(1, true), 4, &[4]),
        &[
            (Input::Start, "commit 4"),
            (barrier(0, 5), "marker 5, decline 5 NotRunning"),
            (committed(4), "abort-lingering, run"),
            (barrier(0, 6), "barrier 6, pre-commit 6, snapshot 6"),
        ],
    );
}

#[test]
fn a_trigger_that_overtakes_the_commit_of_restored_transactions_waits_for_it() {
    check(
        restored(plan(0, true), 4, &[4]),
        &[
            (Input::Start, "commit 4"),
            (trigger(5), ""),
            (trigger(6), "marker 5, decline 5 Subsumed"),
            (trigger(5), "(stale-input)"),
            (committed(4), "abort-lingering, run, barrier 6, pre-commit 6, snapshot 6"),
        ],
    );
}

// Rules: K2
#[test]
fn a_completion_that_arrives_while_a_later_snapshot_is_written_commits_only_its_own() {
    check(
        plan(1, true),
        &[
            (Input::Start, "abort-lingering, run"),
            (barrier(0, 1), "barrier 1, pre-commit 1, snapshot 1"),
            (durable(1), "ack 1"),
            (barrier(0, 2), "barrier 2, pre-commit 2, snapshot 2"),
            (completed(1), "commit 1"),
            (durable(2), "ack 2"),
            (committed(1), ""),
        ],
    );
}

#[test]
fn a_snapshot_is_taken_while_a_commit_is_outstanding() {
    check(
        plan(1, true),
        &[
            (Input::Start, "abort-lingering, run"),
            (barrier(0, 1), "barrier 1, pre-commit 1, snapshot 1"),
            (durable(1), "ack 1"),
            (completed(1), "commit 1"),
            (barrier(0, 2), "barrier 2, pre-commit 2, snapshot 2"),
            (committed(1), ""),
        ],
    );
}

// Rules: H4, K7
#[test]
fn the_transaction_of_an_aborted_checkpoint_rides_with_the_next_completed_one() {
    check(
        plan(1, true),
        &[
            (Input::Start, "abort-lingering, run"),
            (barrier(0, 1), "barrier 1, pre-commit 1, snapshot 1"),
            (durable(1), "ack 1"),
            (aborted(1), ""),
            (barrier(0, 2), "barrier 2, pre-commit 2, snapshot 2"),
            (durable(2), "ack 2"),
            (completed(2), "commit 1"),
            (committed(1), "commit 2"),
        ],
    );
}

// Rules: K2
#[test]
fn the_completion_of_a_checkpoint_that_was_never_snapshotted_here_commits_nothing() {
    check(
        plan(1, true),
        &[
            (Input::Start, "abort-lingering, run"),
            (barrier(0, 1), "barrier 1, pre-commit 1, snapshot 1"),
            (completed(7), "(stale-input)"),
        ],
    );
}

// Rules: K8
#[test]
fn a_commit_that_keeps_failing_fails_the_attempt_and_is_never_skipped() {
    let mut transcript = vec![(Input::Start, "commit 1")];
    for _ in 0..COMMIT_RETRIES_MAX {
        transcript.push((commit_failed(1), "commit 1"));
    }
    transcript
        .push((commit_failed(1), "fail: transaction 1 of op0/0#1 was not committed in 4 tries"));
    transcript.push((committed(1), "(stale-input)"));
    check(restored(plan(0, true), 2, &[1, 2]), &transcript);
}

// Rules: K13, N3
#[test]
fn a_subtask_that_ended_finishes_when_its_first_checkpoint_after_the_end_is_committed() {
    check(
        plan(1, true),
        &[
            (Input::Start, "abort-lingering, run"),
            (barrier(0, 1), "barrier 1, pre-commit 1, snapshot 1"),
            (durable(1), "ack 1"),
            (Input::InputEnded, "report-ended"),
            (Input::InputEnded, "(stale-input)"),
            (completed(1), "commit 1"),
            (committed(1), ""),
            (barrier(0, 2), "barrier 2, pre-commit 2, snapshot 2"),
            (durable(2), "ack 2"),
            (completed(2), "commit 2"),
            (committed(2), "finish"),
            (barrier(0, 3), "(stale-input)"),
        ],
    );
}

// Rules: H4, K7, N3
#[test]
fn the_transactions_of_given_up_checkpoints_after_the_end_ride_with_the_one_that_completes() {
    check(
        plan(1, true),
        &[
            (Input::Start, "abort-lingering, run"),
            (Input::InputEnded, "report-ended"),
            (barrier(0, 1), "barrier 1, pre-commit 1, snapshot 1"),
            (durable(1), "ack 1"),
            (aborted(1), ""),
            (barrier(0, 2), "barrier 2, pre-commit 2, snapshot 2"),
            (durable(2), "ack 2"),
            (completed(2), "commit 1"),
            (committed(1), "commit 2"),
            (committed(2), "finish"),
        ],
    );
}

// Rules: N2, N3
#[test]
fn a_checkpoint_while_the_last_commit_is_outstanding_holds_its_transaction() {
    check(
        plan(1, true),
        &[
            (Input::Start, "abort-lingering, run"),
            (Input::InputEnded, "report-ended"),
            (barrier(0, 1), "barrier 1, pre-commit 1, snapshot 1"),
            (durable(1), "ack 1"),
            (completed(1), "commit 1"),
            (barrier(0, 2), "barrier 2, pre-commit 2, snapshot 2"),
            (durable(2), "ack 2"),
            (committed(1), "finish"),
        ],
    );
}

// Rules: C3, N3
#[test]
fn a_subtask_that_only_waits_for_a_write_takes_no_further_snapshot() {
    check(
        plan(0, false),
        &[
            (Input::Start, "run"),
            (Input::InputEnded, "report-ended"),
            (trigger(1), "barrier 1, snapshot 1"),
            (durable(1), "ack 1"),
            (trigger(2), "barrier 2, snapshot 2"),
            (completed(1), ""),
            (trigger(3), "(stale-input)"),
            (durable(2), "ack 2, finish"),
        ],
    );
}

// Rules: K4, K5, N3
#[test]
fn a_subtask_restored_at_its_end_commits_what_is_left_and_finishes() {
    let mut plan = restored(plan(1, true), 4, &[4]);
    plan.is_restored_at_end = true;
    check(
        plan,
        &[
            (Input::Start, "commit 4"),
            (committed(4), "abort-lingering, run"),
            (Input::InputEnded, "report-ended, finish"),
        ],
    );
}

// Rules: N3, N5
#[test]
fn a_subtask_that_finishes_together_waits_for_the_final_checkpoint() {
    let mut plan = restored(plan(0, false), 4, &[]);
    plan.is_restored_at_end = true;
    plan.finishes_together = true;
    check(
        plan,
        &[
            (Input::Start, "run"),
            (Input::InputEnded, "report-ended"),
            (trigger(5), "barrier 5, snapshot 5"),
            (durable(5), "ack 5"),
            (completed(5), ""),
            (trigger(6), "barrier 6, snapshot 6"),
            (durable(6), "ack 6"),
            (completed_final(6), "finish"),
        ],
    );
}

// Rules: B11, C3, N1
#[test]
fn a_subtask_whose_whole_upstream_finished_is_triggered_and_cuts_behind_its_last_records() {
    check(
        plan(2, true),
        &[
            (Input::Start, "abort-lingering, run"),
            (closed(0), ""),
            (trigger(1), ""),
            (Input::InputEnded, "report-ended"),
            (closed(1), "barrier 1, pre-commit 1, snapshot 1"),
            (durable(1), "ack 1"),
            (completed(1), "commit 1"),
            (committed(1), "finish"),
        ],
    );
}

// Rules: N3
#[test]
fn a_checkpoint_from_before_the_end_of_input_never_finishes_the_subtask() {
    check(
        plan(0, false),
        &[
            (Input::Start, "run"),
            (trigger(1), "barrier 1, snapshot 1"),
            (durable(1), "ack 1"),
            (Input::InputEnded, "report-ended"),
            (completed(1), ""),
            (completed_final(1), "(stale-input)"),
            (trigger(2), "barrier 2, snapshot 2"),
            (durable(2), "ack 2"),
            (completed_final(2), "finish"),
        ],
    );
}

#[test]
fn inputs_before_the_start_and_a_second_start_are_stale() {
    check(
        plan(1, false),
        &[
            (barrier(0, 1), "(stale-input)"),
            (trigger(1), "(stale-input)"),
            (Input::Start, "run"),
            (Input::Start, "(stale-input)"),
        ],
    );
}

#[test]
fn snapshots_whose_writes_hang_decline_further_checkpoints() {
    let mut subtask = Subtask::new(plan(0, false));
    answer(&mut subtask, Input::Start);
    let max = u64::try_from(SNAPSHOTS_WRITING_MAX).expect("a small number");
    for checkpoint in 1..=max {
        let effects = answer(&mut subtask, trigger(checkpoint));
        assert!(effects.contains(&Effect::Snapshot(Barrier::aligned(CheckpointId(checkpoint)))));
        answer(&mut subtask, aborted(checkpoint));
    }
    let effects = answer(&mut subtask, trigger(max + 1));
    let id = CheckpointId(max + 1);
    assert_eq!(effects[0], Effect::ForwardCancelMarker(id));
    assert_eq!(effects[1], Effect::Decline(id, DeclineReason::AsyncException));
}

#[test]
fn the_trace_shows_each_step_of_an_alignment() {
    let mut subtask = Subtask::new(plan(2, false));
    let inputs = [
        Input::Start,
        barrier(0, 1),
        barrier(1, 2),
        barrier(0, 2),
        barrier(0, 1),
        Input::InputEnded,
    ];
    let names: Vec<_> = inputs
        .into_iter()
        .flat_map(|input| answer(&mut subtask, input))
        .filter_map(
            |effect| if let Effect::Note(event) = effect { Some(event.name()) } else { None },
        )
        .collect();
    let expected = [
        "alignment-started",
        "channel-blocked",
        "alignment-abandoned",
        "snapshot-declined",
        "alignment-started",
        "channel-blocked",
        "barrier-forwarded",
        "snapshot-taken",
        "barrier-ignored",
        "subtask-ended",
    ];
    assert_eq!(names, expected);
}

// Properties.

/// What may be said about the effects of one subtask whatever its inputs are.
#[derive(Default)]
struct Judge {
    restored_transactions: BTreeSet<CheckpointId>,
    has_run: bool,
    has_stopped: bool,
    blocked: BTreeSet<ChannelId>,
    snapshots: BTreeSet<CheckpointId>,
    pre_committed: BTreeSet<CheckpointId>,
    markers: BTreeSet<CheckpointId>,
    /// The newest completion heard of a checkpoint that was snapshotted here.
    completed: CheckpointId,
    committing: Option<CheckpointId>,
    visible: Vec<CheckpointId>,
}

impl Judge {
    fn new(plan: &Plan) -> Self {
        let restored_transactions = plan.restored_transactions.clone();
        Self { restored_transactions, ..Self::default() }
    }

    fn judge(&mut self, input: &Input, effects: &[Effect]) {
        match input {
            Input::Completed { checkpoint, .. } if self.snapshots.last() >= Some(checkpoint) => {
                self.completed = self.completed.max(*checkpoint);
            }
            Input::Committed(checkpoint) if self.committing == Some(*checkpoint) => {
                self.visible.push(*checkpoint);
                self.committing = None;
            }
            Input::CommitFailed { checkpoint, .. } if self.committing == Some(*checkpoint) => {
                self.committing = None;
            }
            Input::Closed { channel } if !self.has_stopped => {
                self.blocked.remove(channel);
            }
            Input::Start
            | Input::Trigger(_)
            | Input::Barrier { .. }
            | Input::Announced { .. }
            | Input::CloseAnnounced { .. }
            | Input::BarrierSent(_)
            | Input::Timer(_)
            | Input::CancelMarker { .. }
            | Input::Closed { .. }
            | Input::InputEnded
            | Input::SnapshotDurable(_)
            | Input::SnapshotFailed(_)
            | Input::Completed { .. }
            | Input::Aborted(_)
            | Input::Committed(_)
            | Input::CommitFailed { .. } => {}
        }
        for (index, effect) in effects.iter().enumerate() {
            if !matches!(effect, Effect::Note(_)) {
                assert!(!self.has_stopped, "{effect:?} after the stop");
            }
            self.judge_one(input, effect, &effects[index + 1..]);
        }
    }

    fn judge_one(&mut self, input: &Input, effect: &Effect, rest: &[Effect]) {
        match effect {
            Effect::Block(channel) => assert!(self.blocked.insert(*channel)),
            Effect::Unblock(channel) => assert!(self.blocked.remove(channel)),
            Effect::ForwardBarrier(Barrier { checkpoint, .. }) => {
                assert!(self.has_run, "{checkpoint} before run");
                assert!(self.snapshots.last() < Some(checkpoint), "{checkpoint} is out of order");
                assert!(
                    rest.contains(&Effect::Snapshot(Barrier::aligned(*checkpoint))),
                    "{checkpoint} has no snapshot"
                );
                assert!(!self.markers.contains(checkpoint), "{checkpoint} was given up");
            }
            Effect::ForwardCancelMarker(checkpoint) => {
                assert!(self.markers.insert(*checkpoint), "{checkpoint} is given up twice");
                assert!(!self.snapshots.contains(checkpoint), "{checkpoint} was forwarded");
            }
            Effect::PreCommit(checkpoint) => {
                assert_eq!(
                    rest.first(),
                    Some(&Effect::Snapshot(Barrier::aligned(*checkpoint))),
                    "atomic (K1)"
                );
                let used = self.pre_committed.iter().chain(&self.restored_transactions).max();
                assert!(used < Some(checkpoint), "its id was used (K12)");
                self.pre_committed.insert(*checkpoint);
            }
            Effect::Snapshot(Barrier { checkpoint, .. }) => {
                assert!(self.snapshots.insert(*checkpoint));
            }
            Effect::Ack(checkpoint) => {
                assert_eq!(*input, Input::SnapshotDurable(*checkpoint), "ack implies durable (F7)");
                assert!(self.snapshots.contains(checkpoint), "ack of a snapshot never taken");
            }
            Effect::Commit(checkpoint) => {
                assert_eq!(self.committing.replace(*checkpoint), None, "two commits at once (K2)");
                assert!(!self.visible.contains(checkpoint), "{checkpoint} is visible already (T5)");
                let is_restored = self.restored_transactions.contains(checkpoint);
                let is_completed =
                    self.pre_committed.contains(checkpoint) && *checkpoint <= self.completed;
                assert!(is_restored || is_completed, "{checkpoint} is not completed (K2)");
                assert_eq!(is_restored, !self.has_run, "restored ones first (K4)");
            }
            Effect::AbortLingering => {
                assert!(!self.has_run, "lingering ones are removed before run");
                assert!(self.restored_transactions.iter().all(|it| self.visible.contains(it)));
            }
            Effect::EndInput | Effect::Pause | Effect::Resume => panic!("nobody stops"),
            Effect::Run => {
                assert!(!self.has_run, "a second run");
                assert!(self.restored_transactions.iter().all(|it| self.visible.contains(it)));
                self.has_run = true;
            }
            Effect::Finish => {
                let is_due = |it: &&CheckpointId| **it <= self.completed;
                let due: Vec<_> = self.pre_committed.iter().filter(is_due).copied().collect();
                let visible = self.visible.iter().filter(|it| self.pre_committed.contains(it));
                assert_eq!(visible.copied().collect::<Vec<_>>(), due, "finished with a due commit");
                self.has_stopped = true;
            }
            Effect::Fail { .. } => self.has_stopped = true,
            Effect::Note(Event::StaleInput { what }) => assert!(!what.is_empty()),
            Effect::OvertakeOutput(_)
            | Effect::CaptureInput { .. }
            | Effect::EndCapture { .. }
            | Effect::SealSnapshot(_)
            | Effect::DiscardSnapshot(_)
            | Effect::Arm(..)
            | Effect::Disarm(_) => panic!("an aligned barrier overtakes nothing: {effect:?}"),
            Effect::Confirm(confirmed) => {
                let is_it = |it: &CheckpointId| it == confirmed;
                let is_told =
                    matches!(input, Input::Completed { checkpoint, .. } if is_it(checkpoint));
                assert!(is_told, "{confirmed} is confirmed by {input} (I6)");
            }
            Effect::TellCompleted(checkpoint) => assert!(self.snapshots.contains(checkpoint)),
            Effect::TellAborted(_)
            | Effect::Decline(..)
            | Effect::ReportEnded
            | Effect::Note(_) => {}
        }
    }
}

const RESTORED: u64 = 3;

fn any_plan() -> impl Strategy<Value = Plan> {
    let transactions = prop::collection::btree_set(1..=RESTORED, 0..3);
    (0..4_u32, any::<(bool, bool, bool)>(), transactions).prop_map(
        |(channels, (has_sink, is_restored, is_exactly_once), transactions)| {
            let mut plan = plan(channels, has_sink);
            plan.mode = if is_exactly_once { ExactlyOnce } else { AtLeastOnce };
            if is_restored {
                plan.restored = Some(CheckpointId(RESTORED));
                if has_sink {
                    plan.restored_transactions =
                        transactions.into_iter().map(CheckpointId).collect();
                }
            }
            plan
        },
    )
}

fn any_input() -> impl Strategy<Value = Input> {
    let checkpoint = || (1..12_u64).prop_map(CheckpointId);
    let channel = || (0..4_u32).prop_map(ChannelId);
    prop_oneof![
        1 => Just(Input::Start),
        2 => checkpoint().prop_map(Barrier::aligned).prop_map(Input::Trigger),
        8 => (channel(), checkpoint())
            .prop_map(|(channel, checkpoint)| Input::Barrier {
                channel,
                barrier: Barrier::aligned(checkpoint),
            }),
        2 => (channel(), checkpoint())
            .prop_map(|(channel, checkpoint)| Input::CancelMarker { channel, checkpoint }),
        1 => channel().prop_map(|channel| Input::Closed { channel }),
        1 => Just(Input::InputEnded),
        3 => checkpoint().prop_map(Input::SnapshotDurable),
        1 => checkpoint().prop_map(Input::SnapshotFailed),
        3 => (checkpoint(), prop::bool::weighted(0.2))
            .prop_map(|(checkpoint, is_final)| Input::Completed { checkpoint, is_final }),
        1 => checkpoint().prop_map(Input::Aborted),
        5 => checkpoint().prop_map(Input::Committed),
        1 => (checkpoint(), any::<bool>())
            .prop_map(|(checkpoint, is_retryable)| Input::CommitFailed { checkpoint, is_retryable }),
    ]
}

/// An orderly driver of one subtask: answers snapshots and commits in an order drawn by the test.
struct Driver {
    subtask: Subtask,
    judge: Judge,
    /// Answers that are on their way.
    answers: Vec<Input>,
    acked: BTreeSet<CheckpointId>,
    has_finished: bool,
}

impl Driver {
    fn give(&mut self, input: Input) {
        let mut effects = Vec::new();
        let given = input.clone();
        self.subtask.handle(input, &mut effects);
        self.judge.judge(&given, &effects);
        for effect in effects {
            match effect {
                Effect::Snapshot(Barrier { checkpoint, .. }) => {
                    self.answers.push(Input::SnapshotDurable(checkpoint));
                }
                Effect::Commit(checkpoint) => self.answers.push(Input::Committed(checkpoint)),
                Effect::Ack(checkpoint) => {
                    self.acked.insert(checkpoint);
                }
                Effect::Finish => self.has_finished = true,
                Effect::Fail { cause } => panic!("an orderly world never fails: {cause}"),
                Effect::Block(_)
                | Effect::Unblock(_)
                | Effect::ForwardBarrier(_)
                | Effect::ForwardCancelMarker(_)
                | Effect::PreCommit(_)
                | Effect::Confirm(_)
                | Effect::Decline(..)
                | Effect::AbortLingering
                | Effect::Run
                | Effect::EndInput
                | Effect::Pause
                | Effect::Resume
                | Effect::ReportEnded
                | Effect::OvertakeOutput(_)
                | Effect::CaptureInput { .. }
                | Effect::EndCapture { .. }
                | Effect::SealSnapshot(_)
                | Effect::DiscardSnapshot(_)
                | Effect::Arm(..)
                | Effect::Disarm(_)
                | Effect::TellCompleted(_)
                | Effect::TellAborted(_)
                | Effect::Note(_) => {}
            }
        }
    }

    fn checkpoint(&mut self, channels: u32, checkpoint: u64) {
        if channels == 0 {
            self.give(trigger(checkpoint));
        }
        for channel in 0..channels {
            self.give(barrier(channel, checkpoint));
        }
    }

    /// Delivers answers until `wanted` are left.
    fn settle(&mut self, wanted: usize, choice: usize) {
        while self.answers.len() > wanted {
            let answer = self.answers.remove(choice % self.answers.len());
            self.give(answer);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    // Rules: F7, K1, K2, K4, K12, K13
    #[test]
    fn any_input_in_any_state_has_an_answer_that_breaks_no_rule(
        plan in any_plan(),
        starts_first in prop::bool::weighted(0.9),
        inputs in prop::collection::vec(any_input(), 0..120),
    ) {
        let mut judge = Judge::new(&plan);
        let mut subtask = Subtask::new(plan);
        let first = starts_first.then_some(Input::Start);
        for input in first.into_iter().chain(inputs) {
            let mut effects = Vec::new();
            subtask.handle(input.clone(), &mut effects);
            judge.judge(&input, &effects);
            prop_assert_eq!(subtask.has_stopped(), judge.has_stopped);
            prop_assert_eq!(&subtask.blocked(), &judge.blocked);
        }
    }

    // Rules: K2, K13, N3
    #[test]
    fn in_an_orderly_world_every_transaction_becomes_visible_and_the_subtask_finishes(
        plan in any_plan(),
        rounds in prop::collection::vec((0..3_usize, 0..4_usize, any::<bool>(), any::<bool>()), 0..12),
    ) {
        let channels = plan.channels;
        let restored_transactions = plan.restored_transactions.clone();
        let has_sink = plan.has_sink;
        let mut driver = Driver {
            judge: Judge::new(&plan),
            subtask: Subtask::new(plan),
            answers: Vec::new(),
            acked: BTreeSet::new(),
            has_finished: false,
        };
        driver.give(Input::Start);
        driver.settle(0, 0);

        let mut checkpoint = RESTORED;
        for (left, choice, is_completed, is_aborted) in rounds {
            checkpoint += 1;
            driver.checkpoint(channels, checkpoint);
            driver.settle(left, choice);
            let id = CheckpointId(checkpoint);
            if is_completed && driver.acked.contains(&id) {
                driver.give(completed(checkpoint));
            } else if is_aborted {
                driver.give(aborted(checkpoint));
            }
        }

        driver.give(Input::InputEnded);
        checkpoint += 1;
        driver.checkpoint(channels, checkpoint);
        driver.settle(0, 1);
        prop_assert!(driver.acked.contains(&CheckpointId(checkpoint)));
        prop_assert!(!driver.has_finished, "finished before the final checkpoint");
        driver.give(completed_final(checkpoint));
        driver.settle(0, 0);
        prop_assert!(driver.has_finished);
        if has_sink {
            let all: Vec<_> =
                restored_transactions.union(&driver.judge.pre_committed).copied().collect();
            prop_assert_eq!(&driver.judge.visible, &all);
        }
    }
}
