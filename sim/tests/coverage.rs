//! What runs reach, and what buggify does to them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use seawall_probe::Probe::{self, *};
use seawall_probe::Site;
use seawall_sim::coverage::{Coverage, Phase};
use seawall_sim::run::run;
use seawall_sim::scenario::Scenario;
use seawall_sim::sweep;
use seawall_sim::verdict::{Result as Outcome, Verdict};

fn scenario(name: &str) -> Scenario {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let path = directory.join(format!("{name}.toml"));
    Scenario::load(&path).unwrap_or_else(|error| panic!("{error}"))
}

fn buggified(name: &str) -> Scenario {
    Scenario { is_buggified: true, ..scenario(name) }
}

fn all(work: &[(Scenario, u64)]) -> Vec<Verdict> {
    sweep::in_parallel(work, sweep::default_jobs(), |(it, seed)| run(it, *seed))
}

/// What a scenario is about, by the rare branches that its first seed must reach.
const REACHED: [(&str, &[Probe]); 20] = [
    (
        "time/others-end-beside-an-idle-source",
        &[
            ChannelComesBackBehind,
            EverythingIsIdle,
            EndBesideIdleOnes,
            WatermarkIsReplaced,
            RestoredTimeIsSaid,
            RestoredAsFinished,
        ],
    ),
    (
        "time/barriers-overtake-watermarks",
        &[RestoredTimeIsSaid, TimePassesUncounted, InFlightDataIsReplayed, OutputIsRestored],
    ),
    (
        "disk-backend/incremental-disk-errors",
        &[
            SnapshotOfAbortedIsDurable,
            SnapshotCannotBeWritten,
            AbortWhileWriting,
            TransactionRidesWithALaterOne,
            FailureIsTolerated,
            SuccessAfterFailures,
            EarlierLeaderLeftACheckpoint,
            WorkersConnectionBreaks,
            WorkerReplacesItself,
            IdleWorkerIsLost,
            BusyWorkerIsLost,
            DeclineForAFailure,
            LitterIsSwept,
            RestartWaitsForSlots,
            ReadyWhileCancelling,
            FailureWhileDeploying,
            FailureWhileCancelling,
            DelayGrows,
            WaitsForPending,
            FilesAreUnused,
            FileIsUsedAgain,
            StaleCancel,
            ChannelBreaksWhileAwaitingCredit,
            SendOnABrokenChannel,
            ManifestIsUnreadable,
            UnfinishedIsTold,
            ChainIsRestored,
            ChainIsWorn,
            DirectoryIsNotEmpty,
            OrphanIsRemoved,
            SharedFileIsSwept,
        ],
    ),
    (
        "unaligned/late-barrier-of-a-declined-checkpoint",
        &[
            WordOfOldBarrier,
            AbortEndsCapture,
            BarrierLeftBehind,
            UnsealedSnapshotDiscarded,
            RestoredTransactions,
            OldestGivenUpIsForgotten,
            CheckpointExpires,
            CapturedAsItIsTaken,
            InFlightDataIsDiscarded,
            LingeringIsRemoved,
            WriterIsGivenUp,
            FileIsCommittedAlready,
        ],
    ),
    (
        "unaligned/with-state-on-disk",
        &[
            TriggerWithOpenChannels,
            CloseEndsCapture,
            CompletionOfCutBeforeTheEnd,
            TriggeredWithoutTheFinished,
            FinishesWhileOthersGoOn,
            TriggeredDirectly,
            CaptureFindsTheEnd,
            InFlightDataIsRestored,
            OutputIsRestored,
            InFlightDataIsReplayed,
            CheckpointDuringReplay,
        ],
    ),
    (
        "savepoint/savepoint-during-failover",
        &[
            SavepointFailureIsNotCounted,
            AskedCheckpointIsAborted,
            SavepointIsWhole,
            CoverIsAskedFor,
            RequestWhileNothingRuns,
            CoverIsComing,
            SendToAGoneReceiver,
            ChannelEndsWithoutClose,
            StartsFromASavepoint,
            OutputIsTakenBack,
        ],
    ),
    (
        "unaligned/timeout-in-the-output",
        &[OvertakingJoinsTimed, TimeoutInTheOutput, TimeoutAtTheInput],
    ),
    (
        "trigger/tolerated-aborts",
        &[
            CancelMarkerRepeated,
            CancelMarkerAheadOfBarrier,
            AbortAheadOfBarrier,
            BarrierOfCancelled,
            CancelMarkerInBarriersPlace,
            SnapshotWhileAnotherIsWritten,
            TemporaryIsRemoved,
        ],
    ),
    (
        "savepoint/a-stop-that-expires",
        &[
            FinishWaitsForSnapshot,
            StopCompletesBeforeTheEnd,
            StopPausesTheSource,
            SeveralRestoredTransactions,
            StopIsPublished,
        ],
    ),
    (
        "trigger/retained-checkpoints-grow-old",
        &[
            RetainedIsTooOld,
            NewestIsTooOld,
            AgedLeaveWithTheNext,
            LeaderFindsSeveralCheckpoints,
            CheckpointIsDiscarded,
            ReportWithoutALeader,
        ],
    ),
    (
        "savepoint/a-claimed-savepoint",
        &[GoesOnFromASavepoint, ClaimedIsReplacedBefore, ClaimedIsDisposed],
    ),
    (
        "savepoint/stop-is-handed-out-then-the-coordinator-dies",
        &[RestoredOnlyToStop, LeaderFindsAStop, SameFileIsThere, SavepointIsExportedAgain],
    ),
    (
        "disk/commit-fails-for-good",
        &[CommitIsTriedAgain, CommitTriesAreExhausted, SinkCannotCommit],
    ),
    ("trigger/all-conditions", &[RecordsMakeItDue, SomeConditionsAreMet]),
    (
        "trigger/every-so-many-dirty-bytes",
        &[
            RestoredAtItsEnd,
            WriteWaitsForAWrite,
            IdIsReservedForNothing,
            FailureWhileFinishing,
            BytesMakeItDue,
            ProgressIsDropped,
        ],
    ),
    (
        "savepoint/drain-while-a-worker-dies",
        &[DrainEndsTheInput, DrainedAttemptFails, WaitsForAStop],
    ),
    (
        "network/coordinator-unreachable-longer-than-heartbeat-timeout",
        &[WorkerIsSilent, LeaderIsSilent, ConnectingTakesTooLong],
    ),
    (
        "disk/full-while-writing-the-record",
        &[
            CheckpointInDoubt,
            RetractionInDoubt,
            RecordIsWrittenAgain,
            CheckpointIsRetracted,
            FilesStayInDoubt,
        ],
    ),
    ("disk/error-while-writing-the-manifest", &[ManifestCannotBeWritten]),
    (
        "trigger/cancel-and-retain",
        &[
            CancelledAttemptStops,
            CancelStopsAnAttempt,
            CancelKeepsCheckpoints,
            RequestEndsWithTheJob,
        ],
    ),
];

