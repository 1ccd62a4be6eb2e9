//! Tasks that end with their owner, and tasks that are late.

use std::time::Duration;

use seawall_env::TaskHandle;

/// How late something is that the simulator makes late.
pub(crate) const LATE: Duration = Duration::from_millis(50);

/// Stops the task when dropped; a plain handle does not.
pub(crate) struct AbortOnDrop(pub(crate) Box<dyn TaskHandle>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
