//! The bytes of one file, and what a crash leaves of them.

use crate::world::entropy::Stream;

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
    pub(super) fn on_crash(&mut self, node: u32, stream: &mut Stream) {
        if !self.unsynced.iter().any(|unsynced| unsynced.node == node) {
            return;
        }
        self.is_forgotten = false;
        let mut unsynced = std::mem::take(&mut self.unsynced);
        let mut kept = self.durable.clone();
        let mut read = kept.len();
        let mut loses_all = false;
        if let Some(Unsynced { node: by, write: Write::Truncate }) = unsynced.first().copied() {
            read = 0;
            loses_all = by == node && stream.one_in(2);
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
        let mut budget = if loses_all { 0 } else { prefix(lost, stream) };
        let is_cut = budget < lost;
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
                if stays > 0 {
                    torn = Some(start.max(kept.len().saturating_sub(BLOCK))..kept.len());
                }
            } else {
                others.push((by, bytes.to_vec()));
            }
        }
        if is_cut && let Some(torn) = torn {
            match stream.below(3) {
                0 => {}
                1 => kept[torn].fill(0),
                _ => stream.fill(&mut kept[torn]),
            }
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
