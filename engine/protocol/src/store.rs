//! The store record as state: what is durable, what is being written, what waits (H1-H6, A1, A2, P4).
//!
//! The record is replaced as a whole, one write at a time, each for one purpose. A purpose is fulfilled
//! when its record is durable and not before:
//!
//! | purpose    | the new record has           | when its write fails                               |
//! |------------|------------------------------|----------------------------------------------------|
//! | lead       | the next token               | write the same again                               |
//! | deploy     | the next attempt             | write the same again                               |
//! | reserve    | the next checkpoint id       | write the same again                               |
//! | publish    | the checkpoint, retention, what is decided with it (a stop, a parallelism) | write the *old* facts, then it is certainly undone |
//! | expire     | no checkpoint that is too old | write the same again                              |
//! | finish     | the result                   | write the same again                               |
//! | cancel     | the result, retention (H9)   | write the same again                               |
//!
//! A failed write may have taken effect (H3). Its purpose keeps the only write until the doubt is
//! removed, so in doubt nothing is deployed, restored, published or deleted. That is stricter than
//! Flink: while this leader lives, a checkpoint reported as aborted is in no later record (H4).
//! The counters never go back: the old facts have the newest durable counters.
//!
//! Deliberately absent: the pause before a repeated write, which is a timer of the coordinator.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use seawall_probe::sometimes;

use crate::coordinator::WriteId;
use crate::ids::{Attempt, CheckpointId};
use crate::limits::RETAINED_MAX;
use crate::record::{JobResult, StoreRecord};

/// The store of one leadership.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Store {
    /// The newest record known to be durable.
    durable: StoreRecord,
    retained_max: usize,
    /// Retained checkpoints that are too old; the newest one stays all the same.
    aged: BTreeSet<CheckpointId>,
    /// What waits for its write, in the order of [`Purpose`].
    wanted: BTreeSet<Purpose>,
    writing: Option<Writing>,
    next_write: WriteId,
    /// The checkpoint that the job stops with, once it is published.
    stop_at: Option<CheckpointId>,
    /// The parallelism that the job has from a checkpoint on, once that is published.
    rescales: BTreeMap<CheckpointId, u32>,
}

/// Why the record is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Take the leadership: the next token.
    Lead,
    /// Use the next attempt (A4).
    Deploy,
    /// Complete the checkpoint (H1).
    Publish(CheckpointId),
    /// Use the next checkpoint id (A1).
    Reserve,
    /// Drop checkpoints that are too old.
    Expire,
    /// Store the job's result (P2).
    Finish,
    /// Store that the job was cancelled (P2, H9).
    Cancel {
        /// Whether the checkpoints stay.
        is_retaining: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Writing {
    purpose: Purpose,
    /// What durability leads to.
    record: StoreRecord,
    /// `None` between a failure and the next try.
    outstanding: Option<WriteId>,
    /// The checkpoint must not be in the record: the old facts are being written.
    is_retraction: bool,
}

/// What a durable record means.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Persisted {
    /// The token is durable: the leadership begins.
    Leading,
    /// The attempt may be deployed.
    Attempt(Attempt),
    /// The id may be used.
    Reserved(CheckpointId),
    /// The checkpoint is completed.
    Published {
        /// Which.
        checkpoint: CheckpointId,
        /// Those that left the record; their files can be deleted (H6).
        removed: Vec<CheckpointId>,
    },
    /// The checkpoint is certainly not in the record; its files can be deleted.
    Retracted(CheckpointId),
    /// These were too old and left the record; their files can be deleted (H6).
    Expired(Vec<CheckpointId>),
    /// The result is durable.
    Finished(JobResult),
    /// That the job was cancelled is durable; the files of these can be deleted.
    Cancelled {
        /// Those that left the record.
        removed: Vec<CheckpointId>,
    },
}

/// What a failed write means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failed {
    /// The same record is written again.
    Repeat,
    /// The checkpoint is to be aborted; its files stay until [`Persisted::Retracted`].
    Retract(CheckpointId),
}

impl Store {
    /// The store as found by a new leader. The next id is above every retained one (A2).
    pub fn new(mut found: StoreRecord, retained: u32) -> Self {
        let least = found.retained.iter().max().map_or(CheckpointId(1), |newest| newest.next());
        found.next_checkpoint = found.next_checkpoint.max(least);
        Self {
            durable: found,
            retained_max: retained.clamp(1, RETAINED_MAX) as usize,
            aged: BTreeSet::new(),
            wanted: BTreeSet::new(),
            writing: None,
            next_write: WriteId(0),
            stop_at: None,
            rescales: BTreeMap::new(),
        }
    }

