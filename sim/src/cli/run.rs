//! `run`: one scenario with one seed, its recovery trace and its verdict.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use seawall_sim::scenario::Scenario;
use seawall_sim::scenario::quantity::SEED_MAX;
use seawall_sim::verdict::Result as Outcome;
use seawall_sim::{report, run, swarm, verify};

use super::{Pictures, Usage};

#[derive(Args)]
pub(crate) struct Arguments {
    /// A scenario file, or its name: crash/worker-after-ack; `swarm/quick` or `swarm/deep` draw one
    scenario: PathBuf,
    /// The seed; the scenario's first when absent
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=SEED_MAX))]
    seed: Option<u64>,
    #[command(flatten)]
    pictures: Pictures,
}

pub(crate) fn run(arguments: &Arguments) -> Usage<u8> {
    let found = verify::find(std::slice::from_ref(&arguments.scenario))?;
    let [path] = found.as_slice() else {
        return Err(format!(
            "{} holds {} files, expected one scenario\nhint: `sweep` runs them all",
            arguments.scenario.display(),
            found.len()
        ));
    };
    let scenario = match verify::profile(path) {
        Some(profile) => {
            let scenario = swarm::scenario(profile, arguments.seed.unwrap_or(1));
            report::say(&scenario.text);
            scenario
        }
        None => Scenario::load(path).map_err(|it| it.to_string())?,
    };
    let seed = arguments.seed.unwrap_or(scenario.seeds[0]);
    let start = Instant::now();
    let verdict = run::run(&scenario, seed);
    report::say(&format!("# {} seed {seed}: {}\n", scenario.name, scenario.about));
    report::say(&verdict.trace.recovery());
    arguments.pictures.write(&scenario, &verdict)?;
    report::say(&format!(
        "\n{} faults, {} checkpoints completed, {} recoveries; {:.3} s of virtual time in {:.2} s, \
         digest {:016x}\n{}: {}",
        verdict.counts.faults,
        verdict.counts.checkpoints,
        verdict.counts.recoveries,
        verdict.virtual_time.as_secs_f64(),
        start.elapsed().as_secs_f64(),
        verdict.trace.digest(),
        verdict.result.name(),
        verdict.result.explain(),
    ));
    if verdict.result != Outcome::Holds {
        let path = verify::keep(&scenario, &verdict)?;
        report::say(&format!("replay: cargo sim replay {}", path.display()));
    }
    Ok(verdict.result.exit_code())
}
