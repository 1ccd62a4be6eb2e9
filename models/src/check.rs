//! The checker: breadth first over any [`stateright::Model`], one thread, every state once.
//!
//! Stateright is the second opinion (its counts are compared with these in `tests/counts.rs`); it is not
//! the checker, because of what was measured of version 0.31: a counterexample is overwritten by later,
//! longer ones; `eventually` misses counterexamples on cycles and joins; a panic in a core loses its path;
//! a timeout makes an unfinished search pass. Here:
//!
//! - a counterexample is shortest, because the search is breadth first and stops at the first;
//! - `eventually p` is read as **AG EF p**: from every reachable state, p can still be reached. Every fault
//!   spends a finite budget, so that is recovery without assumptions on fairness;
//! - a step that panics is a counterexample of the property `no-panic`;
//! - the verdict says whether the search was exhausted; nothing depends on time;
//! - a `sometimes` that is never reached in an exhausted search is an error: what the model proves would
//!   be true of nothing.
//!
//! States are known by 64-bit fingerprints: of a million, two share one with a chance of 3 in 100 million.

use std::collections::hash_map::{DefaultHasher, Entry};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use stateright::{Expectation, Model};

/// How far a model is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    /// Seconds in all: part of `cargo verify`.
    Smoke,
    /// Some ten times as many states: part of `cargo test`.
    Merge,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Smoke => "smoke",
            Self::Merge => "merge",
        })
    }
}

/// What became of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every reachable state was seen and every property holds.
    Exhausted,
    /// Nothing was found in the first states; there are more. Never a pass.
    Bounded {
        /// How many states were looked at.
        states_max: usize,
    },
    /// The property does not hold.
    Violated {
        /// Which.
        property: String,
        /// A shortest way there from the initial state, one step a line.
        steps: Vec<String>,
    },
    /// The state that this property asks for cannot be reached, so the model shows less than it claims.
    Unreached {
        /// Which.
        property: String,
    },
}

/// One search.
#[derive(Debug, Clone)]
pub struct Report {
    /// Name of the model.
    pub model: &'static str,
    /// At which size.
    pub size: Size,
    /// States generated, repeated ones included.
    pub generated: usize,
    /// Different states.
    pub unique: usize,
    /// Steps from the initial state to the farthest state.
    pub depth: usize,
    /// Wall time.
    pub elapsed: Duration,
    /// What became of it.
    pub verdict: Verdict,
}

impl Report {
    /// Whether the model was checked to its end and holds.
    pub fn holds(&self) -> bool {
        self.verdict == Verdict::Exhausted
    }

    /// The columns of the rows that `Display` writes.
    pub fn header() -> String {
        format!(
            "{:<12} {:<6} {:>10} {:>10} {:>6} {:>8}  verdict",
            "model", "size", "generated", "unique", "depth", "time"
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<12} {:<6} {:>10} {:>10} {:>6} {:>7.2}s  ",
            self.model,
            self.size,
            self.generated,
            self.unique,
            self.depth,
            self.elapsed.as_secs_f64()
        )?;
        match &self.verdict {
            Verdict::Exhausted => write!(f, "holds (exhausted)"),
            Verdict::Bounded { states_max } => write!(f, "unfinished (first {states_max} states)"),
            Verdict::Unreached { property } => write!(f, "never reached: {property}"),
            Verdict::Violated { property, steps } => {
                write!(f, "violated: {property}, in {} steps", steps.len())?;
                for (index, step) in steps.iter().enumerate() {
                    write!(f, "\n  {:>3}. {step}", index + 1)?;
                }
                Ok(())
            }
        }
    }
}

/// Searches the model, at most `states_max` different states of it.
pub fn check<M>(name: &'static str, size: Size, model: &M, states_max: usize) -> Report
where
    M: Model,
    M::State: Hash,
    M::Action: Clone + fmt::Debug,
{
    let started = Instant::now();
    let mut search = Search::new(model);
    let verdict = search.run(states_max);
    Report {
        model: name,
        size,
        generated: search.generated,
        unique: search.nodes.len(),
        depth: search.depth,
        elapsed: started.elapsed(),
        verdict,
    }
}

/// How a state was first reached: from which, by which of its actions.
struct Node {
    parent: u32,
    choice: u16,
    depth: u16,
}

struct Search<'m, M: Model> {
    model: &'m M,
    properties: Vec<stateright::Property<M>>,
    is_reached: Vec<bool>,
    /// For each `eventually`, by index of the property: the states where it is true.
    goals: Vec<Vec<usize>>,
    numbers: HashMap<u64, usize>,
    nodes: Vec<Node>,
    edges: Vec<(u32, u32)>,
    generated: usize,
    depth: usize,
}

