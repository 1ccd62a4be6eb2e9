//! Faults of the network.

use std::num::{NonZeroU32, NonZeroU64};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::Injector;
use crate::fault::{
    Bandwidth, DelayMessage, DuplicateMessage, Flaky, HalfOpen, LoseMessage, Nodes, Partition,
    Reset, Side, SilentReconnect, SlowNetwork, Swizzle,
};
use crate::scenario::Node;
use crate::scenario::quantity::TimeRange;
use crate::world::ConnectFault;

impl Injector {
    pub(super) fn partition(&self, it: &Partition) {
        let links = links(&it.from, &it.to, it.both);
        for (from, to) in &links {
            self.world.partition(from, to);
        }
        let (this, healed) = (self.clone(), name(&it.from, &it.to, it.both));
        self.heal_after(it.heal_after, move || {
            for (from, to) in &links {
                this.world.heal(from, to);
            }
            this.healed(healed);
        });
    }

    pub(super) fn swizzle(&self, it: &Swizzle) {
        let mut nodes: Vec<String> = it.nodes.all().iter().map(Node::to_string).collect();
        nodes.dedup();
        let all: Vec<String> = self.nodes.iter().map(Node::to_string).collect();
        let (this, gap) = (self.clone(), it.gap.least);
        self.world.spawn("fault", async move {
            let set = |node: &String, is_cut: bool| {
                for other in all.iter().filter(|it| *it != node) {
                    for (from, to) in [(node, other), (other, node)] {
                        if is_cut {
                            this.world.partition(from, to);
                        } else {
                            this.world.heal(from, to);
                        }
                    }
                }
            };
            for node in &nodes {
                if this.is_over() {
                    return;
                }
                set(node, true);
                this.world.sleep(gap).await;
            }
            // Neither first in, first out nor last in, first out: the middle comes back first.
            let middle = nodes.len() / 2;
            for node in nodes[middle..].iter().chain(&nodes[..middle]) {
                if this.is_over() {
                    return;
                }
                set(node, false);
                this.healed(format!("{node} is reachable"));
                this.world.sleep(gap).await;
            }
        });
    }

    pub(super) fn reset(&self, it: &Reset) {
        for (from, to) in links(&it.from, &it.to, false) {
            self.world.drop_connections(&from, &to);
        }
    }

    pub(super) fn slow_network(&self, it: &SlowNetwork) {
        let links = links(&it.from, &it.to, it.both);
        for (from, to) in &links {
            self.world.set_latency(from, to, Some(inclusive(it.latency.0)));
        }
        let this = self.clone();
        let healed = format!("slow network {}", name(&it.from, &it.to, it.both));
        self.heal_after(it.lasts, move || {
            for (from, to) in &links {
                this.world.set_latency(from, to, None);
            }
            this.healed(healed);
        });
    }

    pub(super) fn bandwidth(&self, it: &Bandwidth) {
        let links = links(&it.from, &it.to, it.both);
        for (from, to) in &links {
            self.world.set_bandwidth(from, to, NonZeroU64::new(it.rate.0));
        }
        let (this, healed) = (self.clone(), name(&it.from, &it.to, it.both));
        self.heal_after(it.lasts, move || {
            for (from, to) in &links {
                this.world.set_bandwidth(from, to, None);
            }
            this.healed(format!("bandwidth {healed}"));
        });
    }

    pub(super) fn delay_message(&self, it: &DelayMessage) {
        for (from, to) in links(&it.from, &it.to, false) {
            self.world.delay_next(&from, &to, it.by.least, count(it.count));
        }
    }

    pub(super) fn lose_message(&self, it: &LoseMessage) {
        for (from, to) in links(&it.from, &it.to, false) {
            self.world.lose_next(&from, &to, count(it.count));
        }
    }

    pub(super) fn duplicate_message(&self, it: &DuplicateMessage) {
        let coordinator = Node::Coordinator.to_string();
        for (from, to) in links(&it.from, &it.to, false) {
            if from == coordinator || to == coordinator {
                self.world.duplicate_next(&from, &to, count(it.count));
            }
        }
    }

    pub(super) fn silent_reconnect(&self, it: &SilentReconnect) {
        for (from, to) in links(&it.from, &it.to, false) {
            self.world.drop_connections_at(&from, &to);
        }
    }

    pub(super) fn half_open(&self, it: &HalfOpen) {
        let links = links(&it.from, &it.to, false);
        for (from, to) in &links {
            self.world.half_open(from, to);
        }
        let (this, healed) = (self.clone(), name(&it.from, &it.to, true));
        self.heal_after(it.lasts, move || {
            for (from, to) in &links {
                this.world.heal_half_open(from, to);
            }
            this.healed(format!("half open {healed}"));
        });
    }

    pub(super) fn fail_connects(&self, node: Nodes, fault: ConnectFault, lasts: Option<TimeRange>) {
        let node = node.one().to_string();
        self.world.fail_connects(&node, Some(fault));
        let this = self.clone();
        self.heal_after(lasts, move || {
            this.world.fail_connects(&node, None);
            this.healed(format!("{node} takes connections"));
        });
    }

    pub(super) fn flaky(&self, it: &Flaky) {
        let links = links(&it.from, &it.to, true);
        for (from, to) in &links {
            self.world.set_flaky(from, to, Some(it.resets.0 * 10));
        }
        let (this, healed) = (self.clone(), name(&it.from, &it.to, true));
        self.heal_after(it.lasts, move || {
            for (from, to) in &links {
                this.world.set_flaky(from, to, None);
            }
            this.healed(format!("flaky {healed}"));
        });
    }
}

pub(super) fn count(count: Option<NonZeroU32>) -> u32 {
    count.map_or(1, NonZeroU32::get)
}

/// Each link of one direction from one side to the other.
fn links(from: &Side, to: &Side, both: bool) -> Vec<(String, String)> {
    let mut links = Vec::new();
    for from in from.all() {
        for to in to.all().into_iter().filter(|it| *it != from) {
            links.push((from.to_string(), to.to_string()));
            if both {
                links.push((to.to_string(), from.to_string()));
            }
        }
    }
    links
}

fn name(from: &Side, to: &Side, both: bool) -> String {
    let names = |side: &Side| side.all().iter().map(Node::to_string).collect::<Vec<_>>().join("+");
    format!("{} {} {}", names(from), if both { "<->" } else { "->" }, names(to))
}

pub(super) fn inclusive(range: TimeRange) -> RangeInclusive<Duration> {
    range.least..=range.most
}
