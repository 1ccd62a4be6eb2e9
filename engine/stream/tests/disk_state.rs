//! State on disk against a plain map: what the cache evicts is not lost, snapshots are of one moment,
//! chains of changes add up, and whatever the disk does is an error and never another value.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use proptest::prelude::*;
use seawall_env::Scratch;
use seawall_protocol::CheckpointId;
use seawall_stream::state::{Changes, DiskState, SnapshotRequest, StateBackend, StateView};
use seawall_stream::{Progress, StreamError};

const KEY_GROUPS: u32 = 8;

type Model = BTreeMap<String, u64>;
type Disk = DiskState<String, u64>;

/// A scratch file in memory.
struct Memory {
    bytes: Mutex<Vec<u8>>,
    /// Calls that work; below zero none does.
    works: AtomicI64,
}

impl Memory {
    fn new() -> Arc<Self> {
        Arc::new(Self { bytes: Mutex::default(), works: AtomicI64::new(i64::MAX) })
    }

    fn call(&self) -> io::Result<std::sync::MutexGuard<'_, Vec<u8>>> {
        if self.works.fetch_sub(1, Ordering::SeqCst) <= 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(self.bytes.lock().expect("nobody panicked"))
    }
}

#[async_trait]
impl Scratch for Memory {
    fn length(&self) -> io::Result<u64> {
        Ok(self.call()?.len() as u64)
    }
    fn set_length(&self, length: u64) -> io::Result<()> {
        self.call()?.resize(usize::try_from(length).expect("a test is small"), 0);
        Ok(())
    }
    fn read_at(&self, position: u64, into: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(position).expect("a test is small");
        let bytes = self.call()?;
        into.copy_from_slice(
            bytes.get(start..start + into.len()).ok_or(io::ErrorKind::UnexpectedEof)?,
        );
        Ok(())
    }
    fn write_at(&self, position: u64, written: &[u8]) -> io::Result<()> {
        let start = usize::try_from(position).expect("a test is small");
        let mut bytes = self.call()?;
        let end = bytes.len().max(start + written.len());
        bytes.resize(end, 0);
        bytes[start..start + written.len()].copy_from_slice(written);
        Ok(())
    }
    async fn settle(&self) {}
}

/// The smallest cache: a few keys.
fn opened(scratch: &Arc<Memory>) -> Disk {
    let mut state = Disk::new(KEY_GROUPS, 0);
    state.open(scratch.clone()).expect("the file works");
    state
}

fn contents(state: &mut Disk) -> Result<Model, StreamError> {
    let (mut walk, mut found) = (None, Model::new());
    let mut each = |key: &String, value: &u64| {
        assert_eq!(found.insert(key.clone(), *value), None, "{key} was visited twice");
    };
    while state.walk(&mut walk, 7, &mut each)? == Progress::Ready {}
    Ok(found)
}

#[derive(Debug, Clone)]
enum Step {
    Add(u8, u64),
    Remove(u8),
    Look(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<u8>(), any::<u64>()).prop_map(|(key, value)| Step::Add(key, value)),
        1 => any::<u8>().prop_map(Step::Remove),
        2 => any::<u8>().prop_map(Step::Look),
    ]
}

fn name(key: u8) -> String {
    format!("key-{key}")
}

/// Takes the step in both; what the state holds for the key must be what the map holds.
fn take(step: &Step, state: &mut Disk, model: &mut Model) -> Result<(), StreamError> {
    let (Step::Add(key, _) | Step::Remove(key) | Step::Look(key)) = *step;
    let key = name(key);
    let before = state.update(&key, |slot| {
        let before = *slot;
        match step {
            Step::Add(_, value) => *slot = Some(slot.unwrap_or(0).wrapping_add(*value)),
            Step::Remove(_) => *slot = None,
            Step::Look(_) => {}
        }
        before
    })?;
    assert_eq!(before, model.get(&key).copied(), "{key}");
    match step {
        Step::Add(_, value) => {
            let sum = model.entry(key).or_default();
            *sum = sum.wrapping_add(*value);
        }
        Step::Remove(_) => drop(model.remove(&key)),
        Step::Look(_) => {}
    }
    Ok(())
}

fn runs(view: &mut dyn StateView) -> (bool, Vec<Changes>) {
    let runs = view.runs().expect("state on disk has runs");
    let is_base = runs.is_base();
    let mut all = Vec::new();
    while let Some(run) = runs.next_run(64).expect("the file works") {
        all.extend(run);
    }
    (is_base, all)
}

/// What a new state holds once the chain is applied.
fn restored(chain: &[Changes]) -> Model {
    let mut restored = opened(&Memory::new());
    for changes in chain {
        restored.apply(changes).expect("the file works");
    }
    contents(&mut restored).expect("the file works")
}

