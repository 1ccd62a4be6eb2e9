//! What holds in every history.

use std::time::Duration;

use proptest::prelude::*;
use seawall_protocol::JobId;
use seawall_protocol::config::RestartStrategy;
use seawall_protocol::coordinator::{Coordinator, Effect, Input, Outcome};
use seawall_protocol::event::Event;
use seawall_protocol::message::ToCoordinator;
use seawall_protocol::record::{JobResult, StoreRecord};

use crate::inputs::{anything, garbage};
use crate::script::two_workers;
use crate::world::World;
use crate::{plan, recovered};

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// All checks of [`World`] hold in every history, and when the faults stop the job finishes.
    // Rules: A1, A4, B1, B2, B5, G2, G5, H1, H3, H4, H6, J3, J4, O6, O7
    #[test]
    fn a_job_keeps_its_promises_under_faults_and_finishes_after_they_stop(
        max_concurrent in 1..4_u32,
        tolerable_failures in 0..3_u32,
        retained in 1..3_u32,
        min_pause in 0..2_u64,
        steps in prop::collection::vec((any::<u8>(), any::<u16>(), garbage()), 0..400),
    ) {
        let mut plan = plan();
        plan.checkpoint.max_concurrent = max_concurrent;
        plan.checkpoint.tolerable_failures = tolerable_failures;
        plan.checkpoint.retained = retained;
        plan.checkpoint.min_pause = Duration::from_secs(min_pause);
        let mut world = World::new(plan);
        for (kind, index, garbage) in &steps {
            world.step(*kind, *index, garbage);
        }
        world.heal_and_finish();
        prop_assert_eq!(world.outcome.clone(), Some(Outcome::Result(JobResult::Finished)));
        prop_assert_eq!(world.register.result, Some(JobResult::Finished));
        let retained = world.register.retained.iter().copied().collect();
        world.files.retain(|it| !world.deleting.contains(it)); // They end with the leader.
        prop_assert_eq!(world.files, retained, "every file is referenced (T7, T8)");
    }

    /// Inputs of foreign sessions, unknown answers and forgotten timers change nothing and are noted.
    // Rules: G8, B12
    #[test]
    fn an_input_that_means_nothing_is_noted_and_changes_nothing(
        inputs in prop::collection::vec(garbage(), 1..20),
        progress in 0..60_usize,
    ) {
        let mut world = World::new(plan());
        for _ in 0..progress {
            if let Some(action) = world.progress().first().filter(|_| world.outcome.is_none()) {
                world.act(action.clone());
            }
        }
        for input in inputs.into_iter().filter(|it| !matches!(it, Input::Timer(_))) {
            let (before, mut effects) = (world.coordinator.clone(), Vec::new());
            let registers = matches!(
                &input,
                Input::Message { message: ToCoordinator::Register { .. }, .. }
            );
            world.coordinator.handle(input, &mut effects);
            let is_noted = effects.iter().any(|it| {
                matches!(it, Effect::Note(Event::StaleInput { .. }))
            });
            prop_assert!(is_noted || registers, "swallowed: {effects:?}");
            prop_assert!(before == world.coordinator || registers);
        }
    }

    /// Whatever comes, in whatever order, there is an answer and at most one write is outstanding.
    #[test]
    fn no_input_in_any_state_panics(inputs in prop::collection::vec(anything(), 0..300)) {
        let mut plan = two_workers();
        plan.checkpoint.max_concurrent = 3;
        plan.checkpoint.tolerable_failures = 1;
        plan.restart = RestartStrategy::FailureRate {
            max_failures: 3,
            interval: Duration::from_mins(1),
            delay: Duration::from_secs(1),
        };
        let mut coordinator = Coordinator::new(plan);
        let mut effects = Vec::new();
        coordinator.handle(recovered(StoreRecord::fresh(JobId(1))), &mut effects);
        for input in inputs {
            effects.clear();
            coordinator.handle(input, &mut effects);
            let writes = effects.iter().filter(|it| matches!(it, Effect::Persist { .. })).count();
            prop_assert!(writes <= 1);
        }
    }
}
