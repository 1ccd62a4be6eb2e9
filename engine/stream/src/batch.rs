//! Records in bulk: what a channel carries, typed inside and opaque to the runtime.

use std::any::Any;
use std::fmt;

use crate::error::StreamError;
use crate::record::Record;

/// Records of one type, moved between subtasks of one process without serialising.
pub struct Batch {
    records: Box<dyn Any + Send>,
    length: usize,
    encode: Encode,
}

/// Encodes records behind what is there.
type Encode = fn(&(dyn Any + Send), Vec<u8>) -> Result<Vec<u8>, StreamError>;

impl Batch {
    /// Wraps `records`.
    pub fn new<T: Record>(records: Vec<T>) -> Self {
        Self { length: records.len(), records: Box::new(records), encode: encode::<T> }
    }

    /// The records again.
    ///
    /// # Panics
    /// When the batch holds another type: the job graph was wired wrongly.
    pub fn into_records<T: Record>(self) -> Vec<T> {
        *self.records.downcast().expect("a channel carries the record type of its edge")
    }

    /// How many records.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The bytes that cross a wire.
    ///
    /// # Errors
    /// When a record has no encoding.
    pub fn encode(&self) -> Result<Vec<u8>, StreamError> {
        self.encode_behind(Vec::new())
    }

    /// The same, behind what `frame` holds.
    ///
    /// # Errors
    /// When a record has no encoding.
    pub fn encode_behind(&self, frame: Vec<u8>) -> Result<Vec<u8>, StreamError> {
        (self.encode)(self.records.as_ref(), frame)
    }

    /// A batch of `T` from the bytes of [`Batch::encode`].
    ///
    /// # Errors
    /// When the bytes are not records of type `T`.
    pub fn decode<T: Record>(bytes: &[u8]) -> Result<Self, StreamError> {
        let records: Vec<T> = postcard::from_bytes(bytes)
            .map_err(|source| StreamError::Decode { what: "a batch of records", source })?;
        Ok(Self::new(records))
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({})", self.length)
    }
}

fn encode<T: Record>(records: &(dyn Any + Send), frame: Vec<u8>) -> Result<Vec<u8>, StreamError> {
    let records: &Vec<T> = records.downcast_ref().expect("built together with its encoder");
    postcard::to_extend(records, frame)
        .map_err(|source| StreamError::Encode { what: "a batch of records", source })
}
