//! Windows, case by case.

use std::time::Duration;

use seawall_stream::testing::Harness;
use seawall_stream::window::{
    After, Any, Assigner, AtEnd, Count, Every, EveryCount, Global, KeepLast, KeepRecent,
    ProcessWindow, Purging, Session, Sliding, Sum, TopN, Tumbling, Window, Windowed,
};
use seawall_stream::{Collect, EventTime, KeyedStream};

/// Key, time and value.
type Reading = (u64, EventTime, u64);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn reading(key: u64, at: i64, value: u64) -> Reading {
    (key, EventTime(at), value)
}

fn window(start: i64, end: i64) -> Window {
    Window { start: EventTime(start), end: EventTime(end) }
}

fn windows(assigner: &impl Assigner, at: i64) -> Vec<(i64, i64)> {
    assigner.assign(EventTime(at)).map(|it| (it.start.0, it.end.0)).collect()
}

/// Everything that one window of one key may hold is in its list of values.
#[derive(Clone)]
struct Values;

impl ProcessWindow<u64, Reading> for Values {
    type Out = (u64, Window, Vec<u64>);

    fn process(
        &self,
        key: &u64,
        window: Window,
        records: &[Reading],
        out: &mut impl Collect<Self::Out>,
    ) {
        out.push((*key, window, records.iter().map(|it| it.2).collect()));
    }
}

type Lists = Vec<(u64, Window, Vec<u64>)>;

/// A harness whose output are the lists of values of each window that fires.
macro_rules! harness {
    ($assigner:expr $(, .$method:ident($($argument:expr),*))*) => {
        Harness::<Reading, Lists>::new(|readings| {
            readings
                .key_by(|it| it.0)
                .window($assigner, |it: &Reading| it.1)
                $(.$method($($argument),*))*
                .process("values", Values)
        })
    };
}

// Rules: L7
#[test]
fn tumbling_windows_begin_at_multiples_of_their_length_on_both_sides_of_the_epoch() {
    let of = || Tumbling::of(millis(10));
    assert_eq!(windows(&of(), 0), [(0, 10)]);
    assert_eq!(windows(&of(), 9), [(0, 10)]);
    assert_eq!(windows(&of(), 10), [(10, 20)]);
    assert_eq!(windows(&of(), -1), [(-10, 0)]);
    assert_eq!(windows(&of(), -10), [(-10, 0)]);
    assert_eq!(windows(&of(), -11), [(-20, -10)]);
    let shifted = || of().offset(millis(3));
    assert_eq!(windows(&shifted(), 2), [(-7, 3)]);
    assert_eq!(windows(&shifted(), 3), [(3, 13)]);
    assert_eq!(windows(&shifted(), -8), [(-17, -7)]);
    assert_eq!(windows(&of().offset(millis(23)), 2), [(-7, 3)], "an offset counts once");
}

// Rules: L7
#[test]
fn sliding_windows_contain_the_record_and_begin_one_slide_apart() {
    let of = || Sliding::of(millis(10), millis(4));
    assert_eq!(windows(&of(), 0), [(-8, 2), (-4, 6), (0, 10)]);
    assert_eq!(windows(&of(), 3), [(-4, 6), (0, 10)]);
    assert_eq!(windows(&of(), -1), [(-8, 2), (-4, 6)]);
    assert_eq!(windows(&of().offset(millis(1)), 0), [(-7, 3), (-3, 7)]);
}

#[test]
#[should_panic(expected = "windows leave no gap")]
fn sliding_windows_that_would_lose_records_are_refused() {
    let _ = Sliding::of(millis(4), millis(10));
}

// Rules: L7
#[test]
fn times_at_both_ends_of_event_time_have_windows_that_contain_them_and_no_two_alike() {
    for at in [i64::MIN, i64::MIN + 1, i64::MIN + 13, -1, 0, i64::MAX - 13, i64::MAX - 1] {
        for all in [
            windows(&Tumbling::of(millis(10)), at),
            windows(&Tumbling::of(millis(10)).offset(millis(7)), at),
            windows(&Sliding::of(millis(10), millis(3)), at),
            windows(&Session::gap(millis(10)), at),
            windows(&Global, at),
        ] {
            assert!(!all.is_empty(), "{at}");
            assert!(all.is_sorted_by(|a, b| a < b), "{at}: {all:?}");
            assert!(all.iter().all(|(start, end)| *start <= at && at < *end), "{at}: {all:?}");
        }
    }
}

