//! What the world does: the tables `[[fault]]`, each one trigger and one verb.

use std::ops::Range;
use std::time::Duration;

use seawall_protocol::event::Event;
use toml::Spanned;

use super::Reader;
use crate::fault::{Fault, FaultText, MishapKind, Nodes, On, Parallelism, Trigger, Verb};
use crate::scenario::OnText;
use crate::scenario::meaning::Node;
use crate::scenario::problem::{Problem, list_names, unknown};
use crate::scenario::quantity::show_time;

impl Reader<'_> {
    pub(super) fn fault(&mut self, number: usize, text: &Spanned<FaultText>) -> Option<Fault> {
        const TRIGGERS: [&str; 3] = ["at", "on", "every"];
        let it = text.get_ref();
        let triggers = [it.at.is_some(), it.on.is_some(), it.every.is_some()];
        let triggers: Vec<_> =
            TRIGGERS.iter().zip(triggers).filter(|(_, it)| *it).map(|(name, _)| *name).collect();
        let verbs = it.verbs();
        let written: Vec<_> = verbs.iter().map(|(_, it)| it.name()).collect();
        let has_trigger = self.exactly_one(number, text.span(), "trigger", &TRIGGERS, &triggers);
        let has_verb = self.exactly_one(number, text.span(), "verb", Verb::NAMES, &written);
        let trigger = self.trigger(it);
        for (span, verb) in &verbs {
            self.verb(span, verb, trigger.as_ref());
        }
        let (_, verb) = verbs.into_iter().next()?;
        (has_trigger && has_verb).then_some(Fault { trigger: trigger?, verb })
    }

    fn exactly_one(
        &mut self,
        number: usize,
        span: Range<usize>,
        what: &str,
        legal: &[&str],
        written: &[&str],
    ) -> bool {
        if written.len() == 1 {
            return true;
        }
        let found = match written {
            [] => format!("no {what}"),
            more => format!("{} {what}s ({})", more.len(), list_names(more.iter().copied())),
        };
        let problem = Problem::at(
            span.start..span.start + "[[fault]]".len(),
            format!(
                "fault {number} names {found}, expected exactly one of {}",
                list_names(legal.iter().copied())
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
        it.on.as_ref().and_then(|on| self.on(&on.span(), on.get_ref())).map(Trigger::On)
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

    fn on(&mut self, span: &Range<usize>, on: &OnText) -> Option<On> {
        let written = [on.event.is_some(), on.fault.is_some(), on.call.is_some()];
        if written.iter().filter(|it| **it).count() != 1 {
            let message = "`on` waits for exactly one of `event`, `fault`, `call`";
            self.problem(Problem::at(span.clone(), message));
            return None;
        }
        if let Some(event) = &on.event {
            self.name("event", event, Event::NAMES);
        }
        if let Some(fault) = &on.fault {
            self.name("fault", fault, Verb::NAMES);
        }
        let of_event = "only an event has one";
        let of_call = "only a call has one";
        for (key, span, is_read, why) in [
            ("checkpoint", on.checkpoint.as_ref().map(Spanned::span), on.event.is_some(), of_event),
            ("subtask", on.subtask.as_ref().map(Spanned::span), on.event.is_some(), of_event),
            ("path", on.path.as_ref().map(Spanned::span), on.call.is_some(), of_call),
            ("when", on.when.as_ref().map(Spanned::span), on.call.is_some(), of_call),
        ] {
            if let (Some(span), false) = (span, is_read) {
                self.problem(Problem::at(span, format!("`{key}` has no effect: {why}")));
            }
        }
        let nth = on.nth.as_ref().map_or(1, |it| self.at_least_one("`nth`", it));
        if let Some(subtask) = &on.subtask
            && !self.subtasks.is_empty()
            && !self.subtasks.contains(subtask.get_ref())
        {
            let legal: Vec<_> = self.subtasks.iter().map(String::as_str).collect();
            let problem = unknown(subtask.span(), "subtask", subtask.get_ref(), legal);
            self.problem(problem);
        }
        if let Some(node) = &on.node {
            self.node(&node.span(), *node.get_ref());
        }
        Some(On {
            event: on.event.as_ref().map(|it| it.get_ref().clone()),
            fault: on.fault.as_ref().map(|it| it.get_ref().clone()),
            call: on.call.as_ref().map(|it| *it.get_ref()),
            path: on.path.as_ref().map(|it| it.get_ref().clone()),
            when: on.when.as_ref().map(|it| *it.get_ref()),
            nth,
            checkpoint: on.checkpoint.as_ref().map(|it| *it.get_ref()),
            subtask: on.subtask.as_ref().map(|it| it.get_ref().clone()),
            node: on.node.as_ref().map(|it| *it.get_ref()),
            after: on.after,
        })
    }

    /// What no table can check alone.
    fn verb(&mut self, span: &Range<usize>, verb: &Verb, trigger: Option<&Trigger>) {
        for node in verb.nodes() {
            if let Nodes::One(node) = node {
                self.node(span, node);
            }
        }
        let sides = verb.sides();
        if sides.iter().any(Vec::is_empty) {
            self.problem(Problem::at(span.clone(), "a side is empty, expected at least one node"));
        }
        if let [from, to] = sides.as_slice() {
            let is_one = |it: &&Nodes| matches!(it, Nodes::One(_));
            if let Some(twice) = from.iter().filter(is_one).find(|it| to.contains(it)) {
                let place = self.place_of_name(span, &twice.to_string());
                self.problem(Problem::at(place, format!("`{twice}` is on both sides")));
            }
        }
        let is_at_once = |it: &Trigger| match it {
            Trigger::On(on) => on.event.is_some() && on.after.is_none(),
            Trigger::At(_) | Trigger::Every(_) => false,
        };
        if verb.needs_event() && !trigger.is_some_and(is_at_once) {
            let message = format!("`{}` strikes whoever reports an event", verb.name());
            let hint = "trigger it with `on = { event = \"...\" }`, without `after`";
            self.problem(Problem::at(span.clone(), message).hint(hint));
        }
        if let Verb::FailService(it) = verb
            && it.by.is_some()
            && !matches!(it.mishap, MishapKind::Indeterminate | MishapKind::Slow)
        {
            let message = "`by` has no effect: only `indeterminate` and `slow` answer later";
            self.problem(Problem::at(span.clone(), message));
        }
        if let Verb::IdleInput(it) = verb
            && it.gap.is_some()
            && it.times.is_none()
        {
            let message = "`gap` has no effect without `times`";
            self.problem(Problem::at(span.clone(), message));
        }
        if let Verb::Rescale(it) = verb
            && let Parallelism::Exactly(parallelism) = it.parallelism
        {
            self.fits_the_slots(span.clone(), parallelism.get());
        }
        if let Verb::Clock(clock) = verb
            && clock.ahead.is_none()
            && clock.drift.is_none()
        {
            let message = "the clock does nothing, expected `ahead`, `drift` or both";
            self.problem(Problem::at(span.clone(), message));
        }
    }

    /// A job that asks for more waits for ever.
    pub(super) fn fits_the_slots(&mut self, span: Range<usize>, parallelism: u32) {
        let slots = self.slots;
        if parallelism > slots {
            let message = format!(
                "parallelism {parallelism} needs {parallelism} slots, the cluster has {slots}"
            );
            let hint = "raise `workers` or `slots_per_worker`";
            self.problem(Problem::at(span, message).hint(hint));
        }
    }

    /// The last place of a node's name in a part of the text.
    fn place_of_name(&self, span: &Range<usize>, name: &str) -> Range<usize> {
        let quoted = format!("\"{name}\"");
        let found = self.text.get(span.clone()).and_then(|it| it.rfind(&quoted));
        found.map_or_else(|| span.clone(), |it| span.start + it..span.start + it + quoted.len())
    }

    fn node(&mut self, span: &Range<usize>, node: Node) {
        let Node::Worker(number) = node else { return };
        if (1..=self.workers).contains(&number) {
            return;
        }
        let mut legal = vec!["coordinator".to_owned()];
        legal.extend((1..=self.workers).map(|it| format!("worker-{it}")));
        legal.extend(["worker-*".to_owned(), "*".to_owned()]);
        let legal: Vec<_> = legal.iter().map(String::as_str).collect();
        let name = node.to_string();
        let place = self.place_of_name(span, &name);
        self.problem(unknown(place, "node", &name, legal.iter().copied()));
    }
}
