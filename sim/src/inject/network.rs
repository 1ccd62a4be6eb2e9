//! Faults of the network.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::Injector;
use crate::fault::{Partition, Reset, Side, SlowNetwork, Swizzle};
use crate::scenario::Node;
use crate::scenario::quantity::TimeRange;

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
        let nodes: Vec<String> = it.nodes.all().iter().map(Node::to_string).collect();
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
