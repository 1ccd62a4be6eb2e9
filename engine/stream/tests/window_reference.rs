//! Windows against a naive reference that looks at every record again at every step, over records in any
//! order, with watermarks and restarts between them.

use std::time::Duration;

use proptest::prelude::*;
use seawall_protocol::config::StateBackend;
use seawall_stream::testing::Harness;
use seawall_stream::window::{
    Any, AtEnd, Every, ProcessWindow, Session, Sliding, Window, Windowed,
};
use seawall_stream::{Collect, EventTime};

/// No window begins earlier, and none is left later.
const EARLIEST: i64 = -200;
const LATEST: i64 = 300;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    /// Length and slide; a session's gap where they are absent.
    sliding: Option<(i64, i64, i64)>,
    gap: i64,
    lateness: i64,
    /// The interval of an early trigger, and whether another one fires at the end.
    early: Option<(i64, bool)>,
}

/// Key, time and number.
type Numbered = (u64, i64, u64);

#[derive(Debug, Clone)]
enum Step {
    Record(u64, i64),
    Watermark(i64),
    Restart,
}

type Fired = (u64, Window, Vec<u64>);

/// What came out, in order: results, and the numbers of late records.
#[derive(Debug, Default, PartialEq, Eq)]
struct Output {
    results: Vec<Fired>,
    late: Vec<u64>,
}

/// The reference: no state but all records that were let in, and what is known to be over.
struct Naive {
    shape: Shape,
    watermark: i64,
    accepted: Vec<Numbered>,
    /// Per window of a key: when the early trigger speaks.
    early: Vec<(u64, Window, i64)>,
    output: Output,
}

fn window(start: i64, end: i64) -> Window {
    Window { start: EventTime(start), end: EventTime(end) }
}

fn contains(window: Window, at: i64) -> bool {
    window.start.0 <= at && at < window.end.0
}

impl Naive {
    /// The windows of a key that hold records, each with its records in the order of arrival.
    fn windows(&self, key: u64) -> Vec<(Window, Vec<u64>)> {
        let windows = match self.shape.sliding {
            Some((length, slide, offset)) => {
                let starts = (EARLIEST..LATEST).filter(|it| (it - offset) % slide == 0);
                starts.map(|it| window(it, it + length)).collect()
            }
            None => self.sessions(key),
        };
        let with_records = |window: Window| {
            let within = |it: &&Numbered| it.0 == key && contains(window, it.1);
            (window, self.accepted.iter().filter(within).map(|it| it.2).collect())
        };
        let all = windows.into_iter().map(with_records);
        all.filter(|(_, numbers): &(_, Vec<u64>)| !numbers.is_empty()).collect()
    }

    fn sessions(&self, key: u64) -> Vec<Window> {
        let of_key = self.accepted.iter().filter(|it| it.0 == key);
        let mut times: Vec<_> = of_key.map(|it| it.1).collect();
        times.sort_unstable();
        let mut sessions: Vec<Window> = Vec::new();
        for at in times {
            let end = at + self.shape.gap;
            match sessions.last_mut() {
                Some(last) if at <= last.end.0 => last.end.0 = end,
                Some(_) | None => sessions.push(window(at, end)),
            }
        }
        sessions
    }

    fn is_over(&self, window: Window) -> bool {
        window.end.0 - 1 + self.shape.lateness <= self.watermark
    }

