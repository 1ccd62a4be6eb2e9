//! What is said at the end of a run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::run::ownership;
use crate::run::progress::Counts;
use crate::run::settings::Settings;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub(crate) enum Ended {
    /// All input is reflected in committed output.
    Finished,
    /// An earlier run had finished it.
    AlreadyFinished,
    /// Somebody ended it, in this run or an earlier one.
    Cancelled,
    /// Stopped with a savepoint, now or by an earlier run.
    Stopped {
        /// Where it is.
        savepoint: String,
        /// Whether the input counts as ended, so that no job goes on from it.
        is_drained: bool,
    },
    /// Given up.
    Failed {
        /// Why.
        cause: String,
    },
    /// Told to stop.
    Interrupted {
        /// The signal's number.
        signal: u8,
    },
}

/// The figures of one run of one process.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) job: &'static str,
    pub(crate) job_id: String,
    #[serde(flatten)]
    pub(crate) ended: Ended,
    /// Records that this process read; those read again after a restart count again.
    pub(crate) records_read: u64,
    pub(crate) records_per_second: u64,
    pub(crate) checkpoints_completed: u32,
    pub(crate) checkpoints_failed: u32,
    pub(crate) newest_checkpoint: Option<u64>,
    pub(crate) restarts: u32,
    pub(crate) duration_ms: u64,
    pub(crate) guarantee: &'static str,
    pub(crate) state: PathBuf,
    pub(crate) output: Output,
}

/// What a reader of the output directory sees.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Output {
    pub(crate) directory: PathBuf,
    pub(crate) files: usize,
    pub(crate) lines: u64,
    /// Lines of each side output, by the name of its directory.
    pub(crate) side_outputs: BTreeMap<String, u64>,
}

impl Summary {
    pub(crate) fn new(
        settings: &Settings,
        ended: Ended,
        counts: &Counts,
        records_read: u64,
        duration: Duration,
        guarantee: &'static str,
    ) -> Self {
        let millis = duration.as_millis().max(1);
        let per_second = u128::from(records_read) * 1000 / millis;
        Self {
            job: settings.spec.name,
            job_id: settings.id.to_string(),
            ended,
            records_read,
            records_per_second: u64::try_from(per_second).unwrap_or(u64::MAX),
            checkpoints_completed: counts.completed,
            checkpoints_failed: counts.failed,
            newest_checkpoint: counts.newest.map(|it| it.0),
            restarts: counts.restarts,
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            guarantee,
            state: settings.checkpoints.root().to_path_buf(),
            output: Output::read(&settings.output).unwrap_or_default(),
        }
    }
}

impl Output {
    fn read(directory: &Path) -> io::Result<Self> {
        let mut output = Self { directory: directory.to_path_buf(), ..Self::default() };
        for path in ownership::visible_files(directory)? {
            let lines = count_lines(&path)?;
            output.files += 1;
            let within = path.parent().and_then(|it| it.strip_prefix(directory).ok());
            match within.filter(|it| !it.as_os_str().is_empty()) {
                Some(side) => {
                    *output.side_outputs.entry(side.display().to_string()).or_default() += lines;
                }
                None => output.lines += lines,
            }
        }
        Ok(output)
    }
}

/// Every line of output ends in a line end.
fn count_lines(path: &Path) -> io::Result<u64> {
    let mut file = BufReader::new(File::open(path)?);
    let mut lines = 0;
    while file.skip_until(b'\n')? > 0 {
        lines += 1;
    }
    Ok(lines)
}
