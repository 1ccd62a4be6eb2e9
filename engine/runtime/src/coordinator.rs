//! A leader: drives the coordinator core between its workers' connections, storage and timers.
//!
//! ```text
//! workers ── connections ──> [ core (seawall_protocol::coordinator) ] ── effects ──> storage, timers
//!         <── orders ───────                                          <── answers ──
//! ```
//!
//! Writes run beside the loop, so that a slow disk never silences the heartbeats. The core keeps their
//! order by waiting for the answers that matter. Frames to a worker wait in a bounded queue of their own:
//! one that sends and does not receive is disconnected, and never holds up the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use seawall_env::{Connection, Env, FrameReceiver, Listener};
use seawall_probe::{buggify, sometimes};
use seawall_protocol::config::{CheckpointConfig, HeartbeatConfig, RestartStrategy};
use seawall_protocol::coordinator::SubtaskPlan;
use seawall_protocol::coordinator::{
    Answer, Coordinator, Delay, Effect, Input, JobPlan, Outcome, Request, RequestId, Timer,
};
use seawall_protocol::event::Event;
use seawall_protocol::graph;
use seawall_protocol::limits::WORKERS_MAX;
use seawall_protocol::message::{CheckpointKind, ToCoordinator, ToWorker};
use seawall_protocol::operator_state::Redistribution;
use seawall_protocol::record::{JobResult, SnapshotHandle, StoreRecord};
use seawall_protocol::shared_files::RetainedFiles;
use seawall_protocol::{CheckpointId, JobId, SessionId, SubtaskId, WorkerId};
use seawall_stream::Job;

use crate::channel::yield_now;
use crate::control::{Ask, Asked, Control, Reply};
use crate::error::RuntimeError;
use crate::historian::Historian;
use crate::mailbox::{Mailbox, MailboxSender, mailbox};
use crate::restore;
use crate::storage::savepoint::{self, Open, Restore, operators_of};
use crate::storage::{
    Manifest, OperatorInfo, Storage, StorageError, history, inspect, manifest, record, shared,
    splits,
};
use crate::task::{AbortOnDrop, LATE};
use crate::timers::{Fired, Timers};
use crate::wire::{decode_message, encode_message, write_frames};

/// What a coordinator process is told at its start.
#[derive(Clone)]
pub struct CoordinatorConfig {
    /// Where it listens.
    pub address: String,
    /// Where checkpoints are; belongs to this job alone.
    pub storage: Storage,
    /// The job's identity.
    pub id: JobId,
    /// The program.
    pub job: Arc<Job>,
    /// When checkpoints are taken.
    pub checkpoint: CheckpointConfig,
    /// How failures are answered.
    pub restart: RestartStrategy,
    /// How death is suspected.
    pub heartbeat: HeartbeatConfig,
    /// The way to ask for something while the job runs.
    pub control: Control,
    /// The savepoint that a job without storage starts from.
    pub restore: Option<Restore>,
    /// Opens the places of savepoints.
    pub open: Open,
}

