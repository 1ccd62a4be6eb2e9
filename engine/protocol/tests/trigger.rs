//! The trigger against a timeline with a clock, which the trigger itself does not have (B1-B12, N4).

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use seawall_protocol::config::{Alignment, CheckpointConfig, TriggerCombination};
use seawall_protocol::coordinator::{Answer, Delay, Effect, RequestId, Timer};
use seawall_protocol::event::{Event, SkipReason};
use seawall_protocol::limits::{CHECKPOINT_TIME_MIN, WAITING_REQUESTS_MAX};
use seawall_protocol::message::CheckpointKind;
use seawall_protocol::trigger::{Load, Rank, Trigger};

const SECOND: Duration = Duration::from_secs(1);

fn config(interval: u32, min_pause: u32, max_concurrent: u32) -> CheckpointConfig {
    CheckpointConfig {
        interval: Some(SECOND * interval),
        min_pause: SECOND * min_pause,
        max_concurrent,
        ..CheckpointConfig::default()
    }
}

fn pending(pending: usize) -> Load {
    Load { pending, cleaning: 0 }
}

/// A driver with a clock in seconds, and the rules written as checks over times.
#[expect(clippy::struct_excessive_bools, reason = "the reference keeps each fact apart")]
struct Timeline {
    trigger: Trigger,
    interval: u64,
    min_pause: u64,
    max_concurrent: usize,
    now: u64,
    armed: BTreeMap<Timer, u64>,
    is_running: bool,
    is_reserving: bool,
    pending: usize,
    is_final_wanted: bool,
    is_final_pending: bool,
    last_begin: Option<u64>,
    last_completion: Option<u64>,
    begins: usize,
}

impl Timeline {
    fn new(interval: u32, min_pause: u32, max_concurrent: u32) -> Self {
        Self {
            trigger: Trigger::new(&config(interval, min_pause, max_concurrent)),
            interval: interval.max(min_pause).into(),
            min_pause: min_pause.into(),
            max_concurrent: max_concurrent as usize,
            now: 0,
            armed: BTreeMap::new(),
            is_running: false,
            is_reserving: false,
            pending: 0,
            is_final_wanted: false,
            is_final_pending: false,
            last_begin: None,
            last_completion: None,
            begins: 0,
        }
    }

    fn apply(&mut self, call: impl FnOnce(&mut Trigger, Load, &mut Vec<Effect>)) {
        let mut effects = Vec::new();
        let load = self.load();
        call(&mut self.trigger, load, &mut effects);
        let begins = self.trigger.begin(load, &mut effects);
        for effect in effects {
            match effect {
                Effect::Arm(timer, Delay { least, most }) => {
                    assert!(least <= most, "{least:?}..{most:?}");
                    self.armed.insert(timer, self.now + least.as_secs());
                }
                Effect::Disarm(timer) => {
                    assert!(self.armed.remove(&timer).is_some(), "{timer:?} is not armed");
                }
                Effect::Note(_) => {}
                Effect::Persist { .. }
                | Effect::WriteManifest { .. }
                | Effect::ExportSavepoint(_)
                | Effect::DeleteCheckpoint(_)
                | Effect::DeleteShared(_)
                | Effect::SweepShared { .. }
                | Effect::Send { .. }
                | Effect::Disconnect { .. }
                | Effect::Answer { .. }
                | Effect::Stop(_) => panic!("{effect:?}"),
            }
        }
        if begins {
            self.on_begin();
        }
        assert!(!self.trigger.begin(self.load(), &mut Vec::new()), "began twice at once");
    }

    fn load(&self) -> Load {
        pending(self.pending)
    }

    fn on_begin(&mut self) {
        assert!(self.is_running, "B12");
        assert!(!self.is_reserving, "B1");
        assert!(self.pending < self.max_concurrent, "B2");
        assert!(!self.is_final_pending, "a second final checkpoint");
        if !self.is_final_wanted {
            let since = |at: Option<u64>| at.map_or(u64::MAX, |at| self.now - at);
            assert!(since(self.last_completion) >= self.min_pause, "B3");
            assert!(since(self.last_begin) >= self.interval, "B7");
        }
        self.is_reserving = true;
        self.last_begin = Some(self.now);
        self.begins += 1;
    }