#[test]
fn a_window_fires_when_the_watermark_has_come_to_its_last_moment() {
    let mut harness = harness!(Tumbling::of(millis(10)));
    harness.push([reading(2, 3, 1), reading(1, 9, 2), reading(2, 0, 3), reading(1, 10, 4)]);
    harness.watermark(EventTime(8));
    assert_eq!(harness.take(), []);
    harness.watermark(EventTime(9));
    assert_eq!(harness.take(), [(1, window(0, 10), vec![2]), (2, window(0, 10), vec![1, 3])]);
    harness.end();
    assert_eq!(harness.take(), [(1, window(10, 20), vec![4])]);
}

#[test]
fn a_window_that_is_over_leaves_nothing_behind() {
    let mut harness = harness!(Tumbling::of(millis(10)), .allowed_lateness(millis(5)));
    let before = harness.snapshot();
    harness.push([reading(1, 3, 1), reading(2, 4, 1)]);
    harness.watermark(EventTime(13));
    let keyed = |it: &seawall_stream::testing::Snapshot| it.keyed().flatten().count();
    assert_eq!(keyed(&harness.snapshot()), 2, "late records would still be let in");
    harness.watermark(EventTime(14));
    assert_eq!(keyed(&harness.snapshot()), keyed(&before));
}

#[test]
fn a_late_record_that_is_allowed_fires_its_window_again_at_once() {
    let mut harness = harness!(Tumbling::of(millis(10)), .allowed_lateness(millis(5)));
    harness.push([reading(1, 3, 1)]);
    harness.watermark(EventTime(13));
    assert_eq!(harness.take(), [(1, window(0, 10), vec![1])]);
    harness.push([reading(1, 4, 2)]);
    assert_eq!(harness.take(), [(1, window(0, 10), vec![1, 2])]);
    harness.push([reading(2, 4, 3)]);
    assert_eq!(harness.take(), [(2, window(0, 10), vec![3])], "also where nothing was in time");
    harness.watermark(EventTime(14));
    harness.push([reading(1, 4, 4)]);
    harness.end();
    assert_eq!(harness.take(), [], "9 and 5 is 14: the window is gone");
}

#[test]
fn a_record_that_is_late_for_every_window_goes_to_the_side_output() {
    let mut harness = Harness::<Reading, (Lists, Vec<Reading>)>::new(|readings| {
        readings
            .key_by(|it| it.0)
            .window(Sliding::of(millis(10), millis(5)), |it: &Reading| it.1)
            .late_to("late")
            .process("values", Values)
    });
    harness.watermark(EventTime(9));
    // The first of its windows is gone, the second is not.
    harness.push([reading(1, 7, 1), reading(1, 4, 2)]);
    harness.watermark(EventTime(14));
    let (results, late) = harness.take();
    assert_eq!(results, [(1, window(5, 15), vec![1])]);
    assert_eq!(late, [reading(1, 4, 2)]);
}

#[test]
fn sessions_merge_when_they_touch_and_end_when_the_gap_has_passed() {
    let mut harness = harness!(Session::gap(millis(10)));
    harness.push([reading(1, 0, 1), reading(1, 21, 2), reading(1, 9, 3), reading(1, 31, 4)]);
    harness.watermark(EventTime(18));
    assert_eq!(harness.take(), [(1, window(0, 19), vec![1, 3])]);
    harness.end();
    assert_eq!(harness.take(), [(1, window(21, 41), vec![2, 4])], "31 is where the other ended");
}

#[test]
fn a_record_between_two_sessions_makes_one_of_them() {
    let mut harness = harness!(Session::gap(millis(10)));
    harness.push([reading(1, 0, 1), reading(1, 15, 2), reading(1, 30, 3), reading(1, 7, 4)]);
    harness.watermark(EventTime(20));
    assert_eq!(harness.take(), [], "the first has grown beyond");
    harness.end();
    assert_eq!(harness.take(), [(1, window(0, 25), vec![1, 2, 4]), (1, window(30, 40), vec![3])]);
}

