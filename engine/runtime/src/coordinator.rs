//! A leader: drives the coordinator core between its workers' connections, storage and timers.
//!
//! ```text
//! workers ── connections ──> [ core (seawall_protocol::coordinator) ] ── effects ──> storage, timers
//!         <── orders ───────                                          <── answers ──
//! ```
//!
//! Writes run beside the loop, so that a slow disk never silences the heartbeats. The core keeps their
//! order by waiting for the answers that matter.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use seawall_env::{Connection, Env, Listener};
use seawall_protocol::config::{CheckpointConfig, HeartbeatConfig, RestartStrategy};
use seawall_protocol::coordinator::SubtaskPlan;
use seawall_protocol::coordinator::{Coordinator, Delay, Effect, Input, JobPlan, Outcome, Timer};
use seawall_protocol::message::ToCoordinator;
use seawall_protocol::record::{SnapshotHandle, StoreRecord};
use seawall_protocol::{CheckpointId, JobId, SessionId, WorkerId};
use seawall_stream::Job;

use crate::error::RuntimeError;
use crate::mailbox::{Mailbox, MailboxSender, mailbox};
use crate::storage::{self, Manifest, OperatorInfo, inspect, manifest, record, splits};
use crate::task::AbortOnDrop;
use crate::timers::{Fired, Timers};
use crate::wire::{decode_message, encode_message, write_frames};

/// What a coordinator process is told at its start.
#[derive(Clone)]
pub struct CoordinatorConfig {
    /// Where it listens.
    pub address: String,
    /// Where checkpoints are; belongs to this job alone.
    pub storage: PathBuf,
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
}

/// Leads the job until it has its result, or fails for good.
///
/// # Errors
/// When storage does not fit the job or is damaged (P4), when a source cannot list its input, or when
/// the address is taken. Nothing is lost: a later start continues.
pub async fn run(env: Env, config: CoordinatorConfig) -> Result<Outcome, RuntimeError> {
    let record = recover(&env, &config).await?;
    let address = &config.address;
    let listener =
        env.network.listen(address).await.map_err(RuntimeError::network("listen at", address))?;
    let (events, inbox) = mailbox();
    let accepting = accept(env.clone(), events.clone(), listener);
    // Stopped with the coordinator: a handle does not stop its task when dropped.
    let _accepting = AbortOnDrop(env.spawn("accept workers", accepting));
    let fired = events.clone();
    let timers = Timers::new(&env, move |timer| fired.push(Happening::Fired(timer)));
    let core = Coordinator::new(plan(&config));
    events.push(Happening::Input(Input::Recovered(record)));
    let (disk, root) = (Arc::clone(&env.disk), config.storage.clone());
    let mut shell = Shell { env, config, core, events, timers, links: BTreeMap::new() };
    let outcome = shell.drive(inbox).await;
    // What was pending or written late belongs to nobody now (T8).
    inspect::remove_orphans(disk.as_ref(), &root, shell.core.durable()).await;
    Ok(outcome)
}

/// The operators of `job` as a manifest describes them.
pub fn operators_of(job: &Job) -> Vec<OperatorInfo> {
    let info = |operator: &seawall_stream::job::Operator| OperatorInfo {
        id: operator.id,
        name: operator.name.clone(),
        parallelism: job.parallelism,
        key_groups: job.key_groups,
    };
    job.operators.iter().map(info).collect()
}

fn plan(config: &CoordinatorConfig) -> JobPlan {
    let subtask_plan = |subtask: seawall_protocol::SubtaskId| {
        let operator = &config.job.operators[subtask.operator.0 as usize];
        SubtaskPlan { subtask, is_source: operator.enumerate.is_some() }
    };
    JobPlan {
        subtasks: config.job.subtasks().map(subtask_plan).collect(),
        checkpoint: config.checkpoint.clone(),
        restart: config.restart.clone(),
        heartbeat: config.heartbeat.clone(),
    }
}

/// Reads the record, refuses what does not fit, and makes sure that the splits are listed.
async fn recover(env: &Env, config: &CoordinatorConfig) -> Result<StoreRecord, RuntimeError> {
    let (disk, root) = (env.disk.as_ref(), config.storage.as_path());
    storage::prepare(disk, root).await?;
    let record = record::read_or_fresh(disk, root, config.id).await?;
    match record.retained.last() {
        Some(&newest) => {
            // Damage is an error, never a reason to fall back to an older checkpoint (P4).
            let manifest = manifest::read(disk, root, newest).await?;
            let operators = operators_of(&config.job);
            manifest.check_compatible(root, config.id, &config.job.name, &operators)?;
        }
        None if splits::read(disk, root).await?.is_some() => {}
        None => {
            let mut listed = splits::Listed::new();
            for operator in &config.job.operators {
                if let Some(enumerate) = &operator.enumerate {
                    listed.push((operator.id, enumerate(env.clone()).await?));
                }
            }
            splits::write(disk, root, &listed).await?;
        }
    }
    inspect::remove_orphans(disk, root, &record).await;
    Ok(record)
}

/// What the shell's queue holds.
enum Happening {
    Input(Input),
    Fired(Fired<Timer>),
    /// A worker's session begins on a connection.
    Opened {
        worker: WorkerId,
        session: SessionId,
        link: Link,
    },
}

/// A session's connection.
struct Link {
    frames: MailboxSender<Vec<u8>>,
    _writing: AbortOnDrop,
}