    fn act(&mut self, action: u8) {
        match action {
            0 if !self.is_running => {
                self.is_running = true;
                self.last_begin = None;
                self.last_completion = None;
                self.apply(|it, _, effects| it.start(effects));
            }
            1 => {
                self.is_running = false;
                (self.is_reserving, self.pending) = (false, 0);
                (self.is_final_wanted, self.is_final_pending) = (false, false);
                self.apply(|it, _, effects| it.stop(SkipReason::CoordinatorSuspend, effects));
                assert!(self.armed.is_empty(), "a stopped trigger has no timer (B12)");
            }
            2..=6 if self.is_reserving => {
                self.is_reserving = false;
                self.pending += 1;
                let is_final = self.trigger.on_reserved().map(|it| it.is_final());
                assert_eq!(is_final, Some(self.is_final_wanted && !self.is_final_pending));
                self.is_final_pending = self.is_final_wanted;
                self.apply(|_, _, _| {});
            }
            7..=9 if self.pending > 0 && !self.is_final_pending => {
                self.pending -= 1;
                self.last_completion = Some(self.now);
                self.apply(|it, _, effects| it.on_completed(effects));
            }
            10 if self.pending > 0 => {
                self.pending -= 1;
                if std::mem::take(&mut self.is_final_pending) {
                    self.apply(|it, _, effects| it.on_final_aborted(effects));
                } else {
                    self.apply(|_, _, _| {});
                }
            }
            11 if self.is_running => {
                self.is_final_wanted = true;
                self.apply(|it, _, effects| it.request_final(effects));
            }
            _ => self.wait(),
        }
    }

