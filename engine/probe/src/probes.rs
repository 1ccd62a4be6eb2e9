//! Every probe: the circumstance that brings a run to it, in one line.

use crate::names;

names! {
    /// A rare branch of the engine.
    Probe {
        "Alignment" {
            /// A subtask was triggered directly after a barrier of the same checkpoint had come.
            TriggerAfterItsBarrier,
            /// A subtask was triggered directly while some of its channels had not closed.
            TriggerWithOpenChannels,
            /// A barrier came twice for a capture that its channel had ended already.
            BarrierBehindItsCapture,
            /// A channel delivered the same barrier twice.
            BarrierTwiceOnOneChannel,
            /// Word came of a barrier on a pointwise channel, where none overtakes.
            WordOfPointwiseBarrier,
            /// Word of a barrier came after its checkpoint was cut or left behind.
            WordOfOldBarrier,
            /// The time to align ended, and the barrier still waits for a pointwise channel.
            TimeoutWaitsForPointwise,
            /// The word that a channel closes ended its part of a capture.
            CloseEndsCapture,
            /// A cancel marker ended an alignment.
            CancelMarkerEndsAlignment,
            /// A cancel marker ended a capture.
            CancelMarkerEndsCapture,
            /// A cancel marker came for a checkpoint that was left behind or cancelled before.
            CancelMarkerRepeated,
            /// A cancel marker came ahead of every barrier of its checkpoint.
            CancelMarkerAheadOfBarrier,
            /// The coordinator's abort ended an alignment.
            AbortEndsAlignment,
            /// The coordinator's abort ended a capture.
            AbortEndsCapture,
            /// The coordinator's abort came ahead of every barrier of its checkpoint.
            AbortAheadOfBarrier,
            /// A channel closed that had delivered its barrier and waited.
            BlockedChannelCloses,
            /// A channel closed, and the others had all delivered their barrier: its close completes the cut.
            CloseCompletesAlignment,
            /// A barrier that overtakes joined an alignment that had begun as a timed one.
            OvertakingJoinsTimed,
            /// A barrier overtook and nothing was left to capture.
            OvertakesWithNothingOwed,
            /// A barrier came of a checkpoint that its subtask had left behind.
            BarrierLeftBehind,
            /// A barrier came of a checkpoint that was cancelled before it started.
            BarrierOfCancelled,
            /// A cancel marker went on in the place of a barrier that came after the abort.
            CancelMarkerInBarriersPlace,
            /// A newer barrier ended a capture.
            NewerBarrierEndsCapture,
            /// A newer barrier ended an alignment.
            NewerBarrierEndsAlignment,
            /// At least once: barriers of several checkpoints were counted side by side.
            SeveralCheckpointsCounted,
            /// At least once: too many checkpoints were counted, and the oldest was dropped.
            OldestCountedIsDropped,
            /// Too many cancelled checkpoints were remembered, and the oldest was forgotten.
            OldestCancelledIsForgotten,
        }
        "Event time" {
            /// A channel that had been idle came back behind the others.
            ChannelComesBackBehind,
            /// Every channel that has not ended is idle.
            EverythingIsIdle,
            /// A channel ended, and all that have not are idle.
            EndBesideIdleOnes,
            /// A watermark took the place of one that waited, and that nobody will see.
            WatermarkIsReplaced,
            /// A restored subtask says how far event time was.
            RestoredTimeIsSaid,
            /// Time passed in which a subtask that makes watermarks could not read.
            TimePassesUncounted,
        }
        "A subtask" {
            /// Something came before the subtask was told to start.
            InputBeforeStart,
            /// Something came after the subtask had finished or failed.
            InputAfterStop,
            /// A snapshot became durable after its checkpoint was given up.
            SnapshotOfAbortedIsDurable,
            /// A snapshot could not be written.
            SnapshotCannotBeWritten,
            /// A snapshot could not be written, and its checkpoint had been given up.
            SnapshotOfAbortedFails,
            /// A barrier came while restored transactions were being committed.
            BarrierWhileCommittingRestored,
            /// Word of a barrier came while restored transactions were being committed.
            WordWhileCommittingRestored,
            /// A timed barrier left after its snapshot was sealed or discarded.
            BarrierSentForNothing,
            /// The time to align ended after the checkpoint needed none.
            StaleAlignmentTimeout,
            /// The time to align ended while the barrier waited in the output.
            TimeoutInTheOutput,
            /// The time to align ended while barriers were missing at the input.
            TimeoutAtTheInput,
            /// A trigger waits until restored transactions are committed.
            TriggerWaitsForCommits,
            /// A newer trigger took the place of one that waited for restored transactions.
            NewerTriggerTakesThePlace,
            /// The trigger that waited for restored transactions began.
            WaitingTriggerBegins,
            /// The restored checkpoint holds the end of the subtask's input.
            RestoredAtItsEnd,
            /// The restored checkpoint holds the subtask's end, and it waits for the final one all the same.
            RestoredAtItsEndButHeld,
            /// A subtask with nothing left to commit waits for a snapshot to be written before it finishes.
            FinishWaitsForSnapshot,
            /// A completion came of a checkpoint that has no snapshot here.
            CompletionWithoutSnapshot,
            /// A completion came after a newer snapshot was taken.
            CompletionBehindNewerSnapshot,
            /// A checkpoint that was cut before the end of the input completed after it.
            CompletionOfCutBeforeTheEnd,
            /// A completed checkpoint holds the end of a subtask that must wait for the final one.
            EndHeldForTheFinalOne,
            /// The checkpoint to stop with completed before the input had ended.
            StopCompletesBeforeTheEnd,
            /// A subtask heard of a final checkpoint before the end of its input.
            FinalBeforeTheEnd,
            /// A completion came while the subtask was finishing.
            CompletionWhileFinishing,
            /// Operators are not told of a completion, because the input has ended.
            CompletionIsNotTold,
            /// Operators are told that a checkpoint was given up.
            AbortIsTold,
            /// A checkpoint was given up while its snapshot was being written here.
            AbortWhileWriting,
            /// The stop was given up, and a source reads on.
            SourceReadsOnAfterStop,
            /// A snapshot that waited for in-flight data was discarded.
            UnsealedSnapshotDiscarded,
            /// A newer barrier took over the alignment timer.
            NewerBarrierTakesTheTimer,
            /// A barrier came to a subtask that only waits for an older snapshot to finish.
            BarrierBeforeTheFinish,
            /// As many snapshots are being written as may be, and a barrier was declined.
            TooManySnapshotsWriting,
            /// As many transactions wait for their commit as may, and a barrier was declined.
            TooManyTransactions,
            /// The barrier of a drain ended the input of a source.
            DrainEndsTheInput,
            /// A cut discarded an older snapshot that waited for in-flight data.
            CutDiscardsOlderUnsealed,
            /// A snapshot was taken while an older one was being written.
            SnapshotWhileAnotherIsWritten,
            /// A snapshot was taken of a subtask that only has commits left.
            SnapshotWhileFinishing,
            /// The barrier of a stop paused a source.
            StopPausesTheSource,
            /// An attempt was restored for nothing but to commit what the job stopped with.
            RestoredOnlyToStop,
        }
        "Transactions of a sink" {
            /// Restored transactions are committed before anything else.
            RestoredTransactions,
            /// More than one transaction was restored.
            SeveralRestoredTransactions,
            /// A completion was heard again, or after a newer one.
            CompletionHeardAgain,
            /// A completion came while a commit was under way.
            CompletionDuringCommit,
            /// A transaction is committed with a later checkpoint than its own.
            TransactionRidesWithALaterOne,
            /// A commit failed and is tried again.
            CommitIsTriedAgain,
            /// A commit failed in a way that no second try can mend.
            CommitFailsForGood,
            /// A commit failed as often as it may.
            CommitTriesAreExhausted,
        }
        "Pending checkpoints" {
            /// A subtask finished that had not acked, and others are awaited.
            FinishIsCounted,
            /// The finish of a subtask completed a checkpoint.
            FinishCompletesTheCheckpoint,
            /// Every subtask finished before it acked: the checkpoint holds nothing.
            NothingIsLeftToTake,
            /// An ack came after its checkpoint was given up.
            AckOfGivenUp,
            /// An ack came of a checkpoint that is neither pending nor remembered.
            AckOfForgotten,
            /// An ack came from another attempt than the checkpoint's.
            AckOfAnotherAttempt,
            /// A subtask acked twice.
            AckTwice,
            /// An ack came from a subtask whose finish had been counted.
            AckAfterFinish,
            /// A manifest was written, or failed, after its checkpoint was given up.
            ManifestOfGivenUp,
            /// A checkpoint was given up while its manifest was being written.
            AbortWhileManifestIsWritten,
            /// As many given-up checkpoints are remembered as may be, and the oldest was forgotten.
            OldestGivenUpIsForgotten,
            /// A checkpoint failed, and that is tolerated.
            FailureIsTolerated,
            /// One checkpoint too many failed in a row.
            FailureBudgetIsSpent,
            /// A checkpoint completed after others had failed.
            SuccessAfterFailures,
            /// A checkpoint failed that is older than the last success, which counts for nothing.
            OldFailureIsNotCounted,
            /// A savepoint was given up, which counts for nothing.
            SavepointFailureIsNotCounted,
        }
        "The store record" {
            /// A retained checkpoint became too old.
            RetainedIsTooOld,
            /// The newest checkpoint became too old, and stays until the next one.
            NewestIsTooOld,
            /// A checkpoint that was too old left with the next one's record.
            AgedLeaveWithTheNext,
            /// A write was taken back before it began.
            WriteIsWithdrawn,
            /// A write waits for the one before it.
            WriteWaitsForAWrite,
            /// The record names the checkpoint that the job stops with.
            StopIsPublished,
            /// The record that names a new parallelism is being written.
            RescaleIsPublished,
            /// The record of a token could not be written.
            TokenInDoubt,
            /// The record of an attempt could not be written.
            AttemptInDoubt,
            /// The record of a checkpoint's id could not be written.
            IdInDoubt,
            /// The record of a completed checkpoint could not be written: it may be there all the same.
            CheckpointInDoubt,
            /// The record that takes a checkpoint back could not be written either.
            RetractionInDoubt,
            /// The record without checkpoints that are too old could not be written.
            ExpiryInDoubt,
            /// The record of the job's end could not be written.
            ResultInDoubt,
            /// A record that had failed is written again.
            RecordIsWrittenAgain,
            /// A checkpoint that was in doubt is certainly not in the record.
            CheckpointIsRetracted,
        }
        "Leadership" {
            /// Something came after the leadership had ended.
            InputAfterLeadership,
            /// A new leader found that the job has its result.
            LeaderFindsTheResult,
            /// A new leader found that the job stops.
            LeaderFindsAStop,
            /// A new leader found several retained checkpoints.
            LeaderFindsSeveralCheckpoints,
            /// A new leader deletes a checkpoint that an earlier one left.
            EarlierLeaderLeftACheckpoint,
            /// A worker registered before the leader's token was durable.
            RegisteredBeforeTheToken,
            /// The connection of a worker broke.
            WorkersConnectionBreaks,
            /// A connection broke whose worker had registered anew.
            OldConnectionBreaks,
            /// A worker gave no sign of life for too long.
            WorkerIsSilent,
            /// A silence timer fired for a worker that was lost already.
            StaleSilence,
            /// A worker registered with a new session before its old one was given up.
            WorkerReplacesItself,
            /// A worker was lost on which nothing ran.
            IdleWorkerIsLost,
            /// A worker was lost on which subtasks ran.
            BusyWorkerIsLost,
            /// A message came of a session that is over.
            MessageOfEndedSession,
        }
        "Rescaling" {
            /// Somebody asked for a parallelism that the key groups do not allow.
            RescaleIsOutOfRange,
            /// Somebody asked for another parallelism while a change was under way.
            RescaleMeetsAnother,
            /// Somebody asked for the parallelism that the job has.
            RescaleIsDoneAlready,
            /// Somebody asked for more subtasks than there are slots.
            RescaleLacksSlots,
            /// No change of parallelism begins, because of a subtask that ended.
            EndKeepsFromRescale,
            /// A change of parallelism was given up, because a subtask ended.
            EndAbortsRescale,
            /// A subtask restored what several subtasks of another parallelism had.
            SeveralAreMerged,
            /// A subtask was restored at another parallelism and had nothing to take over.
            NothingIsTakenOver,
            /// A sink took over transactions of a subtask of another parallelism.
            TransactionsAreTakenOver,
        }
        "Checkpoints" {
            /// A pending checkpoint expired.
            CheckpointExpires,
            /// A checkpoint's time was over while its record was being written.
            ExpiresWhilePublishing,
            /// A savepoint's time was over while it waited to be covered.
            UncoveredSavepointExpires,
            /// A timer fired for a retained checkpoint that had left the record.
            StaleRetainedTimer,
            /// An id was reserved, and the attempt had failed meanwhile.
            IdIsReservedForNothing,
            /// An id was reserved, and who ended meanwhile keeps the checkpoint from beginning.
            EndKeepsReservedFromBeginning,
            /// A checkpoint began without subtasks that had finished.
            TriggeredWithoutTheFinished,
            /// An ack named a shared file that is gone or never was.
            AckNamesAFileThatIsGone,
            /// An ack named a shared file that is known as another one.
            AckNamesAnotherFile,
            /// An ack came of a checkpoint that may be in the record in doubt.
            AckWhileInDoubt,
            /// A decline came of a checkpoint that is not pending, or of another attempt.
            StaleDecline,
            /// A subtask declined because a newer barrier overtook.
            DeclineForANewerBarrier,
            /// A subtask declined because it could not take or write its snapshot.
            DeclineForAFailure,
            /// A subtask declined because it did not run yet.
            DeclineBeforeRunning,
            /// A manifest could not be written.
            ManifestCannotBeWritten,
            /// A checkpoint that somebody asked for completed.
            AskedCheckpointCompletes,
            /// A checkpoint that somebody asked for was given up.
            AskedCheckpointIsAborted,
            /// A checkpoint completed and subsumed an older one that was pending.
            OlderPendingIsSubsumed,
            /// A checkpoint completed ahead of an older savepoint, which stays pending.
            SavepointOutlivesACompletion,
            /// The last checkpoint completed ahead of an older savepoint, which ends with the job.
            SavepointEndsWithTheJob,
            /// A checkpoint completed after its attempt had failed.
            CompletedAfterTheFailure,
            /// Several checkpoints left the record at once.
            SeveralAreSubsumedAtOnce,
            /// A completion sweeps what a given-up checkpoint left in shared files.
            LitterIsSwept,
            /// A checkpoint was to be given up while its record was being written.
            AbortWhilePublishing,
            /// The final checkpoint was given up.
            FinalIsAborted,
            /// The files of a given-up checkpoint stay until the doubt about the record is removed.
            FilesStayInDoubt,
            /// The deletion of a checkpoint was wanted once more while it was under way.
            DeletionIsWantedAgain,
            /// A retained checkpoint was discarded for another reason than a newer one.
            CheckpointIsDiscarded,
            /// Progress was reported of an attempt that does not run.
            StaleProgress,
            /// A source fell behind.
            BacklogBegins,
            /// No source is behind any more.
            BacklogEnds,
        }
        "Attempts and failover" {
            /// The job was cancelled while its next attempt was being reserved.
            CancelMeetsTheNextAttempt,
            /// Workers were lost while the next attempt was being reserved.
            SlotsAreLostWhileReserving,
            /// An attempt after the first starts from the beginning, without a checkpoint.
            RestartFromTheBeginning,
            /// A later attempt waits for slots.
            RestartWaitsForSlots,
            /// A subtask became ready after its attempt had failed.
            ReadyWhileCancelling,
            /// A subtask reported ready that is not awaited.
            StaleReady,
            /// A subtask reported that it stopped, which was known.
            StaleStopped,
            /// A subtask failed in a way that no other attempt can mend.
            FailureIsFatal,
            /// A subtask failed that had not acked a pending checkpoint.
            FailureBeforeTheAck,
            /// A subtask reported a failure that was known, or of an old attempt.
            StaleFailure,
            /// Something failed before every subtask was ready.
            FailureWhileDeploying,
            /// Something failed after the final checkpoint was completed.
            FailureWhileFinishing,
            /// Something else failed while the attempt was being cancelled.
            FailureWhileCancelling,
            /// Something failed for good while the attempt was being cancelled.
            FatalFailureWhileCancelling,
            /// Subtasks did not stop in time, and their workers count as lost.
            CancelExpires,
            /// An attempt that was stopped because somebody cancelled the job ended.
            CancelledAttemptStops,
            /// The job gives up.
            JobGivesUp,
            /// There is no restart strategy.
            NoRestartStrategy,
            /// Fixed delay: another attempt follows.
            FixedDelayRestarts,
            /// Fixed delay: that was the last attempt.
            FixedDelayIsExhausted,
            /// Failure rate: another attempt follows.
            FailureRateRestarts,
            /// Failure rate: too many failures in the window.
            FailureRateIsExceeded,
            /// Failure rate: a failure left the window.
            FailureLeavesTheWindow,
            /// Exponential delay: a failure came before the attempt was stable, and the delay grows.
            DelayGrows,
            /// Exponential delay: the delay has reached its maximum.
            DelayIsAtItsMaximum,
            /// Exponential delay: an attempt ran long enough to count as stable.
            AttemptIsStable,
        }
        "The end of the input" {
            /// A subtask reported its end after its attempt had failed.
            EndWhileCancelling,
            /// A subtask's end was reported that is not awaited.
            StaleEnd,
            /// Without checkpoints after the first finish: a subtask's end stops them.
            EndStopsCheckpoints,
            /// Without checkpoints after the first finish: a subtask's end gave up a pending one.
            EndAbortsPending,
            /// A subtask finished while others go on.
            FinishesWhileOthersGoOn,
            /// A subtask finished after its attempt had failed.
            FinishWhileCancelling,
            /// A subtask's finish was reported that is not awaited.
            StaleFinish,
            /// A subtask whose whole upstream has finished was triggered directly.
            TriggeredDirectly,
            /// A finish made a subtask one to be triggered directly, in the middle of a checkpoint.
            TriggeredDirectlyInTheMiddle,
            /// A part of an operator with union state has finished: no checkpoint begins.
            UnionStateIsPartlyFinished,
            /// Every subtask finished while a checkpoint was pending.
            PendingAtTheEnd,
            /// Every subtask finished, and how the job ends depends on what is being written.
            EndWaitsForAWrite,
        }
        "Savepoints and stops" {
            /// A savepoint is whole and waits to be covered.
            SavepointIsWhole,
            /// A savepoint that waited to be covered was given up.
            UncoveredSavepointIsGivenUp,
            /// A checkpoint is asked for to cover a savepoint.
            CoverIsAskedFor,
            /// No checkpoint may begin any more: the final one covers the savepoint.
            FinalCoversTheSavepoint,
            /// A savepoint could not be brought to its place.
            ExportFails,
            /// Word of an export came that nobody waits for.
            StaleExport,
            /// The savepoint of a stop could not be brought to its place.
            ExportOfStopFails,
            /// Somebody asked for a stop that was under way.
            StopIsJoined,
            /// Somebody joined a stop that never began.
            JoinedStopNeverBegins,
            /// A stop was given up, and what was suspended goes on.
            SuspendedGoesOn,
            /// A drain was given up, and the attempt fails.
            DrainedAttemptFails,
        }
        "Requests" {
            /// Somebody cancelled a job that others had cancelled.
            CancelIsAskedAgain,
            /// A cancel stops an attempt.
            CancelStopsAnAttempt,
            /// A cancel came while the job was finishing anyway.
            CancelMeetsTheFinish,
            /// A cancel came while the job was stopping with a savepoint.
            CancelMeetsAStop,
            /// A cancel came before the next attempt's number was being written.
            CancelBeforeReserving,
            /// A cancel came while the next attempt's number was being written.
            CancelWhileReserving,
            /// A cancel came during the restart delay.
            CancelDuringTheDelay,
            /// A cancel came while the job waited for slots.
            CancelWhileWaiting,
            /// A cancelled job keeps its checkpoints.
            CancelKeepsCheckpoints,
            /// Somebody waited for an answer when the leadership ended.
            RequestEndsWithTheJob,
        }
        "When to trigger" {
            /// A request came while no attempt ran.
            RequestWhileNothingRuns,
            /// A request waited for its turn when the attempt failed or ended.
            WaitingRequestIsRefused,
            /// The automatic timer fired after the final checkpoint was wanted.
            TimerAfterTheFinal,
            /// The timer of the pause fired after its attempt had ended.
            StalePauseTimer,
            /// The automatic checkpoint that was about to begin became the final one.
            PeriodicBecomesFinal,
            /// The final checkpoint was given up and is wanted again.
            FinalIsWantedAgain,
            /// A savepoint needs a checkpoint to cover it, and one is coming anyway.
            CoverIsComing,
            /// A checkpoint waits while a stop is pending.
            WaitsForAStop,
            /// A checkpoint waits until another one's id is reserved.
            WaitsForATrigger,
            /// A checkpoint waits until old ones are deleted.
            WaitsForDeletions,
            /// A checkpoint waits until fewer are pending.
            WaitsForPending,
            /// The automatic checkpoint waits for the pause to end.
            WaitsForThePause,
            /// A checkpoint waits behind the final one.
            WaitsBehindTheFinal,
            /// The number of ingested records made a checkpoint due.
            RecordsMakeItDue,
            /// The bytes of changed state made a checkpoint due.
            BytesMakeItDue,
            /// Some conditions are met, and the checkpoint waits for the others.
            SomeConditionsAreMet,
            /// A backlog began, and the timer was set to its shorter or first interval.
            BacklogSetsTheTimer,
            /// A backlog switched the timer off.
            BacklogStopsTheTimer,
        }
        "Shared files" {
            /// Unused files stay because a pending checkpoint may build on them.
            PendingKeepsFiles,
            /// Files became unused and are deleted.
            FilesAreUnused,
            /// A file was acked again by a later checkpoint.
            FileIsUsedAgain,
        }
        "A worker" {
            /// A connection was made after it had been given up.
            ConnectedTooLate,
            /// The connection to the leader broke while subtasks ran.
            LeadersConnectionBreaks,
            /// The leader gave no sign of life for too long.
            LeaderIsSilent,
            /// An attempt to connect took too long.
            ConnectingTakesTooLong,
            /// An order came before the leader had registered the worker, or under another token.
            OrderOfAnotherToken,
            /// An order came without a connection.
            OrderWithoutALink,
            /// A leader answered that is older than one obeyed before.
            LeaderIsAZombie,
            /// A deployment came that is not newer than the last one.
            StaleDeployment,
            /// A deployment came while subtasks of an older attempt ran.
            DeployedOverAnother,
            /// The deployment that waited for an older attempt's end was launched.
            WaitingDeploymentIsLaunched,
            /// The deployment that waited for an older attempt's end was cancelled.
            WaitingDeploymentIsCancelled,
            /// An order to start came for an attempt that is not here or stops.
            StaleStart,
            /// A cancellation came for an attempt that is not here.
            StaleCancel,
            /// An order came for an attempt that stops or is not here.
            OrderForAStoppedAttempt,
            /// Progress was reported of an attempt that stops, or to nobody.
            ProgressIsDropped,
            /// A report came of a subtask that is not here any more.
            StaleReport,
            /// A report was dropped because no leader is there to hear it.
            ReportWithoutALeader,
            /// The worker connects as soon as its subtasks have stopped.
            ReconnectsAfterTheStop,
            /// The pause before connecting is over, and subtasks still run.
            ReconnectWaitsForSubtasks,
            /// A timer of the worker fired that means nothing any more.
            StaleWorkerTimer,
        }
        "Connections and channels" {
            /// A connection that the worker had given up was made.
            OldLinkIsMade,
            /// A connection that the worker had given up carried an order.
            OldLinkSpeaks,
            /// A connection that the worker had given up ended.
            OldLinkEnds,
            /// A connection ended that had not registered.
            UnregisteredLinkEnds,
            /// A message was to be sent to a session whose connection is closed.
            SendToClosedSession,
            /// A trigger came for a subtask that just finished.
            TriggerForAGoneSubtask,
            /// A data connection named a subtask that does not run here.
            ChannelForNobody,
            /// A data connection named a channel that has its sender already.
            ChannelIsTaken,
            /// A data connection ended before it had said what it feeds.
            ChannelWithoutHello,
            /// A subtask's receiver on the same worker was gone when it connected.
            LocalReceiverIsGone,
            /// A channel to another worker could not be opened.
            ChannelCannotBeOpened,
            /// A channel's connection broke while a frame was being sent.
            ChannelBreaksWhileSending,
            /// A channel's receiver went away.
            ChannelsReceiverIsGone,
            /// A channel's receiver gave no sign of life for the heartbeat timeout.
            ChannelsReceiverIsSilent,
            /// A channel's connection broke while credits were awaited.
            ChannelBreaksWhileAwaitingCredit,
            /// A subtask sent on a channel that was broken.
            SendOnABrokenChannel,
            /// A subtask sent to a receiver of its own worker that was gone.
            SendToAGoneReceiver,
            /// A data connection ended in order without the end of its channel.
            ChannelEndsWithoutClose,
            /// A data connection broke at the receiver.
            ChannelBreaksAtTheReceiver,
            /// Elements came for a subtask that was gone.
            ElementsForAGoneSubtask,
            /// A subtask found that an input channel broke.
            InputChannelBreaks,
            /// A receiver that had heard of the end was gone when a barrier overtook.
            ReceiverIsGoneAfterTheEnd,
            /// A timed barrier overtook at its sender, but on pointwise edges waits on.
            PointwiseBarrierWaitsOn,
            /// A timer fired that was armed again or disarmed before it was handled.
            TimerIsOutdated,
        }
        "In-flight data" {
            /// A newer barrier was found in a channel that is being captured.
            CaptureFindsANewerBarrier,
            /// A channel's end was found while it was being captured.
            CaptureFindsTheEnd,
            /// A record was captured when it was taken, not in the queue.
            CapturedAsItIsTaken,
            /// In-flight data was restored.
            InFlightDataIsRestored,
            /// Output in flight was restored.
            OutputIsRestored,
            /// In-flight data of a given-up checkpoint was discarded.
            InFlightDataIsDiscarded,
            /// All restored in-flight data was processed and sent.
            InFlightDataIsReplayed,
            /// A checkpoint began while restored in-flight data was being replayed.
            CheckpointDuringReplay,
        }
        "Driving a subtask" {
            /// A finished subtask was restored as one with nothing to do.
            RestoredAsFinished,
            /// The manifest could not be read by a subtask that restores it.
            ManifestIsUnreadable,
            /// A snapshot could not be read by a subtask that restores it.
            SnapshotIsUnreadable,
            /// A subtask that finishes waits for room in its channels.
            FinishWaitsForRoom,
            /// A sink could not commit.
            SinkCannotCommit,
            /// Transactions of earlier attempts were removed from the output.
            LingeringIsRemoved,
            /// A subtask told how far it had come with a checkpoint that was given up.
            UnfinishedIsTold,
            /// A snapshot became durable when its subtask was gone, and is deleted.
            SnapshotComesTooLate,
            /// The writer of a snapshot ended because its checkpoint was given up.
            WriterIsGivenUp,
            /// State was restored from a chain of shared files.
            ChainIsRestored,
            /// A chain of shared files is worn: the next snapshot is full.
            ChainIsWorn,
            /// A completed checkpoint's files were not known as written here.
            ConfirmedIsUnknown,
            /// Union state of all subtasks was restored.
            UnionStateIsRestored,
        }
        "Storage" {
            /// A leader found that a newer one had written the record.
            LeaderIsDeposed,
            /// A leadership ended while the record was in doubt, so nothing is deleted.
            LeadershipEndsInDoubt,
            /// The history of checkpoints could not be written, and the job goes on without.
            HistoryCannotBeWritten,
            /// The savepoint of a stop was exported into the job's own storage instead.
            StopIsExportedHere,
            /// A job was started from a savepoint.
            StartsFromASavepoint,
            /// A job that was started from a savepoint goes on.
            GoesOnFromASavepoint,
            /// A new leader found that a claimed savepoint had been replaced.
            ClaimedIsReplacedBefore,
            /// A claimed savepoint was deleted by the job that owns it.
            ClaimedIsDisposed,
            /// The output holds what was committed behind the savepoint, and the start was refused.
            OutputIsAhead,
            /// Output that was committed behind the savepoint was taken back.
            OutputIsTakenBack,
            /// A file that is written once was there already, with the same bytes.
            SameFileIsThere,
            /// A file that is written once was there already, with other bytes.
            OtherFileIsThere,
            /// A half-written temporary file was removed.
            TemporaryIsRemoved,
            /// A file to be removed was gone already.
            RemovedAlready,
            /// A directory could not be removed because something is in it.
            DirectoryIsNotEmpty,
            /// A file was gone between its listing and a look at it.
            ListedFileIsGone,
            /// Another job's savepoint was in the place of the same name.
            SavepointsPlaceIsTaken,
            /// A savepoint was exported that was there already.
            SavepointIsExportedAgain,
            /// What was written of a savepoint was removed, because the rest could not be.
            ExportIsUndone,
            /// A half-written export of an earlier leader was removed.
            UnfinishedExportIsRemoved,
            /// An orphan of an earlier leader was removed.
            OrphanIsRemoved,
            /// A shared file was swept that nobody was told of.
            SharedFileIsSwept,
        }
        "The file sink" {
            /// A transaction was found committed: somebody had renamed its file before.
            FileIsCommittedAlready,
            /// A file was renamed by somebody else between the look and the rename.
            FileIsCommittedMeanwhile,
            /// Neither the uncommitted nor the committed file is there.
            OutputIsLost,
            /// A file is longer or shorter than its transaction.
            FileHasAnotherLength,
            /// A file does not hold the bytes of its transaction.
            FileHoldsOtherBytes,
            /// A transaction of an earlier attempt stays, because the restored snapshot holds it.
            RestoredFileIsKept,
            /// A file of an earlier attempt was removed by somebody else meanwhile.
            LingeringIsGone,
        }
    }
}
