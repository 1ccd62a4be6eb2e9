//! `seawall jobs`: what can be run.

use crate::args::JobsArgs;
use crate::report;

pub(crate) fn main(args: JobsArgs) {
    report::jobs(seawall::jobs::JOBS, args.json);
}
