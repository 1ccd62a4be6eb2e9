//! `shrink`: the smallest run that fails as a seed file does.

use std::cell::Cell;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use seawall_sim::report::{self, Spinner};
use seawall_sim::scenario::quantity::parse_time;
use seawall_sim::seed_file::SeedFile;
use seawall_sim::shrink::{self, Limits, Size};
use seawall_sim::{interrupt, sweep};

use super::Usage;

#[derive(Args)]
pub(crate) struct Arguments {
    /// A seed file of a run that fails
    seed_file: PathBuf,
    /// How long to search: 30s, 5min
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = parse_time)]
    time: Duration,
    /// Runs at a time; one for each core when absent
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// Write the result to this file; beside the seed file when absent
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Usage<u8> {
    let file = SeedFile::load(&arguments.seed_file).map_err(|it| it.to_string())?;
    super::interrupt::listen()?;
    let spinner = Spinner::new();
    let last: Cell<Option<Size>> = Cell::new(None);
    let tell = |size: Size, runs: usize| {
        let line = format!("{runs} runs: {size}");
        spinner.show(&line);
        if last.replace(Some(size)) != Some(size) {
            spinner.step(&line);
        }
    };
    let jobs = arguments.jobs.map_or_else(sweep::default_jobs, NonZero::get);
    let limits =
        Limits { time: arguments.time, jobs, is_stopped: &interrupt::is_stopped, tell: &tell };
    let shrunk = shrink::shrink(&file, &limits);
    spinner.clear();
    let shrunk = shrunk?;
    let out = arguments.out.clone().unwrap_or_else(|| beside(&arguments.seed_file));
    report::write(&out, &shrunk.file.to_text())?;
    report::say(&format!(
        "# {} seed {}: {}\n\n{shrunk}\nreplay: cargo sim replay {}",
        file.scenario.name,
        file.seed,
        file.scenario.about,
        out.display()
    ));
    Ok(shrunk.verdict.result.exit_code())
}

/// `x.seed.toml` becomes `x.shrunk.seed.toml`; what is shrunk again keeps its name.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.trim_end_matches(".toml").trim_end_matches(".seed");
    path.with_file_name(format!("{}.shrunk.seed.toml", stem.trim_end_matches(".shrunk")))
}
