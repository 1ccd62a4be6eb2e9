//! `explain`: why the run of a seed file fails.

use std::path::PathBuf;

use clap::Args;
use seawall_sim::seed_file::SeedFile;
use seawall_sim::{explain, report, sweep};

use super::Usage;

#[derive(Args)]
pub(crate) struct Arguments {
    /// A seed file of a run that fails; the smaller, the clearer
    seed_file: PathBuf,
    /// Print the explanation as JSON
    #[arg(long)]
    json: bool,
}

/// That a failure is explained is a success.
pub(crate) fn run(arguments: &Arguments) -> Usage<u8> {
    let file = SeedFile::load(&arguments.seed_file).map_err(|it| it.to_string())?;
    let explanation = explain::explain(&file, sweep::default_jobs())?;
    if arguments.json {
        report::say(&report::to_json(&explanation));
    } else {
        let (name, seed, about) = (&file.scenario.name, file.seed, &file.scenario.about);
        report::say(&format!("# {name} seed {seed}: {about}\n\n{explanation}"));
    }
    Ok(0)
}