#[test]
fn a_late_record_of_a_session_that_is_still_open_is_not_late() {
    let mut harness = Harness::<Reading, (Lists, Vec<Reading>)>::new(|readings| {
        readings
            .key_by(|it| it.0)
            .window(Session::gap(millis(10)), |it: &Reading| it.1)
            .late_to("late")
            .process("values", Values)
    });
    harness.push([reading(1, 20, 1)]);
    harness.watermark(EventTime(25));
    harness.push([reading(1, 11, 2), reading(2, 11, 3)]);
    harness.end();
    let (results, late) = harness.take();
    assert_eq!(results, [(1, window(11, 30), vec![1, 2])]);
    assert_eq!(late, [reading(2, 11, 3)], "without the other it would have ended at 21");
}

#[test]
fn a_count_window_fires_with_each_nth_record_and_forgets_them() {
    let mut harness = Harness::<Reading, Lists>::new(|readings| {
        readings.key_by(|it| it.0).count_window(2).process("values", Values)
    });
    let empty = harness.snapshot();
    harness.push((1..=4).map(|value| reading(1, 0, value)));
    let all = window(i64::MIN, i64::MAX);
    assert_eq!(harness.take(), [(1, all, vec![1, 2]), (1, all, vec![3, 4])]);
    assert_eq!(harness.snapshot(), empty, "what fired leaves nothing behind");
    harness.push([reading(1, 0, 5)]);
    harness.end();
    assert_eq!(harness.take(), []);
}

#[test]
fn a_count_window_that_slides_is_a_trigger_and_an_evictor() {
    let mut harness = Harness::<Reading, Lists>::new(|readings| {
        readings
            .key_by(|it| it.0)
            .window(Global, |it: &Reading| it.1)
            .trigger(EveryCount(2))
            .process_evicted("values", KeepLast(3), Values)
    });
    harness.push((1..=6).map(|value| reading(1, 0, value)));
    let all = window(i64::MIN, i64::MAX);
    assert_eq!(
        harness.take(),
        [(1, all, vec![1, 2]), (1, all, vec![2, 3, 4]), (1, all, vec![4, 5, 6])]
    );
}

#[test]
fn a_time_evictor_keeps_what_is_close_to_the_newest() {
    let evictor = KeepRecent { span: millis(5), time: |it: &Reading| it.1 };
    let mut harness = Harness::<Reading, Lists>::new(move |readings| {
        readings
            .key_by(|it| it.0)
            .window(Tumbling::of(millis(100)), |it: &Reading| it.1)
            .process_evicted("values", evictor, Values)
    });
    harness.push([reading(1, 7, 1), reading(1, 12, 2), reading(1, 8, 3), reading(1, 0, 4)]);
    harness.end();
    assert_eq!(harness.take(), [(1, window(0, 100), vec![2, 3])], "7 is a span away");
}

#[test]
fn an_evictor_that_comes_after_lets_the_function_see_everything_first() {
    let mut harness = Harness::<Reading, Lists>::new(|readings| {
        readings
            .key_by(|it| it.0)
            .window(Global, |it: &Reading| it.1)
            .trigger(EveryCount(2))
            .process_evicted("values", After(KeepLast(1)), Values)
    });
    harness.push((1..=4).map(|value| reading(1, 0, value)));
    let all = window(i64::MIN, i64::MAX);
    assert_eq!(harness.take(), [(1, all, vec![1, 2]), (1, all, vec![2, 3, 4])]);
}

#[test]
fn an_evictor_that_leaves_nothing_leaves_no_window() {
    let mut harness = Harness::<Reading, Lists>::new(|readings| {
        readings
            .key_by(|it| it.0)
            .window(Global, |it: &Reading| it.1)
            .trigger(EveryCount(2))
            .process_evicted("values", After(KeepLast(0)), Values)
    });
    let empty = harness.snapshot();
    harness.push([reading(1, 0, 1), reading(1, 0, 2)]);
    assert_eq!(harness.snapshot(), empty);
}

