//! A worker process: drives the worker core between the coordinator's connection and its subtasks.
//!
//! ```text
//! coordinator <── link ──> [ core (seawall_protocol::worker) ] <── orders, reports ──> subtasks
//! other workers ── data connections ──> gates of subtasks
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use seawall_env::{Env, FrameReceiver, FrameSender, Listener};
use seawall_probe::{buggify, sometimes};
use seawall_protocol::config::{CheckpointMode, HeartbeatConfig, StateBackend};
use seawall_protocol::message::{Deployment, ToWorker};
use seawall_protocol::worker::{Effect, Input, Plan, Timer, Worker};
use seawall_protocol::{
    Attempt, AttemptId, ChannelId, CheckpointId, SessionId, SubtaskId, WorkerId,
};
use seawall_stream::Job;
use seawall_stream::chain::EdgeId;

use crate::channel::{Inbox, SubtaskOrder, gate, yield_now};
use crate::error::RuntimeError;
use crate::mailbox::{Mailbox, MailboxSender, mailbox};
use crate::metrics::Metrics;
use crate::progress::ProgressCounter;
use crate::storage::Storage;
use crate::subtask::{self, Connect, Launch};
use crate::task::{AbortOnDrop, LATE};
use crate::timers::{Fired, Timers};
use crate::wire::{ChannelHello, Outgoing, decode_message, encode_message, feed, write_frames};

/// What a worker process is told at its start.
#[derive(Clone)]
pub struct WorkerConfig {
    /// Its name; other workers reach its data connections at the name's text, "worker-1".
    pub worker: WorkerId,
    /// Subtasks of each chain it has room for.
    pub slots: u32,
    /// Where the coordinator listens.
    pub coordinator: String,
    /// The program.
    pub job: Arc<Job>,
    /// Where checkpoints are.
    pub storage: Storage,
    /// How barriers are handled.
    pub mode: CheckpointMode,
    /// Where live state is.
    pub state: StateBackend,
    /// Where scratch files are, on a disk of this machine.
    pub scratch: PathBuf,
    /// Snapshots may refer to files of confirmed checkpoints (I).
    pub is_incremental: bool,
    /// The checkpoint whose in-flight data the user gives up: it is restored without (E12).
    pub without_channel_state: Option<CheckpointId>,
    /// Time between two watermarks of a subtask that makes them; none but punctuated ones when it is zero.
    pub watermark_interval: Duration,
    /// How death is suspected.
    pub heartbeat: HeartbeatConfig,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// Runs a worker until its future is dropped.
///
/// # Errors
/// When it cannot listen for data connections.
pub async fn run(env: Env, config: WorkerConfig) -> Result<(), RuntimeError> {
    let address = config.worker.to_string();
    let listener =
        env.network.listen(&address).await.map_err(RuntimeError::network("listen at", &address))?;
    let registry = Registry::default();
    let accepting = accept(
        env.clone(),
        Arc::clone(&config.job),
        registry.clone(),
        config.heartbeat.clone(),
        listener,
    );
    // Stopped with the worker: a handle does not stop its task when dropped.
    let _accepting = AbortOnDrop(env.spawn("accept channels", accepting));
    let (events, inbox) = mailbox();
    let fired = events.clone();
    let timers = Timers::new(&env, move |timer| fired.push(Happening::Fired(timer)));
    let plan =
        Plan { worker: config.worker, slots: config.slots, heartbeat: config.heartbeat.clone() };
    let core = Worker::new(plan.clone());
    let progress = Arc::new(ProgressCounter::new(Attempt::default()));
    let shell = Shell {
        env,
        config,
        plan,
        core,
        registry,
        events,
        timers,
        link: Link::default(),
        progress,
    };
    shell.drive(inbox).await;
    Ok(())
}

/// What the shell's queue holds.
enum Happening {
    Input(Input),
    Fired(Fired<Timer>),
    /// The n-th connection to the coordinator was made.
    Linked(u64, Box<dyn FrameSender>),
    /// The n-th connection carried an order.
    Ordered(u64, Box<ToWorker>),
    /// The n-th connection could not be made, or ended.
    Unlinked(u64, String),
}

/// The connection to the coordinator, numbered so that what an old one still says is passed over.
#[derive(Default)]
struct Link {
    number: u64,
    frames: Option<MailboxSender<Vec<u8>>>,
    tasks: Vec<AbortOnDrop>,
}

struct Shell {
    env: Env,
    config: WorkerConfig,
    plan: Plan,
    core: Worker,
    registry: Registry,
    events: MailboxSender<Happening>,
    timers: Timers<Timer>,
    link: Link,
    /// Of the newest attempt that was launched here.
    progress: Arc<ProgressCounter>,
}

impl Shell {
    async fn drive(mut self, mut inbox: Mailbox<Happening>) {
        let session = self.next_session();
        self.events.push(Happening::Input(Input::Start { session }));
        while let Some(happening) = inbox.receive().await {
            if buggify!(WorkerYields) {
                yield_now().await;
            }
            let Some(mut input) = self.meaning_of(happening) else { continue };
            let tamper = Arc::clone(&self.env.tamper);
            if !tamper.admits_to_worker(&self.plan, &mut input) {
                continue;
            }
            let mut effects = Vec::new();
            self.core.handle(input.clone(), &mut effects);
            tamper.after_worker(&self.plan, &input, &mut effects);
            for effect in effects {
                self.perform(effect).await;
            }
        }
    }