/// Leads the job until it has its result, or fails for good.
///
/// # Errors
/// When storage does not fit the job or is damaged (P4), when a source cannot list its input, or when
/// the address is taken. Nothing is lost: a later start continues.
pub async fn run(env: Env, config: CoordinatorConfig) -> Result<Outcome, RuntimeError> {
    let entropy = Arc::clone(&env.entropy);
    let storage = config.storage.for_leader(|| entropy.next_u64());
    let mut config = CoordinatorConfig { storage: storage.clone(), ..config };
    let Recovered { record, shared, claimed } = recover(&env, &config).await?;
    config.job = Arc::new(as_recorded(&config.job, &record));
    let address = &config.address;
    let listener =
        env.network.listen(address).await.map_err(RuntimeError::network("listen at", address))?;
    let (events, inbox) = mailbox();
    let accepting = accept(events.clone(), listener);
    // Stopped with the coordinator: a handle does not stop its task when dropped.
    let _accepting = AbortOnDrop(env.spawn("accept workers", accepting));
    let asked = events.clone();
    let _attached = config.control.attach(move |it| asked.push(Happening::Asked(it)));
    let fired = events.clone();
    let timers = Timers::new(&env, move |timer| fired.push(Happening::Fired(timer)));
    let mut plan = plan(&config);
    env.tamper.before_coordinator(&mut plan);
    let core = Coordinator::new(plan);
    // One that cannot be read is begun anew, and says since when it counts.
    let found = history::read(&storage).await.ok().flatten();
    let historian = Historian::new(&config.job, found, &record);
    events.push(Happening::Input(Input::Recovered { record, shared }));
    let mut shell = Shell {
        env,
        config,
        core,
        events,
        timers,
        links: BTreeMap::new(),
        sessions: BTreeMap::new(),
        accepted: 0,
        storing: 0,
        historian,
        is_writing_history: false,
        asked: BTreeMap::new(),
        requests: 0,
        deposed: None,
        exported: Exported::default(),
        claimed,
    };
    let outcome = shell.drive(inbox).await?;
    // What was pending or written late belongs to nobody now (T8). In doubt it may be what the record
    // names; then it is left to the next start, which reads the record (H3).
    sometimes!(shell.core.is_in_doubt(), LeadershipEndsInDoubt);
    if !shell.core.is_in_doubt() {
        inspect::remove_orphans(&storage, shell.core.durable()).await;
        inspect::remove_shared_orphans(&storage, shell.core.durable()).await;
    }
    Ok(outcome)
}

/// The subtasks of `job`, and who sends to whom.
pub fn subtask_plans(job: &Job) -> Vec<SubtaskPlan> {
    let one_of_each: Vec<SubtaskPlan> = job.operators.iter().map(|it| outline(it, job)).collect();
    graph::at_parallelism(&one_of_each, &edges(job), job.parallelism)
}

/// The subtasks of `job` as they were when a checkpoint of these operators was taken.
pub fn plans_then(job: &Job, operators: &[OperatorInfo]) -> Vec<SubtaskPlan> {
    let parallelisms: BTreeSet<u32> = operators.iter().map(|it| it.parallelism).collect();
    let at = |parallelism| {
        let plans = subtask_plans(&job.at(parallelism)).into_iter();
        plans.filter(move |plan| {
            let operator = operators.iter().find(|it| it.id == plan.subtask.operator);
            operator.is_some_and(|it| it.parallelism == parallelism)
        })
    };
    let mut plans: Vec<SubtaskPlan> = parallelisms.into_iter().flat_map(at).collect();
    plans.sort_by_key(|it| it.subtask);
    plans
}

/// The job with the parallelism that the record says. Whether there are key groups for it is yet to be seen.
fn as_recorded(job: &Job, record: &StoreRecord) -> Job {
    Job { parallelism: record.parallelism.unwrap_or(job.parallelism), ..job.clone() }
}

/// A subtask of the operator, without who sends to it.
fn outline(operator: &seawall_stream::job::Operator, job: &Job) -> SubtaskPlan {
    let mut chain = job.unplaced(operator);
    let mut has_union_state = false;
    let visited = chain.outputs().states(&mut |_, state| {
        has_union_state |= state.redistribution() == Redistribution::Union;
        Ok(())
    });
    visited.expect("nothing is encoded");
    SubtaskPlan {
        has_union_state,
        acts_at_end: chain.outputs().hears_end(),
        ..SubtaskPlan::source(SubtaskId { operator: operator.id, index: 0 })
    }
}

fn plan(config: &CoordinatorConfig) -> JobPlan {
    JobPlan {
        subtasks: subtask_plans(&config.job),
        edges: edges(&config.job),
        parallelism_max: config.job.key_groups,
        checkpoint: config.checkpoint.clone(),
        restart: config.restart.clone(),
        heartbeat: config.heartbeat.clone(),
    }
}

