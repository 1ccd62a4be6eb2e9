//! Timers against a plain set of (time, key): what fires, when, in which order, and what a restore keeps.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use seawall_protocol::CheckpointId;
use seawall_protocol::config::StateBackend;
use seawall_stream::keyed_state::Expiring;
use seawall_stream::state::{SnapshotRequest, encode_all};
use seawall_stream::testing::{Harness, Snapshot};
use seawall_stream::timers::Context;
use seawall_stream::{Collect, EventTime, Progress, TimedProcess};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Order {
    Set(i64),
    Cancel(i64),
    /// Sets the state of the key and no timer.
    Keep(u64),
    /// Removes it.
    Forget,
    /// Sets the state, and lets it go at this time.
    KeepUntil(i64),
}

type Fired = (EventTime, u64);

/// Does as it is told. A timer at a multiple of 100 sets another one, 7 later.
#[derive(Clone)]
struct Obedient;

impl TimedProcess for Obedient {
    type Key = u64;
    type In = (u64, Order);
    type State = u64;
    type Out = Fired;

    fn on_record(
        &mut self,
        (_, order): (u64, Order),
        state: &mut Option<u64>,
        context: &mut Context<'_, u64>,
        _: &mut impl Collect<Fired>,
    ) {
        match order {
            Order::Set(at) => context.timer(EventTime(at)),
            Order::Cancel(at) => context.cancel_timer(EventTime(at)),
            Order::Keep(value) => *state = Some(value),
            Order::Forget => *state = None,
            Order::KeepUntil(at) => {
                *state = Some(0);
                context.keep_until(EventTime(at));
            }
        }
    }

    fn on_timer(
        &mut self,
        at: EventTime,
        _: &mut Option<u64>,
        context: &mut Context<'_, u64>,
        out: &mut impl Collect<Fired>,
    ) {
        assert!(at <= context.watermark(), "{at} came before its time");
        if at.0 % 100 == 0 {
            context.timer(EventTime(at.0 + 7));
        }
        out.push((at, *context.key()));
    }
}

type Obeying = Harness<(u64, Order), Vec<Fired>>;

fn harness(state: StateBackend) -> Obeying {
    Obeying::with_state(state, |orders| orders.key_by(|it| it.0).process_timed("timed", Obedient))
}

const DISK: StateBackend = StateBackend::Disk { cache_bytes: 0 };

fn heap() -> Obeying {
    harness(StateBackend::Heap)
}

fn fired(times: impl IntoIterator<Item = (i64, u64)>) -> Vec<Fired> {
    times.into_iter().map(|(at, key)| (EventTime(at), key)).collect()
}

// Rules: L2
#[test]
fn timers_fire_in_the_order_of_time_and_key_once_the_watermark_has_come_to_them() {
    let mut harness = heap();
    harness.push([(2, Order::Set(5)), (1, Order::Set(5)), (3, Order::Set(4)), (1, Order::Set(6))]);
    assert_eq!(harness.take(), []);
    harness.watermark(EventTime(3));
    assert_eq!(harness.take(), []);
    harness.watermark(EventTime(5));
    assert_eq!(harness.take(), fired([(4, 3), (5, 1), (5, 2)]));
    harness.end();
    assert_eq!(harness.take(), fired([(6, 1)]));
}

// Rules: L1
#[test]
fn a_timer_that_is_set_twice_fires_once_and_one_that_is_cancelled_never() {
    let mut harness = heap();
    let set = Order::Set(5);
    harness.push([(1, set), (1, set), (2, set), (2, Order::Cancel(5)), (3, Order::Cancel(5))]);
    harness.end();
    assert_eq!(harness.take(), fired([(5, 1)]));
}

#[test]
fn a_timer_of_the_past_fires_with_the_next_watermark_and_within_a_timer_at_once() {
    let mut harness = heap();
    harness.watermark(EventTime(1_000));
    harness.push([(1, Order::Set(100))]);
    assert_eq!(harness.take(), []);
    harness.watermark(EventTime(1_001));
    assert_eq!(harness.take(), fired([(100, 1), (107, 1)]));
}

#[test]
fn a_key_with_neither_state_nor_timers_leaves_no_trace() {
    let mut harness = heap();
    let empty = harness.snapshot();
    harness.push([(1, Order::Cancel(4)), (2, Order::Keep(7)), (3, Order::Set(5))]);
    assert_ne!(harness.snapshot(), empty);
    harness.push([(2, Order::Forget)]);
    harness.push([(3, Order::Cancel(5))]);
    assert_eq!(harness.snapshot(), empty);
}

