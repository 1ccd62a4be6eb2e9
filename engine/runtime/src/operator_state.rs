//! Operator state between a chain and its snapshots: gathered in the synchronous part (F1), handed out on
//! restore as [`seawall_protocol::operator_state`] decides (M5).

use seawall_protocol::EventTime;
use seawall_protocol::operator_state::{Redistribution, items_of};
use seawall_stream::StreamError;
use seawall_stream::chain::Outputs;

use crate::storage::snapshot::{OperatorSection, Snapshot};

/// The section that holds how far event time was. No operator state is called so: theirs are `operator/state`.
pub(crate) const WATERMARK: &str = "watermark";

/// How far event time was at the cut (L6). Nothing where nobody knows, so that a job without watermarks stores
/// nothing of them, and nothing at the end of the input, which the snapshot says.
pub(crate) fn watermark_section(time: EventTime) -> Option<OperatorSection> {
    (time > EventTime::MIN && time < EventTime::MAX).then(|| OperatorSection {
        name: WATERMARK.to_owned(),
        redistribution: Redistribution::Union,
        items: vec![time.0.to_le_bytes().to_vec()],
    })
}

/// How far event time is in an attempt that goes on from these snapshots: its own, or all of those whose state
/// it may get a part of. The least of them is true for each.
///
/// # Errors
/// When a section is none of [`watermark_section`].
pub(crate) fn watermark_of<'a>(
    snapshots: impl IntoIterator<Item = &'a Snapshot>,
) -> Result<EventTime, String> {
    let of = |snapshot: &Snapshot| {
        let section = snapshot.operator_states.iter().find(|it| it.name == WATERMARK);
        let Some(section) = section else {
            return Ok(if snapshot.is_ended { EventTime::MAX } else { EventTime::MIN });
        };
        let bytes = section.items.first().and_then(|it| it.as_slice().try_into().ok());
        let wrong = || format!("the watermark in the snapshot of {} is no time", snapshot.subtask);
        bytes.map(|it| EventTime(i64::from_le_bytes(it))).ok_or_else(wrong)
    };
    let times = snapshots.into_iter().map(of).collect::<Result<Vec<_>, _>>()?;
    Ok(times.into_iter().min().unwrap_or(EventTime::MIN))
}

/// Every operator state of a chain, in its order.
///
/// # Errors
/// When an item has no encoding.
pub(crate) fn gather(outputs: &mut dyn Outputs) -> Result<Vec<OperatorSection>, StreamError> {
    let mut sections = Vec::new();
    outputs.states(&mut |name, state| {
        let (name, redistribution) = (name.to_owned(), state.redistribution());
        sections.push(OperatorSection { name, redistribution, items: state.items()? });
        Ok(())
    })?;
    Ok(sections)
}

/// Whether there is any.
///
/// # Errors
/// None in practice: the states are only looked at.
pub(crate) fn has_any(outputs: &mut dyn Outputs) -> Result<bool, StreamError> {
    let mut has_any = false;
    outputs.states(&mut |_, _| {
        has_any = true;
        Ok(())
    })?;
    Ok(has_any)
}

/// Whether a subtask needs the snapshots of its neighbours too.
///
/// # Errors
/// None in practice: the states are only looked at.
pub(crate) fn is_shared(outputs: &mut dyn Outputs) -> Result<bool, StreamError> {
    let mut is_shared = false;
    outputs.states(&mut |_, state| {
        is_shared |= state.redistribution() != Redistribution::List;
        Ok(())
    })?;
    Ok(is_shared)
}