    /// One second passes; every due timer fires.
    fn wait(&mut self) {
        self.now += 1;
        while let Some((timer, _)) = self.armed.iter().find(|(_, at)| **at <= self.now) {
            let timer = *timer;
            self.armed.remove(&timer);
            self.apply(|it, load, effects| {
                if timer == Timer::Trigger {
                    it.on_trigger_timer(load, effects);
                } else {
                    assert_eq!(timer, Timer::MinPause);
                    it.on_pause_timer(effects);
                }
            });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // Rules: B1, B2, B3, B7, B12
    #[test]
    fn triggers_keep_interval_pause_and_concurrency_in_every_history(
        interval in 1..6_u32,
        min_pause in 0..6_u32,
        max_concurrent in 1..4_u32,
        actions in prop::collection::vec(0..24_u8, 0..300),
    ) {
        let mut timeline = Timeline::new(interval, min_pause, max_concurrent);
        for action in actions {
            timeline.act(action);
        }
        // Liveness: when nothing is in the way, a checkpoint begins.
        timeline.act(1);
        timeline.act(0);
        let before = timeline.begins;
        for _ in 0..=interval.max(min_pause) {
            timeline.wait();
        }
        prop_assert!(timeline.begins > before);
    }

    // Rules: B12
    #[test]
    fn a_timer_of_a_stopped_trigger_means_nothing(fires in prop::collection::vec(any::<bool>(), 1..10)) {
        let mut trigger = Trigger::new(&config(1, 1, 1));
        let (before, mut effects) = (trigger.clone(), Vec::new());
        for is_pause in fires {
            if is_pause {
                trigger.on_pause_timer(&mut effects);
            } else {
                trigger.on_trigger_timer(pending(0), &mut effects);
            }
            prop_assert!(!trigger.begin(pending(0), &mut effects));
        }
        prop_assert_eq!(before, trigger);
        let are_all_stale =
            effects.iter().all(|it| matches!(it, Effect::Note(Event::StaleInput { .. })));
        prop_assert!(are_all_stale);
    }
}

// Rules: B6
#[test]
fn the_first_delay_is_between_pause_and_interval() {
    let mut effects = Vec::new();
    Trigger::new(&config(5, 2, 1)).start(&mut effects);
    let delay = Delay { least: SECOND * 2, most: SECOND * 5 };
    assert_eq!(effects, [Effect::Arm(Timer::Trigger, delay)]);
}

// Rules: B2
#[test]
fn a_trigger_that_finds_too_many_pending_begins_as_soon_as_there_is_room() {
    let (mut trigger, mut effects) = (Trigger::new(&config(5, 0, 1)), Vec::new());
    trigger.start(&mut effects);
    effects.clear();
    trigger.on_trigger_timer(pending(1), &mut effects);
    let reason = SkipReason::TooManyPending;
    assert_eq!(effects, [Effect::Note(Event::TriggerSkipped { reason })]);
    assert!(!trigger.begin(pending(1), &mut effects));
    assert!(trigger.begin(pending(0), &mut effects));
}

// Rules: N4
#[test]
fn the_final_checkpoint_waits_for_no_pause() {
    let (mut trigger, mut effects) = (Trigger::new(&config(5, 5, 1)), Vec::new());
    trigger.start(&mut effects);
    trigger.on_completed(&mut effects);
    trigger.request_final(&mut effects);
    assert!(!trigger.begin(pending(1), &mut effects), "but it respects what is pending");
    assert!(trigger.begin(pending(0), &mut effects));
    assert!(trigger.on_reserved().is_some_and(|it| it.is_final()));
}

// Rules: B9, B12
#[test]
fn an_id_that_is_reserved_after_the_attempt_failed_starts_nothing() {
    let (mut trigger, mut effects) = (Trigger::new(&config(1, 0, 1)), Vec::new());
    trigger.start(&mut effects);
    trigger.on_trigger_timer(pending(0), &mut effects);
    assert!(trigger.begin(pending(0), &mut effects));
    trigger.stop(SkipReason::CoordinatorSuspend, &mut effects);
    assert_eq!(trigger.on_reserved(), None);
}

fn requested(trigger: &mut Trigger, kind: CheckpointKind, id: u64) -> Vec<Effect> {
    let mut effects = Vec::new();
    trigger.request(kind, RequestId(id), &mut effects);
    effects
}

fn refused(id: u64, reason: SkipReason) -> [Effect; 2] {
    let answer = Answer::Refused(reason.to_string());
    [Effect::Note(Event::TriggerSkipped { reason }), Effect::Answer { id: RequestId(id), answer }]
}

fn started(config: &CheckpointConfig) -> Trigger {
    let mut trigger = Trigger::new(config);
    trigger.start(&mut Vec::new());
    trigger
}

/// Begins the next checkpoint, reserves its id, and says whose it is.
fn next(trigger: &mut Trigger, load: Load) -> Option<(Rank, Option<u64>)> {
    let begins = trigger.begin(load, &mut Vec::new());
    begins.then(|| {
        let wanted = trigger.on_reserved().expect("it began");
        (wanted.rank, wanted.request.map(|it| it.0))
    })
}

// Rules: B4, N7
#[test]
fn savepoints_go_first_then_the_final_one_then_manual_ones_then_the_automatic_one_and_the_oldest() {
    let mut trigger = started(&config(5, 0, 8));
    trigger.on_trigger_timer(pending(8), &mut Vec::new());
    for (kind, id) in [
        (CheckpointKind::Checkpoint, 1),
        (CheckpointKind::Savepoint, 2),
        (CheckpointKind::Checkpoint, 3),
        (CheckpointKind::StopWithSavepoint { drain: true }, 4),
        (CheckpointKind::Savepoint, 5),
    ] {
        assert_eq!(requested(&mut trigger, kind, id), []);
    }
    let mut order = Vec::new();
    while let Some(begun) = next(&mut trigger, Load::default()) {
        order.push(begun);
        if begun.1 == Some(4) {
            assert_eq!(next(&mut trigger, Load::default()), None, "nothing begins behind a stop");
            trigger.on_stop_aborted();
        }
    }
    let expected = [
        (Rank::Savepoint, Some(2)),
        (Rank::Savepoint, Some(4)),
        (Rank::Savepoint, Some(5)),
        (Rank::Manual, Some(1)),
        (Rank::Manual, Some(3)),
        (Rank::Periodic, None),
    ];
    assert_eq!(order, expected);

    requested(&mut trigger, CheckpointKind::Checkpoint, 6);
    trigger.request_final(&mut Vec::new());
    requested(&mut trigger, CheckpointKind::Savepoint, 7);
    assert_eq!(next(&mut trigger, Load::default()), Some((Rank::Savepoint, Some(7))));
    assert_eq!(next(&mut trigger, Load::default()), Some((Rank::Final, None)));
    assert_eq!(next(&mut trigger, Load::default()), None, "nothing follows the final one");
}

// Rules: B4
#[test]
fn a_full_queue_drops_the_automatic_one_and_refuses_a_newcomer_when_only_persons_wait() {
    let mut trigger = started(&config(5, 0, 1));
    trigger.on_trigger_timer(pending(1), &mut Vec::new());
    let max = WAITING_REQUESTS_MAX as u64;
    for id in 1..max {
        assert_eq!(requested(&mut trigger, CheckpointKind::Checkpoint, id), []);
    }
    // The automatic one loses its place, and comes again after another interval.
    let reason = SkipReason::TooManyRequests;
    assert_eq!(
        requested(&mut trigger, CheckpointKind::Checkpoint, max),
        [
            Effect::Note(Event::TriggerSkipped { reason }),
            Effect::Arm(Timer::Trigger, Delay::exactly(SECOND * 5)),
        ]
    );
    assert_eq!(
        requested(&mut trigger, CheckpointKind::Savepoint, max + 1),
        refused(max + 1, reason),
        "even a savepoint, as only persons wait"
    );
    let mut effects = Vec::new();
    trigger.on_trigger_timer(pending(1), &mut effects);
    assert_eq!(effects.len(), 3, "skipped for what is pending, dropped, and armed again");
    // The engine's own last checkpoint always has a place.
    effects.clear();
    trigger.request_final(&mut effects);
    assert_eq!(effects[1..], refused(max, reason));
    assert_eq!(next(&mut trigger, Load::default()), Some((Rank::Final, None)));
}

// Rules: B2, E10
#[test]
fn a_savepoint_waits_for_no_other_checkpoint_unless_barriers_may_overtake() {
    for (alignment, begins) in [
        (Alignment::Aligned, true),
        (Alignment::Unaligned, false),
        (Alignment::AlignedFor(SECOND), false),
    ] {
        let config = CheckpointConfig { alignment, ..config(5, 5, 1) };
        let mut trigger = started(&config);
        requested(&mut trigger, CheckpointKind::Checkpoint, 1);
        assert!(!trigger.begin(pending(1), &mut Vec::new()), "B2");
        requested(&mut trigger, CheckpointKind::Savepoint, 2);
        assert_eq!(trigger.begin(pending(1), &mut Vec::new()), begins, "{alignment:?}");
    }
}

// Rules: B2, E10, B8
#[test]
fn checkpoints_whose_barriers_may_overtake_are_taken_one_at_a_time() {
    let config = CheckpointConfig { alignment: Alignment::Unaligned, ..config(5, 0, 4) };
    let mut trigger = started(&config);
    requested(&mut trigger, CheckpointKind::Checkpoint, 1);
    assert!(!trigger.begin(pending(1), &mut Vec::new()));
    assert!(trigger.begin(pending(0), &mut Vec::new()));
}

// Rules: B3
#[test]
fn the_pause_holds_back_the_automatic_checkpoint_and_no_other() {
    let mut trigger = started(&config(5, 5, 1));
    trigger.on_completed(&mut Vec::new());
    let mut effects = Vec::new();
    trigger.on_trigger_timer(pending(0), &mut effects);
    let reason = SkipReason::MinimumTimeBetweenCheckpoints;
    assert_eq!(effects, [Effect::Note(Event::TriggerSkipped { reason })]);
    assert!(!trigger.begin(pending(0), &mut effects));
    requested(&mut trigger, CheckpointKind::Checkpoint, 1);
    assert_eq!(next(&mut trigger, Load::default()), Some((Rank::Manual, Some(1))));
    trigger.on_pause_timer(&mut effects);
    assert_eq!(next(&mut trigger, Load::default()), Some((Rank::Periodic, None)));
}

// Rules: B5
#[test]
fn nothing_begins_while_more_checkpoints_are_being_deleted_than_may_be_pending() {
    let mut trigger = started(&config(5, 0, 2));
    requested(&mut trigger, CheckpointKind::Savepoint, 1);
    assert!(!trigger.begin(Load { pending: 0, cleaning: 3 }, &mut Vec::new()));
    assert!(trigger.begin(Load { pending: 0, cleaning: 2 }, &mut Vec::new()));
}

// Rules: B1
#[test]
fn nothing_begins_while_an_id_is_being_reserved() {
    let mut trigger = started(&config(5, 0, 8));
    requested(&mut trigger, CheckpointKind::Savepoint, 1);
    requested(&mut trigger, CheckpointKind::Savepoint, 2);
    assert!(trigger.begin(Load::default(), &mut Vec::new()));
    assert!(!trigger.begin(Load::default(), &mut Vec::new()));
    assert!(trigger.on_reserved().is_some());
    assert!(trigger.begin(Load::default(), &mut Vec::new()));
}

// Rules: B9, B12
#[test]
fn a_request_without_a_running_attempt_is_refused_and_so_is_one_that_outlives_it() {
    let mut trigger = Trigger::new(&config(5, 0, 1));
    let reason = SkipReason::NotAllRequiredTasksRunning;
    assert_eq!(requested(&mut trigger, CheckpointKind::Checkpoint, 1), refused(1, reason));
    trigger.start(&mut Vec::new());
    requested(&mut trigger, CheckpointKind::Checkpoint, 2);
    assert!(trigger.begin(Load::default(), &mut Vec::new()));
    requested(&mut trigger, CheckpointKind::Savepoint, 3);
    let mut effects = Vec::new();
    let reason = SkipReason::CoordinatorSuspend;
    trigger.stop(reason, &mut effects);
    let mut expected = vec![Effect::Disarm(Timer::Trigger)];
    expected.extend(refused(2, reason).into_iter().chain(refused(3, reason)));
    assert_eq!(effects, expected);
}

fn counting(records: u64, dirty_bytes: u64, combination: TriggerCombination) -> CheckpointConfig {
    CheckpointConfig {
        every_records: Some(records),
        every_dirty_bytes: Some(dirty_bytes),
        combination,
        ..config(5, 0, 8)
    }
}

fn progress(trigger: &mut Trigger, records: u64, dirty_bytes: u64) -> bool {
    trigger.on_progress(records, dirty_bytes, Load::default(), &mut Vec::new());
    next(trigger, Load::default()).is_some()
}

#[test]
fn any_condition_triggers_and_all_are_counted_from_there() {
    let mut trigger = started(&counting(10, 100, TriggerCombination::Any));
    assert!(!progress(&mut trigger, 9, 99));
    assert!(progress(&mut trigger, 1, 0), "records");
    assert!(!progress(&mut trigger, 9, 99), "both were forgotten");
    assert!(progress(&mut trigger, 0, 1), "bytes");
    trigger.on_trigger_timer(Load::default(), &mut Vec::new());
    assert!(next(&mut trigger, Load::default()).is_some(), "time");
}

#[test]
fn all_conditions_together_trigger_whichever_comes_last() {
    let mut trigger = started(&counting(10, 100, TriggerCombination::All));
    assert!(!progress(&mut trigger, 10, 100));
    trigger.on_trigger_timer(Load::default(), &mut Vec::new());
    assert!(next(&mut trigger, Load::default()).is_some(), "time came last");
    trigger.on_trigger_timer(Load::default(), &mut Vec::new());
    assert!(!progress(&mut trigger, 10, 99));
    assert!(progress(&mut trigger, 0, 1), "bytes came last");
}

#[test]
fn records_alone_need_no_interval() {
    let config = CheckpointConfig {
        interval: None,
        every_dirty_bytes: None,
        ..counting(3, 1, TriggerCombination::All)
    };
    let mut effects = Vec::new();
    let mut trigger = Trigger::new(&config);
    trigger.start(&mut effects);
    assert_eq!(effects, []);
    assert!(!progress(&mut trigger, 2, 0));
    assert!(progress(&mut trigger, 1, 0));
    let none = CheckpointConfig { every_records: None, ..config };
    let mut trigger = started(&none);
    assert!(!progress(&mut trigger, 1000, 1000), "without a condition all of them are not met");
}

#[test]
fn a_manual_checkpoint_begins_the_count_anew_and_a_savepoint_does_not() {
    let mut trigger = started(&counting(10, 100, TriggerCombination::Any));
    assert!(!progress(&mut trigger, 9, 0));
    requested(&mut trigger, CheckpointKind::Checkpoint, 1);
    assert!(progress(&mut trigger, 0, 0), "the manual one");
    assert!(!progress(&mut trigger, 9, 0));
    requested(&mut trigger, CheckpointKind::Savepoint, 2);
    assert!(progress(&mut trigger, 0, 0), "the savepoint");
    assert!(progress(&mut trigger, 1, 0), "the tenth");
}

// Rules: B7
#[test]
fn while_a_source_is_behind_the_longer_interval_holds_and_after_it_the_shorter_at_once() {
    let config = CheckpointConfig { interval_during_backlog: Some(SECOND * 60), ..config(5, 0, 1) };
    let mut trigger = started(&config);
    let mut effects = Vec::new();
    trigger.on_behind(true, &mut effects);
    assert_eq!(effects, [], "what is armed comes no later");
    trigger.on_trigger_timer(Load::default(), &mut effects);
    assert!(trigger.begin(Load::default(), &mut effects));
    assert_eq!(effects, [Effect::Arm(Timer::Trigger, Delay::exactly(SECOND * 60))]);
    effects.clear();
    for is_behind in [false, true, false] {
        trigger.on_behind(is_behind, &mut effects);
    }
    // Once: going back and forth never puts a checkpoint off for ever.
    assert_eq!(effects, [Effect::Arm(Timer::Trigger, Delay::exactly(SECOND * 5))]);
}

// Rules: B7
#[test]
fn an_interval_of_zero_during_backlog_is_none_at_all() {
    let config =
        CheckpointConfig { interval_during_backlog: Some(Duration::ZERO), ..config(5, 0, 1) };
    let mut trigger = started(&config);
    let mut effects = Vec::new();
    trigger.on_behind(true, &mut effects);
    trigger.on_trigger_timer(Load::default(), &mut effects);
    assert!(trigger.begin(Load::default(), &mut effects));
    assert_eq!(effects, []);
    trigger.on_behind(false, &mut effects);
    assert_eq!(effects, [Effect::Arm(Timer::Trigger, Delay::exactly(SECOND * 5))]);
}

// Rules: B7, B8
#[test]
fn the_interval_is_never_below_the_pause_nor_below_what_makes_sense() {
    let arms = |interval: Duration, min_pause: Duration| {
        let config = CheckpointConfig { interval: Some(interval), min_pause, ..config(5, 0, 1) };
        let mut effects = Vec::new();
        Trigger::new(&config).start(&mut effects);
        effects
    };
    let armed = |least, most| [Effect::Arm(Timer::Trigger, Delay { least, most })];
    assert_eq!(arms(SECOND, SECOND * 3), armed(SECOND * 3, SECOND * 3));
    assert_eq!(arms(Duration::ZERO, Duration::ZERO), armed(Duration::ZERO, CHECKPOINT_TIME_MIN));
}
