//! What can be wrong with checkpoint storage, told so that someone can act on it.

use std::io;
use std::path::PathBuf;

use seawall_protocol::FencingToken;

use crate::storage::format::Kind;

/// A file of checkpoint storage could not be written, read or believed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The store said no.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the store said.
        source: io::Error,
        /// Whether it may have taken effect all the same (H3).
        is_uncertain: bool,
    },
    /// The address of the storage leads nowhere.
    #[error("checkpoints cannot be kept in {address:?}: {why}\nhint: {hint}")]
    Address {
        /// As it was written.
        address: String,
        /// What is wrong with it.
        why: String,
        /// What to do.
        hint: String,
    },
    /// A remote store said no, or nothing.
    #[error("cannot {action} {}: {reason}\nhint: {hint}", path.display())]
    Remote {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the store said.
        reason: String,
        /// What to do.
        hint: &'static str,
        /// Whether there is no such file.
        is_not_found: bool,
        /// Whether it may have taken effect all the same (H3).
        is_uncertain: bool,
    },
    /// A file that is written once is there, with other content.
    #[error(
        "{} is there already, with other content\n\
         hint: another coordinator may write to the same place; end one of the two",
        path.display()
    )]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// The file is not the one that was to be replaced, so it was not.
    #[error(
        "{} was changed by another writer in the meantime, and was not replaced\n\
         hint: another coordinator may write to the same place; end one of the two",
        path.display()
    )]
    Changed {
        /// Which file.
        path: PathBuf,
    },
    /// The file begins like something else.
    #[error(
        "{} is not a {expected} of seawall: its first bytes are foreign\n\
         hint: restore the file from a copy, or name another directory",
        path.display()
    )]
    WrongKind {
        /// Which file.
        path: PathBuf,
        /// What it should be.
        expected: Kind,
    },
    /// The file ends before its payload does.
    #[error(
        "{} is short: {found} of {expected} bytes\n\
         hint: the disk lost the end of the file; restore it from a copy",
        path.display()
    )]
    Short {
        /// Which file.
        path: PathBuf,
        /// Bytes it should have.
        expected: u64,
        /// Bytes it has.
        found: u64,
    },
    /// The length in the file and the length of the file disagree.
    #[error(
        "{} is torn: {found} bytes where {expected} belong\n\
         hint: the file was overwritten or its length was damaged; restore it from a copy",
        path.display()
    )]
    Torn {
        /// Which file.
        path: PathBuf,
        /// Bytes it should have.
        expected: u64,
        /// Bytes it has.
        found: u64,
    },
    /// The bytes are not the ones that were written.
    #[error(
        "{} is damaged: checksum {found:08x} where {expected:08x} belongs\n\
         hint: the disk changed the file; restore it from a copy",
        path.display()
    )]
    Checksum {
        /// Which file.
        path: PathBuf,
        /// As written.
        expected: u32,
        /// As computed.
        found: u32,
    },
    /// A later program wrote the file.
    #[error(
        "{} was written by format {found}, this program reads up to {supported}\n\
         hint: use the version of seawall that wrote it, or a newer one",
        path.display()
    )]
    NewerFormat {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u16,
        /// The newest format known here.
        supported: u16,
    },
    /// The checksum is right and the payload still makes no sense.
    #[error("{} has an unreadable payload: {reason}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What the decoder said.
        reason: String,
    },
    /// A value has no encoding.
    #[error("cannot encode {}: {reason}", path.display())]
    Encode {
        /// For which file.
        path: PathBuf,
        /// What the encoder said.
        reason: String,
    },
    /// The file is intact and belongs somewhere else.
    #[error(
        "{} holds {found} where {expected} belongs\n\
         hint: the file was moved or copied over another; restore it from a copy",
        path.display()
    )]
    Misplaced {
        /// Which file.
        path: PathBuf,
        /// What its name promises.
        expected: String,
        /// What it holds.
        found: String,
    },
    /// A newer leader has written the record; whoever writes now is a zombie (P5).
    #[error(
        "{} belongs to leader {found}, this one is {own}\n\
         hint: another coordinator took over; end this one",
        path.display()
    )]
    Deposed {
        /// The record.
        path: PathBuf,
        /// The token of the leader that writes.
        own: FencingToken,
        /// The token in the record.
        found: FencingToken,
    },
    /// There is no savepoint.
    #[error("no savepoint in {}: {why}\nhint: {hint}", path.display())]
    NoSavepoint {
        /// Which directory.
        path: PathBuf,
        /// What is wrong.
        why: String,
        /// What to do.
        hint: &'static str,
    },
    /// The job cannot start from the savepoint.
    #[error("savepoint {} does not fit the job: {why}\nhint: {hint}", path.display())]
    Unfit {
        /// Which savepoint.
        path: PathBuf,
        /// What does not fit.
        why: String,
        /// What to do.
        hint: String,
    },
    /// The directory belongs to another job.
    #[error(
        "{} belongs to another job: {found}, not {expected}\n\
         hint: give each job its own directory, or run the job with the options it was started with",
        path.display()
    )]
    OtherJob {
        /// Which file says so.
        path: PathBuf,
        /// The job that was asked for.
        expected: String,
        /// The job that is there.
        found: String,
    },
    /// The checkpoint was taken by a differently built or scaled job.
    #[error(
        "checkpoint in {} does not fit the job: {difference}\n\
         hint: run the job as it was when the checkpoint was taken, or start it in a new directory",
        path.display()
    )]
    Incompatible {
        /// The manifest.
        path: PathBuf,
        /// The first difference.
        difference: String,
    },
}

impl StorageError {
    /// Wraps an I/O error with what was tried on which path.
    pub fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source, is_uncertain: false }
    }

    /// Whether a write that ended like this may have taken effect all the same. Then its files must stay,
    /// and nothing may be concluded from it (H3); otherwise nothing was written.
    pub fn is_uncertain(&self) -> bool {
        matches!(
            self,
            Self::Io { is_uncertain: true, .. } | Self::Remote { is_uncertain: true, .. }
        )
    }

    /// Whether the store says that there is no such file.
    pub fn is_not_found(&self) -> bool {
        if let Self::Io { source, .. } = self {
            return source.kind() == io::ErrorKind::NotFound;
        }
        matches!(self, Self::Remote { is_not_found: true, .. })
    }
}
