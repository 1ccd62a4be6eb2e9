//! `diff`: the first event in which two traces differ.

use std::path::{Path, PathBuf};

use clap::Args;
use seawall_sim::{report, trace};

use super::Usage;

#[derive(Args)]
pub(crate) struct Arguments {
    /// A trace written by `run --trace`
    left: PathBuf,
    /// Another one
    right: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Usage<u8> {
    let read = |path: &Path| {
        std::fs::read_to_string(path)
            .map_err(|it| format!("cannot read the trace {}: {it}", path.display()))
    };
    match trace::first_divergence(&read(&arguments.left)?, &read(&arguments.right)?) {
        None => {
            report::say("the traces are the same");
            Ok(0)
        }
        Some(divergence) => {
            report::say(&divergence.to_string());
            Ok(3)
        }
    }
}
