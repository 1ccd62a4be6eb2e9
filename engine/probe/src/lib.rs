//! Marks in the engine's code for the simulator: rare branches that a run should reach, and places where
//! something legal but unlikely may be made to happen.
//!
//! ```text
//! engine ── sometimes!(Probe) ──► hits of this thread ──► coverage of a run, of a sweep
//!        ◄─ buggify!(Site) ────── one stream of this thread for each site, from the run's seed
//! ```
//!
//! Both know their names from one table each, [`Probe`] and [`Site`]: an unknown name does not compile, and a
//! name that is used twice or nowhere fails `tests/page.rs`. A run has a thread of its own, so what a thread
//! counts is one run; where nobody called `begin`, nothing is counted and no site fires.
//!
//! Without the feature `storm`, which only the simulator asks for, both are constants: a condition is not even
//! looked at, and a production binary holds neither names nor counters.
//!
//! Deliberately absent: assertions. That a branch is never reached is no error of one run.
#![no_std]

#[cfg(feature = "storm")]
extern crate std;

mod probes;
mod sites;
#[cfg(feature = "storm")]
mod storm;

pub use probes::Probe;
pub use sites::Site;
#[cfg(feature = "storm")]
pub use storm::{Draw, Hits, begin, end, fires, hit};

/// Whether this build counts at all.
pub const IS_STORM: bool = cfg!(feature = "storm");

/// Counts that a rare branch was reached; with a condition, that it was reached and the condition held.
#[macro_export]
macro_rules! sometimes {
    ($probe:ident) => {
        if $crate::IS_STORM {
            $crate::hit($crate::Probe::$probe);
        }
    };
    ($condition:expr, $probe:ident) => {
        if $crate::IS_STORM && $condition {
            $crate::hit($crate::Probe::$probe);
        }
    };
}

/// Whether the legal but unlikely is to happen here now. In production: never.
#[macro_export]
macro_rules! buggify {
    ($site:ident) => {
        $crate::IS_STORM && $crate::fires($crate::Site::$site)
    };
}

/// Nothing is counted.
#[cfg(not(feature = "storm"))]
#[inline]
pub const fn hit(_: Probe) {}

/// Nothing happens.
#[cfg(not(feature = "storm"))]
#[inline]
pub const fn fires(_: Site) -> bool {
    false
}

/// A table of names, in groups, each with one line that says what it stands for.
macro_rules! names {
    (
        $(#[$docs:meta])* $table:ident {
            $($group:literal { $(#[doc = $about:literal] $name:ident,)* })*
        }
    ) => {
        $(#[$docs])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $table {
            $($(#[doc = $about] $name,)*)*
        }

        impl $table {
            /// All of them, in the order of the table.
            pub const ALL: &'static [Self] = &[$($(Self::$name,)*)*];

            /// All of them by group.
            pub const GROUPS: &'static [(&'static str, &'static [Self])] =
                &[$(($group, &[$(Self::$name,)*]),)*];

            /// The name, as it stands in the code.
            pub const fn name(self) -> &'static str {
                match self { $($(Self::$name => stringify!($name),)*)* }
            }

            /// What it stands for, in one line.
            pub fn about(self) -> &'static str {
                match self { $($(Self::$name => $about,)*)* }.trim()
            }
        }
    };
}

use names;
