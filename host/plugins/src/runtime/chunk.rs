//! Cutting a batch into calls, and what all of them may answer together.

use std::ops::Range;

use crate::{
    config::{MAX_CHUNK, MAX_CHUNK_BYTES, MAX_LOOKUP_CHUNK, MAX_REQUEST_OUTPUT_BYTES},
    error::CallError,
};

/// Ranges of at most 256 items, 64 for a plugin that looks up, whose bytes sum up to at most 4 MiB, unless one item alone has
/// more.
pub(crate) fn chunks(sizes_bytes: impl Iterator<Item = usize>, looks_up: bool) -> Vec<Range<usize>> {
    let max_items = if looks_up { MAX_LOOKUP_CHUNK } else { MAX_CHUNK };
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (index, size) in sizes_bytes.enumerate() {
        match ranges.last_mut() {
            Some(range) if range.len() < max_items && bytes + size <= MAX_CHUNK_BYTES => {
                range.end = index + 1;
                bytes += size;
            }
            _ => {
                ranges.push(index..index + 1);
                bytes = size;
            }
        }
    }
    ranges
}

/// What one request takes in of all its calls together, chunks and retries included.
pub(crate) struct OutputBudget {
    left_bytes: usize,
}

impl OutputBudget {
    /// Of a request that takes in at most [`MAX_REQUEST_OUTPUT_BYTES`].
    pub(crate) const fn new() -> Self {
        Self { left_bytes: MAX_REQUEST_OUTPUT_BYTES }
    }

    /// Takes in so many bytes.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), CallError> {
        match self.left_bytes.checked_sub(bytes) {
            Some(left) => {
                self.left_bytes = left;
                Ok(())
            }
            None => Err(CallError::Output { limit_bytes: MAX_REQUEST_OUTPUT_BYTES }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_bounded_in_items_and_in_bytes() {
        assert_eq!(chunks(std::iter::empty(), false), []);
        assert_eq!(chunks(std::iter::repeat_n(10, 600), false), [0..256, 256..512, 512..600]);
        assert_eq!(chunks(std::iter::repeat_n(10, 130), true), [0..64, 64..128, 128..130]);
        let sizes = [MAX_CHUNK_BYTES, 1, 1, MAX_CHUNK_BYTES * 2, 1];
        assert_eq!(chunks(sizes.into_iter(), false), [0..1, 1..3, 3..4, 4..5]);
    }
}
