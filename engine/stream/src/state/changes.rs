//! Changes of keyed state as bytes: what the files of an incremental snapshot hold.
//!
//! ```text
//! entry:  length and bytes of the key   0                        the key was removed
//!                                       1 length and bytes of the value
//! ```
//!
//! Lengths are varints and values are postcard, as in [`EncodedGroup`](super::EncodedGroup). Because each
//! entry says where it ends, files can be merged by tools that do not know the types.

use serde::{Deserialize, Serialize};

/// Changes to one key group; applied in order, a later one replaces an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Which key group.
    pub key_group: u32,
    /// Entries, ascending by the bytes of the key.
    pub bytes: Vec<u8>,
}

/// One encoded key, and its encoded value unless the key was removed.
pub type Entry<'a> = (&'a [u8], Option<&'a [u8]>);

#[derive(Serialize, Deserialize)]
struct Framed<'a>(#[serde(borrow)] &'a [u8], #[serde(borrow)] Option<&'a [u8]>);

impl Changes {
    /// No changes yet.
    pub fn new(key_group: u32) -> Self {
        Self { key_group, bytes: Vec::new() }
    }

    /// Adds an entry.
    pub fn push(&mut self, (key, value): Entry<'_>) {
        let bytes = std::mem::take(&mut self.bytes);
        self.bytes =
            postcard::to_extend(&Framed(key, value), bytes).expect("bytes have an encoding");
    }
}

/// The entries in the bytes of [`Changes`]; the first that makes no sense is the last.
pub struct Entries<'a>(&'a [u8]);

impl<'a> Entries<'a> {
    /// Reads from the front.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, postcard::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        match postcard::take_from_bytes::<Framed<'a>>(self.0) {
            Ok((Framed(key, value), rest)) => {
                self.0 = rest;
                Some(Ok((key, value)))
            }
            Err(error) => {
                self.0 = &[];
                Some(Err(error))
            }
        }
    }
}