    /// The core's input, or `None` for what an old connection or timer still says.
    fn meaning_of(&mut self, happening: Happening) -> Option<Input> {
        match happening {
            Happening::Input(input) => Some(input),
            Happening::Fired(fired) => {
                let timer = self.timers.take(fired)?;
                if timer == Timer::Heartbeat
                    && let Some(progress) = self.progress.take()
                {
                    self.events.push(Happening::Input(Input::Report(progress)));
                }
                Some(Input::Timer(timer))
            }
            Happening::Linked(number, sender) => {
                if number != self.link.number {
                    sometimes!(OldLinkIsMade);
                    return None;
                }
                let (frames, queue) = mailbox();
                let writing = self.env.spawn("write to coordinator", write_frames(sender, queue));
                self.link.tasks.push(AbortOnDrop(writing));
                self.link.frames = Some(frames);
                Some(Input::Connected)
            }
            Happening::Ordered(number, order) => {
                sometimes!(number != self.link.number, OldLinkSpeaks);
                (number == self.link.number).then_some(Input::Order(*order))
            }
            Happening::Unlinked(number, cause) => {
                if number != self.link.number {
                    sometimes!(OldLinkEnds);
                    return None;
                }
                self.unlink();
                Some(Input::Disconnected { session: self.next_session(), cause })
            }
        }
    }