#[test]
fn an_early_trigger_fires_at_its_interval_where_something_changed() {
    let mut harness = harness!(Tumbling::of(millis(95)), .trigger(Every::interval(millis(10))));
    harness.push([reading(1, 3, 1), reading(1, 5, 2)]);
    harness.watermark(EventTime(10));
    assert_eq!(harness.take(), [(1, window(0, 95), vec![1, 2])]);
    harness.watermark(EventTime(50));
    assert_eq!(harness.take(), [], "nothing changed");
    harness.push([reading(1, 12, 3)]);
    harness.watermark(EventTime(59));
    assert_eq!(harness.take(), []);
    harness.watermark(EventTime(60));
    assert_eq!(harness.take(), [(1, window(0, 95), vec![1, 2, 3])]);
    harness.push([reading(1, 92, 4)]);
    harness.end();
    assert_eq!(harness.take(), [(1, window(0, 95), vec![1, 2, 3, 4])], "at 94 rather than 100");
}

#[test]
fn an_early_trigger_with_one_at_the_end_fires_there_whatever_changed() {
    let early = || Any(Every::interval(millis(10)), AtEnd);
    let mut harness =
        harness!(Tumbling::of(millis(100)), .trigger(early()), .allowed_lateness(millis(50)));
    harness.push([reading(1, 3, 1)]);
    harness.watermark(EventTime(99));
    let all = (1, window(0, 100), vec![1]);
    assert_eq!(harness.take(), [all.clone(), all]);
    harness.push([reading(1, 4, 2)]);
    harness.end();
    assert_eq!(harness.take(), [(1, window(0, 100), vec![1, 2])], "a late record fires once");
}

#[test]
fn a_purging_trigger_makes_each_result_of_what_came_since_the_last() {
    let purging = Purging(Any(EveryCount(2), AtEnd));
    let mut harness = harness!(Tumbling::of(millis(10)), .trigger(purging));
    harness.push((1..=3).map(|value| reading(1, 3, value)));
    assert_eq!(harness.take(), [(1, window(0, 10), vec![1, 2])]);
    harness.watermark(EventTime(9));
    assert_eq!(harness.take(), [(1, window(0, 10), vec![3])]);
}

#[test]
fn a_purged_window_with_nothing_new_is_silent_at_its_end() {
    let purging = Purging(Any(EveryCount(1), AtEnd));
    let mut harness = harness!(Tumbling::of(millis(10)), .trigger(purging));
    harness.push([reading(1, 3, 1)]);
    assert_eq!(harness.take(), [(1, window(0, 10), vec![1])]);
    harness.end();
    assert_eq!(harness.take(), []);
}

#[test]
fn a_purged_session_still_holds_its_place() {
    let purging = Purging(EveryCount(2));
    let mut harness = harness!(Session::gap(millis(10)), .trigger(purging));
    harness.push([reading(1, 0, 1), reading(1, 5, 2), reading(1, 9, 3), reading(1, 14, 4)]);
    assert_eq!(harness.take(), [(1, window(0, 15), vec![1, 2]), (1, window(0, 24), vec![3, 4])]);
}

#[test]
fn sessions_that_become_one_add_up_what_their_triggers_counted() {
    let mut harness = harness!(Session::gap(millis(10)), .trigger(EveryCount(4)));
    harness.push([reading(1, 0, 1), reading(1, 20, 2), reading(1, 21, 3)]);
    assert_eq!(harness.take(), []);
    harness.push([reading(1, 10, 4)]);
    assert_eq!(harness.take(), [(1, window(0, 31), vec![1, 2, 3, 4])]);
}

fn results<R>(all: Vec<Windowed<u64, R>>) -> Vec<(u64, i64, R)> {
    all.into_iter().map(|it| (it.key, it.window.start.0, it.result)).collect()
}

#[test]
fn aggregates_hold_one_accumulator_and_come_in_pairs() {
    let mut harness = Harness::<Reading, Vec<Windowed<u64, (u64, u64)>>>::new(|readings| {
        readings
            .key_by(|it| it.0)
            .window(Session::gap(millis(10)), |it: &Reading| it.1)
            .aggregate("count and sum", (Count, Sum(|it: &Reading| it.2)))
    });
    harness.push([reading(1, 0, 3), reading(1, 18, 4), reading(1, 9, 5), reading(2, 50, u64::MAX)]);
    harness.push([reading(2, 50, u64::MAX)]);
    harness.end();
    assert_eq!(results(harness.take()), [(1, 0, (3, 12)), (2, 50, (2, u64::MAX))]);
}

