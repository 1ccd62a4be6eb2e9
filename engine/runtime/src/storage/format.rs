//! The bytes of every file in checkpoint storage.
//!
//! ```text
//! magic (8)   format (2)   payload length (8)   payload (postcard)   CRC-32 of all before (4)
//! ```
//!
//! Numbers are little-endian. A file that was cut, torn or changed anywhere is an error and never a
//! wrong value (R2): the CRC covers the header too, and the length must fit exactly.
//!
//! Deliberately absent: repair, and protection against someone who forges checksums.

use std::fmt;
use std::iter::Peekable;
use std::path::Path;

use bytes::Bytes;
use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::storage::error::StorageError;

/// The newest format that this program writes and reads.
pub const FORMAT: u16 = 1;

/// Byte strings of this length are worth a piece of their own.
const LARGE: usize = 4096;

const HEADER: usize = 8 + 2 + 8;
const TRAILER: usize = 4;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The store record.
    Record,
    /// One subtask's snapshot.
    Snapshot,
    /// A checkpoint's manifest.
    Manifest,
    /// The splits of each source.
    Splits,
    /// What became of the newest checkpoints.
    History,
    /// A part of an incremental snapshot.
    Shared,
    /// Which savepoint a job started from.
    Origin,
}

impl Kind {
    const fn magic(self) -> [u8; 8] {
        match self {
            Self::Record => *b"swRECORD",
            Self::Snapshot => *b"swSNAPSH",
            Self::Manifest => *b"swMANIFE",
            Self::Splits => *b"swSPLITS",
            Self::History => *b"swHISTOR",
            Self::Shared => *b"swSHARED",
            Self::Origin => *b"swORIGIN",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Record => "store record",
            Self::Snapshot => "snapshot",
            Self::Manifest => "manifest",
            Self::Splits => "list of splits",
            Self::History => "history of checkpoints",
            Self::Shared => "shared file",
            Self::Origin => "origin",
        })
    }
}

/// The bytes of a whole file. `path` is for the error only.
///
/// # Errors
/// When the value has no encoding.
pub fn encode<T: Serialize>(kind: Kind, value: &T, path: &Path) -> Result<Vec<u8>, StorageError> {
    let Encoded { pieces, .. } = encode_around(kind, value, [], path)?;
    let [whole] = <[Bytes; 1]>::try_from(pieces).expect("nothing was to be left where it is");
    Ok(whole.into())
}

/// As [`encode`], without copying what is `large`: byte strings of the value, in its order.
///
/// # Errors
/// When the value has no encoding.
pub fn encode_around<'a, T: Serialize>(
    kind: Kind,
    value: &T,
    large: impl IntoIterator<Item = &'a Bytes>,
    path: &Path,
) -> Result<Encoded, StorageError> {
    let unencodable = |error: postcard::Error| StorageError::Encode {
        path: path.into(),
        reason: error.to_string(),
    };
    let payload = postcard::experimental::serialized_size(value).map_err(unencodable)?;
    let large: Vec<&Bytes> = large.into_iter().filter(|it| it.len() >= LARGE).collect();
    let copied = payload - large.iter().map(|it| it.len()).sum::<usize>();
    let mut open = Vec::with_capacity(HEADER + copied + TRAILER);
    open.extend_from_slice(&kind.magic());
    open.extend_from_slice(&FORMAT.to_le_bytes());
    open.extend_from_slice(&(payload as u64).to_le_bytes());

    let pieces = Pieces { closed: Vec::new(), open, large: large.into_iter().peekable() };
    let (mut pieces, mut open) =
        postcard::serialize_with_flavor(value, pieces).map_err(unencodable)?;
    let mut hasher = crc32fast::Hasher::new();
    for piece in &pieces {
        hasher.update(piece);
    }
    hasher.update(&open);
    let checksum = hasher.finalize();
    open.extend_from_slice(&checksum.to_le_bytes());
    pieces.push(open.into());
    let length = (HEADER + payload + TRAILER) as u64;
    debug_assert_eq!(length, pieces.iter().map(|it| it.len() as u64).sum::<u64>());
    Ok(Encoded { pieces, length, checksum })
}

