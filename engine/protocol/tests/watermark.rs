//! The valve: it says what Flink's valve says, and what a restore or an end may say.

use std::time::Duration;

use proptest::prelude::*;
use seawall_protocol::watermark::Valve;
use seawall_protocol::{ChannelId, EventTime, Watermark};

fn at(time: i64) -> Watermark {
    Watermark { time: EventTime(time), is_idle: false }
}

fn idle(time: i64) -> Watermark {
    Watermark { time: EventTime(time), is_idle: true }
}

const END: Watermark = Watermark { time: EventTime::MAX, is_idle: false };

/// Feeds what the channels say and compares with what is to be said then.
fn check(valve: &mut Valve, steps: &[(u32, Watermark, Option<Watermark>)]) {
    for (number, (channel, said, expected)) in steps.iter().enumerate() {
        assert_eq!(valve.handle(ChannelId(*channel), *said), *expected, "step {number}");
    }
}

// Rules: L3
#[test]
fn the_slowest_channel_holds_the_others_back_and_a_fall_means_nothing() {
    let mut valve = Valve::new(2, EventTime::MIN);
    check(
        &mut valve,
        &[
            (0, at(5), None),
            (1, at(3), Some(at(3))),
            (1, at(2), None),
            (0, at(9), None),
            (1, at(7), Some(at(7))),
        ],
    );
}

// Rules: L4
#[test]
fn a_channel_that_comes_back_behind_counts_only_once_it_caught_up() {
    let mut valve = Valve::new(2, EventTime::MIN);
    check(
        &mut valve,
        &[
            (0, at(5), None),
            (1, at(3), Some(at(3))),
            (1, idle(3), Some(at(5))),
            (0, at(8), Some(at(8))),
            (1, at(4), None),
            (0, at(9), Some(at(9))),
            (1, at(9), None),
            (0, at(20), None),
            (1, at(15), Some(at(15))),
        ],
    );
}

// Rules: L5
#[test]
fn when_the_last_channel_falls_silent_all_that_was_said_is_true() {
    let mut valve = Valve::new(3, EventTime::MIN);
    check(
        &mut valve,
        &[
            (0, at(5), None),
            (1, at(9), None),
            (2, at(3), Some(at(3))),
            (2, idle(3), Some(at(5))),
            (1, idle(9), None),
            (0, idle(5), Some(idle(9))),
            (2, at(4), Some(at(9))),
            (2, idle(4), Some(idle(9))),
            (0, at(12), Some(at(12))),
        ],
    );
}

// Rules: L4, L5
#[test]
fn it_does_not_matter_in_which_order_channels_fall_silent() {
    // FLINK-40475: the last one to fall silent came back and was still behind.
    let mut valve = Valve::new(3, EventTime::MIN);
    check(
        &mut valve,
        &[
            (0, at(20), None),
            (1, at(5), None),
            (2, at(2), Some(at(2))),
            (2, idle(2), Some(at(5))),
            (2, at(3), None),
            (0, idle(20), None),
            (1, idle(5), None),
            (2, idle(3), Some(idle(20))),
        ],
    );
}

#[test]
fn an_ended_channel_holds_nobody_back_and_the_end_of_all_is_the_end_of_time() {
    let mut valve = Valve::new(3, EventTime::MIN);
    check(
        &mut valve,
        &[
            (0, END, None),
            (1, at(5), None),
            (2, at(7), Some(at(5))),
            (1, END, Some(at(7))),
            (1, at(3), None),
            (2, END, Some(END)),
        ],
    );
}

#[test]
fn a_channel_that_is_only_silent_is_not_run_over_by_the_end_of_another() {
    let mut valve = Valve::new(2, EventTime::MIN);
    check(
        &mut valve,
        &[
            (0, at(5), None),
            (1, at(3), Some(at(3))),
            (1, idle(3), Some(at(5))),
            (0, END, Some(idle(5))),
            (1, at(6), Some(at(6))),
            (1, END, Some(END)),
        ],
    );
}

// Rules: L6, T10
#[test]
fn a_restored_valve_rises_once_every_channel_said_again_how_far_it_is() {
    let mut valve = Valve::new(3, EventTime(10));
    check(
        &mut valve,
        &[
            (0, at(14), None),
            // It was silent and behind before the restore, so it is again.
            (1, idle(3), None),
            (2, at(12), Some(at(12))),
            (1, at(4), None),
            (2, at(16), Some(at(14))),
        ],
    );
}

#[test]
fn a_restored_channel_that_ended_before_ends_again() {
    let mut valve = Valve::new(2, EventTime(10));
    check(&mut valve, &[(0, END, None), (1, at(11), Some(at(11)))]);
    let mut valve = Valve::new(2, EventTime::MAX);
    check(&mut valve, &[(0, END, None), (1, END, None)]);
}

#[test]
fn event_time_does_not_leave_its_bounds() {
    let second = Duration::from_secs(1);
    assert_eq!(EventTime::MIN.before(second), EventTime::MIN);
    assert_eq!(EventTime::MAX.after(second), EventTime::MAX);
    assert_eq!(EventTime(500).before(second), EventTime(-500));
    assert_eq!(EventTime(500).before(Duration::MAX).before(Duration::MAX), EventTime::MIN);
    let shown = [EventTime::MIN, EventTime(-3), EventTime::MAX].map(|it| it.to_string());
    assert_eq!(shown, ["the beginning", "-3 ms", "the end"]);
}