    fn on_record(&mut self, record: Numbered) {
        let (key, at, number) = record;
        self.accepted.push(record);
        let all = self.windows(key).into_iter().filter(|it| contains(it.0, at));
        let all: Vec<_> = all.collect();
        if all.iter().all(|(window, _)| self.is_over(*window)) {
            self.accepted.pop();
            self.output.late.push(number);
            return;
        }
        for (window, mut numbers) in all {
            if self.is_over(window) {
                continue;
            }
            if self.shape.sliding.is_none() {
                // Merging keeps the earlier of two times.
                let within = |it: &(u64, Window, i64)| it.0 == key && window.cover(it.1) == window;
                let next = self.early.iter().filter(|it| within(it)).map(|it| it.2).min();
                self.early.retain(|it| !within(it));
                self.early.extend(next.map(|next| (key, window, next)));
            }
            if let Some((every, _)) = self.shape.early
                && window.end.0 - 1 > self.watermark
                && !self.early.iter().any(|it| it.0 == key && it.1 == window)
            {
                let after = at.max(self.watermark);
                self.early.push((key, window, after - after.rem_euclid(every) + every));
            }
            if window.end.0 - 1 <= self.watermark {
                numbers.sort_unstable();
                self.output.results.push((key, window, numbers));
            }
        }
    }

    /// Moment by moment.
    fn on_watermark(&mut self, to: i64) {
        if to <= self.watermark {
            return;
        }
        let from = self.watermark.max(EARLIEST);
        self.watermark = to;
        let always_at_end = self.shape.early.is_none_or(|it| it.1);
        for now in from + 1..=to.min(LATEST) {
            for key in 0..4 {
                for (window, mut numbers) in self.windows(key) {
                    let last = window.end.0 - 1;
                    let is_now = |it: &(u64, Window, i64)| {
                        it.0 == key && it.1 == window && it.2.min(last) == now
                    };
                    let is_early = self.early.iter().any(is_now);
                    self.early.retain(|it| !is_now(it));
                    if (last == now && always_at_end) || is_early {
                        numbers.sort_unstable();
                        self.output.results.push((key, window, numbers));
                    }
                }
            }
            let lateness = self.shape.lateness;
            self.early.retain(|it| it.1.end.0 - 1 + lateness > now);
            if self.shape.sliding.is_none() {
                for key in 0..4 {
                    for over in self.sessions(key) {
                        if over.end.0 - 1 + lateness <= now {
                            self.accepted.retain(|it| it.0 != key || !contains(over, it.1));
                        }
                    }
                }
            }
        }
    }
}

/// The numbers of the records, ascending.
#[derive(Clone)]
struct Numbers;

impl ProcessWindow<u64, Numbered> for Numbers {
    type Out = Windowed<u64, Vec<u64>>;

    fn process(
        &self,
        key: &u64,
        window: Window,
        records: &[Numbered],
        out: &mut impl Collect<Self::Out>,
    ) {
        let mut result: Vec<u64> = records.iter().map(|it| it.2).collect();
        result.sort_unstable();
        out.push(Windowed { key: *key, window, result });
    }
}

type Windows = Harness<Numbered, (Vec<Windowed<u64, Vec<u64>>>, Vec<Numbered>)>;

fn harness(shape: Shape, state: StateBackend) -> Windows {
    let millis = |it: i64| Duration::from_millis(it.unsigned_abs());
    let lateness = millis(shape.lateness);
    let early = Every::interval(millis(shape.early.map_or(i64::MAX, |it| it.0)));
    macro_rules! windowed {
        ($assigner:expr, $trigger:expr) => {
            Windows::with_state(state, |records| {
                records
                    .key_by(|it: &Numbered| it.0)
                    .window($assigner, |it: &Numbered| EventTime(it.1))
                    .trigger($trigger)
                    .allowed_lateness(lateness)
                    .late_to("late")
                    .process("numbers", Numbers)
            })
        };
    }
    let sliding =
        |(length, slide, offset)| Sliding::of(millis(length), millis(slide)).offset(millis(offset));
    match (shape.sliding, shape.early) {
        (Some(it), None) => windowed!(sliding(it), AtEnd),
        (Some(it), Some((_, true))) => windowed!(sliding(it), Any(early, AtEnd)),
        (Some(it), Some((_, false))) => windowed!(sliding(it), early),
        (None, None) => windowed!(Session::gap(millis(shape.gap)), AtEnd),
        (None, Some((_, true))) => windowed!(Session::gap(millis(shape.gap)), Any(early, AtEnd)),
        (None, Some((_, false))) => windowed!(Session::gap(millis(shape.gap)), early),
    }
}

