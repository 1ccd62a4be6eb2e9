//! The bytes of one file, and what a crash leaves of them.

use std::ops::Range;

use super::leaves::Leaves;
use crate::world::entropy::Stream;
use crate::world::strikes::Strikes;

/// What a torn write tears.
const BLOCK: usize = 512;

#[derive(Default)]
pub(super) struct Inode {
    pub(super) durable: Vec<u8>,
    pub(super) visible: Vec<u8>,
    /// What turns `durable` into `visible`, oldest first; a truncation can only be the first.
    pub(super) unsynced: Vec<Unsynced>,
    /// A sync failed: the system took its unsynced bytes for written, and they are not.
    pub(super) is_forgotten: bool,
    /// A sync lied: its bytes are in the memory of whoever wrote them, and nowhere else.
    pub(super) is_phantom: bool,
    pub(super) handles: u32,
}

#[derive(Clone, Copy)]
pub(super) struct Unsynced {
    pub(super) node: u32,
    pub(super) write: Write,
}

#[derive(Clone, Copy)]
pub(super) enum Write {
    Truncate,
    Append { length: usize },
}

impl Inode {
    pub(super) fn truncate(&mut self, node: u32) {
        self.visible.clear();
        self.is_forgotten = false;
        self.is_phantom = false;
        self.unsynced.clear();
        self.unsynced.push(Unsynced { node, write: Write::Truncate });
    }

    pub(super) fn append(&mut self, node: u32, bytes: &[u8]) {
        self.visible.extend_from_slice(bytes);
        match self.unsynced.last_mut() {
            Some(Unsynced { node: by, write: Write::Append { length } }) if *by == node => {
                *length += bytes.len();
            }
            Some(_) | None => {
                self.unsynced.push(Unsynced { node, write: Write::Append { length: bytes.len() } });
            }
        }
    }

    /// How many bytes a read at `position` gets.
    pub(super) fn readable(&self, position: u64, length: usize) -> usize {
        let end = self.visible.len();
        end.saturating_sub(usize::try_from(position).unwrap_or(usize::MAX)).min(length)
    }

    pub(super) fn read(&self, position: u64, length: usize) -> Vec<u8> {
        let readable = self.readable(position, length);
        let start = self.visible.len().min(usize::try_from(position).unwrap_or(usize::MAX));
        self.visible[start..start + readable].to_vec()
    }

    pub(super) fn sync(&mut self) {
        if self.is_forgotten {
            return;
        }
        let is_truncated =
            matches!(self.unsynced.first(), Some(Unsynced { write: Write::Truncate, .. }));
        if is_truncated {
            self.durable.clear();
        }
        self.durable.extend_from_slice(&self.visible[self.durable.len()..]);
        self.unsynced.clear();
    }

    /// `node` lost its power.
    pub(super) fn on_crash(
        &mut self,
        node: u32,
        leaves: Leaves,
        stream: &mut Stream,
        strikes: &Strikes,
    ) {
        if !self.unsynced.iter().any(|unsynced| unsynced.node == node) {
            return;
        }
        self.is_forgotten = false;
        // What was never stored is not there, whatever else a crash leaves.
        let leaves = if std::mem::take(&mut self.is_phantom) { Leaves::Nothing } else { leaves };
        let mut unsynced = std::mem::take(&mut self.unsynced);
        let mut kept = self.durable.clone();
        let mut read = kept.len();
        let mut loses_all = false;
        if let Some(Unsynced { node: by, write: Write::Truncate }) = unsynced.first().copied() {
            read = 0;
            loses_all = by == node
                && match leaves {
                    Leaves::Drawn => stream.one_in(2),
                    Leaves::Nothing => true,
                    Leaves::Everything
                    | Leaves::Prefix
                    | Leaves::Hole
                    | Leaves::LastDirectory
                    | Leaves::BothNames
                    | Leaves::NoName => false,
                };
            if !loses_all {
                kept.clear();
            }
            unsynced.remove(0);
            if by != node {
                // The other node's truncation is not durable, and its file is not this node's to
                // keep; the mix of two writers of one file is settled in favour of what is visible.
                self.unsynced.push(Unsynced { node: by, write: Write::Truncate });
            }
        }
        let lost: usize = lengths(&unsynced, node);
        let mut budget = if loses_all { 0 } else { leaves.bytes(lost, stream) };
        let is_cut = budget < lost;
        if is_cut {
            strikes.hit("lost-write");
        }
        let mut own = Vec::new();
        let mut others = Vec::new();
        let mut torn = None;
        for Unsynced { node: by, write } in unsynced {
            let Write::Append { length } = write else {
                unreachable!("a truncation can only be the first")
            };
            let bytes = &self.visible[read..read + length];
            read += length;
            if by == node {
                let stays = length.min(budget);
                budget -= stays;
                let start = kept.len();
                kept.extend_from_slice(&bytes[..stays]);
                own.push(start..kept.len());
                if stays > 0 {
                    torn = Some(start.max(kept.len().saturating_sub(BLOCK))..kept.len());
                }
            } else {
                others.push((by, bytes.to_vec()));
            }
        }
        if is_cut && let Some(torn) = torn {
            let tear = stream.below(3);
            if tear > 0 {
                strikes.hit("torn-write");
            }
            match tear {
                0 => {}
                1 => kept[torn].fill(0),
                _ => stream.fill(&mut kept[torn]),
            }
        }
        if leaves == Leaves::Hole && punch(&mut kept, own, stream) {
            strikes.hit("hole-in-write");
        }
        let is_truncated = !self.unsynced.is_empty();
        self.visible.clone_from(&kept);
        if !is_truncated {
            self.durable = kept;
        }
        for (by, bytes) in others {
            self.visible.extend_from_slice(&bytes);
            self.unsynced.push(Unsynced { node: by, write: Write::Append { length: bytes.len() } });
        }
    }
}

/// Some blocks of the ranges become zeroes, never the last one: later bytes than the hole are there.
/// `false` when there is only one block.
fn punch(bytes: &mut [u8], ranges: Vec<Range<usize>>, stream: &mut Stream) -> bool {
    let mut blocks = Vec::new();
    for mut range in ranges {
        while !range.is_empty() {
            let end = range.end.min((range.start / BLOCK + 1) * BLOCK);
            blocks.push(range.start..end);
            range.start = end;
        }
    }
    let before_last = blocks.len().saturating_sub(1) as u64;
    if before_last == 0 {
        return false;
    }
    let first = stream.below(before_last);
    let count = 1 + stream.below(before_last - first);
    let index = |it: u64| usize::try_from(it).expect("the index of a block");
    for block in &blocks[index(first)..index(first + count)] {
        bytes[block.clone()].fill(0);
    }
    true
}

fn lengths(unsynced: &[Unsynced], node: u32) -> usize {
    unsynced
        .iter()
        .filter(|it| it.node == node)
        .map(|it| match it.write {
            Write::Truncate => 0,
            Write::Append { length } => length,
        })
        .sum()
}

/// How much of `total` a crash leaves: nothing, all, or something between, each often enough to matter.
pub(super) fn prefix(total: usize, stream: &mut Stream) -> usize {
    match stream.below(4) {
        0 => 0,
        1 => total,
        _ => usize::try_from(stream.below(total as u64 + 1)).expect("at most `total`"),
    }
}