    async fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Connect => self.connect(),
            Effect::Disconnect => {
                self.unlink();
                let cause = "the connection was given up".to_owned();
                let session = self.next_session();
                self.events.push(Happening::Input(Input::Disconnected { session, cause }));
            }
            Effect::Send(message) => {
                if let Some(frames) = &self.link.frames {
                    frames.push(encode_message(&message));
                }
            }
            Effect::Launch(deployment) => self.launch(&deployment),
            Effect::ReportProgress { records, dirty_bytes, .. } => {
                self.progress.want(records, dirty_bytes);
            }
            Effect::Start(attempt) => self.order(attempt, &SubtaskOrder::Start),
            Effect::Stop(attempt) => {
                self.registry.of(attempt).into_iter().for_each(|(_, inbox)| inbox.stop());
            }
            Effect::Trigger { attempt, barrier, subtasks } => {
                for subtask in subtasks {
                    // One that just finished is gone; the coordinator is about to hear of it.
                    match self.registry.get(AttemptId { subtask, attempt }) {
                        Some(inbox) => {
                            let _ = inbox.order(SubtaskOrder::Trigger(barrier));
                        }
                        None => sometimes!(TriggerForAGoneSubtask),
                    }
                }
            }
            Effect::Completed { attempt, checkpoint, is_final } => {
                self.order(attempt, &SubtaskOrder::Completed { checkpoint, is_final });
            }
            Effect::Aborted { attempt, checkpoint } => {
                self.order(attempt, &SubtaskOrder::Aborted(checkpoint));
            }
            Effect::Arm(timer, duration) => {
                self.timers.arm(timer, early(timer, duration).unwrap_or(duration));
            }
            Effect::Disarm(timer) => self.timers.disarm(timer),
            Effect::Note(event) => self.env.emit(event).await,
        }
    }

    fn next_session(&self) -> SessionId {
        SessionId(self.env.entropy.next_u64())
    }

    fn order(&self, attempt: Attempt, order: &SubtaskOrder) {
        let mut subtasks = self.registry.of(attempt);
        if buggify!(OrdersReversed) {
            subtasks.reverse();
        }
        for (_, inbox) in subtasks {
            // One that has ended needs no orders.
            let _ = inbox.order(order.clone());
        }
    }

    fn connect(&mut self) {
        self.unlink();
        let number = self.link.number;
        let (env, address) = (self.env.clone(), self.config.coordinator.clone());
        let events = self.events.clone();
        let reading = self.env.spawn("read from coordinator", async move {
            let connected = env.network.connect(&address).await;
            let cause = match connected {
                Ok(_) if buggify!(ConnectGivenUp) => "the connection was given up".to_owned(),
                Ok(connection) => {
                    events.push(Happening::Linked(number, connection.sender));
                    read_orders(connection.receiver, number, &events).await
                }
                Err(error) => format!("cannot connect to {address}: {error}"),
            };
            events.push(Happening::Unlinked(number, cause));
        });
        self.link.tasks.push(AbortOnDrop(reading));
    }

    /// Closes the connection; whatever it still says is passed over.
    fn unlink(&mut self) {
        self.link = Link { number: self.link.number + 1, ..Link::default() };
    }

    fn launch(&mut self, deployment: &Deployment) {
        let job = Arc::new(self.config.job.at(deployment.parallelism));
        let connect: Arc<dyn Connect> = Arc::new(Channels {
            env: self.env.clone(),
            job: Arc::clone(&job),
            here: self.config.worker,
            locations: deployment.locations.iter().copied().collect(),
            registry: self.registry.clone(),
            silence: self.config.heartbeat.timeout,
        });
        self.progress = Arc::new(ProgressCounter::new(deployment.attempt));
        // All gates exist before any subtask runs, so that local channels always find theirs.
        let mut gates = Vec::new();
        for &subtask in &deployment.subtasks {
            let attempt = AttemptId { subtask, attempt: deployment.attempt };
            let channels = job.channels_into(subtask);
            let (inbox, gate) = gate(channels.len(), &self.config.metrics);
            let edges = channels.into_iter().map(|(edge, _)| edge).collect();
            self.registry.lock().insert(attempt, Running { inbox: inbox.clone(), edges });
            gates.push((attempt, inbox, gate));
        }
        if buggify!(LaunchReversed) {
            gates.reverse();
        }
        for (attempt, inbox, gate) in gates {
            let events = self.events.clone();
            let launch = Launch {
                env: self.env.clone(),
                job: Arc::clone(&job),
                attempt,
                restore: deployment.restore,
                finishes_together: deployment.finish_together.contains(&attempt.subtask),
                without_channel_state: self.config.without_channel_state,
                is_stopping: deployment.is_stopping,
                storage: self.config.storage.clone(),
                mode: self.config.mode,
                state: self.config.state,
                scratch: self.config.scratch.clone(),
                is_incremental: self.config.is_incremental,
                watermark_interval: self.config.watermark_interval,
                metrics: Arc::clone(&self.config.metrics),
                progress: Arc::clone(&self.progress),
                report: Arc::new(move |report| {
                    events.push(Happening::Input(Input::Report(report)));
                }),
                connect: Arc::clone(&connect),
            };
            let (registry, clock) = (self.registry.clone(), Arc::clone(&self.env.clock));
            let name = job.subtask_name(attempt.subtask);
            self.env.spawn(&name, async move {
                subtask::run(launch, inbox, gate).await;
                if buggify!(SubtaskLeavesLate) {
                    clock.sleep(LATE).await;
                }
                registry.lock().remove(&attempt);
            });
        }
    }
}

/// When the simulator has a timer come early, where that is only a matter of taste.
fn early(timer: Timer, duration: Duration) -> Option<Duration> {
    if timer == Timer::Heartbeat && buggify!(WorkerHeartbeatEarly) {
        Some(duration / 2)
    } else if timer == Timer::Reconnect && buggify!(ReconnectEarly) {
        Some(Duration::ZERO)
    } else {
        None
    }
}

async fn read_orders(
    mut receiver: Box<dyn FrameReceiver>,
    number: u64,
    events: &MailboxSender<Happening>,
) -> String {
    loop {
        match receiver.receive().await {
            Ok(Some(frame)) => match decode_message::<ToWorker>(&frame) {
                Ok(order) => events.push(Happening::Ordered(number, Box::new(order))),
                Err(error) => return error.to_string(),
            },
            Ok(None) => return "the coordinator closed the connection".to_owned(),
            Err(error) => return format!("the connection broke: {error}"),
        }
    }
}