// Rules: L1
#[test]
fn timers_move_with_the_key_group_of_their_key() {
    let mut whole = heap();
    whole.push((0..200).map(|key| (key, Order::Set(i64::try_from(key).unwrap()))));
    let snapshot = whole.snapshot();
    let groups = snapshot.keyed().last().expect("the timed operator is last");
    assert!(groups.len() > 10, "the keys are in many groups");
    let (left, right) = groups.split_at(groups.len() / 2);
    let mut all = Vec::new();
    for half in [left, right] {
        let mut owner = heap();
        owner.operator("timed").restore(half).expect("they are its groups");
        owner.end();
        all.append(&mut owner.take());
    }
    all.sort_unstable();
    whole.end();
    assert_eq!(all, whole.take());
}

// Rules: L9
#[test]
fn firing_in_parts_leaves_the_rest_in_the_snapshot() {
    let request = SnapshotRequest { checkpoint: CheckpointId(1), since: None };
    let mut harness = heap();
    harness.push((0..10).map(|key| (key, Order::Set(50))));
    let timed = harness.operator("timed");
    assert_eq!(timed.fire_timers(EventTime(60), 4).unwrap(), Progress::Ready);
    let groups = encode_all(timed.view(request).unwrap().as_mut()).unwrap();
    assert_eq!(harness.take(), fired([(50, 0), (50, 1), (50, 2), (50, 3)]));
    let mut restored = heap();
    restored.operator("timed").restore(&groups).unwrap();
    restored.watermark(EventTime(60));
    assert_eq!(restored.take(), fired((4..10).map(|key| (50, key))));
}

#[test]
fn state_goes_when_its_time_has_come_and_a_later_word_prolongs_it() {
    let mut harness = heap();
    let empty = harness.snapshot();
    harness.push([10, 30, 20].map(|at| (1, Order::KeepUntil(at))));
    harness.push([(2, Order::Keep(7)), (1, Order::Set(30))]);
    harness.watermark(EventTime(29));
    assert_eq!(keys(&harness.snapshot()), 2);
    harness.watermark(EventTime(30));
    assert_eq!(harness.take(), fired([(30, 1)]), "the timer of that moment comes first");
    assert_eq!(keys(&harness.snapshot()), 1, "what is given no time stays");
    harness.push([(2, Order::Forget)]);
    assert_ne!(harness.snapshot(), empty, "the watermark has risen");
    assert_eq!(keys(&harness.snapshot()), 0);
}

#[test]
fn a_key_that_comes_back_lives_by_its_new_time() {
    let mut harness = heap();
    harness.push([(1, Order::KeepUntil(10)), (1, Order::Forget), (1, Order::KeepUntil(20))]);
    harness.watermark(EventTime(10));
    assert_eq!(keys(&harness.snapshot()), 1);
    harness.watermark(EventTime(20));
    assert_eq!(keys(&harness.snapshot()), 0);
}

#[test]
fn an_expiring_value_is_there_before_its_time_and_not_then() {
    let mut value = Expiring::new(7, EventTime(10));
    assert_eq!(value.get(EventTime(9)), Some(&mut 7));
    assert_eq!(value.get(EventTime(10)), None);
    assert_eq!(value, Expiring::default(), "it was dropped");
}

#[test]
fn more_timers_than_the_queue_holds_fire_in_order_all_the_same() {
    let mut harness = harness(DISK);
    let at = |key: u64| i64::try_from(key % 7 + 1).expect("it is small");
    harness.push((0..100).map(|key| (key, Order::Set(at(key)))));
    harness.push([(93, Order::Cancel(3)), (200, Order::Set(3))]);
    harness.watermark(EventTime(3));
    let mut expected: Vec<_> = (0..100).filter(|it| *it != 93).map(|key| (at(key), key)).collect();
    expected.push((3, 200));
    expected.sort_unstable();
    let rest = expected.split_off(expected.partition_point(|it| it.0 <= 3));
    assert_eq!(harness.take(), fired(expected));
    harness.end();
    assert_eq!(harness.take(), fired(rest));
}

#[test]
fn without_timers_there_is_nothing_to_fire() {
    let mut harness = Harness::<u64, Vec<u64>>::new(|numbers| numbers.map("same", |it| it));
    harness.push([1]);
    let chain = harness.operator("input");
    assert_eq!(chain.fire_timers(EventTime::MAX, 0).unwrap(), Progress::Ended);
}