/// The bytes of a whole file as they are in memory.
#[derive(Debug)]
pub struct Encoded {
    /// In order.
    pub pieces: Vec<Bytes>,
    /// Of all pieces together.
    pub length: u64,
    /// As [`checksum_of`] has it.
    pub checksum: u32,
}

/// Puts the encoding together of what is copied and what stays where it is.
struct Pieces<'a, L: Iterator<Item = &'a Bytes>> {
    closed: Vec<Bytes>,
    open: Vec<u8>,
    /// What is yet to come of the byte strings that stay.
    large: Peekable<L>,
}

impl<'a, L: Iterator<Item = &'a Bytes>> Flavor for Pieces<'a, L> {
    type Output = (Vec<Bytes>, Vec<u8>);

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.open.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        match self.large.next_if(|it| std::ptr::eq(it.as_ref(), bytes)) {
            Some(large) => {
                self.closed.push(std::mem::take(&mut self.open).into());
                self.closed.push(large.clone());
            }
            None => self.open.extend_from_slice(bytes),
        }
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Self::Output> {
        Ok((self.closed, self.open))
    }
}

/// The checksum that `encode` appended: the CRC-32 of everything before it.
pub fn checksum_of(bytes: &[u8]) -> u32 {
    assert!(bytes.len() >= TRAILER, "{} bytes are no file", bytes.len());
    u32::from_le_bytes(bytes[bytes.len() - TRAILER..].try_into().expect("four bytes"))
}