/// The gates of the subtasks that run here.
#[derive(Clone, Default)]
struct Registry {
    running: Arc<Mutex<BTreeMap<AttemptId, Running>>>,
}

/// A subtask's gate, and the edge of each of its channels.
struct Running {
    inbox: Inbox,
    edges: Vec<EdgeId>,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<AttemptId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, attempt: Attempt) -> Vec<(AttemptId, Inbox)> {
        let running = self.lock();
        let of_attempt = running.iter().filter(|(id, _)| id.attempt == attempt);
        of_attempt.map(|(id, it)| (*id, it.inbox.clone())).collect()
    }

    fn get(&self, attempt: AttemptId) -> Option<Inbox> {
        self.lock().get(&attempt).map(|it| it.inbox.clone())
    }

    /// The edge of a channel.
    fn edge(&self, receiver: AttemptId, channel: ChannelId) -> Option<EdgeId> {
        self.lock().get(&receiver)?.edges.get(channel.0 as usize).copied()
    }
}

/// Accepts data connections. One that names no gate of this worker, or does not do so in time, is dropped,
/// and its sender fails.
async fn accept(
    env: Env,
    job: Arc<Job>,
    registry: Registry,
    heartbeat: HeartbeatConfig,
    mut listener: Box<dyn Listener>,
) {
    while let Ok(connection) = listener.accept().await {
        let (job, registry, clock) = (Arc::clone(&job), registry.clone(), Arc::clone(&env.clock));
        let heartbeat = heartbeat.clone();
        env.spawn("feed a channel", async move {
            let mut receiver = connection.receiver;
            if buggify!(HelloReadLate) {
                clock.sleep(LATE).await;
            }
            let too_late = clock.sleep(heartbeat.timeout);
            let Either::Left((Ok(Some(frame)), _)) = select(receiver.receive(), too_late).await
            else {
                sometimes!(ChannelWithoutHello);
                return;
            };
            let Ok(hello) = decode_message::<ChannelHello>(&frame) else { return };
            let Some(inbox) = registry.get(hello.receiver) else {
                sometimes!(ChannelForNobody);
                return;
            };
            let Some(edge) = registry.edge(hello.receiver, hello.channel) else { return };
            let Some(sender) = inbox.attach_remote(hello.channel) else {
                sometimes!(ChannelIsTaken);
                return;
            };
            let decode = job.edges[edge.0 as usize].decode;
            feed(clock, heartbeat.interval, receiver, connection.sender, sender, decode).await;
        });
    }
}

/// Opens the output channels of one attempt's subtasks.
struct Channels {
    env: Env,
    job: Arc<Job>,
    here: WorkerId,
    locations: BTreeMap<SubtaskId, WorkerId>,
    registry: Registry,
    /// After which a remote channel is broken.
    silence: Duration,
}

#[async_trait::async_trait]
impl Connect for Channels {
    async fn connect(&self, from: AttemptId, edge: EdgeId) -> Result<Vec<Outgoing>, String> {
        let mut outgoing = Vec::new();
        for subtask in self.job.channels_out_of(from.subtask, edge) {
            let receiver = AttemptId { subtask, attempt: from.attempt };
            let channels = self.job.channels_into(subtask);
            let index = channels.iter().position(|it| *it == (edge, from.subtask));
            let index = index.expect("both ends of an edge agree on its channels");
            let channel =
                ChannelId(u32::try_from(index).expect("channels are numbered in 32 bits"));
            let to = self.locations.get(&subtask).copied();
            let to = to.ok_or_else(|| format!("nobody runs {subtask}"))?;
            if to == self.here {
                let inbox = self.registry.get(receiver);
                let sender = inbox.and_then(|it| it.attach(channel));
                sometimes!(sender.is_none(), LocalReceiverIsGone);
                let sender = sender.ok_or_else(|| format!("{receiver} is not here any more"))?;
                outgoing.push(Outgoing::Local(sender));
            } else {
                let hello = ChannelHello { receiver, channel };
                let address = to.to_string();
                let sender = self.registry.get(from);
                let on_silence = move |cause| {
                    // A subtask that has ended waits for nobody.
                    let _ = sender.and_then(|it| it.order(SubtaskOrder::ReceiverSilent(cause)));
                };
                let channel =
                    Outgoing::connect(&self.env, &address, hello, self.silence, on_silence);
                outgoing.push(channel.await?);
            }
        }
        Ok(outgoing)
    }
}
