//! Keyed state: what a snapshot holds is what a restore gives back.

use std::collections::BTreeMap;

use proptest::prelude::*;
use seawall_protocol::CheckpointId;
use seawall_protocol::key_group::key_group_of;
use seawall_stream::Key;
use seawall_stream::Progress;
use seawall_stream::StreamError;
use seawall_stream::state::{
    EncodedGroup, HeapState, SnapshotRequest, StateBackend, StateView, encode_all,
};

const KEY_GROUPS: u32 = 8;
const FULL: SnapshotRequest = SnapshotRequest { checkpoint: CheckpointId(1), since: None };

fn filled(entries: impl IntoIterator<Item = (String, u64)>) -> HeapState<String, u64> {
    let mut state = HeapState::new(KEY_GROUPS);
    for (key, value) in entries {
        state.update(&key, |slot| *slot = Some(value)).expect("memory is always there");
    }
    state
}

fn contents(state: &mut HeapState<String, u64>) -> BTreeMap<String, u64> {
    let (mut walk, mut found) = (None, Vec::new());
    let mut each = |key: &String, value: &u64| found.push((key.clone(), *value));
    while state.walk(&mut walk, 7, &mut each).expect("memory is always there") == Progress::Ready {}
    assert!(found.is_sorted(), "{found:?}");
    found.into_iter().collect()
}

fn encode(mut state: HeapState<String, u64>) -> Result<Vec<EncodedGroup>, StreamError> {
    encode_all(state.view(FULL)?.as_mut())
}

proptest! {
    #[test]
    fn a_restored_snapshot_holds_the_same_entries(
        entries in proptest::collection::btree_map(".{0,5}", any::<u64>(), 0..60),
    ) {
        let groups = encode(filled(entries.clone())).unwrap();
        let mut restored = HeapState::<String, u64>::new(KEY_GROUPS);
        for group in &groups {
            restored.restore(group).unwrap();
        }
        prop_assert_eq!(contents(&mut restored), entries);
    }

    #[test]
    fn equal_state_has_equal_bytes_whatever_the_order_of_insertion(
        entries in proptest::collection::btree_map(".{0,5}", any::<u64>(), 0..60),
    ) {
        let forward = encode(filled(entries.clone())).unwrap();
        let backward = encode(filled(entries.into_iter().rev())).unwrap();
        prop_assert_eq!(forward, backward);
    }

    #[test]
    fn each_key_is_stored_in_its_key_group(keys in proptest::collection::btree_set(".{1,5}", 1..40)) {
        let groups = encode(filled(keys.iter().map(|key| (key.clone(), 1)))).unwrap();
        let stored: u64 = groups.iter().map(|group| group.entries).sum();
        prop_assert_eq!(stored, keys.len() as u64);
        for group in groups {
            let expected = keys
                .iter()
                .filter(|key| key_group_of(key.stable_hash(), KEY_GROUPS) == group.key_group);
            prop_assert_eq!(group.entries, expected.count() as u64);
        }
    }

    #[test]
    fn damaged_bytes_are_an_error_or_other_entries_but_never_a_panic(
        entries in proptest::collection::btree_map(".{0,5}", any::<u64>(), 1..20),
        flip in any::<prop::sample::Index>(),
    ) {
        for mut group in encode(filled(entries)).unwrap() {
            let at = flip.index(group.bytes.len());
            group.bytes[at] ^= 0x55;
            let _ = HeapState::<String, u64>::new(KEY_GROUPS).restore(&group);
            group.bytes.truncate(at);
            prop_assert!(HeapState::<String, u64>::new(KEY_GROUPS).restore(&group).is_err());
        }
    }
}

#[test]
fn a_fresh_key_has_no_value_and_leaves_no_trace() {
    let mut state = filled([("a".to_owned(), 1)]);
    assert_eq!(state.update(&"b".to_owned(), |slot| *slot).unwrap(), None);
    assert_eq!(state.length(), 1);
    state.update(&"a".to_owned(), |slot| *slot = None).unwrap();
    assert_eq!(state.length(), 0);
}