impl<'m, M> Search<'m, M>
where
    M: Model,
    M::State: Hash,
    M::Action: Clone + fmt::Debug,
{
    fn new(model: &'m M) -> Self {
        let properties = model.properties();
        assert!(!properties.is_empty(), "a model without properties shows nothing");
        Self {
            model,
            is_reached: vec![false; properties.len()],
            goals: vec![Vec::new(); properties.len()],
            properties,
            numbers: HashMap::new(),
            nodes: Vec::new(),
            edges: Vec::new(),
            generated: 0,
            depth: 0,
        }
    }

    fn run(&mut self, states_max: usize) -> Verdict {
        let mut frontier = VecDeque::new();
        for state in self.model.init_states() {
            let (number, is_new) = self.number(&state, None);
            if is_new {
                if let Some(violated) = self.judge(number, &state) {
                    return violated;
                }
                frontier.push_back((number, state));
            }
        }
        let mut actions = Vec::new();
        while let Some((from, state)) = frontier.pop_front() {
            actions.clear();
            self.model.actions(&state, &mut actions);
            for (index, action) in actions.iter().enumerate() {
                let next = catch_unwind(AssertUnwindSafe(|| {
                    self.model.next_state(&state, action.clone())
                }));
                let next = match next {
                    Ok(next) => next.expect("an offered action has a next state"),
                    Err(panic) => {
                        let mut steps = self.steps_to(from);
                        steps.push(self.model.format_action(action));
                        steps.push(format!("panic: {}", message_of(panic.as_ref())));
                        return Verdict::Violated { property: "no-panic".into(), steps };
                    }
                };
                let (to, is_new) = self.number(&next, Some((from, index)));
                self.edges.push((narrow(from), narrow(to)));
                if is_new {
                    if let Some(violated) = self.judge(to, &next) {
                        return violated;
                    }
                    if self.nodes.len() >= states_max {
                        return Verdict::Bounded { states_max };
                    }
                    frontier.push_back((to, next));
                }
            }
        }
        self.judge_graph()
    }

    /// The state's number, and whether it was met for the first time.
    fn number(&mut self, state: &M::State, parent: Option<(usize, usize)>) -> (usize, bool) {
        self.generated += 1;
        let mut hasher = DefaultHasher::new();
        state.hash(&mut hasher);
        // An initial state is its own parent.
        let (parent, choice, depth) = match parent {
            Some((from, choice)) => (from, choice, self.nodes[from].depth + 1),
            None => (self.nodes.len(), 0, 0),
        };
        match self.numbers.entry(hasher.finish()) {
            Entry::Occupied(known) => (*known.get(), false),
            Entry::Vacant(new) => {
                let number = *new.insert(self.nodes.len());
                let choice = u16::try_from(choice).expect("fewer than 2^16 actions");
                self.nodes.push(Node { parent: narrow(parent), choice, depth });
                self.depth = self.depth.max(usize::from(depth));
                (number, true)
            }
        }
    }

    fn judge(&mut self, number: usize, state: &M::State) -> Option<Verdict> {
        for (index, property) in self.properties.iter().enumerate() {
            let is_true = (property.condition)(self.model, state);
            match property.expectation {
                Expectation::Always if !is_true => {
                    let property = property.name.into();
                    return Some(Verdict::Violated { property, steps: self.steps_to(number) });
                }
                Expectation::Always => {}
                Expectation::Sometimes => self.is_reached[index] |= is_true,
                Expectation::Eventually => {
                    if is_true {
                        self.goals[index].push(number);
                    }
                }
            }
        }
        None
    }

    /// What only the whole graph shows.
    fn judge_graph(&self) -> Verdict {
        let into = Reversed::new(self.nodes.len(), &self.edges);
        for (property, goals) in self.properties.iter().zip(&self.goals) {
            if property.expectation == Expectation::Eventually
                && let Some(stuck) = into.first_that_cannot_reach(goals)
            {
                let mut steps = self.steps_to(stuck);
                steps.push("from here it can never be reached again".into());
                return Verdict::Violated { property: property.name.into(), steps };
            }
        }
        for (property, is_reached) in self.properties.iter().zip(&self.is_reached) {
            if property.expectation == Expectation::Sometimes && !is_reached {
                return Verdict::Unreached { property: property.name.into() };
            }
        }
        Verdict::Exhausted
    }

    /// The steps by which the state was first reached, found again by taking them.
    fn steps_to(&self, number: usize) -> Vec<String> {
        let mut choices = Vec::new();
        let mut number = number;
        while self.nodes[number].parent as usize != number {
            choices.push(usize::from(self.nodes[number].choice));
            number = self.nodes[number].parent as usize;
        }
        let mut states = self.model.init_states();
        assert!(states.len() == 1, "paths start in the one initial state");
        let mut state = states.remove(0);
        let mut steps = Vec::new();
        for choice in choices.into_iter().rev() {
            let mut actions = Vec::new();
            self.model.actions(&state, &mut actions);
            let action = actions.swap_remove(choice);
            steps.push(self.model.format_action(&action));
            state = self.model.next_state(&state, action).expect("it was taken before");
        }
        steps
    }
}

