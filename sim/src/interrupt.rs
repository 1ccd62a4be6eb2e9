//! Somebody wants an end: a long search stops and tells what it has. The program sets it at Ctrl-C.

use std::sync::atomic::{AtomicBool, Ordering};

static IS_STOPPED: AtomicBool = AtomicBool::new(false);

/// Asks for an end, and says whether somebody had asked before.
pub fn stop() -> bool {
    IS_STOPPED.swap(true, Ordering::Relaxed)
}

/// Whether somebody wants an end.
pub fn is_stopped() -> bool {
    IS_STOPPED.load(Ordering::Relaxed)
}
