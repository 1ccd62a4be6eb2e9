//! What the driver of a subtask does about in-flight data: captures it, keeps it with its snapshot until
//! that is sealed, and puts it back on restore. See [`crate::in_flight`] for where the cut is.

use std::sync::Arc;

use bytes::Bytes;
use seawall_probe::sometimes;
use seawall_protocol::config::{Alignment, CheckpointMode};
use seawall_protocol::event::Event;
use seawall_protocol::message::Barrier;
use seawall_protocol::subtask::Input;
use seawall_protocol::tamper::DataStep;
use seawall_protocol::{ChannelId, CheckpointId};
use seawall_stream::Job;
use seawall_stream::batch::Batch;
use seawall_stream::chain::{EdgeId, Ready};
use seawall_stream::job::Pattern;

use super::{Driver, DriverTimer, Failure, Launch};
use crate::channel::{Element, Gate, Notice, SubtaskOrder};
use crate::in_flight::Found;
use crate::mailbox::{Mailbox, MailboxSender, mailbox};
use crate::outlet::Overtaken;
use crate::storage::snapshot::{InFlight, Snapshot};
use crate::timers::{Fired, Timers};

/// A snapshot whose bytes wait for its in-flight data.
pub(super) struct Unsealed {
    checkpoint: CheckpointId,
    overtaken: Overtaken,
    /// Where the writer waits; dropped without a word when the snapshot is given up.
    writer: Option<MailboxSender<Result<Captured, String>>>,
}

/// The in-flight data of one snapshot.
#[derive(Default)]
pub(super) struct Captured {
    /// Not processed here.
    pub(super) input: Vec<InFlight>,
    /// Not sent from here.
    pub(super) output: Vec<InFlight>,
}

/// Restored output, by edge and channel.
pub(super) type RestoredOutput = Vec<(EdgeId, usize, Vec<Batch>)>;

/// The channels of pointwise edges (E7).
pub(super) fn is_pointwise(job: &Job, edge: EdgeId) -> bool {
    job.edges[edge.0 as usize].pattern == Pattern::Forward
}

/// Puts the snapshot's in-flight data back: input at the head of the gate's channels, output into the
/// result. How many batches that are.
pub(super) async fn restore(
    launch: &Launch,
    gate: &mut Gate,
    snapshot: &Snapshot,
) -> Result<(RestoredOutput, u32), Failure> {
    let (job, subtask) = (&launch.job, launch.attempt.subtask);
    let sections = || snapshot.input.iter().chain(&snapshot.output);
    let count = sections().map(|it| it.batches.len()).sum::<usize>();
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let mut output = RestoredOutput::new();
    if count == 0 {
        return Ok((output, 0));
    }
    if launch.without_channel_state == Some(snapshot.checkpoint) {
        let (attempt, checkpoint) = (launch.attempt, snapshot.checkpoint);
        let event = Event::ChannelStateLeftOut { attempt, checkpoint, batches: count };
        launch.env.emit(event).await;
        return Ok((output, 0));
    }
    sometimes!(InFlightDataIsRestored);
    let unknown = |it: &InFlight| {
        let InFlight { from, to, .. } = it;
        Failure::fatal(format!("in-flight data from {from} to {to} belongs to no channel"))
    };
    let channels = job.channels_into(subtask);
    let tamper = &launch.env.tamper;
    let input = &snapshot.input;
    for section in input.iter().filter(|_| !tamper.skips(DataStep::ReplayInput)) {
        let is_it = |it: &(EdgeId, _)| *it == (EdgeId(section.edge), section.from);
        let at = channels.iter().position(is_it).ok_or_else(|| unknown(section))?;
        gate.restore(channel_id(at), decode(launch, section)?);
    }
    let sent = &snapshot.output;
    for section in sent.iter().filter(|_| !tamper.skips(DataStep::ReplayOutput)) {
        let edge = EdgeId(section.edge);
        let receivers = job.channels_out_of(subtask, edge);
        let at = receivers.iter().position(|it| *it == section.to);
        output.push((edge, at.ok_or_else(|| unknown(section))?, decode(launch, section)?));
    }
    sometimes!(!output.is_empty(), OutputIsRestored);
    Ok((output, count))
}

