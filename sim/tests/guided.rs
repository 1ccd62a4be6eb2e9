//! Guided sweeps: the same whatever the number of jobs, and worth their name.

use seawall_sim::report::{Row, Summary};
use seawall_sim::run::run;
use seawall_sim::scenario::Claim;
use seawall_sim::swarm::{self, Profile};
use seawall_sim::sweep::{self, Plan};
use seawall_sim::verify::Loaded;
use seawall_sim::{guided::Guide, plants::Plant};

fn guided(seeds: std::ops::RangeInclusive<u64>, jobs: usize) -> Summary {
    let plan = Plan { seeds: Some(seeds.collect()), jobs, ..Plan::default() };
    sweep::sweep_guided(Profile::Quick, &plan)
}

/// Faults in a phase.
fn cells(summary: &Summary) -> usize {
    let reached = summary.reached.as_ref().expect("it is of a swarm");
    reached.faults.values().flat_map(|it| it.values()).filter(|it| **it > 0).count()
}

#[test]
fn a_guided_sweep_depends_on_its_base_and_its_runs_alone() {
    let (one, other) = (guided(1..=44, 1), guided(1..=44, 3));
    let facts = |it: &Row| (it.seeds, it.faults, it.checkpoints, it.result.clone());
    assert_eq!(facts(&one.rows[0]), facts(&other.rows[0]));
    assert!(one.rows[0].digest.is_some());
    assert_eq!(one.rows[0].digest, other.rows[0].digest);
    assert_eq!(one.rows[0].seeds, 44);
}

#[test]
fn guidance_reaches_no_fewer_faults_in_a_phase_than_the_swarm() {
    let seeds = Some((1..=96).collect());
    let swarm =
        sweep::sweep_all(&[Loaded::Swarm(Profile::Quick)], &Plan { seeds, ..Plan::default() });
    let (swarm, guided) = (cells(&swarm), cells(&guided(1..=96, sweep::default_jobs())));
    assert!(guided >= swarm, "guided {guided}, the swarm {swarm}");
}

#[test]
fn a_search_for_a_planted_bug_begins_with_the_scenarios_of_the_swarm() {
    let plant = Plant::find("last-record-is-read-again").unwrap();
    let mut guide = Guide::new(Profile::Quick, 1).planted(plant);
    for (seed, drawn) in (1..).zip(guide.round(4)) {
        let Claim::Violates { plant: planted, property } = &drawn.scenario.claim else {
            panic!("a search claims that the bug is found")
        };
        assert_eq!((planted.as_str(), property.as_str()), (plant.name, plant.violates));
        let sound = swarm::scenario(Profile::Quick, seed);
        assert_eq!((drawn.seed, &drawn.scenario.faults), (seed, &sound.faults));
    }
    let found = seawall_sim::guided::runs_to_find(plant, Profile::Quick, 1, 32, true);
    assert!(found.is_some(), "it takes no luck");
    let sound = swarm::scenario(Profile::Quick, 1);
    assert!(!run(&sound, 1).violates(plant.violates), "and without it the property holds");
}