/// The edges of the graph, by the state they lead to.
struct Reversed {
    starts: Vec<usize>,
    sources: Vec<u32>,
}

impl Reversed {
    fn new(nodes: usize, edges: &[(u32, u32)]) -> Self {
        let mut starts = vec![0; nodes + 1];
        for (_, to) in edges {
            starts[*to as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut free = starts.clone();
        let mut sources = vec![0; edges.len()];
        for (from, to) in edges {
            sources[free[*to as usize]] = *from;
            free[*to as usize] += 1;
        }
        Self { starts, sources }
    }

    /// The first state, and so one of the nearest, from which no goal can be reached.
    fn first_that_cannot_reach(&self, goals: &[usize]) -> Option<usize> {
        let mut can = vec![false; self.starts.len() - 1];
        let mut todo = goals.to_vec();
        for goal in goals {
            can[*goal] = true;
        }
        while let Some(node) = todo.pop() {
            for source in &self.sources[self.starts[node]..self.starts[node + 1]] {
                let source = *source as usize;
                if !std::mem::replace(&mut can[source], true) {
                    todo.push(source);
                }
            }
        }
        can.iter().position(|can| !can)
    }
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).expect("fewer than 2^32 states")
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_else(|| "of unknown cause".into())
}

#[cfg(test)]
mod tests {
    use stateright::Property;

    use super::*;

    /// Counts up to 3; from 2 it may also fall into a trap, or panic.
    struct Counter {
        has_trap: bool,
        panics_at: Option<u8>,
        properties: fn() -> Vec<Property<Counter>>,
    }

    const TRAP: u8 = 9;

    impl Model for Counter {
        type State = u8;
        type Action = u8;

        fn init_states(&self) -> Vec<u8> {
            vec![0]
        }

        fn actions(&self, state: &u8, actions: &mut Vec<u8>) {
            if *state < 3 {
                actions.push(state + 1);
            } else if *state == 3 {
                actions.push(0);
            }
            if *state == 2 && self.has_trap {
                actions.push(TRAP);
            }
        }

        fn next_state(&self, _: &u8, action: u8) -> Option<u8> {
            assert!(self.panics_at != Some(action), "{action} is not for me");
            Some(action)
        }

        fn properties(&self) -> Vec<Property<Self>> {
            (self.properties)()
        }
    }

    fn verdict(counter: &Counter) -> Verdict {
        check("counter", Size::Smoke, counter, 100).verdict
    }

    fn counter(properties: fn() -> Vec<Property<Counter>>) -> Counter {
        Counter { has_trap: false, panics_at: None, properties }
    }

    #[test]
    fn a_finite_model_is_exhausted_and_counted() {
        let model = counter(|| vec![Property::always("small", |_, state| *state < 4)]);
        let report = check("counter", Size::Smoke, &model, 100);
        assert_eq!((report.unique, report.generated, report.depth), (4, 5, 3));
        assert!(report.holds(), "{report}");
    }

    #[test]
    fn a_search_that_is_cut_short_is_no_pass() {
        let model = counter(|| vec![Property::always("small", |_, state| *state < 4)]);
        let report = check("counter", Size::Smoke, &model, 2);
        assert_eq!(report.verdict, Verdict::Bounded { states_max: 2 });
        assert!(!report.holds());
    }

    #[test]
    fn a_counterexample_is_shortest_and_readable() {
        let model = counter(|| vec![Property::always("below two", |_, state| *state < 2)]);
        let steps = vec!["1".into(), "2".into()];
        assert_eq!(verdict(&model), Verdict::Violated { property: "below two".into(), steps });
    }

    #[test]
    fn a_goal_that_stays_reachable_on_a_cycle_holds() {
        let model = counter(|| vec![Property::eventually("three", |_, state| *state == 3)]);
        assert_eq!(verdict(&model), Verdict::Exhausted);
    }

    #[test]
    fn a_trap_from_which_the_goal_cannot_be_reached_is_found() {
        let model = Counter {
            has_trap: true,
            ..counter(|| vec![Property::eventually("three", |_, state| *state == 3)])
        };
        let Verdict::Violated { property, steps } = verdict(&model) else {
            panic!("not found");
        };
        assert_eq!((property.as_str(), steps.len()), ("three", 4));
    }

    #[test]
    fn a_panic_keeps_its_path() {
        let model = Counter {
            panics_at: Some(2),
            ..counter(|| vec![Property::always("true", |_, _| true)])
        };
        let steps = vec!["1".into(), "2".into(), "panic: 2 is not for me".into()];
        assert_eq!(verdict(&model), Verdict::Violated { property: "no-panic".into(), steps });
    }

    #[test]
    fn a_state_that_is_never_reached_is_an_error() {
        let model = counter(|| vec![Property::sometimes("seven", |_, state| *state == 7)]);
        assert_eq!(verdict(&model), Verdict::Unreached { property: "seven".into() });
    }
}