/// A step in the life of snapshots.
#[derive(Debug, Clone)]
enum Move {
    Write(Vec<Step>),
    Snapshot,
    FullSnapshot,
    Confirm(prop::sample::Index),
    Abort(prop::sample::Index),
    Restore,
}

fn request(checkpoint: u64, since: Option<u64>) -> SnapshotRequest {
    SnapshotRequest { checkpoint: CheckpointId(checkpoint), since: since.map(CheckpointId) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_the_cache_evicts_is_not_lost(steps in prop::collection::vec(step(), 0..400)) {
        let (mut state, mut model) = (opened(&Memory::new()), Model::new());
        for step in &steps {
            take(step, &mut state, &mut model).unwrap();
            prop_assert!(state.cached() <= 2 * 16, "{} keys are cached", state.cached());
        }
        prop_assert_eq!(contents(&mut state).unwrap(), model);
    }

    // Rules: F5, I6
    #[test]
    fn a_chain_of_changes_since_confirmed_snapshots_adds_up_to_the_state_of_its_last(
        intervals in prop::collection::vec(
            (prop::collection::vec(step(), 0..60), any::<bool>(), any::<bool>()),
            1..12,
        ),
    ) {
        let (mut state, mut model) = (opened(&Memory::new()), Model::new());
        state.track_changes(None);
        let mut confirmed: Option<(u64, Vec<Changes>)> = None;
        for (checkpoint, (steps, is_confirmed, is_late)) in (1..).zip(&intervals) {
            let half = if *is_late { steps.len() / 2 } else { steps.len() };
            for step in &steps[..half] {
                take(step, &mut state, &mut model).unwrap();
            }
            let since = confirmed.as_ref().map(|(id, _)| *id);
            let mut view = state.view(request(checkpoint, since)).unwrap();
            let expected = model.clone();
            // What happens after the view was taken is not in it.
            for step in &steps[half..] {
                take(step, &mut state, &mut model).unwrap();
            }
            let (is_base, changes) = runs(view.as_mut());
            prop_assert_eq!(is_base, since.is_none(), "checkpoint {}", checkpoint);
            let mut chain = match &confirmed {
                Some((_, chain)) if !is_base => chain.clone(),
                Some(_) | None => Vec::new(),
            };
            chain.extend(changes);
            let mut restored = opened(&Memory::new());
            for changes in &chain {
                restored.apply(changes).unwrap();
            }
            prop_assert_eq!(contents(&mut restored).unwrap(), expected, "checkpoint {}", checkpoint);
            if *is_confirmed {
                state.confirm(CheckpointId(checkpoint));
                confirmed = Some((checkpoint, chain));
            }
        }
    }

    // Rules: I1, I4, I6
    #[test]
    fn whatever_is_confirmed_late_or_never_a_chain_restores_what_a_full_snapshot_holds(
        moves in prop::collection::vec(
            prop_oneof![
                6 => prop::collection::vec(step(), 0..40).prop_map(Move::Write),
                4 => Just(Move::Snapshot),
                1 => Just(Move::FullSnapshot),
                3 => any::<prop::sample::Index>().prop_map(Move::Confirm),
                2 => any::<prop::sample::Index>().prop_map(Move::Abort),
                1 => Just(Move::Restore),
            ],
            0..60,
        ),
    ) {
        let (mut state, mut model) = (opened(&Memory::new()), Model::new());
        state.track_changes(None);
        let mut next = 1;
        // Durable and neither confirmed nor given up.
        let mut written: BTreeMap<u64, Vec<Changes>> = BTreeMap::new();
        let mut confirmed: Option<(u64, Vec<Changes>, Model)> = None;
        let mut models: BTreeMap<u64, Model> = BTreeMap::new();
        for one in &moves {
            match one {
                Move::Write(steps) => {
                    for step in steps {
                        take(step, &mut state, &mut model).unwrap();
                    }
                }
                Move::Snapshot | Move::FullSnapshot => {
                    let is_asked_full = matches!(one, Move::FullSnapshot);
                    let since = confirmed.as_ref().map(|it| it.0).filter(|_| !is_asked_full);
                    let mut view = state.view(request(next, since)).unwrap();
                    let (is_base, changes) = runs(view.as_mut());
                    prop_assert!(is_base || since.is_some());
                    let base = confirmed.as_ref().filter(|_| !is_base).map(|it| it.1.clone());
                    let mut chain = base.unwrap_or_default();
                    chain.extend(changes);
                    prop_assert_eq!(&restored(&chain), &model, "checkpoint {}", next);
                    models.insert(next, model.clone());
                    // One that owns its files is built upon by nobody, as a savepoint is.
                    if !is_asked_full {
                        written.insert(next, chain);
                    }
                    next += 1;
                }
                // Late: newer snapshots may have been taken, and older ones are confirmed with it.
                Move::Confirm(of) if !written.is_empty() => {
                    let checkpoint = *written.keys().nth(of.index(written.len())).unwrap();
                    let chain = written.remove(&checkpoint).unwrap();
                    written = written.split_off(&checkpoint);
                    state.confirm(CheckpointId(checkpoint));
                    confirmed = Some((checkpoint, chain, models[&checkpoint].clone()));
                }
                Move::Abort(of) if !written.is_empty() => {
                    let checkpoint = *written.keys().nth(of.index(written.len())).unwrap();
                    written.remove(&checkpoint);
                }
                Move::Restore => {
                    let Some((checkpoint, chain, of_then)) = &confirmed else { continue };
                    (state, model) = (opened(&Memory::new()), of_then.clone());
                    for changes in chain {
                        state.apply(changes).unwrap();
                    }
                    state.track_changes(Some(CheckpointId(*checkpoint)));
                    written.clear();
                }
                Move::Confirm(_) | Move::Abort(_) => {}
            }
        }
        prop_assert_eq!(contents(&mut state).unwrap(), model);
    }

    // Rules: R2, R4
    #[test]
    fn a_disk_that_fails_or_rots_is_an_error_and_never_another_value(
        steps in prop::collection::vec(step(), 100..300),
        works in 20..2_000_i64,
        rots in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let scratch = Memory::new();
        let (mut state, mut model) = (opened(&scratch), Model::new());
        let half = steps.len() / 2;
        for step in &steps[..half] {
            take(step, &mut state, &mut model).unwrap();
        }
        if let Some(rots) = rots {
            let mut bytes = scratch.bytes.lock().unwrap();
            let at = rots.index(bytes.len());
            bytes[at] ^= 0x40;
        } else {
            scratch.works.store(works, Ordering::SeqCst);
        }
        for step in &steps[half..] {
            // `take` asserts that each value which is read is the right one.
            if take(step, &mut state, &mut model).is_err() {
                return Ok(());
            }
        }
        if let Ok(found) = contents(&mut state) {
            prop_assert_eq!(found, model);
        }
    }
}

#[test]
fn a_snapshot_outlives_the_state_it_was_taken_of() {
    let mut state = opened(&Memory::new());
    for key in 0..100 {
        state.update(&name(key), |slot| *slot = Some(1)).unwrap();
    }
    let mut view = state.view(request(1, None)).unwrap();
    drop(state);
    // The store is gone with its attempt; what is asked of the view then may fail and must not panic.
    let runs = view.runs().expect("state on disk has runs");
    let _ = runs.next_run(1 << 20);
}

#[test]
fn too_many_unconfirmed_snapshots_make_the_next_one_full() {
    let mut state = opened(&Memory::new());
    state.track_changes(Some(CheckpointId(1)));
    let mut last = true;
    for checkpoint in 2..30 {
        state.update(&name(1), |slot| *slot = Some(checkpoint)).unwrap();
        let mut view = state.view(request(checkpoint, Some(1))).unwrap();
        last = runs(view.as_mut()).0;
    }
    assert!(last, "what nobody confirms is not kept for ever");
}

#[test]
fn state_is_many_times_the_memory_it_may_use() {
    const CACHE: u64 = 256 << 10;
    const KEYS: u64 = 60_000;
    let scratch = Memory::new();
    let mut state = DiskState::<u64, [u64; 8]>::new(KEY_GROUPS, CACHE);
    state.open(scratch.clone()).unwrap();
    let in_cache = size_of::<(u64, Option<[u64; 8]>)>();
    let mut most = 0;
    for round in 0..2 {
        for key in 0..KEYS {
            let add = |slot: &mut Option<[u64; 8]>| {
                let before = slot.unwrap_or([u64::MAX - key; 8]);
                *slot = Some(before.map(|it| it ^ (round + 1)));
            };
            state.update(&key, add).unwrap();
            most = most.max(state.cached() * in_cache);
        }
    }
    let (mut walk, mut found) = (None, 0);
    let mut each = |key: &u64, value: &[u64; 8]| {
        assert_eq!(*value, [(u64::MAX - key) ^ 3; 8]);
        found += 1;
    };
    while state.walk(&mut walk, 1_000, &mut each).unwrap() == Progress::Ready {}
    assert_eq!(found, KEYS);
    // Half of the memory is the cache's in front of the store, the other half is redb's own.
    let (most, held) = (most as u64, KEYS * in_cache as u64);
    assert!(most <= CACHE / 2, "{most} bytes of keys and values are cached, at most {}", CACHE / 2);
    assert!(held > 16 * CACHE, "{held} bytes of state are held with {CACHE} of memory");
    let file = scratch.bytes.lock().unwrap().len() as u64;
    assert!(file > 16 * CACHE, "{file} bytes are in the scratch file");
}
