//! The store against a register whose writes fail before or after they took effect (H1-H6, A1, A2).

use std::collections::BTreeSet;

use proptest::prelude::*;
use seawall_protocol::coordinator::WriteId;
use seawall_protocol::record::{JobResult, StoreRecord};
use seawall_protocol::store::{Failed, Persisted, Purpose, Store};
use seawall_protocol::{CheckpointId, JobId};

/// A register, the store in front of it, and what was promised to the outside.
struct World {
    register: StoreRecord,
    store: Store,
    retained_max: u32,
    outstanding: Option<(WriteId, StoreRecord)>,
    reserved: Vec<CheckpointId>,
    /// Reserved, not yet published or given up.
    open: BTreeSet<CheckpointId>,
    /// Reported as aborted by the present leader.
    aborted: BTreeSet<CheckpointId>,
    completed: BTreeSet<CheckpointId>,
}

impl World {
    fn new(retained_max: u32) -> Self {
        let register = StoreRecord::fresh(JobId(1));
        Self {
            store: Store::new(register.clone(), retained_max),
            register,
            retained_max,
            outstanding: None,
            reserved: Vec::new(),
            open: BTreeSet::new(),
            aborted: BTreeSet::new(),
            completed: BTreeSet::new(),
        }
    }

    fn begin(&mut self, write: Option<(WriteId, StoreRecord)>) {
        let Some((write, record)) = write else { return };
        assert!(self.outstanding.is_none(), "two writes at once");
        assert!(record.next_checkpoint >= self.register.next_checkpoint, "ids went back");
        assert!(record.attempt >= self.register.attempt, "attempts went back");
        assert!(record.token >= self.register.token, "tokens went back");
        assert!(record.retained.len() <= self.retained_max as usize, "{record:?}");
        assert!(record.retained.is_sorted(), "{record:?}");
        let returns = record.retained.iter().find(|it| self.aborted.contains(it));
        assert_eq!(returns, None, "an aborted checkpoint comes back");
        self.outstanding = Some((write, record));
    }

    fn check_deletable(&self, checkpoint: CheckpointId) {
        assert!(!self.register.retained.contains(&checkpoint), "{checkpoint} is referenced");
    }

    fn persisted(&mut self) {
        let Some((write, record)) = self.outstanding.take() else { return };
        self.register = record;
        let persisted = self.store.on_persisted(write).expect("the outstanding write");
        assert_eq!(self.store.durable(), &self.register);
        assert_eq!(self.store.on_persisted(write), None, "answered once");
        match persisted {
            Persisted::Leading | Persisted::Finished(_) | Persisted::Cancelled { .. } => {}
            Persisted::Expired(removed) => {
                assert!(self.register.retained.last() >= self.completed.last(), "the newest stays");
                for it in &removed {
                    self.check_deletable(*it);
                }
            }
            Persisted::Attempt(attempt) => assert_eq!(attempt, self.register.attempt),
            Persisted::Reserved(id) => {
                assert!(self.reserved.last() < Some(&id), "{id} was used before (A1)");
                assert!(id < self.register.next_checkpoint, "{id} is not reserved durably");
                self.reserved.push(id);
                self.open.insert(id);
            }
            Persisted::Published { checkpoint, removed } => {
                assert_eq!(self.register.retained.last(), Some(&checkpoint));
                for it in &removed {
                    self.check_deletable(*it);
                }
                self.completed.insert(checkpoint);
                self.open.remove(&checkpoint);
                for lower in self.open.split_off(&CheckpointId(0)) {
                    if lower < checkpoint {
                        assert!(!self.store.is_publishing(lower));
                        self.store.withdraw(Purpose::Publish(lower));
                        self.aborted.insert(lower);
                    } else {
                        self.open.insert(lower);
                    }
                }
            }
            Persisted::Retracted(checkpoint) => self.check_deletable(checkpoint),
        }
    }

    fn failed(&mut self, takes_effect: bool) {
        let Some((write, record)) = self.outstanding.take() else { return };
        if takes_effect {
            self.register = record;
        }
        match self.store.on_failed(write).expect("the outstanding write") {
            Failed::Repeat => {}
            Failed::Retract(checkpoint) => {
                assert!(self.store.is_uncertain(checkpoint));
                self.open.remove(&checkpoint);
                self.aborted.insert(checkpoint);
            }
        }
        assert!(self.store.is_in_doubt());
        assert_eq!(self.store.next_write(), None, "nothing else is written in doubt");
    }