fn decode(launch: &Launch, section: &InFlight) -> Result<Vec<Batch>, Failure> {
    let decode = launch.job.edges[section.edge as usize].decode;
    let batches = section.batches.iter().map(|it| decode(it));
    let mut batches = batches.collect::<Result<Vec<_>, _>>().map_err(Failure::fatal)?;
    if launch.env.tamper.skips(DataStep::ReplayInOrder) {
        batches.reverse();
    }
    Ok(batches)
}

fn channel_id(at: usize) -> ChannelId {
    ChannelId(u32::try_from(at).expect("channels are numbered in 32 bits"))
}

impl Driver {
    /// Whether in-flight data may be added to the snapshot of this barrier.
    pub(super) fn is_open(&self, barrier: Barrier) -> bool {
        self.plan.mode == CheckpointMode::ExactlyOnce && barrier.overtakes() != Alignment::Aligned
    }

    /// Sends the barrier, ahead of what waits in the output or behind it, as it says.
    pub(super) fn forward(&mut self, barrier: Barrier) -> Result<(), Failure> {
        let checkpoint = barrier.checkpoint;
        self.offer_all()?;
        self.offer_restored()?; // It was sent at the start, unless that step was skipped.
        if !self.is_open(barrier) {
            return self.send_all(|| Element::Barrier(barrier));
        }
        let mut overtaken = Overtaken::new();
        if barrier.overtakes() == Alignment::Unaligned {
            let overtake = self.outlets.overtake(barrier, self.has_told_end);
            overtaken = overtake.map_err(Failure::retryable)?;
        } else {
            self.send_all(|| Element::Barrier(barrier))?;
            if self.outlets.holds(checkpoint) {
                self.unsent = Some(checkpoint);
            } else {
                self.inputs.push_back(Input::BarrierSent(checkpoint));
            }
        }
        if self.launch.env.tamper.skips(DataStep::CaptureOutput) {
            overtaken.clear();
        }
        self.unsealed = Some(Unsealed { checkpoint, overtaken, writer: None });
        Ok(())
    }

    /// Lets a barrier that waits in the output overtake there (E9).
    pub(super) fn overtake_output(&mut self, barrier: Barrier) -> Result<(), Failure> {
        self.unsent = None;
        let convert = self.outlets.convert(barrier, self.has_told_end);
        let mut overtaken = convert.map_err(Failure::retryable)?;
        if self.launch.env.tamper.skips(DataStep::CaptureOutput) {
            overtaken.clear();
        }
        if let Some(unsealed) = self.unsealed.as_mut().filter(|it| it.is_of(barrier.checkpoint)) {
            unsealed.overtaken.extend(overtaken);
        }
        Ok(())
    }

    /// Where the writer of a snapshot waits for in-flight data; `None` when there is none to wait for.
    pub(super) fn await_seal(
        &mut self,
        barrier: Barrier,
    ) -> Option<Mailbox<Result<Captured, String>>> {
        let unsealed = self.unsealed.as_mut().filter(|it| it.is_of(barrier.checkpoint))?;
        let (writer, mailbox) = mailbox();
        unsealed.writer = Some(writer);
        Some(mailbox)
    }

    /// Hands the in-flight data to the writer of the snapshot (E4).
    pub(super) async fn seal(&mut self, checkpoint: CheckpointId) {
        self.unsent = None;
        let Some(unsealed) = self.unsealed.take_if(|it| it.is_of(checkpoint)) else { return };
        let Some(writer) = unsealed.writer else { return };
        let captured = self.captured(unsealed.overtaken);
        if let Ok(captured) = &captured {
            let sections = || captured.input.iter().chain(&captured.output);
            let batches = || sections().flat_map(|it| &it.batches);
            let event = Event::ChannelStateCaptured {
                attempt: self.launch.attempt,
                checkpoint,
                batches: u32::try_from(batches().count()).unwrap_or(u32::MAX),
                bytes: batches().map(|it| it.len() as u64).sum(),
            };
            self.launch.env.emit(event).await;
        }
        writer.push(captured);
    }

