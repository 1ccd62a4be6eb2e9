//! Key groups: the ranges of the subtasks partition them, and owner and range agree (M1-M3).

use proptest::prelude::*;
use seawall_protocol::key_group::{
    default_key_groups, former_owners, key_group_of, owned_by, owner_of,
};
use seawall_protocol::limits::KEY_GROUPS_MAX;

fn sizes() -> impl Strategy<Value = (u32, u32)> {
    (1..=2048_u32).prop_flat_map(|groups| (Just(groups), 1..=groups.min(300)))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_ranges_of_all_subtasks_partition_the_key_groups((groups, parallelism) in sizes()) {
        let mut next = 0;
        for index in 0..parallelism {
            let range = owned_by(index, groups, parallelism);
            prop_assert_eq!(range.start, next);
            prop_assert!(!range.is_empty(), "a subtask owns nothing");
            next = range.end;
        }
        prop_assert_eq!(next, groups);
    }

    #[test]
    fn the_owner_of_a_key_group_is_the_subtask_whose_range_holds_it((groups, parallelism) in sizes()) {
        for index in 0..parallelism {
            for group in owned_by(index, groups, parallelism) {
                prop_assert_eq!(owner_of(group, groups, parallelism), index);
            }
        }
    }

    #[test]
    fn ranges_are_even_to_one_key_group((groups, parallelism) in sizes()) {
        for index in 0..parallelism {
            let range = owned_by(index, groups, parallelism);
            let length = range.end - range.start;
            let least = groups / parallelism;
            prop_assert!((least..=groups.div_ceil(parallelism)).contains(&length));
        }
    }

    // Rules: E11
    #[test]
    fn after_a_rescale_each_record_in_flight_is_read_by_its_new_owner_and_processed_once(
        (groups, before) in sizes(), now in 1..300_u32, group: u32,
    ) {
        let (group, now) = (group % groups, now.min(groups));
        let held_by = owner_of(group, groups, before);
        let reads = |index: &u32| former_owners(*index, groups, now, before).contains(&held_by);
        let keeps = |index: &u32| owned_by(*index, groups, now).contains(&group);
        let processing: Vec<u32> = (0..now).filter(|it| reads(it) && keeps(it)).collect();
        prop_assert_eq!(processing, vec![owner_of(group, groups, now)]);
    }

    #[test]
    fn every_hash_has_a_key_group(hash: u64, groups in 1..=KEY_GROUPS_MAX) {
        prop_assert!(key_group_of(hash, groups) < groups);
    }

    #[test]
    fn the_default_is_flinks(parallelism in 1..=KEY_GROUPS_MAX) {
        let groups = default_key_groups(parallelism);
        prop_assert!(groups.is_power_of_two());
        prop_assert!((128..=1 << 15).contains(&groups));
        prop_assert!(groups >= parallelism);
    }
}