struct Shell {
    env: Env,
    config: CoordinatorConfig,
    core: Coordinator,
    events: MailboxSender<Happening>,
    timers: Timers<Timer>,
    links: BTreeMap<(WorkerId, SessionId), Link>,
}

impl Shell {
    async fn drive(&mut self, mut inbox: Mailbox<Happening>) -> Outcome {
        loop {
            let happening = inbox.receive().await.expect("the shell itself keeps a sender");
            let Some(mut input) = self.meaning_of(happening) else { continue };
            let tamper = Arc::clone(&self.env.tamper);
            if !tamper.admits_to_coordinator(&mut input) {
                continue;
            }
            let mut effects = Vec::new();
            self.core.handle(input.clone(), &mut effects);
            tamper.after_coordinator(&input, &mut effects);
            for effect in effects {
                if let Effect::Stop(outcome) = effect {
                    return outcome;
                }
                self.perform(effect).await;
            }
        }
    }

    /// The core's input, or `None` for what only concerns the shell.
    fn meaning_of(&mut self, happening: Happening) -> Option<Input> {
        match happening {
            Happening::Input(input) => {
                if let Input::Disconnected { worker, session } = &input {
                    self.links.remove(&(*worker, *session));
                }
                Some(input)
            }
            Happening::Fired(fired) => self.timers.take(fired).map(Input::Timer),
            Happening::Opened { worker, session, link } => {
                self.links.insert((worker, session), link);
                None
            }
        }
    }

    async fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Persist { write, record } => self.answer_later(|env, config| async move {
                match record::replace(env.disk.as_ref(), &config.storage, &record).await {
                    Ok(()) => Some(Input::RecordPersisted(write)),
                    Err(_) => Some(Input::RecordFailed(write)),
                }
            }),
            Effect::WriteManifest { checkpoint, snapshots } => {
                let manifest = self.manifest(checkpoint, snapshots);
                self.answer_later(|env, config| async move {
                    match manifest::write(env.disk.as_ref(), &config.storage, &manifest).await {
                        Ok(()) => Some(Input::ManifestWritten(checkpoint)),
                        Err(_) => Some(Input::ManifestFailed(checkpoint)),
                    }
                });
            }
            Effect::DeleteCheckpoint(checkpoint) => self.answer_later(|env, config| async move {
                // What stays is removed at the next start (H6).
                let _ = inspect::delete(env.disk.as_ref(), &config.storage, checkpoint).await;
                None
            }),
            Effect::Arm(timer, delay) => {
                let duration = self.draw(delay);
                self.timers.arm(timer, duration);
            }
            Effect::Disarm(timer) => self.timers.disarm(timer),
            Effect::Send { worker, session, message } => {
                if let Some(link) = self.links.get(&(worker, session)) {
                    link.frames.push(encode_message(&message));
                }
            }
            Effect::Disconnect { worker, session } => {
                self.links.remove(&(worker, session));
            }
            Effect::Stop(_) => unreachable!("handled by the loop"),
            Effect::Note(event) => self.env.emit(event).await,
        }
    }

    fn manifest(&self, checkpoint: CheckpointId, snapshots: Vec<SnapshotHandle>) -> Manifest {
        Manifest {
            job: self.config.id,
            job_name: self.config.job.name.clone(),
            checkpoint,
            operators: operators_of(&self.config.job),
            snapshots,
        }
    }

    /// A duration in the range, drawn uniformly.
    fn draw(&self, delay: Delay) -> Duration {
        let range = delay.most.saturating_sub(delay.least).as_nanos();
        let drawn = u128::from(self.env.entropy.next_u64()) % (range + 1);
        delay.least + Duration::from_nanos(u64::try_from(drawn).unwrap_or(u64::MAX))
    }

    /// Runs `work` beside the loop; its answer becomes an input.
    fn answer_later<F>(&self, work: impl FnOnce(Env, CoordinatorConfig) -> F)
    where
        F: Future<Output = Option<Input>> + Send + 'static,
    {
        let answer = work(self.env.clone(), self.config.clone());
        let events = self.events.clone();
        self.env.spawn("storage", async move {
            if let Some(input) = answer.await {
                events.push(Happening::Input(input));
            }
        });
    }
}

/// Accepts connections of workers.
async fn accept(env: Env, events: MailboxSender<Happening>, mut listener: Box<dyn Listener>) {
    while let Ok(connection) = listener.accept().await {
        env.spawn("read from worker", read(env.clone(), events.clone(), connection));
    }
}

/// Turns the frames of one connection into inputs. The first frame registers; a connection that begins
/// otherwise is dropped.
async fn read(env: Env, events: MailboxSender<Happening>, connection: Connection) {
    let Connection { sender, mut receiver } = connection;
    let Ok(Some(frame)) = receiver.receive().await else { return };
    let Ok(first) = decode_message::<ToCoordinator>(&frame) else { return };
    let ToCoordinator::Register { worker, session, .. } = first else { return };
    let (frames, queue) = mailbox();
    let writing = AbortOnDrop(env.spawn("write to worker", write_frames(sender, queue)));
    events.push(Happening::Opened { worker, session, link: Link { frames, _writing: writing } });
    let mut message = first;
    loop {
        events.push(Happening::Input(Input::Message { worker, session, message }));
        let Ok(Some(frame)) = receiver.receive().await else { break };
        let Ok(next) = decode_message(&frame) else { break };
        message = next;
    }
    events.push(Happening::Input(Input::Disconnected { worker, session }));
}
