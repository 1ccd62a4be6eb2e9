//! The swarm: what it draws is legal, the same for the same seed, and different for others.

use std::collections::BTreeSet;

use seawall_sim::fault::kinds::KINDS;
use seawall_sim::scenario::quantity::SEED_MAX;
use seawall_sim::swarm::{Profile, scenario};
use seawall_sim::sweep::{Plan, Shard, Stop, sweep_all};
use seawall_sim::verify::Loaded;

#[test]
fn every_seed_draws_a_legal_scenario_of_its_own() {
    for profile in Profile::ALL {
        let texts: BTreeSet<String> = (0..500)
            .chain(SEED_MAX - 2..=SEED_MAX)
            .map(|seed| scenario(profile, seed).text)
            .collect();
        assert!(texts.len() > 495, "{} different scenarios", texts.len());
        assert_eq!(scenario(profile, 7).text, scenario(profile, 7).text);
    }
}

#[test]
fn every_survivable_kind_is_drawn_and_each_seed_leaves_most_out() {
    let abouts: Vec<String> = (0..500).map(|it| scenario(Profile::Quick, it).about).collect();
    let draws = |about: &str, kind: &str| {
        let named = about.trim_end_matches('.').split_once(": ").map_or("", |(_, named)| named);
        named.split(", ").any(|it| it == kind)
    };
    let survivable = KINDS.iter().filter(|it| it.is_survivable());
    for kind in survivable {
        let count = abouts.iter().filter(|it| draws(it, kind.name)).count();
        assert!(count > 0, "no seed of {} draws {}", abouts.len(), kind.name);
        assert!(count < abouts.len() / 2, "{count} of {} draw {}", abouts.len(), kind.name);
    }
}

fn plan(seeds: std::ops::RangeInclusive<u64>) -> Plan {
    Plan { seeds: Some(seeds.collect()), ..Plan::default() }
}

#[test]
fn a_sweep_is_the_same_however_many_run_at_a_time_and_its_shards_are_the_whole() {
    let loaded = [Loaded::Swarm(Profile::Quick)];
    let one = sweep_all(&loaded, &Plan { jobs: 1, ..plan(1..=6) });
    let many = sweep_all(&loaded, &Plan { jobs: 6, ..plan(1..=6) });
    assert_eq!(one.rows[0].digest, many.rows[0].digest);
    assert_eq!(one.exit_code, 0, "{:?}", one.rows[0].explanation);
    let runs = |part: &str| {
        let shard = Shard::parse(part).expect("it is legal");
        let summary = sweep_all(&loaded, &Plan { shard, ..plan(1..=6) });
        summary.rows.first().map_or(0, |it| it.seeds)
    };
    assert_eq!(runs("1/3") + runs("2/3") + runs("3/3"), one.rows[0].seeds);
}

#[test]
fn a_sweep_that_is_stopped_reports_what_it_has() {
    let stop = Stop::default();
    stop.ask();
    let stopped = Plan { stop: stop.into(), ..plan(1..=1_000_000) };
    let summary = sweep_all(&[Loaded::Swarm(Profile::Quick)], &stopped);
    assert!(summary.is_interrupted);
    assert!(summary.rows.iter().all(|it| it.seeds == 0));
}

#[test]
fn a_part_that_is_none_is_refused() {
    for text in ["0/2", "3/2", "1", "1/0", "a/b"] {
        assert!(Shard::parse(text).is_err(), "{text}");
    }
}
