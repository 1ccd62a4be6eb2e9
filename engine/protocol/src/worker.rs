//! A worker process: whose orders it obeys and which attempts it runs. Rules A5, O1-O4, O6, P8.
//!
//! A worker obeys one leader at a time: the one that answered its registration. It registers only when
//! nothing runs here, so a registered worker is idle, and a leader that sees a new session knows that
//! every subtask of the old one is gone.
//!
//! ```text
//!   Connect ─► Connecting ─► Connected ─ Registered ─► obeys one token
//!      ▲           │             │                          │
//!      └─ Pausing ◄┴─────────────┴── Disconnected ◄─────────┘   everything is stopped
//! ```
//!
//! Deliberately absent: what a subtask does. The worker passes orders down and reports up.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use seawall_probe::sometimes;

use crate::config::HeartbeatConfig;
use crate::event::Event;
use crate::ids::{Attempt, AttemptId, CheckpointId, FencingToken, SessionId, SubtaskId, WorkerId};
use crate::limits::RECONNECT_PAUSE;
use crate::message::{Barrier, Deployment, Order, ToCoordinator, ToWorker};

/// What a worker is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Its name.
    pub worker: WorkerId,
    /// Subtasks of each chain it has room for.
    pub slots: u32,
    /// How death is suspected.
    pub heartbeat: HeartbeatConfig,
}

/// What happened to a worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// The process starts. The session number is drawn by the driver, a new one for each connection.
    Start {
        /// The first session.
        session: SessionId,
    },
    /// The connection asked for by `Connect` is there.
    Connected,
    /// The connection could not be made, or broke, or was closed. Each `Connect` is followed by exactly
    /// one of these in the end. `session` names the next connection.
    Disconnected {
        /// The next session.
        session: SessionId,
        /// Why, for people.
        cause: String,
    },
    /// An order of the coordinator.
    Order(ToWorker),
    /// The progress of an attempt, or a report of a subtask running here: `Ready`, `Ended`, `Finished`, `Cancelled`, `Failed`, `Ack`, `Decline`.
    Report(ToCoordinator),
    /// A timer fired.
    Timer(Timer),
}

/// The worker's timers. Arming one that is armed replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// When to send the next sign of life.
    Heartbeat,
    /// When a silent coordinator is taken for dead.
    CoordinatorSilent,
    /// When to try to connect again.
    Reconnect,
}

/// What a worker wants done, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Connect to the coordinator. Answered by `Connected` or `Disconnected`.
    Connect,
    /// Close the connection, or stop making it. Answered by `Disconnected`, unless that is on its way.
    Disconnect,
    /// Send on the connection; dropped when it is gone.
    Send(ToCoordinator),
    /// Create and restore the subtasks. Each reports `Ready` or `Failed`.
    Launch(Deployment),
    /// Let the attempt's subtasks process.
    Start(Attempt),
    /// Report the attempt's progress at each heartbeat, and as soon as so much was done.
    ReportProgress {
        /// The attempt.
        attempt: Attempt,
        /// Records.
        records: u64,
        /// Bytes of keyed state.
        dirty_bytes: u64,
    },
    /// Stop these subtasks. Each reports `Cancelled`, `Finished` or `Failed`, once.
    Stop(Attempt),
    /// Hand to these subtasks of the attempt, as far as they run.
    Trigger {
        /// The attempt.
        attempt: Attempt,
        /// The checkpoint, and how it is taken.
        barrier: Barrier,
        /// Which subtasks.
        subtasks: Vec<SubtaskId>,
    },
    /// Hand to all the attempt's subtasks.
    Completed {
        /// The attempt.
        attempt: Attempt,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Whether it is the job's last one (N4).
        is_final: bool,
    },
    /// Hand to all the attempt's subtasks.
    Aborted {
        /// The attempt.
        attempt: Attempt,
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// Arm the timer to fire after exactly this long.
    Arm(Timer, core::time::Duration),
    /// Disarm the timer.
    Disarm(Timer),
    /// For the trace.
    Note(Event),
}

/// The state of one worker process.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Worker {
    plan: Plan,
    link: Link,
    session: SessionId,
    /// The newest leadership this process obeyed; an older one is never obeyed again (P8).
    newest_token: FencingToken,
    /// The newest attempt this process was told to deploy; only newer ones are deployed (A4).
    newest_attempt: Attempt,
    running: Option<Running>,
    /// A deployment that waits for the older attempt to stop (O6).
    next: Option<Deployment>,
}

/// The connection to the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Link {
    /// The process has not started.
    Created,
    /// Asked for.
    Connecting,
    /// There; orders are obeyed once a leader accepted the registration.
    Connected { token: Option<FencingToken> },
    /// Given up by this worker; its end is awaited.
    Closing,
    /// Gone. Made again when the pause is over and nothing runs here.
    Pausing { is_over: bool },
}

