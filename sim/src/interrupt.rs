//! Ctrl-C: the first one asks a long search for what it has, the second ends the program.

use std::sync::atomic::{AtomicBool, Ordering};

static IS_STOPPED: AtomicBool = AtomicBool::new(false);

/// The exit code of a program that was interrupted.
const INTERRUPTED: i32 = 130;

/// From now on Ctrl-C is a wish that [`is_stopped`] tells.
///
/// # Errors
/// When the operating system does not let us hear it, as a message.
pub fn listen() -> Result<(), String> {
    let failed = |it: std::io::Error| format!("cannot listen for Ctrl-C: {it}");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    std::thread::Builder::new()
        .name("interrupt".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                while tokio::signal::ctrl_c().await.is_ok() {
                    if IS_STOPPED.swap(true, Ordering::Relaxed) {
                        std::process::exit(INTERRUPTED);
                    }
                }
            });
        })
        .map_err(failed)?;
    Ok(())
}

/// Whether somebody wants an end.
pub fn is_stopped() -> bool {
    IS_STOPPED.load(Ordering::Relaxed)
}
