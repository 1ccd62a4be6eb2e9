//! What one thread counts, and who decides for it.

use std::boxed::Box;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::vec::Vec;

use crate::{Probe, Site};

/// A site is active in one of so many seeds.
const ACTIVE_ONE_IN: u64 = 4;
/// An active site fires one of so many times.
const FIRES_ONE_IN: u64 = 4;

/// Draws a number below its argument.
pub type Draw = Box<dyn FnMut(u64) -> u64>;

/// What one run hit, and which sites fired in it; what was never hit is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hits {
    /// How often each probe was hit.
    pub probes: BTreeMap<Probe, u64>,
    /// How often each site fired.
    pub sites: BTreeMap<Site, u64>,
}

struct Sink {
    probes: Vec<u64>,
    fired: Vec<u64>,
    /// The stream of each site that is active.
    active: Vec<Option<Draw>>,
}

std::thread_local! {
    static SINK: RefCell<Option<Sink>> = const { RefCell::new(None) };
}

/// Counts on this thread from now on. Each site draws from the stream that `streams` gives it: first whether
/// it is active, then each time whether it fires. So a new site moves no other. With `None` no site fires,
/// and nothing is drawn.
pub fn begin(streams: Option<&dyn Fn(Site) -> Draw>) {
    let stream = |site: &Site| {
        let mut draw = streams?(*site);
        (draw(ACTIVE_ONE_IN) == 0).then_some(draw)
    };
    let sink = Sink {
        probes: std::vec![0; Probe::ALL.len()],
        fired: std::vec![0; Site::ALL.len()],
        active: Site::ALL.iter().map(stream).collect(),
    };
    SINK.set(Some(sink));
}

/// Counts nothing more on this thread, and hands over what was counted.
pub fn end() -> Hits {
    let Some(sink) = SINK.take() else { return Hits::default() };
    let probes = Probe::ALL.iter().copied().zip(sink.probes).filter(|(_, hits)| *hits > 0);
    let sites = Site::ALL.iter().copied().zip(sink.fired).filter(|(_, hits)| *hits > 0);
    Hits { probes: probes.collect(), sites: sites.collect() }
}

/// [`crate::sometimes`] was passed.
pub fn hit(probe: Probe) {
    SINK.with_borrow_mut(|sink| {
        if let Some(sink) = sink {
            sink.probes[probe as usize] += 1;
        }
    });
}

/// What [`crate::buggify`] says.
pub fn fires(site: Site) -> bool {
    SINK.with_borrow_mut(|sink| {
        let Some(sink) = sink else { return false };
        let Some(draw) = &mut sink.active[site as usize] else { return false };
        let fires = draw(FIRES_ONE_IN) == 0;
        sink.fired[site as usize] += u64::from(fires);
        fires
    })
}