    /// The newest record known to be durable.
    pub fn durable(&self) -> &StoreRecord {
        &self.durable
    }

    /// The newest completed checkpoint.
    pub fn newest(&self) -> Option<CheckpointId> {
        self.durable.retained.last().copied()
    }

    /// Whether a write of this purpose waits, runs or is repeated.
    pub fn is_wanted(&self, purpose: Purpose) -> bool {
        self.wanted.contains(&purpose)
            || self.writing.as_ref().is_some_and(|it| it.purpose == purpose && !it.is_retraction)
    }

    /// Whether the checkpoint's record is being written: it can no longer be aborted.
    pub fn is_publishing(&self, checkpoint: CheckpointId) -> bool {
        self.writing
            .as_ref()
            .is_some_and(|it| it.purpose == Purpose::Publish(checkpoint) && !it.is_retraction)
    }

    /// Whether a failed write may have put the checkpoint into the record.
    pub fn is_uncertain(&self, checkpoint: CheckpointId) -> bool {
        self.writing
            .as_ref()
            .is_some_and(|it| it.purpose == Purpose::Publish(checkpoint) && it.is_retraction)
    }

    /// Whether a failed write is not yet resolved.
    pub fn is_in_doubt(&self) -> bool {
        self.writing.as_ref().is_some_and(|it| it.is_retraction || it.outstanding.is_none())
    }

    /// Asks for a write; asking twice is asking once.
    pub fn request(&mut self, purpose: Purpose) {
        if !self.is_wanted(purpose) {
            self.wanted.insert(purpose);
        }
    }

    /// A retained checkpoint is too old: it leaves the record, or stays while it is the newest and leaves
    /// with the next one (H5). `false` when it is not retained.
    #[must_use]
    pub fn on_aged(&mut self, checkpoint: CheckpointId) -> bool {
        let is_retained = self.durable.retained.contains(&checkpoint);
        if is_retained {
            self.aged.insert(checkpoint);
        }
        sometimes!(is_retained && self.newest() == Some(checkpoint), NewestIsTooOld);
        if is_retained && self.newest() != Some(checkpoint) {
            sometimes!(RetainedIsTooOld);
            self.request(Purpose::Expire);
        }
        is_retained
    }

    /// When this checkpoint is published, the record also says that the job stops (N7).
    pub fn stop_at(&mut self, checkpoint: CheckpointId) {
        self.stop_at = Some(checkpoint);
    }

    /// Whether the record with the decision to stop is being written.
    pub fn is_publishing_stop(&self) -> bool {
        self.stop_at.is_some_and(|it| self.is_publishing(it))
    }

    /// The stop was given up.
    pub fn forget_stop(&mut self) {
        self.stop_at = None;
    }

    /// When this checkpoint is published, the record also says that the job goes on like this (M7).
    pub fn rescale_at(&mut self, checkpoint: CheckpointId, parallelism: u32) {
        self.rescales.insert(checkpoint, parallelism);
    }

    /// The rescale was given up.
    pub fn forget_rescale(&mut self, checkpoint: CheckpointId) {
        self.rescales.remove(&checkpoint);
    }

    /// Takes back a request whose write has not begun; `false` when it has, or was never asked for.
    pub fn withdraw(&mut self, purpose: Purpose) -> bool {
        let was_waiting = self.wanted.remove(&purpose);
        sometimes!(was_waiting, WriteIsWithdrawn);
        was_waiting
    }

    /// The next write to begin, when none is outstanding.
    #[must_use]
    pub fn next_write(&mut self) -> Option<(WriteId, StoreRecord)> {
        if self.writing.is_some() {
            sometimes!(!self.wanted.is_empty(), WriteWaitsForAWrite);
            return None;
        }
        let purpose = self.wanted.pop_first()?;
        let record = self.record_for(purpose);
        self.writing = Some(Writing { purpose, record, outstanding: None, is_retraction: false });
        self.write()
    }

    /// The pause after a failed write is over: the write to begin, if one was waiting for that.
    #[must_use]
    pub fn on_retry(&mut self) -> Option<(WriteId, StoreRecord)> {
        let again = self.write();
        sometimes!(again.is_some(), RecordIsWrittenAgain);
        again
    }

