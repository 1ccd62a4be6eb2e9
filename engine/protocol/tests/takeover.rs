//! Whatever the parallelism was and is, everything is taken over by exactly one subtask.

use proptest::prelude::*;
use seawall_protocol::key_group::owner_of;
use seawall_protocol::takeover::Takeover;

const KEY_GROUPS: u32 = 128;

fn all(now: u32, before: u32) -> impl Iterator<Item = Takeover> {
    (0..now).map(move |index| Takeover { index, now, before, key_groups: KEY_GROUPS })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // Rules: K10
    #[test]
    fn each_former_subtasks_transactions_have_one_heir(now in 1..=KEY_GROUPS, before in 1..=KEY_GROUPS) {
        for former in 0..before {
            prop_assert_eq!(all(now, before).filter(|it| it.inherits_from(former)).count(), 1);
        }
    }

    // Rules: J1, M5
    #[test]
    fn splits_are_dealt_out_as_if_the_job_had_always_had_this_parallelism(
        now in 1..=KEY_GROUPS, before in 1..=KEY_GROUPS, splits in 0_usize..300,
    ) {
        let dealt = |parallelism: u32| -> Vec<Vec<usize>> {
            let of = |index: u32| (0..splits).skip(index as usize).step_by(parallelism as usize);
            (0..parallelism).map(|index| of(index).collect()).collect()
        };
        let former = dealt(before);
        let former: Vec<&[usize]> = former.iter().map(Vec::as_slice).collect();
        let taken = |it: Takeover| it.splits(&former).into_iter().copied().collect::<Vec<_>>();
        prop_assert_eq!(all(now, before).map(taken).collect::<Vec<_>>(), dealt(now));
    }

    // Rules: M1, M2, M4
    #[test]
    fn each_key_group_is_owned_by_one_subtask_which_looks_at_its_former_owner(
        now in 1..=KEY_GROUPS, before in 1..=KEY_GROUPS,
    ) {
        for key_group in 0..KEY_GROUPS {
            let former = owner_of(key_group, KEY_GROUPS, before);
            let owners: Vec<_> = all(now, before).filter(|it| it.owns(key_group)).collect();
            prop_assert_eq!(owners.len(), 1);
            prop_assert!(owners[0].former_owners().contains(&former));
        }
    }
}