    /// Forgets the in-flight data of a snapshot that was given up; its writer ends.
    pub(super) fn discard(&mut self, checkpoint: CheckpointId) {
        if self.unsealed.take_if(|it| it.is_of(checkpoint)).is_some() {
            sometimes!(InFlightDataIsDiscarded);
            self.unsent = None;
            // What could not be copied is of no use either.
            drop(self.gate.take_captured());
        }
    }

    fn captured(&mut self, overtaken: Overtaken) -> Result<Captured, String> {
        let (job, subtask) = (Arc::clone(&self.launch.job), self.launch.attempt.subtask);
        let channels = job.channels_into(subtask);
        let copied = self.gate.take_captured().map_err(|error| error.to_string())?;
        let input = copied.into_iter().filter(|(_, batches)| !batches.is_empty());
        let input = input.map(|(channel, batches)| {
            let (edge, from) = channels[channel.0 as usize];
            InFlight { edge: edge.0, from, to: subtask, batches: encoded(batches) }
        });
        let output = overtaken.into_iter().map(|(edge, channel, batches)| {
            let to = job.channels_out_of(subtask, edge)[channel];
            InFlight { edge: edge.0, from: subtask, to, batches: encoded(batches) }
        });
        Ok(Captured { input: input.collect(), output: output.collect() })
    }

    /// A barrier or an end is queued: hears of it before it is at the head.
    pub(super) async fn on_notice(
        &mut self,
        channel: ChannelId,
        notice: Notice,
    ) -> Result<(), Failure> {
        if let Notice::Barrier(barrier) = notice {
            self.feed_core(Input::Announced { channel, barrier }).await?;
        }
        match self.gate.look(channel) {
            Some(found) => self.feed_core(told(channel, found)).await,
            None => Ok(()),
        }
    }

    /// Copies the channel from now on.
    pub(super) fn capture(&mut self, checkpoint: CheckpointId, channel: ChannelId) {
        if let Some(found) = self.gate.capture(checkpoint, channel) {
            self.inputs.push_back(told(channel, found));
        }
    }

    pub(super) fn timers(&mut self) -> &Timers<DriverTimer> {
        let (env, inbox) = (&self.launch.env, &self.inbox);
        self.timers.get_or_insert_with(|| {
            let inbox = inbox.clone();
            Timers::new(env, move |fired| {
                // A timer of a subtask that has ended means nothing.
                let _ = inbox.order(SubtaskOrder::Fired(fired));
            })
        })
    }

    pub(super) async fn on_fired(&mut self, fired: Fired<DriverTimer>) -> Result<(), Failure> {
        match self.timers().take(fired) {
            Some(DriverTimer::Core(timer)) => self.feed_core(Input::Timer(timer)).await,
            Some(DriverTimer::Tick) => self.on_tick().await,
            None => Ok(()),
        }
    }

    /// Puts restored output where it is sent before anything else (E6).
    pub(super) fn offer_restored(&mut self) -> Result<(), Failure> {
        for (edge, channel, batches) in std::mem::take(&mut self.restored_output) {
            for batch in batches {
                let restored = Ready::Batch(channel, batch);
                self.outlets.offer(edge, restored).map_err(Failure::retryable)?;
            }
        }
        Ok(())
    }
}

impl Unsealed {
    fn is_of(&self, checkpoint: CheckpointId) -> bool {
        self.checkpoint == checkpoint
    }
}

fn told(channel: ChannelId, found: Found) -> Input {
    match found {
        Found::Barrier(barrier) => Input::Barrier { channel, barrier },
        Found::Closed => Input::CloseAnnounced { channel },
    }
}

fn encoded(batches: Vec<Vec<u8>>) -> Vec<Bytes> {
    batches.into_iter().map(Bytes::from).collect()
}