/// Flink's `StatusWatermarkValve` with the mends of FLINK-40475, written down line by line, and with a channel that
/// ends as one that is idle for ever (FLINK-38477).
struct Flink {
    channels: Vec<FlinkChannel>,
    output: i64,
    is_idle: bool,
}

#[derive(Clone)]
struct FlinkChannel {
    watermark: i64,
    is_active: bool,
    is_aligned: bool,
    has_ended: bool,
}

impl Flink {
    fn new(channels: usize) -> Self {
        let channel = FlinkChannel {
            watermark: i64::MIN,
            is_active: true,
            is_aligned: true,
            has_ended: false,
        };
        Self { channels: vec![channel; channels], output: i64::MIN, is_idle: false }
    }

    fn input_watermark(&mut self, index: usize, watermark: i64) {
        let channel = &mut self.channels[index];
        if !self.is_idle && channel.is_active && watermark > channel.watermark {
            channel.watermark = watermark;
            channel.is_aligned |= watermark >= self.output;
            self.output_new_minimum();
        }
    }

    fn input_status(&mut self, index: usize, is_active: bool) {
        let output = self.output;
        let channel = &mut self.channels[index];
        let (was_active, watermark) = (channel.is_active, channel.watermark);
        channel.is_active = is_active;
        channel.is_aligned = is_active && watermark >= output;
        match (was_active, is_active) {
            (true, false) if self.channels.iter().any(|it| it.is_active) => {
                self.output_new_minimum();
            }
            (true, false) => {
                let open = self.channels.iter().filter(|it| !it.has_ended);
                let maximum = open.map(|it| it.watermark).max();
                self.output = output.max(maximum.unwrap_or(output));
                self.is_idle = true;
            }
            (false, true) => {
                self.is_idle = false;
                self.output_new_minimum();
            }
            (true, true) | (false, false) => {}
        }
    }

    fn output_new_minimum(&mut self) {
        let aligned = self.channels.iter().filter(|it| it.is_aligned);
        if let Some(minimum) = aligned.map(|it| it.watermark).min() {
            self.output = self.output.max(minimum);
        }
    }

    fn handle(&mut self, index: usize, said: Watermark) {
        let channel = &mut self.channels[index];
        if channel.has_ended {
            return;
        }
        if said == END {
            channel.has_ended = true;
            self.input_status(index, false);
            return;
        }
        if said.is_idle {
            channel.watermark = channel.watermark.max(said.time.0);
            channel.is_active = true;
            self.input_status(index, false);
        } else {
            self.input_status(index, true);
            self.input_watermark(index, said.time.0);
        }
    }

    fn output(&self) -> Watermark {
        if self.channels.iter().all(|it| it.has_ended) {
            return END;
        }
        Watermark { time: EventTime(self.output), is_idle: self.is_idle }
    }
}

proptest! {
    // Rules: L3, L4, L5
    #[test]
    fn the_valve_says_what_flinks_says(
        channels in 1_usize..5,
        steps in prop::collection::vec((0_usize..5, 0_i64..12, prop::bool::weighted(0.3), prop::bool::weighted(0.05)), 0..60),
    ) {
        let mut flink = Flink::new(channels);
        let mut valve = Valve::new(u32::try_from(channels).unwrap(), EventTime::MIN);
        for (channel, time, is_idle, is_end) in steps {
            let channel = channel % channels;
            let said = if is_end { END } else { Watermark { time: EventTime(time), is_idle } };
            let before = flink.output();
            flink.handle(channel, said);
            let after = flink.output();
            let told = valve.handle(ChannelId(u32::try_from(channel).unwrap()), said);
            prop_assert_eq!(told, (after != before).then_some(after));
        }
    }

    // What waits is replaced by what is newer, so a channel may leave out what it said in between.
    #[test]
    fn who_leaves_out_what_it_said_in_between_is_never_believed_more(
        times in prop::collection::vec((0_i64..12, any::<bool>()), 1..8),
        other in (0_i64..12, any::<bool>()),
    ) {
        let mut newest = 0;
        let said: Vec<_> = times.iter().map(|(time, is_idle)| {
            newest = newest.max(*time);
            Watermark { time: EventTime(newest), is_idle: *is_idle }
        }).collect();
        let other = Watermark { time: EventTime(other.0), is_idle: other.1 };
        let after = |said: &[Watermark]| {
            let mut valve = Valve::new(2, EventTime::MIN);
            let mut output = Watermark::NONE;
            let channels = std::iter::once((ChannelId(0), &other));
            for (channel, said) in channels.chain(said.iter().map(|it| (ChannelId(1), it))) {
                output = valve.handle(channel, *said).unwrap_or(output);
            }
            output
        };
        let (all, last) = (after(&said), after(&said[said.len() - 1..]));
        prop_assert!(last.time <= all.time);
        prop_assert_eq!(last.is_idle, all.is_idle);
    }
}