/// The value in the bytes of a whole file.
///
/// # Errors
/// One variant for each thing that can be wrong; each names `path`.
pub fn decode<T: DeserializeOwned>(
    kind: Kind,
    bytes: &[u8],
    path: &Path,
) -> Result<T, StorageError> {
    let path = || path.to_path_buf();
    let found = bytes.len() as u64;
    let least = HEADER + TRAILER;

    let magic = kind.magic();
    let seen = bytes.len().min(magic.len());
    if bytes[..seen] != magic[..seen] {
        return Err(StorageError::WrongKind { path: path(), expected: kind });
    }
    if bytes.len() < least {
        return Err(StorageError::Short { path: path(), expected: least as u64, found });
    }
    let format = u16::from_le_bytes(bytes[8..10].try_into().expect("two bytes"));
    if format > FORMAT {
        return Err(StorageError::NewerFormat { path: path(), found: format, supported: FORMAT });
    }
    let payload = u64::from_le_bytes(bytes[10..HEADER].try_into().expect("eight bytes"));
    let expected = payload.saturating_add(least as u64);
    if found < expected {
        return Err(StorageError::Short { path: path(), expected, found });
    }
    if found > expected {
        return Err(StorageError::Torn { path: path(), expected, found });
    }

    let (body, _) = bytes.split_at(bytes.len() - TRAILER);
    let (expected, computed) = (checksum_of(bytes), crc32fast::hash(body));
    if expected != computed {
        return Err(StorageError::Checksum { path: path(), expected, found: computed });
    }
    if format == 0 {
        return Err(StorageError::Malformed { path: path(), reason: "format 0".into() });
    }
    match postcard::take_from_bytes(&body[HEADER..]) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(StorageError::Malformed {
            path: path(),
            reason: format!("{} bytes are left over", rest.len()),
        }),
        Err(error) => Err(StorageError::Malformed { path: path(), reason: error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path() -> &'static Path {
        Path::new("chk-7/manifest")
    }

    fn file() -> Vec<u8> {
        encode(Kind::Manifest, &(7_u64, "keyed-count".to_owned(), vec![1_u8, 2, 3]), path())
            .unwrap()
    }

    fn read(kind: Kind, bytes: &[u8]) -> Result<(u64, String, Vec<u8>), StorageError> {
        decode(kind, bytes, path())
    }

    #[test]
    fn a_file_cut_at_any_length_is_refused() {
        let file = file();
        for length in 0..file.len() {
            let error = read(Kind::Manifest, &file[..length]).unwrap_err();
            assert!(matches!(error, StorageError::Short { .. }), "{length}: {error}");
        }
    }

    #[test]
    fn a_file_with_any_byte_changed_is_refused() {
        let file = file();
        for position in 0..file.len() {
            for flip in 1..=u8::MAX {
                let mut file = file.clone();
                file[position] ^= flip;
                read(Kind::Manifest, &file).unwrap_err();
            }
        }
    }

    #[test]
    fn a_file_with_bytes_behind_its_end_is_refused() {
        let mut file = file();
        file.push(0);
        let error = read(Kind::Manifest, &file).unwrap_err();
        assert!(matches!(error, StorageError::Torn { .. }), "{error}");
    }

    #[test]
    fn a_file_of_another_kind_is_told_apart() {
        let error = read(Kind::Snapshot, &file()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "chk-7/manifest is not a snapshot of seawall: its first bytes are foreign\n\
             hint: restore the file from a copy, or name another directory"
        );
    }

    #[test]
    fn a_file_of_a_newer_format_is_told_apart() {
        let mut file = file();
        file[8..10].copy_from_slice(&2_u16.to_le_bytes());
        assert_eq!(
            read(Kind::Manifest, &file).unwrap_err().to_string(),
            "chk-7/manifest was written by format 2, this program reads up to 1\n\
             hint: use the version of seawall that wrote it, or a newer one"
        );
    }

    #[test]
    fn a_payload_of_another_type_is_refused() {
        let error = decode::<u8>(Kind::Manifest, &file(), path()).unwrap_err();
        assert!(matches!(error, StorageError::Malformed { .. }), "{error}");
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(
            value: (u64, String, Vec<u8>)
        ) {
            let bytes = encode(Kind::Record, &value, path()).unwrap();
            prop_assert_eq!(read(Kind::Record, &bytes).unwrap(), value);
        }

        #[test]
        fn a_file_in_pieces_has_the_same_bytes(
            sizes in prop::collection::vec(prop_oneof![0_usize..9, LARGE - 2..LARGE + 2], 0..6),
        ) {
            let value: Vec<(u8, Bytes)> =
                sizes.iter().zip(1..).map(|(size, it)| (it, vec![it; *size].into())).collect();
            let large = value.iter().map(|(_, it)| it);
            let encoded = encode_around(Kind::Snapshot, &value, large, path()).unwrap();
            let whole = encode(Kind::Snapshot, &value, path()).unwrap();
            prop_assert_eq!(encoded.pieces.concat(), &*whole);
            prop_assert_eq!(encoded.length, whole.len() as u64);
            prop_assert_eq!(encoded.checksum, checksum_of(&whole));
            let pieces = 1 + 2 * sizes.iter().filter(|it| **it >= LARGE).count();
            prop_assert_eq!(encoded.pieces.len(), pieces);
            prop_assert_eq!(decode::<Vec<(u8, Bytes)>>(Kind::Snapshot, &whole, path()).unwrap(), value);
        }

        #[test]
        fn a_damaged_file_is_never_a_wrong_value(
            value: (u64, String, Vec<u8>),
            position: prop::sample::Index,
            length: prop::sample::Index,
            byte: u8,
        ) {
            let whole = encode(Kind::Record, &value, path()).unwrap();
            let mut damaged = whole.clone();
            let at = position.index(damaged.len());
            damaged[at] = byte;
            damaged.truncate(length.index(whole.len()) + 1);
            if damaged != whole {
                prop_assert!(read(Kind::Record, &damaged).is_err());
            }
        }
    }
}