    /// The write is durable. `None` when no such write is outstanding.
    #[must_use]
    pub fn on_persisted(&mut self, write: WriteId) -> Option<Persisted> {
        let done = self.writing.take_if(|it| it.outstanding == Some(write))?;
        let before = core::mem::replace(&mut self.durable, done.record);
        assert!(before.next_checkpoint <= self.durable.next_checkpoint, "ids went back");
        let mut removed = before.retained;
        removed.retain(|it| !self.durable.retained.contains(it));
        self.aged.retain(|it| self.durable.retained.contains(it));
        Some(match done.purpose {
            Purpose::Lead => Persisted::Leading,
            Purpose::Deploy => Persisted::Attempt(self.durable.attempt),
            Purpose::Reserve => Persisted::Reserved(before.next_checkpoint),
            Purpose::Publish(checkpoint) if done.is_retraction => {
                sometimes!(CheckpointIsRetracted);
                Persisted::Retracted(checkpoint)
            }
            Purpose::Publish(checkpoint) => Persisted::Published { checkpoint, removed },
            Purpose::Expire => Persisted::Expired(removed),
            Purpose::Finish => {
                Persisted::Finished(self.durable.result.expect("it was just written"))
            }
            Purpose::Cancel { .. } => Persisted::Cancelled { removed },
        })
    }

    /// The write failed, and may have taken effect (H3). `None` when no such write is outstanding.
    #[must_use]
    pub fn on_failed(&mut self, write: WriteId) -> Option<Failed> {
        let failed = self.writing.as_mut().filter(|it| it.outstanding == Some(write))?;
        failed.outstanding = None;
        let purpose = failed.purpose;
        let Purpose::Publish(checkpoint) = purpose else {
            sometimes!(purpose == Purpose::Lead, TokenInDoubt);
            sometimes!(purpose == Purpose::Deploy, AttemptInDoubt);
            sometimes!(purpose == Purpose::Reserve, IdInDoubt);
            sometimes!(purpose == Purpose::Expire, ExpiryInDoubt);
            sometimes!(matches!(purpose, Purpose::Finish | Purpose::Cancel { .. }), ResultInDoubt);
            return Some(Failed::Repeat);
        };
        if failed.is_retraction {
            sometimes!(RetractionInDoubt);
            return Some(Failed::Repeat);
        }
        sometimes!(CheckpointInDoubt);
        failed.is_retraction = true;
        failed.record = self.durable.clone();
        Some(Failed::Retract(checkpoint))
    }

    fn write(&mut self) -> Option<(WriteId, StoreRecord)> {
        let writing = self.writing.as_mut().filter(|it| it.outstanding.is_none())?;
        let write = self.next_write;
        self.next_write = WriteId(write.0 + 1);
        writing.outstanding = Some(write);
        Some((write, writing.record.clone()))
    }

    fn record_for(&self, purpose: Purpose) -> StoreRecord {
        let mut record = self.durable.clone();
        match purpose {
            Purpose::Lead => record.token = record.token.next(),
            Purpose::Deploy => record.attempt = record.attempt.next(),
            Purpose::Reserve => record.next_checkpoint = record.next_checkpoint.next(),
            Purpose::Publish(checkpoint) => {
                assert!(record.retained.last() < Some(&checkpoint), "published out of order");
                assert!(checkpoint < record.next_checkpoint, "published without a reserved id");
                record.retained.push(checkpoint);
                let surplus = record.retained.len().saturating_sub(self.retained_max);
                record.retained.drain(..surplus);
                sometimes!(!self.aged.is_empty(), AgedLeaveWithTheNext);
                self.drop_aged(&mut record);
                if self.stop_at == Some(checkpoint) {
                    sometimes!(StopIsPublished);
                    record.stopping = Some(checkpoint);
                }
                if let Some(parallelism) = self.rescales.get(&checkpoint) {
                    sometimes!(RescaleIsPublished);
                    record.parallelism = Some(*parallelism);
                }
            }
            Purpose::Expire => self.drop_aged(&mut record),
            Purpose::Finish => {
                let stopped = record.stopping.map(JobResult::Stopped);
                record.result = Some(stopped.unwrap_or(JobResult::Finished));
            }
            Purpose::Cancel { is_retaining } => {
                record.result = Some(JobResult::Cancelled);
                if !is_retaining {
                    record.retained.clear();
                }
            }
        }
        record
    }

    fn drop_aged(&self, record: &mut StoreRecord) {
        let newest = record.retained.last().copied();
        record.retained.retain(|it| Some(*it) == newest || !self.aged.contains(it));
    }
}