/// Fills the states of subtask `index` of `parallelism` from the snapshots of all subtasks of the
/// operator, ascending. A state that no snapshot holds stays empty; one that no operator declares, or
/// declares of another kind, is refused (M6).
///
/// # Errors
/// Says which state, and why.
pub(crate) fn restore(
    outputs: &mut dyn Outputs,
    snapshots: &[Snapshot],
    index: usize,
    parallelism: usize,
) -> Result<(), String> {
    let mut declared = Vec::new();
    let mut refused = None;
    let filled = outputs.states(&mut |name, state| {
        declared.push(name.to_owned());
        let redistribution = state.redistribution();
        let of = |snapshot: &Snapshot| -> Vec<Vec<u8>> {
            let section = snapshot.operator_states.iter().find(|it| it.name == name);
            section.map(|it| it.items.clone()).unwrap_or_default()
        };
        let stored = snapshots.iter().flat_map(|it| &it.operator_states);
        if let Some(other) =
            stored.filter(|it| it.name == name).find(|it| it.redistribution != redistribution)
        {
            refused = Some(format!(
                "operator state {name} is {redistribution:?} in the job and {:?} in the checkpoint\n\
                 hint: give the new state a new name",
                other.redistribution
            ));
            return Ok(());
        }
        let lists: Vec<Vec<Vec<u8>>> = snapshots.iter().map(of).collect();
        let lengths: Vec<usize> = lists.iter().map(Vec::len).collect();
        let items: Vec<Vec<u8>> = items_of(redistribution, &lengths, index, parallelism)
            .into_iter()
            .map(|it| lists[it.subtask][it.place].clone())
            .collect();
        state.restore(&items)
    });
    filled.map_err(|error| error.to_string())?;
    let stored = snapshots.iter().flat_map(|it| &it.operator_states);
    let is_known = |it: &&OperatorSection| it.name == WATERMARK || declared.contains(&it.name);
    let lost = stored.filter(|it| !it.items.is_empty()).find(|it| !is_known(it));
    if let Some(lost) = lost {
        refused = Some(format!(
            "the checkpoint holds operator state {}, which no operator of the job declares\n\
             hint: declare it under the same names of operator and state",
            lost.name
        ));
    }
    refused.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use seawall_protocol::{Attempt, CheckpointId, SubtaskId};
    use seawall_stream::chain::{EdgePort, Notice, SinkPort};
    use seawall_stream::operator_state::{ListState, StateCell, UnionState, Visit};

    use super::*;

    /// The end of a chain with two states.
    #[derive(Default)]
    struct Two {
        list: ListState<u64>,
        union: UnionState<u64>,
    }

    impl Outputs for Two {
        fn edges<'a>(&'a mut self, _: &mut Vec<&'a mut dyn EdgePort>) {}
        fn sink(&mut self) -> Option<&mut dyn SinkPort> {
            None
        }
        fn states(&mut self, visit: &mut Visit<'_>) -> Result<(), StreamError> {
            visit("op/list", &mut self.list)?;
            visit("op/union", &mut self.union)
        }
        fn tell(&mut self, _: Notice) {}
        fn hears_checkpoints(&self) -> bool {
            false
        }
        fn hears_end(&self) -> bool {
            false
        }
        fn makes_watermarks(&self) -> bool {
            false
        }
        fn on_watermark(&mut self, _: EventTime) {}
    }

    fn stored(index: u32, items: &[u64]) -> Snapshot {
        let mut two = Two::default();
        two.list.extend(items);
        two.union.extend(items);
        Snapshot {
            operator: "op".to_owned(),
            subtask: SubtaskId::new(0, index),
            attempt: Attempt(1),
            checkpoint: CheckpointId(1),
            is_ended: false,
            splits: Vec::new(),
            keyed: Vec::new(),
            shared: Vec::new(),
            transactions: Vec::new(),
            operator_states: gather(&mut two).expect("numbers have an encoding"),
            input: Vec::new(),
            output: Vec::new(),
        }
    }

    fn restored(snapshots: &[Snapshot], index: usize, of: usize) -> (Vec<u64>, Vec<u64>) {
        let mut two = Two::default();
        restore(&mut two, snapshots, index, of).expect("it is the same job");
        (two.list.to_vec(), two.union.to_vec())
    }

    // Rules: M5
    #[test]
    fn each_subtask_gets_its_own_list_and_the_whole_union() {
        let snapshots = [stored(0, &[1, 2]), stored(1, &[]), stored(2, &[3])];
        assert_eq!(restored(&snapshots, 0, 3), (vec![1, 2], vec![1, 2, 3]));
        assert_eq!(restored(&snapshots, 1, 3), (vec![], vec![1, 2, 3]));
        assert_eq!(restored(&snapshots, 1, 2), (vec![2], vec![1, 2, 3]));
        assert!(is_shared(&mut Two::default()).expect("it only looks"));
    }

    // Rules: M6
    #[test]
    fn state_that_no_operator_declares_or_of_another_kind_is_refused() {
        let mut unknown = stored(0, &[1]);
        unknown.operator_states[0].name = "op/lost".to_owned();
        assert_eq!(
            restore(&mut Two::default(), &[unknown], 0, 1).expect_err("it would be lost"),
            "the checkpoint holds operator state op/lost, which no operator of the job declares\n\
             hint: declare it under the same names of operator and state"
        );
        let mut other = stored(0, &[1]);
        other.operator_states[0].redistribution = Redistribution::Broadcast;
        assert_eq!(
            restore(&mut Two::default(), &[other], 0, 1).expect_err("it is of another kind"),
            "operator state op/list is List in the job and Broadcast in the checkpoint\n\
             hint: give the new state a new name"
        );
        let mut damaged = stored(0, &[1]);
        damaged.operator_states[0].items = vec![vec![]];
        restore(&mut Two::default(), &[damaged], 0, 1).expect_err("it is damaged");
        assert_eq!(StateCell::redistribution(&Two::default().list), Redistribution::List);
    }

    fn with_watermark(index: u32, time: i64) -> Snapshot {
        let mut snapshot = stored(index, &[]);
        snapshot.operator_states.extend(watermark_section(EventTime(time)));
        snapshot
    }

    // Rules: L6
    #[test]
    fn event_time_goes_on_from_its_own_snapshot_or_from_the_least_of_many() {
        let [five, three] = [with_watermark(0, 5), with_watermark(1, 3)];
        assert_eq!(watermark_of([&five]), Ok(EventTime(5)));
        assert_eq!(watermark_of([&five, &three]), Ok(EventTime(3)));
        let ended = Snapshot { is_ended: true, ..stored(2, &[]) };
        assert_eq!(watermark_of([&five, &ended]), Ok(EventTime(5)));
        assert_eq!(watermark_of([&ended]), Ok(EventTime::MAX));
        assert_eq!(watermark_of([&five, &stored(2, &[])]), Ok(EventTime::MIN));
        assert_eq!(watermark_of([]), Ok(EventTime::MIN));
        assert_eq!(restored(&[five], 0, 1), (vec![], vec![]), "it is no operator's");
        let mut damaged = three;
        damaged.operator_states[2].items = vec![vec![1]];
        watermark_of([&damaged]).expect_err("one byte is no time");
    }

    #[test]
    fn where_nobody_knows_the_time_nothing_is_stored() {
        assert_eq!(watermark_section(EventTime::MIN), None);
        assert_eq!(watermark_section(EventTime::MAX), None);
    }
}
