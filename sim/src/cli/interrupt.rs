//! Ctrl-C: the first one asks a long search for what it has, the second ends the program.

use seawall_sim::{interrupt, report};

/// The exit code of a program that was interrupted.
const INTERRUPTED: i32 = 130;

/// From now on Ctrl-C is a wish that [`interrupt::is_stopped`] tells.
pub(crate) fn listen() -> Result<(), String> {
    let on_interrupt = || {
        if interrupt::stop() {
            std::process::exit(INTERRUPTED);
        }
        report::tell("\nstopping: what has begun is finished and told; once more to give up");
    };
    ctrlc::set_handler(on_interrupt).map_err(|it| format!("cannot listen for Ctrl-C: {it}"))
}
