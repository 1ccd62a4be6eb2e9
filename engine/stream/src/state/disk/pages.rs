//! A scratch file as the storage of redb, each block of it with a checksum in memory.
//!
//! redb trusts what it reads back. A scratch file is on a disk that may rot, and a wrong page would become
//! wrong state; so every block is compared with the checksum of what was last written to it, and one that
//! differs is an error which fails the attempt. The checksums take a thousandth of the file in memory.
//!
//! Deliberately absent: durability. Nobody opens the file again; `sync_data` has nothing to do.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;
use seawall_env::Scratch;

/// What one checksum covers: redb's page size.
const BLOCK: usize = 4096;

/// The storage of one database.
pub(super) struct Pages {
    scratch: Arc<dyn Scratch>,
    sums: Mutex<Sums>,
}

#[derive(Debug)]
struct Sums {
    /// Of the file.
    length: u64,
    /// Of each block, as if zeroes filled the last one.
    of_block: Vec<u32>,
    of_zeroes: u32,
}

impl Pages {
    /// An empty storage.
    pub(super) fn new(scratch: Arc<dyn Scratch>) -> Self {
        let of_zeroes = crc32fast::hash(&[0; BLOCK]);
        let sums = Sums { length: 0, of_block: Vec::new(), of_zeroes };
        Self { scratch, sums: Mutex::new(sums) }
    }

    fn lock(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The blocks `first..=last` as they are, checked; zeroes behind the end of the file.
    fn blocks(&self, first: usize, last: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; (last + 1 - first) * BLOCK];
        let start = (first * BLOCK) as u64;
        let expected = {
            let sums = self.lock();
            let there = usize::try_from(sums.length.saturating_sub(start)).unwrap_or(usize::MAX);
            let there = there.min(bytes.len());
            let expected: Vec<u32> = (first..=last).map(|it| sums.of(it)).collect();
            drop(sums);
            self.scratch.read_at(start, &mut bytes[..there])?;
            expected
        };
        for (index, (block, expected)) in bytes.chunks(BLOCK).zip(expected).enumerate() {
            if crc32fast::hash(block) != expected {
                let at = (first + index) * BLOCK;
                let what = format!("the disk changed a scratch file: block at {at} is damaged");
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
        }
        Ok(bytes)
    }
}

impl Sums {
    fn of(&self, block: usize) -> u32 {
        self.of_block.get(block).copied().unwrap_or(self.of_zeroes)
    }

    fn set_length(&mut self, length: u64) {
        self.length = length;
        let blocks = usize::try_from(length.div_ceil(BLOCK as u64)).expect("addressable");
        self.of_block.resize(blocks, self.of_zeroes);
    }
}

fn index(position: u64) -> io::Result<usize> {
    usize::try_from(position / BLOCK as u64).map_err(io::Error::other)
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("sums", &self.lock().length).finish_non_exhaustive()
    }
}

impl StorageBackend for Pages {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().length)
    }

    fn read(&self, position: u64, out: &mut [u8]) -> io::Result<()> {
        let end = position + out.len() as u64;
        if end > self.lock().length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if out.is_empty() {
            return Ok(());
        }
        let (first, last) = (index(position)?, index(end - 1)?);
        let blocks = self.blocks(first, last)?;
        let skip = usize::try_from(position % BLOCK as u64).expect("less than a block");
        out.copy_from_slice(&blocks[skip..skip + out.len()]);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let cut = usize::try_from(length % BLOCK as u64).expect("less than a block");
        let is_shorter = length < self.lock().length;
        if is_shorter && cut > 0 {
            let last = index(length)?;
            let mut block = self.blocks(last, last)?;
            block[cut..].fill(0);
            self.lock().of_block[last] = crc32fast::hash(&block);
        }
        self.scratch.set_length(length)?;
        self.lock().set_length(length);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, position: u64, data: &[u8]) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let end = position + data.len() as u64;
        let (first, last) = (index(position)?, index(end - 1)?);
        let skip = usize::try_from(position % BLOCK as u64).expect("less than a block");
        let is_whole = skip == 0 && data.len().is_multiple_of(BLOCK);
        let sums: Vec<u32> = if is_whole {
            data.chunks(BLOCK).map(crc32fast::hash).collect()
        } else {
            let mut blocks = self.blocks(first, last)?;
            blocks[skip..skip + data.len()].copy_from_slice(data);
            blocks.chunks(BLOCK).map(crc32fast::hash).collect()
        };
        self.scratch.write_at(position, data)?;
        let mut known = self.lock();
        let length = known.length.max(end);
        known.set_length(length);
        known.of_block[first..=last].copy_from_slice(&sums);
        Ok(())
    }
}