fn edges(job: &Job) -> Vec<graph::Edge> {
    let edge = |it: &seawall_stream::job::Edge| graph::Edge {
        from: it.from,
        to: it.to,
        pattern: it.pattern,
    };
    job.edges.iter().map(edge).collect()
}

/// What a new leader knows.
struct Recovered {
    record: StoreRecord,
    /// The shared files of each retained checkpoint.
    shared: Vec<RetainedFiles>,
    /// The checkpoint whose savepoint the run owns.
    claimed: Option<CheckpointId>,
}

/// Reads the record, refuses what does not fit, and makes sure that the splits are listed.
async fn recover(env: &Env, config: &CoordinatorConfig) -> Result<Recovered, RuntimeError> {
    let storage = &config.storage;
    storage.prepare().await?;
    let record = match (&config.restore, record::read(storage).await?) {
        (Some(restore), None) => {
            let record = restore::start_from(env, config, restore).await?;
            sometimes!(StartsFromASavepoint);
            inspect::remove_orphans(storage, &record).await;
            let claimed = record.retained.last().copied().filter(|_| restore.is_claimed);
            let manifests = inspect::retained(storage, &record).await?;
            let shared = manifests.iter().map(inspect::shared_of).collect();
            return Ok(Recovered { record, shared, claimed });
        }
        (Some(restore), Some(_)) => {
            restore::check_origin(storage, restore).await?;
            sometimes!(GoesOnFromASavepoint);
            record::read_or_fresh(storage, config.id).await?
        }
        (None, _) => record::read_or_fresh(storage, config.id).await?,
    };
    let origin = savepoint::origin(storage).await?;
    let mut claimed = origin.filter(|it| it.is_claimed).map(|it| it.checkpoint);
    if let Some(replaced) = claimed.take_if(|it| !record.retained.contains(it)) {
        sometimes!(ClaimedIsReplacedBefore);
        restore::dispose_claimed(config, replaced).await;
    }
    let manifests = inspect::retained(storage, &record).await?;
    match manifests.last() {
        Some(manifest) => {
            let job = as_recorded(&config.job, &record);
            let operators = operators_of(&job);
            manifest.check_compatible(storage.root(), config.id, &job.name, &operators)?;
            manifest.check_finished(storage, &plans_then(&job, &manifest.operators)).await?;
        }
        None if splits::read(storage).await?.is_some() => {}
        None => {
            let mut listed = splits::Listed::new();
            for operator in &config.job.operators {
                if let Some(enumerate) = &operator.enumerate {
                    listed.push((operator.id, enumerate(env.clone()).await?));
                }
            }
            splits::write(storage, &listed).await?;
        }
    }
    inspect::remove_orphans(storage, &record).await;
    let shared = manifests.iter().map(inspect::shared_of).collect();
    Ok(Recovered { record, shared, claimed })
}

/// Frames that wait for one worker; beyond that it counts as one that does not receive.
const WAITING_FRAMES_MAX: usize = 1024;
/// Savepoints whose place is remembered for who asked.
const EXPORTED_MAX: usize = 64;
/// Open connections, each worker's next session included; more are dropped when they are accepted.
const CONNECTIONS_MAX: usize = 2 * WORKERS_MAX;

/// What the shell's queue holds. Connections are numbered, so that what a closed one still says is passed
/// over.
enum Happening {
    Input(Input),
    Fired(Fired<Timer>),
    Accepted(Connection),
    Received(u64, ToCoordinator),
    Ended(u64),
    /// A write or deletion is over.
    Stored(Written),
    /// The history was written, or could not be.
    HistoryWritten,
    /// Someone asks for something.
    Asked(Asked),
}

/// What a write or deletion led to.
enum Written {
    Input(Input),
    /// Nobody waits for it.
    Nothing,
    /// A newer leader wrote the record.
    Deposed(StorageError),
}