#[test]
fn each_scenario_reaches_the_branches_that_it_is_about() {
    let work: Vec<_> = REACHED.iter().map(|(name, _)| (scenario(name), 1)).collect();
    for (verdict, (name, probes)) in all(&work).iter().zip(REACHED) {
        let reached = &verdict.coverage.probes;
        let missed: Vec<_> = probes.iter().filter(|it| !reached.contains_key(it)).collect();
        assert!(missed.is_empty(), "{name} no longer reaches {missed:?}");
    }
}

#[test]
fn a_run_without_faults_reaches_next_to_nothing() {
    let coverage = run(&scenario("smoke/no-faults"), 1).coverage;
    assert!(coverage.probes.len() <= 3, "no rare branches: {:?}", coverage.probes);
    assert!(coverage.cells.is_empty());
}

#[test]
fn a_fault_counts_in_the_phase_in_which_it_begins() {
    let work = [
        ("crash/worker-during-restore", Phase::Restoring),
        ("crash/coordinator-between-manifest-and-record", Phase::Record),
        ("crash/worker-during-commit", Phase::Commits),
        ("crash/worker-after-ack-before-completion", Phase::Snapshots),
    ];
    let runs: Vec<_> = work.iter().map(|(name, _)| (scenario(name), 1)).collect();
    for (verdict, (name, phase)) in all(&runs).iter().zip(work) {
        let cells = &verdict.coverage.cells;
        assert!(cells.contains_key(&("crash".to_owned(), phase)), "{name}: {cells:?}");
    }
}

fn fired(verdict: &Verdict) -> BTreeSet<Site> {
    verdict.coverage.sites.keys().copied().collect()
}

#[test]
fn buggify_is_off_unless_a_scenario_asks_for_it() {
    let calm = scenario("smoke/worker-crash");
    assert!(!calm.is_buggified);
    let text = calm.text.replacen("seeds", "buggify = true\nseeds", 1);
    assert!(Scenario::parse("smoke/worker-crash", &text).unwrap().is_buggified);
    let (calm, wild) = (run(&calm, 1), run(&buggified("smoke/worker-crash"), 1));
    assert_eq!(fired(&calm), BTreeSet::new());
    assert_ne!(fired(&wild), BTreeSet::new());
    assert_ne!(calm.trace.digest(), wild.trace.digest(), "it changes the run");
}

#[test]
fn the_same_seed_fires_the_same_sites_as_often() {
    let runs = [(buggified("smoke/worker-crash"), 3), (buggified("smoke/worker-crash"), 3)];
    let verdicts = all(&runs);
    assert_eq!(verdicts[0].coverage, verdicts[1].coverage);
    assert_eq!(verdicts[0].trace.digest(), verdicts[1].trace.digest());
}

#[test]
fn which_sites_are_active_depends_on_the_seed() {
    let work: Vec<_> = (1..=12).map(|seed| (buggified("smoke/worker-crash"), seed)).collect();
    let by_seed: Vec<_> = all(&work).iter().map(fired).collect();
    let different: BTreeSet<_> = by_seed.iter().collect();
    assert_eq!(different.len(), by_seed.len(), "each seed has its own sites");
    let most = by_seed.iter().map(BTreeSet::len).max().unwrap_or_default();
    assert!(most < Site::ALL.len() / 2, "about a quarter is active, not {most}");
}

#[test]
fn every_site_fires_in_some_seed_and_every_property_holds_all_the_same() {
    let scenarios = [
        ("smoke/worker-crash", 1..=24),
        ("savepoint/stop-and-go-on", 1..=8),
        ("unaligned/timeout-at-the-input", 1..=8),
        ("disk/full-while-writing-the-record", 1..=8),
    ];
    let mut work = Vec::new();
    for (name, seeds) in scenarios {
        work.extend(seeds.map(|seed| (buggified(name), seed)));
    }
    let mut coverage = Coverage::default();
    for (verdict, (scenario, seed)) in all(&work).iter().zip(&work) {
        let name = &scenario.name;
        assert_eq!(verdict.result, Outcome::Holds, "{name} seed {seed}");
        coverage.merge(&verdict.coverage);
    }
    let dark: Vec<_> = coverage.dark_sites().collect();
    assert!(dark.is_empty(), "no seed fired {dark:?}");
}
