//! Operator state after a change of parallelism: nothing is lost, nothing is twice, and who has what is
//! fixed.

use proptest::prelude::*;
use seawall_protocol::operator_state::{Item, Redistribution, items_of};

fn all_items(lengths: &[usize]) -> Vec<Item> {
    let of = |(subtask, length): (usize, &usize)| {
        (0..*length).map(move |place| Item { subtask, place }).collect::<Vec<_>>()
    };
    lengths.iter().enumerate().flat_map(of).collect()
}

fn restored(redistribution: Redistribution, lengths: &[usize], p: usize) -> Vec<Vec<Item>> {
    (0..p).map(|index| items_of(redistribution, lengths, index, p)).collect()
}

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0..20_usize, 0..9)
}

proptest! {
    // Rules: M5
    #[test]
    fn a_list_is_split_without_loss_or_repetition_and_evenly(lengths in lengths(), p in 1..12_usize) {
        let restored = restored(Redistribution::List, &lengths, p);
        let mut items: Vec<Item> = restored.iter().flatten().copied().collect();
        items.sort_unstable();
        prop_assert_eq!(items, all_items(&lengths));
        if lengths.len() != p {
            let most = restored.iter().map(Vec::len).max().unwrap_or_default();
            let least = restored.iter().map(Vec::len).min().unwrap_or_default();
            prop_assert!(most - least <= 1, "{} and {}", most, least);
        }
    }

    // Rules: M5
    #[test]
    fn a_list_is_unchanged_when_the_parallelism_is(lengths in proptest::collection::vec(0..20_usize, 1..9)) {
        let restored = restored(Redistribution::List, &lengths, lengths.len());
        for (index, items) in restored.iter().enumerate() {
            let own = (0..lengths[index]).map(|place| Item { subtask: index, place });
            prop_assert_eq!(items, &own.collect::<Vec<_>>());
        }
    }

    // Rules: M5
    #[test]
    fn a_union_is_given_whole_to_everyone(lengths in lengths(), p in 1..12_usize) {
        for items in restored(Redistribution::Union, &lengths, p) {
            prop_assert_eq!(items, all_items(&lengths));
        }
    }

    // Rules: M5
    #[test]
    fn a_broadcast_is_the_copy_of_the_subtask_of_the_same_index_modulo_the_old_parallelism(
        lengths in proptest::collection::vec(0..20_usize, 1..9),
        p in 1..12_usize,
    ) {
        for (index, items) in restored(Redistribution::Broadcast, &lengths, p).iter().enumerate() {
            let from = index % lengths.len();
            prop_assert!(items.iter().all(|it| it.subtask == from));
            prop_assert_eq!(items.len(), lengths[from]);
        }
    }
}

// Rules: M5
#[test]
fn a_state_that_nobody_stored_is_empty_for_everyone() {
    for redistribution in [Redistribution::List, Redistribution::Union, Redistribution::Broadcast] {
        assert_eq!(items_of(redistribution, &[], 0, 3), []);
        assert_eq!(items_of(redistribution, &[0, 0, 0], 2, 3), []);
    }
}
