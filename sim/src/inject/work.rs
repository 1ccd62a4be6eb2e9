//! What people do to a job at a bad moment.

use std::sync::atomic::Ordering;
use std::time::Duration;

use seawall_runtime::control::{Ask, Reply};

use super::Injector;
use crate::fault::AskFor;

/// How long somebody waits who was not answered, before asking again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

impl Injector {
    pub(super) fn ask(&self, what: AskFor) {
        let (this, ask) = (self.clone(), what.request());
        self.world.spawn("person", async move {
            let run = this.run.load(Ordering::Relaxed);
            while !is_answered(&ask, &this.control.ask(ask.clone()).await) {
                this.world.sleep(ASK_AGAIN).await;
                if this.run.load(Ordering::Relaxed) != run {
                    return;
                }
            }
        });
    }
}

/// Whether a person is content. Who wants a savepoint asks until there is one.
fn is_answered(ask: &Ask, reply: &Reply) -> bool {
    match ask {
        Ask::Checkpoint | Ask::Cancel => *reply != Reply::Ended,
        Ask::Savepoint { .. } | Ask::Stop { .. } => matches!(reply, Reply::Completed { .. }),
    }
}