#[test]
fn reduce_makes_one_record_of_all() {
    let mut harness = Harness::<Reading, Vec<Windowed<u64, Reading>>>::new(|readings| {
        readings.key_by(|it| it.0).window(Session::gap(millis(10)), |it: &Reading| it.1).reduce(
            "largest",
            |largest, it: &Reading| {
                if it.2 > largest.2 {
                    *largest = *it;
                }
            },
        )
    });
    harness.push([reading(1, 0, 3), reading(1, 15, 9), reading(1, 8, 5)]);
    harness.end();
    assert_eq!(results(harness.take()), [(1, 0, reading(1, 15, 9))]);
}

#[test]
fn the_top_n_are_those_with_the_highest_score_and_of_equal_ones_the_earlier() {
    let mut harness = Harness::<Reading, Vec<Windowed<u64, Vec<Reading>>>>::new(|readings| {
        readings
            .key_by(|_| 0)
            .window(Session::gap(millis(10)), |it: &Reading| it.1)
            .aggregate("top", TopN::new(3, |it: &Reading| it.2))
    });
    let read = [(1, 0, 5), (2, 1, 7), (3, 2, 7), (4, 3, 1), (5, 22, 6), (6, 23, 8), (7, 13, 0)];
    harness.push(read.map(|(key, at, value)| reading(key, at, value)));
    harness.end();
    let top = vec![reading(6, 23, 8), reading(2, 1, 7), reading(3, 2, 7)];
    assert_eq!(results(harness.take()), [(0, 0, top)], "also over sessions that became one");
}

type Counted = Windowed<u64, u64>;

/// Counts per key and window, then the two largest counts of each window.
#[test]
fn results_of_windows_flow_into_windows_of_the_same_length() {
    let mut harness = Harness::<Reading, Vec<(i64, Vec<(u64, u64)>)>>::new(|readings| {
        let counts = readings
            .key_by(|it| it.0)
            .window(Tumbling::of(millis(10)), |it: &Reading| it.1)
            .aggregate("counts", Count);
        let per_window: KeyedStream<Counted, _, _> = counts.key_by(|it| it.window);
        per_window
            .window(Tumbling::of(millis(10)), |it: &Counted| it.window.last())
            .aggregate("top", TopN::new(2, |it: &Counted| it.result))
            .map("pairs", |top| {
                let pairs = top.result.into_iter().map(|it| (it.key, it.result));
                (top.window.start.0, pairs.collect())
            })
    });
    let read = [(1, 0), (2, 1), (2, 2), (3, 3), (3, 4), (3, 5), (1, 10), (3, 11), (3, 12)];
    harness.push(read.map(|(key, at)| reading(key, at, 0)));
    harness.watermark(EventTime(9));
    assert_eq!(harness.take(), [(0, vec![(3, 3), (2, 2)])], "one watermark moves both");
    harness.end();
    assert_eq!(harness.take(), [(10, vec![(3, 2), (1, 1)])]);
}

/// A trigger that is due when it was just asked.
#[derive(Clone)]
struct Restless;

impl<T> seawall_stream::window::Trigger<T> for Restless {
    type State = ();

    fn on_record(
        &self,
        _: &T,
        _: seawall_stream::window::Moment,
        (): &mut (),
    ) -> seawall_stream::window::Verdict {
        seawall_stream::window::Verdict::CONTINUE
    }
    fn on_time(
        &self,
        _: seawall_stream::window::Moment,
        (): &mut (),
    ) -> seawall_stream::window::Verdict {
        seawall_stream::window::Verdict::CONTINUE
    }
    fn due(&self, _: Window, now: EventTime, (): &()) -> Option<EventTime> {
        Some(now)
    }
    fn merge(&self, (): &mut (), (): ()) {}
}

#[test]
#[should_panic(expected = "what is due next is later than now")]
fn a_trigger_that_would_fire_for_ever_is_refused() {
    let mut harness = harness!(Tumbling::of(millis(10)), .trigger(Restless));
    harness.push([reading(1, 3, 1)]);
}
