//! What the world does: the tables `[[fault]]`, each one trigger and one verb.

use std::ops::Range;
use std::time::Duration;

use seawall_protocol::event::Event;
use toml::Spanned;

use super::Reader;
use crate::fault;
use crate::scenario::meaning::{DiskError, Fault, Node, Nodes, On, Trigger, Verb};
use crate::scenario::problem::{Problem, list_names, unknown};
use crate::scenario::quantity::{TimeRange, show_time};
use crate::scenario::{FaultText, OnText};

impl Reader {
    pub(super) fn fault(&mut self, number: usize, text: &Spanned<FaultText>) -> Option<Fault> {
        const TRIGGERS: [&str; 3] = ["at", "on", "every"];
        const VERBS: [&str; 9] = [
            "crash",
            "pause",
            "partition",
            "reset",
            "slow_network",
            "slow_disk",
            "slow_checkpoint",
            "fail_disk",
            "ask",
        ];
        let it = text.get_ref();
        let triggers = [it.at.is_some(), it.on.is_some(), it.every.is_some()];
        let verbs = [
            it.crash.is_some(),
            it.pause.is_some(),
            it.partition.is_some(),
            it.reset.is_some(),
            it.slow_network.is_some(),
            it.slow_disk.is_some(),
            it.slow_checkpoint.is_some(),
            it.fail_disk.is_some(),
            it.ask.is_some(),
        ];
        let has_trigger = self.exactly_one(number, text.span(), "trigger", &TRIGGERS, &triggers);
        let has_verb = self.exactly_one(number, text.span(), "verb", &VERBS, &verbs);
        let trigger = self.trigger(it);
        let verb = self.verb(it);
        if !has_trigger || !has_verb {
            return None;
        }
        Some(Fault { trigger: trigger?, verb: verb? })
    }

    fn exactly_one(
        &mut self,
        number: usize,
        span: Range<usize>,
        what: &str,
        names: &[&str],
        present: &[bool],
    ) -> bool {
        let written: Vec<_> =
            names.iter().zip(present).filter(|(_, it)| **it).map(|(name, _)| *name).collect();
        if written.len() == 1 {
            return true;
        }
        let found = match written.as_slice() {
            [] => format!("no {what}"),
            more => format!("{} {what}s ({})", more.len(), list_names(more.iter().copied())),
        };
        let problem = Problem::at(
            span.start..span.start + "[[fault]]".len(),
            format!(
                "fault {number} names {found}, expected exactly one of {}",
                list_names(names.iter().copied())
            ),
        );
        self.problem(if written.len() > 1 {
            problem.hint(format!(
                "one [[fault]] table is one {what}; split it into {} tables",
                written.len()
            ))
        } else {
            problem
        });
        false
    }

    fn trigger(&mut self, it: &FaultText) -> Option<Trigger> {
        if let Some(at) = &it.at {
            self.within_until(at.span(), at.get_ref().most);
            return Some(Trigger::At(*at.get_ref()));
        }
        if let Some(every) = &it.every {
            if every.get_ref().0 < Duration::from_millis(10) {
                self.problem(Problem::at(
                    every.span(),
                    "the mean interval is too short, expected at least 10ms",
                ));
                return None;
            }
            self.within_until(every.span(), every.get_ref().0);
            return Some(Trigger::Every(every.get_ref().0));
        }
        it.on.as_ref().map(|on| Trigger::On(self.on(on.get_ref())))
    }

    fn within_until(&mut self, span: Range<usize>, time: Duration) {
        if time >= self.until {
            let until = show_time(self.until);
            self.problem(
                Problem::at(
                    span,
                    format!("the fault comes after the safety phase, which ends at {until}"),
                )
                .hint("raise `until`, or let the fault come earlier"),
            );
        }
    }

    fn on(&mut self, on: &OnText) -> On {
        self.name("event", &on.event, Event::NAMES);
        let nth = on.nth.as_ref().map_or(1, |it| self.at_least_one("`nth`", it));
        if let Some(subtask) = &on.subtask
            && !self.subtasks.is_empty()
            && !self.subtasks.contains(subtask.get_ref())
        {
            let legal: Vec<_> = self.subtasks.iter().map(String::as_str).collect();
            let problem = unknown(subtask.span(), "subtask", subtask.get_ref(), legal);
            self.problem(problem);
        }
        let node = on.node.as_ref().and_then(|it| match self.node(it)? {
            Nodes::One(node) => Some(node),
            Nodes::AnyWorker | Nodes::Any => {
                self.problem(Problem::at(
                    it.span(),
                    "`node` of a trigger must be one node; leave it out to match any",
                ));
                None
            }
        });
        On {
            event: on.event.get_ref().clone(),
            nth,
            checkpoint: on.checkpoint.as_ref().map(|it| *it.get_ref()),
            subtask: on.subtask.as_ref().map(|it| it.get_ref().clone()),
            node,
            after: on.after.unwrap_or(TimeRange::exactly(Duration::ZERO)),
        }
    }

