//! What a crash leaves of what was not synced, when a fault chooses it.
//!
//! A file system writes blocks and directories back in any order, so each of these is a crash that happens.
//! What was synced stays in every case. Only [`Leaves::NoName`] is beyond what POSIX promises of a rename.

use super::inode::prefix;
use super::names::Change;
use crate::world::entropy::Stream;

/// What a crash leaves of unsynced bytes and of unsynced changes of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leaves {
    /// Of both a prefix whose length is drawn; the last block of the bytes may be zeroes or garbage.
    Drawn,
    /// Nothing: every name that no sync of its directory followed is lost, too.
    Nothing,
    /// Everything, as if all had been synced.
    Everything,
    /// All names; of the bytes neither all nor nothing, and the last block as with [`Leaves::Drawn`].
    Prefix,
    /// All names and bytes, but some blocks are zeroes although later ones are there.
    Hole,
    /// All bytes, and of the names the changes in that directory which was changed last: earlier ones in
    /// other directories are lost.
    LastDirectory,
    /// Everything, and each renamed file under its old name, too.
    BothNames,
    /// Everything, but each renamed file has lost its old name and not got the new one; what the new name
    /// stood for before is there.
    NoName,
}

/// What becomes of one change of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    Lost,
    /// A rename added the new name and did not remove the old one.
    BothNames,
    /// A rename removed the old name and did not add the new one.
    NoName,
}

impl Leaves {
    /// How many of the unsynced bytes stay.
    pub(super) fn bytes(self, unsynced: usize, stream: &mut Stream) -> usize {
        match self {
            Self::Drawn => prefix(unsynced, stream),
            Self::Nothing => 0,
            Self::Prefix => match (unsynced as u64).checked_sub(1) {
                None | Some(0) => 0,
                Some(most) => usize::try_from(1 + stream.below(most)).expect("less than all"),
            },
            Self::Everything
            | Self::Hole
            | Self::LastDirectory
            | Self::BothNames
            | Self::NoName => unsynced,
        }
    }

    /// What becomes of each of a node's unsynced changes, oldest first.
    pub(super) fn fates(self, changes: &[&Change], stream: &mut Stream) -> Vec<Fate> {
        let kept_if = |is_kept: bool| if is_kept { Fate::Kept } else { Fate::Lost };
        let of_rename = |change: &Change, fate| if change.is_rename() { fate } else { Fate::Kept };
        match self {
            Self::Drawn => {
                let kept = prefix(changes.len(), stream);
                (0..changes.len()).map(|index| kept_if(index < kept)).collect()
            }
            Self::Nothing => vec![Fate::Lost; changes.len()],
            Self::Everything | Self::Prefix | Self::Hole => vec![Fate::Kept; changes.len()],
            Self::LastDirectory => {
                let last = changes.last().map(|it| it.directory());
                changes.iter().map(|it| kept_if(last.is_some_and(|last| it.is_in(last)))).collect()
            }
            Self::BothNames => changes.iter().map(|it| of_rename(it, Fate::BothNames)).collect(),
            Self::NoName => changes.iter().map(|it| of_rename(it, Fate::NoName)).collect(),
        }
    }
}
