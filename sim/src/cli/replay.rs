//! `replay`: a recorded run again, which must be the same run.

use std::path::PathBuf;

use clap::Args;
use seawall_sim::seed_file::SeedFile;
use seawall_sim::{report, verify};

use super::{Pictures, Usage};

#[derive(Args)]
pub(crate) struct Arguments {
    /// A seed file
    seed_file: PathBuf,
    #[command(flatten)]
    pictures: Pictures,
}

pub(crate) fn run(arguments: &Arguments) -> Usage<u8> {
    let file = SeedFile::load(&arguments.seed_file).map_err(|it| it.to_string())?;
    let (verdict, outcome) = verify::replay(&file);
    arguments.pictures.write(&file.scenario, &verdict)?;
    report::say(&format!("# {} seed {}: {}\n", file.scenario.name, file.seed, file.scenario.about));
    report::say(&verdict.trace.recovery());
    match outcome {
        Ok(()) => {
            let same = if file.footprint.is_some() { "run" } else { "verdict" };
            report::say(&format!(
                "\nthe same {same}: {} events, digest {:016x}\n{}: {}",
                verdict.trace.entries.len(),
                verdict.trace.digest(),
                verdict.result.name(),
                verdict.result.explain()
            ));
            Ok(verdict.result.exit_code())
        }
        Err((code, message)) => {
            report::say(&format!("\n{message}"));
            Ok(code)
        }
    }
}