/// One attempt's subtasks on this worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Running {
    attempt: Attempt,
    phase: Phase,
    /// Subtasks that have not finished, stopped or failed.
    live: BTreeSet<SubtaskId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Launched,
    Started,
    Stopping,
}

impl Worker {
    /// A worker process that has not started.
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            link: Link::Created,
            session: SessionId::default(),
            newest_token: FencingToken::default(),
            newest_attempt: Attempt::default(),
            running: None,
            next: None,
        }
    }

    /// What it is.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The session of the current or the next connection.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The leadership it obeys now.
    pub fn token(&self) -> Option<FencingToken> {
        match self.link {
            Link::Connected { token } => token,
            Link::Created | Link::Connecting | Link::Closing | Link::Pausing { .. } => None,
        }
    }

    /// The attempt whose subtasks have not all stopped.
    pub fn attempt(&self) -> Option<Attempt> {
        self.running.as_ref().map(|running| running.attempt)
    }

    /// Decides the answer to what happened. Total.
    pub fn handle(&mut self, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Start { session } => self.on_start(session, effects),
            Input::Connected => self.on_connected(effects),
            Input::Disconnected { session, cause } => {
                self.on_disconnected(session, cause, effects);
            }
            Input::Order(message) => self.on_order(message, effects),
            Input::Report(report) => self.on_report(report, effects),
            Input::Timer(timer) => self.on_timer(timer, effects),
        }
    }

    fn on_start(&mut self, session: SessionId, effects: &mut Vec<Effect>) {
        if self.link != Link::Created {
            stale("a second start", effects);
            return;
        }
        self.session = session;
        effects.push(Effect::Note(Event::WorkerStarted { worker: self.plan.worker, session }));
        self.connect(effects);
    }

    /// The silence timer bounds the attempt to connect as well, which may hang.
    fn connect(&mut self, effects: &mut Vec<Effect>) {
        assert!(self.running.is_none(), "only an idle worker registers");
        assert!(self.next.is_none(), "a deployment outlived its leader");
        self.link = Link::Connecting;
        effects.push(Effect::Connect);
        effects.push(Effect::Arm(Timer::CoordinatorSilent, self.plan.heartbeat.timeout));
    }

    fn on_connected(&mut self, effects: &mut Vec<Effect>) {
        match self.link {
            Link::Connecting => {
                self.link = Link::Connected { token: None };
                effects.push(Effect::Send(ToCoordinator::Register {
                    worker: self.plan.worker,
                    session: self.session,
                    slots: self.plan.slots,
                }));
                let HeartbeatConfig { interval, timeout, .. } = self.plan.heartbeat;
                effects.push(Effect::Arm(Timer::Heartbeat, interval));
                effects.push(Effect::Arm(Timer::CoordinatorSilent, timeout));
            }
            // It was given up while it was being made.
            Link::Closing => {
                sometimes!(ConnectedTooLate);
                effects.push(Effect::Disconnect);
            }
            Link::Created | Link::Connected { .. } | Link::Pausing { .. } => {
                stale("a connection nobody asked for", effects);
            }
        }
    }

    fn on_disconnected(&mut self, session: SessionId, cause: String, effects: &mut Vec<Effect>) {
        match self.link {
            Link::Connected { .. } => {
                effects.push(Effect::Disarm(Timer::Heartbeat));
                effects.push(Effect::Disarm(Timer::CoordinatorSilent));
                sometimes!(self.running.is_some(), LeadersConnectionBreaks);
                self.stop_for_lost_coordinator(cause, effects);
            }
            Link::Connecting => effects.push(Effect::Disarm(Timer::CoordinatorSilent)),
            Link::Closing => {}
            Link::Created | Link::Pausing { .. } => {
                stale(format!("the end of no connection: {cause}"), effects);
                return;
            }
        }
        self.session = session;
        self.link = Link::Pausing { is_over: false };
        effects.push(Effect::Arm(Timer::Reconnect, RECONNECT_PAUSE));
    }

    /// Gives up a connection that still stands.
    fn leave_coordinator(&mut self, cause: String, effects: &mut Vec<Effect>) {
        self.link = Link::Closing;
        effects.push(Effect::Disarm(Timer::Heartbeat));
        effects.push(Effect::Disarm(Timer::CoordinatorSilent));
        effects.push(Effect::Disconnect);
        self.stop_for_lost_coordinator(cause, effects);
    }

    /// Whoever leads next may already run these subtasks elsewhere (O2).
    fn stop_for_lost_coordinator(&mut self, cause: String, effects: &mut Vec<Effect>) {
        let worker = self.plan.worker;
        effects.push(Effect::Note(Event::CoordinatorLost { worker, cause }));
        self.next = None;
        self.stop_running(effects);
    }

    fn stop_running(&mut self, effects: &mut Vec<Effect>) {
        if let Some(running) = self.running.as_mut().filter(|it| it.phase != Phase::Stopping) {
            running.phase = Phase::Stopping;
            effects.push(Effect::Stop(running.attempt));
        }
    }

    fn on_order(&mut self, message: ToWorker, effects: &mut Vec<Effect>) {
        let ToWorker { token, order } = message;
        let Link::Connected { token: obeyed } = self.link else {
            sometimes!(OrderWithoutALink);
            self.refuse(token, effects);
            return;
        };
        if order == Order::Registered {
            self.on_registered(token, obeyed, effects);
            return;
        }
        if obeyed != Some(token) {
            sometimes!(OrderOfAnotherToken);
            self.refuse(token, effects);
            return;
        }
        effects.push(Effect::Arm(Timer::CoordinatorSilent, self.plan.heartbeat.timeout));
        match order {
            Order::Registered | Order::Heartbeat => {}
            Order::Deploy(deployment) => self.on_deploy(deployment, effects),
            Order::Start(attempt) => self.on_start_attempt(attempt, effects),
            Order::Cancel(attempt) => self.on_cancel(attempt, effects),
            Order::Trigger { attempt, barrier, subtasks } => {
                self.pass_on(attempt, Effect::Trigger { attempt, barrier, subtasks }, effects);
            }
            Order::ReportProgress { attempt, records, dirty_bytes } => {
                let report = Effect::ReportProgress { attempt, records, dirty_bytes };
                self.pass_on(attempt, report, effects);
            }

            Order::Completed { attempt, checkpoint, is_final } => {
                let completed = Effect::Completed { attempt, checkpoint, is_final };
                self.pass_on(attempt, completed, effects);
            }
            Order::Aborted { attempt, checkpoint } => {
                self.pass_on(attempt, Effect::Aborted { attempt, checkpoint }, effects);
            }
        }
    }

    /// Only this sets the token. A leader older than one obeyed before is a zombie: its connection is
    /// left, and the next one finds its successor.
    fn on_registered(
        &mut self,
        token: FencingToken,
        obeyed: Option<FencingToken>,
        effects: &mut Vec<Effect>,
    ) {
        match obeyed {
            None if token < self.newest_token => {
                sometimes!(LeaderIsAZombie);
                self.refuse(token, effects);
                let cause = format!("leader {token} was replaced by {}", self.newest_token);
                self.leave_coordinator(cause, effects);
            }
            None => {
                self.newest_token = token;
                self.link = Link::Connected { token: Some(token) };
                effects.push(Effect::Arm(Timer::CoordinatorSilent, self.plan.heartbeat.timeout));
            }
            // This worker registered once on this connection; a second answer is nobody's.
            Some(_) => self.refuse(token, effects),
        }
    }

    fn refuse(&mut self, token: FencingToken, effects: &mut Vec<Effect>) {
        effects.push(Effect::Note(Event::OrderRefused { worker: self.plan.worker, token }));
    }

    fn on_deploy(&mut self, deployment: Deployment, effects: &mut Vec<Effect>) {
        let attempt = deployment.attempt;
        if attempt <= self.newest_attempt || deployment.subtasks.is_empty() {
            sometimes!(StaleDeployment);
            stale(format!("deployment of {attempt} after {}", self.newest_attempt), effects);
            return;
        }
        self.newest_attempt = attempt;
        if self.running.is_some() {
            sometimes!(DeployedOverAnother);
            // The leader was to wait for the old attempt's end; two at once would be two owners (O6).
            self.next = Some(deployment);
            self.stop_running(effects);
        } else {
            self.launch(deployment, effects);
        }
    }

    fn launch(&mut self, deployment: Deployment, effects: &mut Vec<Effect>) {
        assert!(self.running.is_none(), "attempt {} starts over another", deployment.attempt);
        self.running = Some(Running {
            attempt: deployment.attempt,
            phase: Phase::Launched,
            live: deployment.subtasks.iter().copied().collect(),
        });
        effects.push(Effect::Launch(deployment));
    }

    fn on_start_attempt(&mut self, attempt: Attempt, effects: &mut Vec<Effect>) {
        match &mut self.running {
            Some(running) if running.attempt == attempt && running.phase == Phase::Launched => {
                running.phase = Phase::Started;
                effects.push(Effect::Start(attempt));
            }
            Some(_) | None => {
                sometimes!(StaleStart);
                stale(format!("start of attempt {attempt}"), effects);
            }
        }
    }

    /// A deployment that was never launched is answered at once; the reports of running subtasks are
    /// the answer for them, and nothing is answered for what is not here.
    fn on_cancel(&mut self, attempt: Attempt, effects: &mut Vec<Effect>) {
        if self.attempt() == Some(attempt) {
            self.stop_running(effects);
        } else if let Some(waiting) = self.next.take_if(|next| next.attempt == attempt) {
            sometimes!(WaitingDeploymentIsCancelled);
            for subtask in waiting.subtasks {
                let attempt = AttemptId { subtask, attempt };
                effects.push(Effect::Send(ToCoordinator::Cancelled(attempt)));
            }
        } else {
            sometimes!(StaleCancel);
            stale(format!("cancellation of attempt {attempt}"), effects);
        }
    }

    fn pass_on(&mut self, attempt: Attempt, effect: Effect, effects: &mut Vec<Effect>) {
        match &self.running {
            Some(running) if running.attempt == attempt && running.phase != Phase::Stopping => {
                effects.push(effect);
            }
            Some(_) | None => {
                sometimes!(OrderForAStoppedAttempt);
                stale(format!("order for attempt {attempt}"), effects);
            }
        }
    }

    /// Without a leader a report is dropped on purpose: whoever leads next learns from the new session
    /// that nothing runs here.
    fn on_report(&mut self, report: ToCoordinator, effects: &mut Vec<Effect>) {
        if let ToCoordinator::Progress { attempt, .. } = report {
            // Of an attempt that stops it is of no use any more.
            if self.token().is_some() && self.attempt() == Some(attempt) {
                effects.push(Effect::Send(report));
            } else {
                sometimes!(ProgressIsDropped);
            }
            return;
        }
        let Some((AttemptId { subtask, attempt }, is_last)) = subject(&report) else {
            stale("a report about no subtask", effects);
            return;
        };
        let running = self.running.as_mut().filter(|running| running.attempt == attempt);
        let Some(running) = running.filter(|running| running.live.contains(&subtask)) else {
            sometimes!(StaleReport);
            stale(format!("report of {subtask}#{attempt}, which does not run here"), effects);
            return;
        };
        if is_last {
            running.live.remove(&subtask);
        }
        let has_stopped = running.live.is_empty();
        if self.token().is_some() {
            effects.push(Effect::Send(report));
        } else {
            sometimes!(ReportWithoutALeader);
        }
        if has_stopped {
            self.on_attempt_stopped(effects);
        }
    }

    fn on_attempt_stopped(&mut self, effects: &mut Vec<Effect>) {
        self.running = None;
        if self.link == (Link::Pausing { is_over: true }) {
            sometimes!(ReconnectsAfterTheStop);
            self.connect(effects);
        } else if let Some(deployment) = self.next.take() {
            sometimes!(WaitingDeploymentIsLaunched);
            self.launch(deployment, effects);
        }
    }

    fn on_timer(&mut self, timer: Timer, effects: &mut Vec<Effect>) {
        match (timer, self.link) {
            (Timer::Heartbeat, Link::Connected { .. }) => {
                effects.push(Effect::Send(ToCoordinator::Heartbeat));
                effects.push(Effect::Arm(Timer::Heartbeat, self.plan.heartbeat.interval));
            }
            (Timer::CoordinatorSilent, Link::Connected { .. } | Link::Connecting) => {
                sometimes!(self.link == Link::Connecting, ConnectingTakesTooLong);
                sometimes!(self.link != Link::Connecting, LeaderIsSilent);
                let cause = format!("silent for {:?}", self.plan.heartbeat.timeout);
                self.leave_coordinator(cause, effects);
            }
            (Timer::Reconnect, Link::Pausing { is_over: false }) => {
                self.link = Link::Pausing { is_over: true };
                if self.running.is_none() {
                    self.connect(effects);
                } else {
                    sometimes!(ReconnectWaitsForSubtasks);
                }
            }
            (Timer::Heartbeat | Timer::CoordinatorSilent | Timer::Reconnect, _) => {
                sometimes!(StaleWorkerTimer);
                stale(format!("timer {timer:?}"), effects);
            }
        }
    }
}

/// Whom a report is about, and whether it is the last one about it.
fn subject(report: &ToCoordinator) -> Option<(AttemptId, bool)> {
    match report {
        ToCoordinator::Register { .. }
        | ToCoordinator::Heartbeat
        | ToCoordinator::Progress { .. } => None,
        ToCoordinator::Ready(attempt)
        | ToCoordinator::Ended(attempt)
        | ToCoordinator::Ack { attempt, .. }
        | ToCoordinator::Unfinished { attempt, .. }
        | ToCoordinator::Decline { attempt, .. } => Some((*attempt, false)),
        ToCoordinator::Finished(attempt)
        | ToCoordinator::Cancelled(attempt)
        | ToCoordinator::Failed { attempt, .. } => Some((*attempt, true)),
    }
}

fn stale(what: impl Into<String>, effects: &mut Vec<Effect>) {
    effects.push(Effect::Note(Event::StaleInput { what: what.into() }));
}