fn shape() -> impl Strategy<Value = Shape> {
    let sliding =
        (1..40_i64, 1..40_i64, 0..50_i64).prop_map(|(a, b, offset)| (a.max(b), a.min(b), offset));
    let early = proptest::option::of((1..30_i64, any::<bool>()));
    (proptest::option::of(sliding), 1..30_i64, 0..40_i64, early)
        .prop_map(|(sliding, gap, lateness, early)| Shape { sliding, gap, lateness, early })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => (0..4_u64, -100..100_i64).prop_map(|(key, at)| Step::Record(key, at)),
        3 => (-120..160_i64).prop_map(Step::Watermark),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 0..50)
}

fn engine(shape: Shape, state: StateBackend, steps: &[Step]) -> Output {
    let mut output = Output::default();
    let mut windows = harness(shape, state);
    for (number, step) in (0..).zip(steps) {
        match step {
            Step::Record(key, at) => windows.push([(*key, *at, number)]),
            Step::Watermark(at) => windows.watermark(EventTime(*at)),
            Step::Restart => {
                let snapshot = windows.snapshot();
                windows = harness(shape, state);
                windows.restore(&snapshot);
            }
        }
        let (results, late) = windows.take();
        output.results.extend(results.into_iter().map(|it| (it.key, it.window, it.result)));
        output.late.extend(late.into_iter().map(|it| it.2));
    }
    windows.end();
    let (results, late) = windows.take();
    output.results.extend(results.into_iter().map(|it| (it.key, it.window, it.result)));
    output.late.extend(late.into_iter().map(|it| it.2));
    output
}

fn reference(shape: Shape, steps: &[Step]) -> Output {
    let mut naive = Naive {
        shape,
        watermark: i64::MIN,
        accepted: Vec::new(),
        early: Vec::new(),
        output: Output::default(),
    };
    for (number, step) in (0..).zip(steps) {
        match step {
            Step::Record(key, at) => naive.on_record((*key, *at, number)),
            Step::Watermark(at) => naive.on_watermark(*at),
            Step::Restart => {}
        }
    }
    naive.on_watermark(LATEST);
    naive.output
}

proptest! {
    // Rules: L2, L7
    #[test]
    fn windows_are_what_the_reference_says_whatever_the_order_and_whatever_restarts(
        shape in shape(),
        steps in steps(),
    ) {
        let expected = reference(shape, &steps);
        prop_assert_eq!(&engine(shape, StateBackend::Heap, &steps), &expected);
        prop_assert_eq!(&engine(shape, StateBackend::Disk { cache_bytes: 0 }, &steps), &expected);
    }
}

/// The comparison sees each of these differences.
#[test]
fn another_lateness_gap_slide_or_interval_is_another_output() {
    let steps: Vec<_> = [(0, 3), (0, 9), (1, 14), (0, 30)]
        .into_iter()
        .map(|(key, at)| Step::Record(key, at))
        .chain([Step::Watermark(22), Step::Record(0, 12), Step::Record(1, 2)])
        .collect();
    let sliding = Shape { sliding: Some((10, 5, 0)), gap: 7, lateness: 5, early: None };
    let session = Shape { sliding: None, ..sliding };
    for (one, other) in [
        (sliding, Shape { lateness: 0, ..sliding }),
        (sliding, Shape { sliding: Some((10, 10, 0)), ..sliding }),
        (sliding, Shape { sliding: Some((10, 5, 1)), ..sliding }),
        (sliding, Shape { early: Some((4, true)), ..sliding }),
        (session, Shape { lateness: 0, ..session }),
        (session, Shape { gap: 5, ..session }),
        (session, Shape { early: Some((4, true)), ..session }),
    ] {
        assert_eq!(engine(one, StateBackend::Heap, &steps), reference(one, &steps));
        assert_ne!(engine(one, StateBackend::Heap, &steps), reference(other, &steps));
    }
}