/// One connection.
struct Link {
    /// Whose it is, once the first message has registered it.
    session: Option<(WorkerId, SessionId)>,
    frames: MailboxSender<Vec<u8>>,
    _tasks: [AbortOnDrop; 2],
}

/// Where the newest exported savepoints are: several people may ask for the same one.
#[derive(Clone, Default)]
struct Exported(Arc<Mutex<BTreeMap<CheckpointId, String>>>);

impl Exported {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<CheckpointId, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Shell {
    env: Env,
    config: CoordinatorConfig,
    core: Coordinator,
    events: MailboxSender<Happening>,
    timers: Timers<Timer>,
    links: BTreeMap<u64, Link>,
    /// The connection of each session.
    sessions: BTreeMap<(WorkerId, SessionId), u64>,
    /// Connections accepted so far.
    accepted: u64,
    /// Writes and deletions that are not over.
    storing: usize,
    historian: Historian,
    is_writing_history: bool,
    /// What was asked and not answered.
    asked: BTreeMap<RequestId, Asked>,
    /// Requests so far.
    requests: u64,
    /// Why this leader must write nothing any more.
    deposed: Option<StorageError>,
    exported: Exported,
    /// The checkpoint whose savepoint the run owns.
    claimed: Option<CheckpointId>,
}

impl Shell {
    async fn drive(&mut self, mut inbox: Mailbox<Happening>) -> Result<Outcome, RuntimeError> {
        let outcome = loop {
            if let Some(outcome) = self.handle_next(&mut inbox).await {
                break outcome;
            }
            if let Some(error) = self.deposed.take() {
                sometimes!(LeaderIsDeposed);
                // Not a word to anyone: what is written and deleted is the newer leader's now (H10).
                return Err(error.into());
            }
        };
        self.write_history();
        // Nothing is deleted behind the caller's back.
        while self.storing > 0 {
            let happening = inbox.receive().await.expect("the shell itself keeps a sender");
            self.meaning_of(happening);
        }
        Ok(outcome)
    }

    async fn handle_next(&mut self, inbox: &mut Mailbox<Happening>) -> Option<Outcome> {
        let happening = inbox.receive().await.expect("the shell itself keeps a sender");
        if buggify!(LeaderYields) {
            yield_now().await;
        }
        let mut input = self.meaning_of(happening)?;
        let tamper = Arc::clone(&self.env.tamper);
        if !tamper.admits_to_coordinator(&mut input) {
            return None;
        }
        let mut effects = Vec::new();
        self.core.handle(input.clone(), &mut effects);
        tamper.after_coordinator(&input, &mut effects);
        self.historian.look(&input, &mut effects, self.env.clock.now());
        for effect in effects {
            if let Effect::Stop(outcome) = effect {
                return Some(outcome);
            }
            self.perform(effect).await;
        }
        self.write_history();
        None
    }

    /// Writes the history beside the loop, one write at a time; what comes meanwhile goes with the next.
    fn write_history(&mut self) {
        if self.is_writing_history {
            return;
        }
        let Some(history) = self.historian.take_news() else { return };
        self.is_writing_history = true;
        self.storing += 1;
        let (storage, events) = (self.config.storage.clone(), self.events.clone());
        let clock = Arc::clone(&self.env.clock);
        self.env.spawn("history", async move {
            if buggify!(HistoryLate) {
                clock.sleep(LATE).await;
            }
            // It is for people only: a job goes on without.
            let written = history::write(&storage, &history).await;
            sometimes!(written.is_err(), HistoryCannotBeWritten);
            events.push(Happening::HistoryWritten);
        });
    }

