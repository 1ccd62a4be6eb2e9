//! Tasks that end with their owner.

use seawall_env::TaskHandle;

/// Stops the task when dropped; a plain handle does not.
pub(crate) struct AbortOnDrop(pub(crate) Box<dyn TaskHandle>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