#[derive(Debug, Clone)]
enum Step {
    Record(u64, Order),
    Watermark(i64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let order = prop_oneof![
        4 => (-300..300_i64).prop_map(Order::Set),
        2 => (-300..300_i64).prop_map(Order::Cancel),
        2 => (-300..300_i64).prop_map(Order::KeepUntil),
        1 => any::<u64>().prop_map(Order::Keep),
        1 => Just(Order::Forget),
    ];
    prop_oneof![
        12 => (0..6_u64, order).prop_map(|(key, order)| Step::Record(key, order)),
        2 => (-310..310_i64).prop_map(Step::Watermark),
        1 => Just(Step::Restart),
    ]
}

/// What is set and did not fire, which keys have state and until when, and how far event time is.
struct Model {
    timers: BTreeSet<Fired>,
    states: BTreeMap<u64, Option<EventTime>>,
    watermark: EventTime,
}

impl Model {
    fn on_record(&mut self, key: u64, order: Order) {
        match order {
            Order::Set(at) => drop(self.timers.insert((EventTime(at), key))),
            Order::Cancel(at) => drop(self.timers.remove(&(EventTime(at), key))),
            Order::Keep(_) => drop(self.states.entry(key).or_default()),
            Order::Forget => drop(self.states.remove(&key)),
            Order::KeepUntil(at) => {
                let until = self.states.entry(key).or_default();
                *until = (*until).max(Some(EventTime(at)));
            }
        }
    }

    /// Keys that the state backend holds.
    fn keys(&self) -> usize {
        let with_timers = self.timers.iter().map(|it| it.1);
        self.states.keys().copied().chain(with_timers).collect::<BTreeSet<_>>().len()
    }

    fn rise(&mut self, to: EventTime) -> Vec<Fired> {
        let mut all = Vec::new();
        if to <= self.watermark {
            return all;
        }
        self.watermark = to;
        self.states.retain(|_, until| until.is_none_or(|it| it > to));
        while let Some(first) = self.timers.first().copied().filter(|(at, _)| *at <= to) {
            self.timers.remove(&first);
            if first.0.0 % 100 == 0 {
                self.timers.insert((EventTime(first.0.0 + 7), first.1));
            }
            all.push(first);
        }
        all
    }
}

fn restarted(state: StateBackend, snapshot: &Snapshot) -> Obeying {
    let mut restored = harness(state);
    restored.restore(snapshot);
    restored
}

/// Plays the steps and compares all that fires, and which keys are there.
fn play(state: StateBackend, steps: &[Step]) {
    let mut harness = harness(state);
    let mut model =
        Model { timers: BTreeSet::new(), states: BTreeMap::new(), watermark: EventTime::MIN };
    for step in steps.iter().cloned() {
        let mut expected = Vec::new();
        match step {
            Step::Record(key, order) => {
                harness.push([(key, order)]);
                model.on_record(key, order);
            }
            Step::Watermark(at) => {
                harness.watermark(EventTime(at));
                expected = model.rise(EventTime(at));
            }
            Step::Restart => {
                harness = restarted(state, &harness.snapshot());
                // The watermark is told again, and with it what was set behind it fires.
                let watermark = std::mem::replace(&mut model.watermark, EventTime::MIN);
                expected = model.rise(watermark);
            }
        }
        assert_eq!(harness.take(), expected);
        assert_eq!(keys(&harness.snapshot()), model.keys());
    }
}

fn keys(snapshot: &Snapshot) -> usize {
    let keys: u64 = snapshot.keyed().flatten().map(|it| it.entries).sum();
    usize::try_from(keys).expect("a test is small")
}

proptest! {
    // Rules: L1, L2
    #[test]
    fn what_fires_is_what_a_set_of_times_and_keys_says(
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        play(StateBackend::Heap, &steps);
        play(DISK, &steps);
    }

    #[test]
    fn equal_timers_have_equal_bytes_whatever_the_order_in_which_they_were_set(
        set in proptest::collection::btree_set((0..6_u64, -300..300_i64), 0..40),
        cancelled in proptest::collection::vec((0..6_u64, 301..400_i64), 0..10),
    ) {
        let record = |(key, at): (u64, i64)| (key, Order::Set(at));
        let mut forward = heap();
        forward.push(set.iter().copied().map(record));
        let mut backward = heap();
        backward.push(cancelled.iter().copied().map(record));
        backward.push(set.iter().rev().copied().map(record));
        backward.push(cancelled.iter().map(|(key, at)| (*key, Order::Cancel(*at))));
        prop_assert_eq!(forward.snapshot(), backward.snapshot());
    }
}