    /// The core's input, or `None` for what only concerns the shell.
    fn meaning_of(&mut self, happening: Happening) -> Option<Input> {
        match happening {
            Happening::Input(input) => Some(input),
            Happening::Fired(fired) => self.timers.take(fired).map(Input::Timer),
            Happening::Accepted(connection) => {
                self.open(connection);
                None
            }
            Happening::Received(number, message) => self.on_message(number, message),
            Happening::Ended(number) => {
                let (worker, session) = self.close(number)?;
                Some(Input::Disconnected { worker, session })
            }
            Happening::Stored(answer) => {
                self.storing -= 1;
                match answer {
                    Written::Input(input) => Some(input),
                    Written::Nothing => None,
                    Written::Deposed(error) => {
                        self.deposed = Some(error);
                        None
                    }
                }
            }
            Happening::HistoryWritten => {
                self.storing -= 1;
                self.is_writing_history = false;
                self.write_history();
                None
            }
            Happening::Asked(asked) => Some(self.on_asked(asked)),
        }
    }

    fn open(&mut self, connection: Connection) {
        if self.links.len() >= CONNECTIONS_MAX {
            return;
        }
        self.accepted += 1;
        let number = self.accepted;
        let Connection { sender, receiver } = connection;
        let (frames, queue) = mailbox();
        let reading = read(number, self.events.clone(), receiver);
        let reading = AbortOnDrop(self.env.spawn("read from worker", reading));
        let writing = AbortOnDrop(self.env.spawn("write to worker", write_frames(sender, queue)));
        self.links.insert(number, Link { session: None, frames, _tasks: [reading, writing] });
    }

    /// The first message of a connection registers, and no other does. A connection that says otherwise
    /// is closed.
    fn on_message(&mut self, number: u64, message: ToCoordinator) -> Option<Input> {
        let link = self.links.get_mut(&number)?;
        match (link.session, &message) {
            (None, ToCoordinator::Register { worker, session, .. }) => {
                let (worker, session) = (*worker, *session);
                if self.sessions.contains_key(&(worker, session)) {
                    self.close(number);
                    return None;
                }
                link.session = Some((worker, session));
                self.sessions.insert((worker, session), number);
                Some(Input::Message { worker, session, message })
            }
            (None, _) => {
                self.close(number);
                None
            }
            (Some((worker, session)), ToCoordinator::Register { .. }) => {
                self.close(number);
                Some(Input::Disconnected { worker, session })
            }
            (Some((worker, session)), _) => Some(Input::Message { worker, session, message }),
        }
    }

    /// Closes the connection and returns whose it was.
    fn close(&mut self, number: u64) -> Option<(WorkerId, SessionId)> {
        let link = self.links.remove(&number)?;
        sometimes!(link.session.is_none(), UnregisteredLinkEnds);
        let session = link.session?;
        self.sessions.remove(&session);
        Some(session)
    }

    fn send(&mut self, worker: WorkerId, session: SessionId, message: &ToWorker) {
        let Some(&number) = self.sessions.get(&(worker, session)) else {
            sometimes!(SendToClosedSession);
            return;
        };
        let frames = &self.links[&number].frames;
        frames.push(encode_message(message));
        if frames.waiting() > WAITING_FRAMES_MAX {
            self.close(number);
            self.events.push(Happening::Input(Input::Disconnected { worker, session }));
        }
    }

