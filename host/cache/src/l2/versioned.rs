//! A value and the revisions at which it is known to hold.

use bytes::{BufMut, Bytes, BytesMut};
use cqar_domain::entity::Revision;

/// A stored value begins with its stamp in so many decimal digits: enough for all integers that Lua can tell apart.
const STAMP_DIGITS: usize = 16;

/// A value from Redis. It holds at every revision from `valid_from` through `valid_through`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// What was stored; empty where that is the absence of anything.
    pub bytes: Bytes,
    /// The revision of the snapshot that it was read at.
    pub valid_from: Revision,
    /// The last revision at which it is known to hold.
    pub valid_through: Revision,
}

impl Versioned {
    /// Reads a stored value, given through which revision Redis has seen the log.
    pub(super) fn read(stored: &Bytes, watermark: Revision) -> Option<Self> {
        let (stamp, _) = stored.split_at_checked(STAMP_DIGITS)?;
        let valid_from: Revision = str::from_utf8(stamp).ok()?.parse().ok()?;
        let bytes = stored.slice(STAMP_DIGITS..);
        Some(Self { bytes, valid_from, valid_through: watermark.max(valid_from) })
    }
}

/// The value as it is stored.
pub(super) fn stored(bytes: &[u8], revision: Revision) -> Bytes {
    let mut stored = BytesMut::with_capacity(STAMP_DIGITS + bytes.len());
    stored.put_slice(format!("{revision:0STAMP_DIGITS$}").as_bytes());
    stored.put_slice(bytes);
    stored.freeze()
}

/// The newest revision, `needs` at least, at which all the pieces are known to hold, so that they may be joined in one
/// answer. None if there is no such revision.
pub fn common_revision(pieces: &[&Versioned], needs: Revision) -> Option<Revision> {
    let from = pieces.iter().map(|piece| piece.valid_from).fold(needs, Revision::max);
    let through = pieces.iter().map(|piece| piece.valid_through).min().unwrap_or(needs);
    (from <= through).then_some(through)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(valid_from: Revision, valid_through: Revision) -> Versioned {
        Versioned { bytes: Bytes::new(), valid_from, valid_through }
    }

    #[test]
    fn pieces_are_joined_only_at_a_revision_at_which_all_hold() {
        assert_eq!(common_revision(&[&piece(1, 5), &piece(3, 7)], 2), Some(5));
        assert_eq!(common_revision(&[&piece(1, 5), &piece(3, 7)], 6), None, "too old for the reader");
        assert_eq!(common_revision(&[&piece(1, 5), &piece(6, 7)], 0), None, "never true together, as far as is known");
        assert_eq!(common_revision(&[], 4), Some(4));
    }

    #[test]
    fn a_value_reads_back_with_its_stamp_and_the_absence_of_one_too() {
        let read = Versioned::read(&stored(b"value", 12), 20).unwrap();
        assert_eq!(read, Versioned { bytes: Bytes::from_static(b"value"), ..piece(12, 20) });
        assert_eq!(Versioned::read(&stored(b"", 12), 7).unwrap(), piece(12, 12));
        assert_eq!(Versioned::read(&Bytes::from_static(b"not ours"), 7), None);
    }
}