// Rules: F1, F5
#[test]
fn a_view_does_not_change_with_the_live_state() {
    let mut state = filled([("a".to_owned(), 1)]);
    let mut view = state.view(FULL).unwrap();
    state.update(&"a".to_owned(), |slot| *slot = Some(2)).unwrap();
    let expected = encode(filled([("a".to_owned(), 1)])).unwrap();
    assert_eq!(encode_all(view.as_mut()).unwrap(), expected);
}

#[derive(Debug, Clone)]
enum Step {
    Set(u64, u64),
    Remove(u64),
    TakeView,
    EncodeGroup(prop::sample::Index),
    DropView(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => (0..2_000_u64, any::<u64>()).prop_map(|(key, value)| Step::Set(key, value)),
        10 => (0..2_000_u64).prop_map(Step::Remove),
        1 => Just(Step::TakeView),
        4 => any::<prop::sample::Index>().prop_map(Step::EncodeGroup),
        1 => any::<prop::sample::Index>().prop_map(Step::DropView),
    ]
}

/// A view being encoded, and what it must hold.
struct Held {
    view: Box<dyn StateView>,
    encoded: Vec<EncodedGroup>,
    expected: BTreeMap<u64, u64>,
}

impl Held {
    fn check(mut self, key_groups: u32) {
        while let Some(group) = self.view.next_group().expect("numbers have an encoding") {
            self.encoded.push(group);
        }
        let mut plain = HeapState::new(key_groups);
        for (key, value) in &self.expected {
            plain.update(key, |slot| *slot = Some(*value)).expect("memory is always there");
        }
        let mut view = plain.view(FULL).expect("memory is always there");
        assert_eq!(self.encoded, encode_all(view.as_mut()).expect("numbers have an encoding"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    // Rules: F1, F5
    #[test]
    fn every_view_stays_what_it_was_however_the_state_changes_and_however_slowly_it_is_encoded(
        steps in proptest::collection::vec(step(), 0..3_000),
        key_groups in 1..9_u32,
    ) {
        let mut state = HeapState::new(key_groups);
        let mut model = BTreeMap::new();
        let mut held: Vec<Held> = Vec::new();
        for step in steps {
            match step {
                Step::Set(key, value) => {
                    let before = state.update(&key, |slot| slot.replace(value)).unwrap();
                    prop_assert_eq!(before, model.insert(key, value));
                }
                Step::Remove(key) => {
                    let before = state.update(&key, Option::take).unwrap();
                    prop_assert_eq!(before, model.remove(&key));
                }
                Step::TakeView => held.push(Held {
                    view: state.view(FULL).unwrap(),
                    encoded: Vec::new(),
                    expected: model.clone(),
                }),
                Step::EncodeGroup(which) if !held.is_empty() => {
                    let one = which.index(held.len());
                    let group = held[one].view.next_group().unwrap();
                    held[one].encoded.extend(group);
                }
                Step::DropView(which) if !held.is_empty() => {
                    drop(held.swap_remove(which.index(held.len())));
                }
                Step::EncodeGroup(_) | Step::DropView(_) => {}
            }
            prop_assert_eq!(state.length(), model.len());
        }
        for held in held {
            held.check(key_groups);
        }
    }
}

/// A checkpoint outlives the program that wrote it: these values may never change (M1).
#[test]
fn stable_hashes_are_what_they_have_always_been() {
    let hashes = [
        0_u64.stable_hash(),
        1_u64.stable_hash(),
        u64::MAX.stable_hash(),
        String::new().stable_hash(),
        "seawall".to_owned().stable_hash(),
        ("a".to_owned(), 7_u32).stable_hash(),
    ];
    assert_eq!(hashes.map(|it| format!("{it:016x}")), PINNED);
}

const PINNED: [&str; 6] = [
    "0000000000000000",
    "b456bcfc34c2cb2c",
    "64b5720b4b825f21",
    "2d06800538d394c2",
    "70abcacfbf231762",
    "4d851808b54b60af",
];
