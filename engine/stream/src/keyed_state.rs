//! Several states per key: they are the fields of one struct.
//!
//! An operator has one value per key, so that a record costs one look-up, however many states it reads.
//! What other engines have as handles of named states are fields here, plain values in Rust's own types:
//!
//! | elsewhere          | here                                                                        |
//! |--------------------|-----------------------------------------------------------------------------|
//! | value state        | `T`, or `Option<T>`                                                         |
//! | list state         | `Vec<T>`                                                                    |
//! | map state          | `BTreeMap<K, V>`                                                            |
//! | reducing state     | `T`, and the function where it is called                                    |
//! | aggregating state  | the accumulator of an [`Aggregate`](crate::window::Aggregate)               |
//! | time to live       | [`Expiring<T>`](Expiring) for a field, [`Context::keep_until`] for a key    |
//!
//! The whole value is encoded when it is written to the disk backend or a snapshot. A map that grows with
//! the input belongs into the key: `key_by(|it| (it.user, it.page))`.
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::time::Duration;
//!
//! use seawall_stream::keyed_state::Expiring;
//! use seawall_stream::testing::Harness;
//! use seawall_stream::timers::Context;
//! use seawall_stream::window::{Aggregate, TopN};
//! use seawall_stream::{Collect, EventTime, TimedProcess};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Clone, Serialize, Deserialize)]
//! struct Visit {
//!     user: u64,
//!     at: EventTime,
//!     page: String,
//!     bytes: u64,
//! }
//!
//! /// What is known of a user.
//! #[derive(Clone, Default, Serialize, Deserialize)]
//! struct Profile {
//!     first_page: Option<String>,
//!     times: Vec<EventTime>,
//!     visits: BTreeMap<String, u64>,
//!     bytes: u64,
//!     largest: Vec<Visit>,
//!     /// Forgotten a minute after it was read.
//!     last_page: Expiring<String>,
//! }
//!
//! #[derive(Clone)]
//! struct Profiles;
//!
//! impl TimedProcess for Profiles {
//!     type Key = u64;
//!     type In = Visit;
//!     type State = Profile;
//!     type Out = (String, Option<String>);
//!
//!     fn on_record(
//!         &mut self,
//!         visit: Visit,
//!         profile: &mut Option<Profile>,
//!         context: &mut Context<'_, u64>,
//!         out: &mut impl Collect<Self::Out>,
//!     ) {
//!         let profile = profile.get_or_insert_default();
//!         let came_from = profile.last_page.get(visit.at).cloned();
//!         profile.first_page.get_or_insert_with(|| visit.page.clone());
//!         profile.times.push(visit.at);
//!         *profile.visits.entry(visit.page.clone()).or_default() += 1;
//!         profile.bytes += visit.bytes;
//!         TopN::new(3, |it: &Visit| it.bytes).add(&mut profile.largest, &visit);
//!         let minute = Duration::from_secs(60);
//!         profile.last_page = Expiring::new(visit.page.clone(), visit.at.after(minute));
//!         context.keep_until(visit.at.after(60 * minute));
//!         out.push((visit.page, came_from));
//!     }
//!
//!     fn on_timer(
//!         &mut self,
//!         _: EventTime,
//!         _: &mut Option<Profile>,
//!         _: &mut Context<'_, u64>,
//!         _: &mut impl Collect<Self::Out>,
//!     ) {
//!         unreachable!("it sets none")
//!     }
//! }
//!
//! let mut harness = Harness::<Visit, _>::new(|visits| {
//!     visits.key_by(|it| it.user).process_timed("profiles", Profiles)
//! });
//! let visit = |second: i64, page: &str| {
//!     Visit { user: 1, at: EventTime(second * 1_000), page: page.to_owned(), bytes: 17 }
//! };
//! harness.push([visit(0, "/"), visit(59, "/about"), visit(119, "/terms")]);
//! let steps = [("/", None), ("/about", Some("/")), ("/terms", None)];
//! let steps = steps.map(|(to, from)| (to.to_owned(), from.map(str::to_owned)));
//! assert_eq!(harness.take(), steps);
//!
//! harness.watermark(EventTime(3_719_000));
//! assert_eq!(harness.snapshot().keyed().flatten().count(), 0, "an hour after the last visit");
//! ```

#[cfg(doc)]
use crate::timers::Context;

use seawall_protocol::EventTime;
use serde::{Deserialize, Serialize};

/// A value with a time to live in event time. Expired, it is as if it were not there; its bytes go when it is
/// looked at or replaced, and at the latest with the state of the key.
///
/// The time is the caller's: the watermark, or the record's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Expiring<T>(Option<(T, EventTime)>);

impl<T> Default for Expiring<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Expiring<T> {
    /// Is there before `until`, and not then.
    pub fn new(value: T, until: EventTime) -> Self {
        Self(Some((value, until)))
    }

    /// The value, unless `now` it has expired; then it is dropped.
    pub fn get(&mut self, now: EventTime) -> Option<&mut T> {
        self.0.take_if(|(_, until)| *until <= now);
        self.0.as_mut().map(|(value, _)| value)
    }
}
