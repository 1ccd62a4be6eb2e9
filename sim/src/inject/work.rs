//! What people do to a job at a bad moment.

use std::sync::atomic::Ordering;
use std::time::Duration;

use seawall_runtime::control::{Ask as Request, Reply};

use super::Injector;
use super::network::count;
use crate::fault::IdleInput;

/// How long somebody waits who was not answered, before asking again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

impl Injector {
    pub(super) fn ask(&self, ask: Request) {
        let this = self.clone();
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

    pub(super) fn idle_input(&self, it: &IdleInput) {
        let (this, it) = (self.clone(), it.clone());
        self.world.spawn("fault", async move {
            for _ in 0..count(it.times) {
                if this.is_over() {
                    return;
                }
                this.tap.close(it.subtask, this.world.now() + it.lasts.least);
                let gap = it.gap.map_or(Duration::ZERO, |it| it.least);
                this.world.sleep(it.lasts.least + gap).await;
            }
        });
    }
}

/// Whether a person is content. Who wants a savepoint asks until there is one.
fn is_answered(ask: &Request, reply: &Reply) -> bool {
    match ask {
        Request::Checkpoint | Request::Cancel => *reply != Reply::Ended,
        Request::Savepoint { .. } | Request::Stop { .. } => {
            matches!(reply, Reply::Completed { .. })
        }
        Request::Rescale { .. } => matches!(reply, Reply::Rescaled { .. } | Reply::Refused { .. }),
    }
}
