//! Faults of processes, machines and their clocks.

use std::time::Duration;

use super::Injector;
use crate::fault::{Clock, Crash, CrashRack, Kill, Pause, RollingRestart};
use crate::scenario::Node;

impl Injector {
    pub(super) fn crash(&self, it: &Crash) {
        let node = it.node.one().to_string();
        self.world.crash(&node);
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
        let nodes: Vec<String> = it.nodes.all().iter().map(Node::to_string).collect();
        nodes.iter().for_each(|node| self.world.crash(node));
        let this = self.clone();
        self.heal_after(it.restart_after, move || {
            nodes.iter().for_each(|node| this.switch_on(node));
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
