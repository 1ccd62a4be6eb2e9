//! Faults of processes, machines and their clocks.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Injector;
use crate::fault::{Clock, Crash, CrashRack, Kill, Leaving, Pause, RollingRestart, SlowCpu};
use crate::scenario::Node;
use crate::world::Leaves;

impl Injector {
    pub(super) fn crash(&self, it: &Crash) {
        let node = it.node.one().to_string();
        match it.leaving {
            None | Some(Leaving::Drawn) => self.world.crash(&node),
            Some(leaving) => self.world.crash_leaving(&node, leaves(leaving)),
        }
        let (this, again_after) = (self.clone(), it.again_after);
        self.heal_after(it.restart_after, move || {
            this.switch_on(&node);
            let again = this.clone();
            this.heal_after(again_after, move || {
                again.world.crash(&node);
                again.healed(format!("{node} is switched off and on once more"));
                again.world.restart(&node);
            });
        });
    }

    pub(super) fn kill(&self, it: &Kill) {
        let node = it.node.one().to_string();
        self.world.end_process(&node);
        let this = self.clone();
        self.heal_after(it.restart_after, move || this.switch_on(&node));
    }

    pub(super) fn crash_rack(&self, it: &CrashRack) {
        // A seed may draw one node twice.
        let nodes: BTreeSet<String> = it.nodes.all().iter().map(Node::to_string).collect();
        for node in &nodes {
            self.world.crash(node);
        }
        let this = self.clone();
        self.heal_after(it.restart_after, move || {
            for node in &nodes {
                this.switch_on(node);
            }
        });
    }

    pub(super) fn rolling_restart(&self, it: &RollingRestart) {
        let workers: Vec<String> =
            self.nodes.iter().filter(|it| **it != Node::Coordinator).map(Node::to_string).collect();
        let (this, pause) = (self.clone(), it.pause.least);
        self.world.spawn("fault", async move {
            for worker in workers {
                if this.is_over() {
                    return;
                }
                this.world.end_process(&worker);
                this.world.sleep(pause).await;
                this.switch_on(&worker);
                this.world.sleep(pause).await;
            }
        });
    }

    pub(super) fn pause(&self, it: &Pause) {
        let node = it.node.one().to_string();
        self.world.pause(&node);
        let this = self.clone();
        self.heal_after(it.resume_after, move || {
            this.world.resume(&node);
            this.healed(format!("{node} resumes"));
        });
    }

    pub(super) fn slow_cpu(&self, it: &SlowCpu) {
        let node = it.node.one().to_string();
        self.world.set_slow_cpu(&node, Some(it.delay.least));
        let this = self.clone();
        self.heal_after(it.lasts, move || {
            this.world.set_slow_cpu(&node, None);
            this.healed(format!("{node} is as fast as before"));
        });
    }

    pub(super) fn clock(&self, it: &Clock) {
        let ahead = it.ahead.map_or(Duration::ZERO, |it| it.least);
        let drift = it.drift.map_or(0, |it| it.0);
        self.world.set_clock(&it.node.one().to_string(), ahead, drift);
    }

    pub(super) fn switch_on(&self, node: &str) {
        if !self.world.is_up(node) {
            self.healed(format!("{node} is back"));
            self.world.restart(node);
        }
    }
}

fn leaves(leaving: Leaving) -> Leaves {
    match leaving {
        Leaving::Drawn => Leaves::Drawn,
        Leaving::Nothing => Leaves::Nothing,
        Leaving::Everything => Leaves::Everything,
        Leaving::Prefix => Leaves::Prefix,
        Leaving::Hole => Leaves::Hole,
        Leaving::LastDirectory => Leaves::LastDirectory,
        Leaving::BothNames => Leaves::BothNames,
        Leaving::NoName => Leaves::NoName,
    }
}