    async fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Persist { write, record } => self.answer_later(|storage| async move {
                match record::replace(&storage, &record).await {
                    Ok(()) => Written::Input(Input::RecordPersisted(write)),
                    // Nothing was written, and nothing ever will be: another leads (P5).
                    Err(error @ StorageError::Deposed { .. }) => Written::Deposed(error),
                    Err(_) => Written::Input(Input::RecordFailed(write)),
                }
            }),
            Effect::WriteManifest { checkpoint, kind, request, snapshots, finished } => {
                let manifest = self.manifest(checkpoint, kind, snapshots, finished);
                let target = request.and_then(|it| self.target_of(it));
                self.answer_later(|storage| async move {
                    let written = async {
                        if let Some(target) = target {
                            savepoint::write_target(&storage, checkpoint, &target).await?;
                        }
                        manifest::write(&storage, &manifest).await
                    };
                    match written.await {
                        Ok(()) => Written::Input(Input::ManifestWritten(checkpoint)),
                        Err(_) => Written::Input(Input::ManifestFailed(checkpoint)),
                    }
                });
            }
            Effect::ExportSavepoint(checkpoint) => self.export(checkpoint),
            Effect::DeleteCheckpoint(checkpoint) => {
                let config = self.config.clone();
                let is_claimed = self.claimed == Some(checkpoint);
                let clock = Arc::clone(&self.env.clock);
                self.answer_later(move |storage| async move {
                    if buggify!(DeletionLate) {
                        clock.sleep(LATE).await;
                    }
                    // What stays is removed at the next start (H6).
                    let _ = inspect::delete(&storage, checkpoint).await;
                    if is_claimed {
                        restore::dispose_claimed(&config, checkpoint).await;
                    }
                    Written::Input(Input::Deleted(checkpoint))
                });
            }
            Effect::DeleteShared(files) => self.answer_later(|storage| async move {
                // What stays is swept at the next deployment or start (H6).
                let _ = shared::delete(&storage, &files).await;
                Written::Nothing
            }),
            Effect::SweepShared { below, keep } => self.answer_later(|storage| async move {
                shared::sweep(&storage, Some(below), &keep).await;
                Written::Nothing
            }),
            Effect::Arm(timer, delay) => {
                let duration = self.draw(delay);
                self.timers.arm(timer, early(timer, delay).unwrap_or(duration));
            }
            Effect::Disarm(timer) => self.timers.disarm(timer),
            Effect::Send { worker, session, message } => self.send(worker, session, &message),
            Effect::Disconnect { worker, session } => {
                if let Some(&number) = self.sessions.get(&(worker, session)) {
                    self.close(number);
                }
            }
            Effect::Answer { id, answer } => self.reply(id, answer),
            Effect::Stop(_) => unreachable!("handled by the loop"),
            Effect::Note(event) => {
                if let Event::JobRescaled { parallelism, .. } = event {
                    self.config.job = Arc::new(self.config.job.at(parallelism));
                    self.historian.rescale(&self.config.job);
                }
                self.env.emit(event).await;
            }
        }
    }

    fn on_asked(&mut self, asked: Asked) -> Input {
        let request = match asked.ask {
            Ask::Checkpoint => Request::Checkpoint,
            Ask::Savepoint { .. } => Request::Savepoint,
            Ask::Stop { drain, .. } => Request::StopWithSavepoint { drain },
            Ask::Cancel => Request::Cancel,
            Ask::Rescale { parallelism } => Request::Rescale { parallelism },
        };
        let id = RequestId(self.requests);
        self.requests += 1;
        self.asked.insert(id, asked);
        Input::Requested { id, request }
    }

    fn reply(&mut self, id: RequestId, answer: Answer) {
        let Some(asked) = self.asked.remove(&id) else { return };
        asked.reply.push(match answer {
            Answer::Completed(checkpoint) => Reply::Completed {
                checkpoint: Some(checkpoint.0),
                savepoint: self.exported.lock().get(&checkpoint).cloned(),
            },
            Answer::Aborted(checkpoint, reason) => Reply::Aborted {
                checkpoint: checkpoint.0,
                reason: reason.name().to_owned(),
                why: format!("it {}", reason.in_words()),
            },
            Answer::Ended(JobResult::Cancelled) => {
                Reply::Completed { checkpoint: None, savepoint: None }
            }
            Answer::Ended(JobResult::Finished | JobResult::Stopped(_)) => Reply::Ended,
            Answer::Rescaled { parallelism } => Reply::Rescaled { parallelism },
            Answer::Refused(why) => Reply::Refused { why },
        });
    }

    /// Where the savepoint of this request is to be written.
    fn target_of(&self, request: RequestId) -> Option<String> {
        match &self.asked.get(&request)?.ask {
            Ask::Savepoint { target } | Ask::Stop { target, .. } => target.clone(),
            Ask::Checkpoint | Ask::Cancel | Ask::Rescale { .. } => None,
        }
    }

    fn export(&mut self, checkpoint: CheckpointId) {
        let (open, exported) = (Arc::clone(&self.config.open), self.exported.clone());
        let is_stop = self.core.durable().stopping == Some(checkpoint);
        self.answer_later(|storage| async move {
            let mut path = savepoint::export(&storage, &open, checkpoint).await;
            if path.is_err() && is_stop {
                sometimes!(StopIsExportedHere);
                // The job has ended; better here than nowhere.
                path = savepoint::export_here(&storage, checkpoint).await;
            }
            Written::Input(match path {
                Ok(path) => {
                    let mut exported = exported.lock();
                    exported.insert(checkpoint, path);
                    if exported.len() > EXPORTED_MAX {
                        exported.pop_first();
                    }
                    Input::SavepointExported(checkpoint)
                }
                Err(_) => Input::ExportFailed(checkpoint),
            })
        });
    }

    fn manifest(
        &self,
        checkpoint: CheckpointId,
        kind: CheckpointKind,
        snapshots: Vec<SnapshotHandle>,
        finished: Vec<SubtaskId>,
    ) -> Manifest {
        Manifest {
            job: self.config.id,
            job_name: self.config.job.name.clone(),
            checkpoint,
            kind,
            operators: operators_of(&self.config.job),
            snapshots,
            finished,
        }
    }

    /// A duration in the range, drawn uniformly.
    fn draw(&self, delay: Delay) -> Duration {
        let range = delay.most.saturating_sub(delay.least).as_nanos();
        if range == 0 {
            return delay.least;
        }
        let drawn = u128::from(self.env.entropy.next_u64()) % (range + 1);
        delay.least + Duration::from_nanos(u64::try_from(drawn).expect("drawn from 64 bits"))
    }

    /// Runs `work` beside the loop; its answer becomes an input.
    fn answer_later<F>(&mut self, work: impl FnOnce(Storage) -> F)
    where
        F: Future<Output = Written> + Send + 'static,
    {
        self.storing += 1;
        let answer = work(self.config.storage.clone());
        let (events, clock) = (self.events.clone(), Arc::clone(&self.env.clock));
        self.env.spawn("storage", async move {
            let answer = answer.await;
            if buggify!(StorageAnswerLate) {
                clock.sleep(LATE).await;
            }
            events.push(Happening::Stored(answer));
        });
    }
}

