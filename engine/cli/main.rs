//! The program `seawall`: runs built-in jobs and looks into their checkpoints.
//!
//! ```text
//! args (what was typed) -> run, jobs, config, checkpoint, savepoint (what it means, and doing it) -> report
//!                          control (asks the process that runs the job)                      (what is printed)
//! ```
//!
//! Exit codes: 0 done · 1 the job failed, or a checkpoint is damaged · 2 usage, configuration, input or
//! storage error; nothing was lost · 130 or 143 interrupted by a signal, the same command continues.
//!
//! Deliberately absent: decisions about records and checkpoints. They are the engine's.

use std::process::ExitCode;

use clap::Parser;

mod args; // what was typed
mod checkpoint; // seawall checkpoint list|show|verify
mod config; // seawall config, and what flags stand for
mod control; // talking to a running job: its socket, and who asks
mod duration; // 500ms, 10s, 5min
mod error; // what can go wrong, and its exit code
mod jobs; // seawall jobs
mod report; // everything that is printed
mod run; // seawall run
mod savepoint; // seawall savepoint

use args::{Args, Command};

fn main() -> ExitCode {
    // A subtask that panics would leave its job waiting for ever. Ending the process is a crash like any
    // other: the same command continues from the newest checkpoint.
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        std::process::exit(101);
    }));
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return report::usage(&error),
    };
    let result = match args.command {
        Command::Run(args) => run::main(&args),
        Command::Jobs(args) => {
            jobs::main(args);
            Ok(ExitCode::SUCCESS)
        }
        Command::Config(args) => config::main(&args),
        Command::Checkpoint(args) => checkpoint::main(&args.command),
        Command::Savepoint(args) => savepoint::main(&args),
        Command::Stop(args) => control::stop(&args),
        Command::Rescale(args) => control::rescale(&args),
        Command::Cancel(args) => control::cancel(&args),
    };
    result.unwrap_or_else(|error| report::error(&error))
}
