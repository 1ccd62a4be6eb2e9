//! `check`: whether scenario and seed files are sound.

use std::path::PathBuf;

use clap::Args;
use seawall_sim::{report, verify};

use super::{Usage, all};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Files or directories; all scenarios when none is given
    paths: Vec<PathBuf>,
}

pub(crate) fn run(arguments: Arguments) -> Usage<u8> {
    let mut paths = arguments.paths;
    if paths.is_empty() {
        paths.push(verify::scenario_directory());
    }
    match verify::load(&verify::find(&paths)?) {
        Ok(loaded) => {
            report::say(&format!("{} files are sound", loaded.len()));
            Ok(0)
        }
        Err(errors) => Err(all(&errors)),
    }
}