/// When the simulator has a timer come early, where that is only a matter of taste. A drawn delay is never
/// below its range, of which the pause between checkpoints may be the lower end.
fn early(timer: Timer, delay: Delay) -> Option<Duration> {
    let sooner = if delay.least < delay.most { delay.least } else { delay.least / 2 };
    if timer == Timer::Trigger && buggify!(TriggerEarly)
        || timer == Timer::Heartbeat && buggify!(LeaderHeartbeatEarly)
    {
        Some(sooner)
    } else if timer == Timer::RecordRetry && buggify!(RecordRetryEarly) {
        Some(Duration::ZERO)
    } else {
        None
    }
}

/// Accepts connections of workers.
async fn accept(events: MailboxSender<Happening>, mut listener: Box<dyn Listener>) {
    while let Ok(connection) = listener.accept().await {
        events.push(Happening::Accepted(connection));
    }
}

/// Turns the frames of one connection into messages. One that is none ends it.
async fn read(number: u64, events: MailboxSender<Happening>, mut receiver: Box<dyn FrameReceiver>) {
    while let Ok(Some(frame)) = receiver.receive().await {
        let Ok(message) = decode_message(&frame) else { break };
        events.push(Happening::Received(number, message));
    }
    events.push(Happening::Ended(number));
}
