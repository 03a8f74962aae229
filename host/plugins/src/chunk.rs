//! Cutting a batch into calls.

use std::ops::Range;

use crate::config::{MAX_CHUNK, MAX_CHUNK_BYTES};

/// Ranges of at most 256 items whose bytes sum up to at most 4 MiB, unless one item alone has more.
pub(crate) fn chunks(sizes_bytes: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (index, size) in sizes_bytes.enumerate() {
        match ranges.last_mut() {
            Some(range) if range.len() < MAX_CHUNK && bytes + size <= MAX_CHUNK_BYTES => {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_bounded_in_items_and_in_bytes() {
        assert_eq!(chunks(std::iter::empty()), []);
        assert_eq!(chunks(std::iter::repeat_n(10, 600)), [0..256, 256..512, 512..600]);
        assert_eq!(chunks([MAX_CHUNK_BYTES, 1, 1, MAX_CHUNK_BYTES * 2, 1].into_iter()), [0..1, 1..3, 3..4, 4..5]);
    }
}
