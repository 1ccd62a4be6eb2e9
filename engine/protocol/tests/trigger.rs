//! The trigger against a timeline with a clock, which the trigger itself does not have (B1-B12, N4).

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use seawall_protocol::config::CheckpointConfig;
use seawall_protocol::coordinator::{Delay, Effect, Timer};
use seawall_protocol::event::{Event, SkipReason};
use seawall_protocol::trigger::Trigger;

const SECOND: Duration = Duration::from_secs(1);

fn config(interval: u32, min_pause: u32, max_concurrent: u32) -> CheckpointConfig {
    CheckpointConfig {
        interval: Some(SECOND * interval),
        min_pause: SECOND * min_pause,
        max_concurrent,
        ..CheckpointConfig::default()
    }
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

    fn apply(&mut self, call: impl FnOnce(&mut Trigger, usize, &mut Vec<Effect>)) {
        let mut effects = Vec::new();
        call(&mut self.trigger, self.pending, &mut effects);
        let begins = self.trigger.begin(self.pending, &mut effects);
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
                | Effect::DeleteCheckpoint(_)
                | Effect::Send { .. }
                | Effect::Disconnect { .. }
                | Effect::Answer { .. }
                | Effect::Stop(_) => panic!("{effect:?}"),
            }
        }
        if begins {
            self.on_begin();
        }
        assert!(!self.trigger.begin(self.pending, &mut Vec::new()), "began twice at once");
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
                self.apply(|it, _, effects| it.stop(effects));
                assert!(self.armed.is_empty(), "a stopped trigger has no timer (B12)");
            }
            2..=6 if self.is_reserving => {
                self.is_reserving = false;
                self.pending += 1;
                let is_final = self.trigger.on_reserved();
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
                    self.apply(|it, _, _| it.on_final_aborted());
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
            self.apply(|it, pending, effects| {
                if timer == Timer::Trigger {
                    it.on_trigger_timer(pending, effects);
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

    #[test]
    fn a_timer_of_a_stopped_trigger_means_nothing(fires in prop::collection::vec(any::<bool>(), 1..10)) {
        let mut trigger = Trigger::new(&config(1, 1, 1));
        let (before, mut effects) = (trigger.clone(), Vec::new());
        for is_pause in fires {
            if is_pause {
                trigger.on_pause_timer(&mut effects);
            } else {
                trigger.on_trigger_timer(0, &mut effects);
            }
            prop_assert!(!trigger.begin(0, &mut effects));
        }
        prop_assert_eq!(before, trigger);
        let are_all_stale =
            effects.iter().all(|it| matches!(it, Effect::Note(Event::StaleInput { .. })));
        prop_assert!(are_all_stale);
    }
}

#[test]
fn the_first_delay_is_between_pause_and_interval() {
    let mut effects = Vec::new();
    Trigger::new(&config(5, 2, 1)).start(&mut effects);
    let delay = Delay { least: SECOND * 2, most: SECOND * 5 };
    assert_eq!(effects, [Effect::Arm(Timer::Trigger, delay)]);
}

#[test]
fn a_trigger_that_finds_too_many_pending_begins_as_soon_as_there_is_room() {
    let (mut trigger, mut effects) = (Trigger::new(&config(5, 0, 1)), Vec::new());
    trigger.start(&mut effects);
    effects.clear();
    trigger.on_trigger_timer(1, &mut effects);
    let reason = SkipReason::TooManyPending;
    assert_eq!(effects, [Effect::Note(Event::TriggerSkipped { reason })]);
    assert!(!trigger.begin(1, &mut effects));
    assert!(trigger.begin(0, &mut effects));
}

#[test]
fn the_final_checkpoint_waits_for_no_pause() {
    let (mut trigger, mut effects) = (Trigger::new(&config(5, 5, 1)), Vec::new());
    trigger.start(&mut effects);
    trigger.on_completed(&mut effects);
    trigger.request_final(&mut effects);
    assert!(!trigger.begin(1, &mut effects), "but it respects what is pending");
    assert!(trigger.begin(0, &mut effects));
    assert_eq!(trigger.on_reserved(), Some(true));
}

#[test]
fn an_id_that_is_reserved_after_the_attempt_failed_starts_nothing() {
    let (mut trigger, mut effects) = (Trigger::new(&config(1, 0, 1)), Vec::new());
    trigger.start(&mut effects);
    trigger.on_trigger_timer(0, &mut effects);
    assert!(trigger.begin(0, &mut effects));
    trigger.stop(&mut effects);
    assert_eq!(trigger.on_reserved(), None);
}