    fn act(&mut self, action: u8) {
        match action {
            0..=5 => self.persisted(),
            6 => self.failed(true),
            7 => self.failed(false),
            8 => self.store.request(Purpose::Deploy),
            9..=11 => self.store.request(Purpose::Reserve),
            12..=14 => {
                let newest = self.open.last().copied();
                if let Some(checkpoint) = newest {
                    self.store.request(Purpose::Publish(checkpoint));
                }
            }
            15 => {
                let oldest = self.open.first().copied();
                if let Some(checkpoint) = oldest {
                    self.store.request(Purpose::Publish(checkpoint));
                }
            }
            16 => {
                let oldest = self.open.first().filter(|it| !self.store.is_publishing(**it));
                if let Some(checkpoint) = oldest.copied() {
                    self.store.withdraw(Purpose::Publish(checkpoint));
                    self.open.remove(&checkpoint);
                    self.aborted.insert(checkpoint);
                }
            }
            17 => {
                let oldest = self.register.retained.first().copied().unwrap_or_default();
                let _ = self.store.on_aged(oldest);
            }
            18 => {
                self.outstanding = None; // The leader crashed; the write was lost.
                self.open.clear();
                self.aborted.clear();
                self.completed.extend(self.register.retained.iter().copied());
                self.store = Store::new(self.register.clone(), self.retained_max);
                self.store.request(Purpose::Lead);
            }
            _ => {
                let write = self.store.on_retry();
                self.begin(write);
            }
        }
        let write = self.store.next_write();
        self.begin(write);
        let newest = self.completed.last();
        assert!(self.register.retained.last() >= newest, "the newest completed one is retained");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    // Rules: A1, H2, H3, H4, H5
    #[test]
    fn ids_grow_the_newest_is_retained_and_what_was_aborted_stays_so(
        retained_max in 1..4_u32,
        actions in prop::collection::vec(0..22_u8, 0..300),
    ) {
        let mut world = World::new(retained_max);
        for action in actions {
            world.act(action);
        }
        // Once the register answers again, the doubt goes and the register is what the store believes.
        for _ in 0..40 {
            let write = world.store.on_retry();
            world.begin(write);
            world.persisted();
            let write = world.store.next_write();
            world.begin(write);
        }
        prop_assert!(!world.store.is_in_doubt());
        prop_assert_eq!(world.store.durable(), &world.register);
        let returned = world.register.retained.iter().find(|it| world.aborted.contains(it));
        prop_assert_eq!(returned, None);
    }

    #[test]
    fn an_answer_to_an_unknown_write_changes_nothing(write in 1..100_u64) {
        let mut store = Store::new(StoreRecord::fresh(JobId(1)), 1);
        store.request(Purpose::Lead);
        prop_assert!(store.next_write().is_some());
        let before = store.clone();
        prop_assert_eq!(store.on_persisted(WriteId(write)), None);
        prop_assert_eq!(store.on_failed(WriteId(write)), None);
        prop_assert_eq!(store.on_retry(), None);
        prop_assert_eq!(before, store);
    }
}

// Rules: A2
#[test]
fn the_next_id_is_above_every_retained_one_even_if_the_record_says_otherwise() {
    let retained = vec![CheckpointId(4), CheckpointId(9)];
    let found = StoreRecord { retained, ..StoreRecord::fresh(JobId(1)) };
    let store = Store::new(found, 2);
    assert_eq!(store.durable().next_checkpoint, CheckpointId(10)); // A2
    assert_eq!(store.newest(), Some(CheckpointId(9)));
}

/// A store whose record retains checkpoints 1 to 3.
fn three() -> Store {
    let retained = vec![CheckpointId(1), CheckpointId(2), CheckpointId(3)];
    let next_checkpoint = CheckpointId(4);
    Store::new(StoreRecord { retained, next_checkpoint, ..StoreRecord::fresh(JobId(1)) }, 3)
}

fn persist(store: &mut Store) -> Persisted {
    let (write, _) = store.next_write().expect("something is wanted");
    store.on_persisted(write).expect("it is outstanding")
}

// Rules: H5, H6
#[test]
fn a_checkpoint_that_is_too_old_leaves_the_record_unless_it_is_the_newest() {
    let mut store = three();
    assert!(store.on_aged(CheckpointId(1)));
    assert_eq!(persist(&mut store), Persisted::Expired(vec![CheckpointId(1)]));
    assert!(store.on_aged(CheckpointId(3)));
    assert_eq!(store.next_write(), None, "recovery needs it");
    assert!(!store.on_aged(CheckpointId(1)), "it is not retained any more");
    assert!(store.on_aged(CheckpointId(2)));
    assert_eq!(persist(&mut store), Persisted::Expired(vec![CheckpointId(2)]));
    assert_eq!(store.newest(), Some(CheckpointId(3)));
}

// Rules: H5
#[test]
fn the_newest_checkpoint_when_it_is_too_old_leaves_with_the_next_one() {
    let mut store = three();
    assert!(store.on_aged(CheckpointId(3)));
    store.request(Purpose::Reserve);
    assert_eq!(persist(&mut store), Persisted::Reserved(CheckpointId(4)));
    store.request(Purpose::Publish(CheckpointId(4)));
    let removed = vec![CheckpointId(1), CheckpointId(3)];
    let checkpoint = CheckpointId(4);
    assert_eq!(persist(&mut store), Persisted::Published { checkpoint, removed });
    assert_eq!(store.durable().retained, [CheckpointId(2), CheckpointId(4)]);
}

// Rules: H6, H9
#[test]
fn a_cancelled_job_keeps_its_checkpoints_or_drops_them_all_in_one_write_with_its_result() {
    for (is_retaining, kept) in [(true, 3), (false, 0)] {
        let mut store = three();
        store.request(Purpose::Cancel { is_retaining });
        let Persisted::Cancelled { removed } = persist(&mut store) else { panic!("cancelled") };
        assert_eq!(store.durable().result, Some(JobResult::Cancelled));
        assert_eq!((store.durable().retained.len(), removed.len()), (kept, 3 - kept));
    }
}