    fn verb(&mut self, it: &FaultText) -> Option<Verb> {
        if let Some(crash) = &it.crash {
            let crash = crash.get_ref();
            return Some(Verb::Crash {
                node: self.node(&crash.node)?,
                restart_after: crash.restart_after,
            });
        }
        if let Some(pause) = &it.pause {
            let pause = pause.get_ref();
            return Some(Verb::Pause {
                node: self.node(&pause.node)?,
                resume_after: pause.resume_after,
            });
        }
        if let Some(partition) = &it.partition {
            let it = partition.get_ref();
            let (from, to) = self.sides(&it.from, &it.to);
            return Some(Verb::Partition {
                from: from?,
                to: to?,
                both: it.both,
                heal_after: it.heal_after,
            });
        }
        if let Some(reset) = &it.reset {
            let (from, to) = self.sides(&reset.get_ref().from, &reset.get_ref().to);
            return Some(Verb::Reset { from: from?, to: to? });
        }
        if let Some(slow) = &it.slow_network {
            let it = slow.get_ref();
            let (from, to) = self.sides(&it.from, &it.to);
            return Some(Verb::SlowNetwork {
                from: from?,
                to: to?,
                both: it.both,
                latency: it.latency,
                lasts: it.lasts,
            });
        }
        if let Some(slow) = &it.slow_disk {
            let it = slow.get_ref();
            return Some(Verb::SlowDisk {
                node: self.node(&it.node)?,
                latency: it.latency,
                lasts: it.lasts,
            });
        }
        if let Some(slow) = &it.slow_checkpoint {
            let it = slow.get_ref();
            return Some(Verb::SlowCheckpoint { node: self.node(&it.node)?, stall: it.stall });
        }
        if let Some(ask) = &it.ask {
            let what = &ask.get_ref().what;
            self.name("request", what, &fault::ASKS.map(|(name, _)| name));
            let found = fault::ASKS.into_iter().find(|(name, _)| name == what.get_ref());
            return found.map(|(_, ask)| Verb::Ask(ask));
        }
        let it = it.fail_disk.as_ref()?.get_ref();
        self.name("disk error", &it.error, &DiskError::NAMES);
        Some(Verb::FailDisk {
            node: self.node(&it.node)?,
            error: DiskError::from_name(it.error.get_ref())?,
            count: it.count.as_ref().map_or(1, |it| self.at_least_one("`count`", it)),
            path: it.path.clone(),
        })
    }

    fn sides(
        &mut self,
        from: &Spanned<Vec<Spanned<String>>>,
        to: &Spanned<Vec<Spanned<String>>>,
    ) -> (Option<Vec<Nodes>>, Option<Vec<Nodes>>) {
        for (side, what) in [(from, "from"), (to, "to")] {
            if side.get_ref().is_empty() {
                self.problem(Problem::at(
                    side.span(),
                    format!("`{what}` is empty, expected at least one node"),
                ));
            }
        }
        let both = from.get_ref().iter().find_map(|it| {
            to.get_ref()
                .iter()
                .find(|other| other.get_ref() == it.get_ref() && !it.get_ref().contains('*'))
        });
        if let Some(both) = both {
            let message = format!("`{}` is on both sides", both.get_ref());
            self.problem(Problem::at(both.span(), message));
        }
        let mut nodes = |side: &[Spanned<String>]| -> Option<Vec<Nodes>> {
            let nodes: Vec<_> = side.iter().map(|it| self.node(it)).collect();
            nodes.into_iter().collect()
        };
        (nodes(from.get_ref()), nodes(to.get_ref()))
    }

    fn node(&mut self, name: &Spanned<String>) -> Option<Nodes> {
        match name.get_ref().as_str() {
            "*" => return Some(Nodes::Any),
            "worker-*" => return Some(Nodes::AnyWorker),
            _ => {}
        }
        match Node::from_name(name.get_ref()) {
            Some(Node::Worker(number)) if number == 0 || number > self.workers => {}
            Some(node) => return Some(Nodes::One(node)),
            None => {}
        }
        let mut legal = vec!["coordinator".to_owned()];
        legal.extend((1..=self.workers).map(|it| format!("worker-{it}")));
        legal.extend(["worker-*".to_owned(), "*".to_owned()]);
        let legal: Vec<_> = legal.iter().map(String::as_str).collect();
        self.problem(unknown(name.span(), "node", name.get_ref(), legal.iter().copied()));
        None
    }
}
