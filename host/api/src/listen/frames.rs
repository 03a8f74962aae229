//! How far a client is within what it sends, by the frames of HTTP/2 (RFC 9113, section 4.1).
//!
//! The library waits for the rest of a frame, or of a block of headers, for as long as the client likes. Here it is only seen where
//! one begins and ends, so that its time can be limited.

/// What a client sends before its first frame: RFC 9113, section 3.4.
const PREFACE_BYTES: usize = 24;
/// Length, type, flags and stream.
const FRAME_HEADER_BYTES: usize = 9;
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;

/// What a client has begun to send, and not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfinished {
    /// What every connection begins with.
    Preface,
    /// The headers of a call.
    Headers,
    /// Any other frame.
    Frame,
}

/// Follows what a client sends.
#[derive(Debug, Default)]
pub(super) struct FrameScanner {
    preface: usize,
    header: [u8; FRAME_HEADER_BYTES],
    header_bytes: usize,
    payload_left: usize,
    /// Whether headers were begun, which may be continued in further frames.
    in_headers: bool,
    /// Whether they end with this frame.
    ends_headers: bool,
    /// Counts what was begun, so that one unfinished frame is told from the next.
    begun: u64,
}

impl FrameScanner {
    /// Reads on.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = if self.preface < PREFACE_BYTES {
                skip(bytes, PREFACE_BYTES - self.preface, |skipped| self.preface += skipped)
            } else if self.payload_left > 0 {
                let rest = skip(bytes, self.payload_left, |skipped| self.payload_left -= skipped);
                self.end_frame();
                rest
            } else {
                self.read_header(bytes)
            };
        }
    }

    /// What is unfinished, and which one it is: the same number for as long as it is the same.
    pub(super) const fn unfinished(&self) -> Option<(Unfinished, u64)> {
        let what = if self.preface < PREFACE_BYTES {
            Unfinished::Preface
        } else if self.in_headers {
            Unfinished::Headers
        } else if self.header_bytes > 0 || self.payload_left > 0 {
            Unfinished::Frame
        } else {
            return None;
        };
        Some((what, self.begun))
    }

    fn read_header<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if self.header_bytes == 0 && !self.in_headers {
            self.begun += 1;
        }
        let Some((first, rest)) = bytes.split_first() else { return bytes };
        if let Some(byte) = self.header.get_mut(self.header_bytes) {
            *byte = *first;
            self.header_bytes += 1;
        }
        if self.header_bytes == FRAME_HEADER_BYTES {
            let [high, middle, low, kind, flags, ..] = self.header;
            self.header_bytes = 0;
            self.payload_left = u32::from_be_bytes([0, high, middle, low]) as usize;
            self.in_headers |= matches!(kind, HEADERS | CONTINUATION);
            self.ends_headers = flags & END_HEADERS != 0;
            self.end_frame();
        }
        rest
    }

    fn end_frame(&mut self) {
        if self.payload_left == 0 && self.ends_headers {
            self.in_headers = false;
        }
    }
}

/// What comes after at most so many bytes.
fn skip(bytes: &[u8], most: usize, skipped: impl FnOnce(usize)) -> &[u8] {
    let (past, rest) = bytes.split_at(most.min(bytes.len()));
    skipped(past.len());
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn frame(kind: u8, flags: u8, payload: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, payload, kind, flags, 0, 0, 0, 1];
        frame.resize(FRAME_HEADER_BYTES + usize::from(payload), 0xff);
        frame
    }

    /// What is unfinished after each byte.
    fn states(bytes: &[u8]) -> Vec<Option<Unfinished>> {
        let mut scanner = FrameScanner::default();
        let state = |byte: &u8| {
            scanner.read(&[*byte]);
            scanner.unfinished().map(|(what, _)| what)
        };
        bytes.iter().map(state).collect()
    }

    #[test]
    fn a_frame_is_unfinished_from_its_first_byte_to_its_last() {
        let data = frame(0x0, END_HEADERS, 3);
        let states = states(&[PREFACE, &data, &frame(0x4, 0, 0)].concat());
        let (preface, rest) = states.split_at(PREFACE_BYTES - 1);
        assert!(preface.iter().all(|state| *state == Some(Unfinished::Preface)));
        let frame = |bytes: usize| [vec![Some(Unfinished::Frame); bytes - 1], vec![None]].concat();
        assert_eq!(rest, [vec![None], frame(data.len()), frame(FRAME_HEADER_BYTES)].concat());
    }

    #[test]
    fn headers_are_unfinished_until_their_last_continuation_ends() {
        let headers = [frame(HEADERS, 0, 2), frame(CONTINUATION, 0, 0), frame(CONTINUATION, END_HEADERS, 1)].concat();
        let states = states(&[PREFACE, &headers].concat());
        let of_headers = &states[PREFACE_BYTES..];
        let known_from = FRAME_HEADER_BYTES - 1;
        assert!(of_headers[..known_from].iter().all(|state| *state == Some(Unfinished::Frame)));
        assert!(of_headers[known_from..headers.len() - 1].iter().all(|state| *state == Some(Unfinished::Headers)));
        assert_eq!(of_headers[headers.len() - 1], None);
    }

    #[test]
    fn what_is_begun_has_one_number_until_it_ends() {
        let mut scanner = FrameScanner::default();
        scanner.read(PREFACE);
        let mut seen = Vec::new();
        for part in
            [&frame(HEADERS, 0, 2)[..10], &frame(HEADERS, 0, 2)[10..], &frame(CONTINUATION, END_HEADERS, 1)[..9]]
        {
            scanner.read(part);
            seen.push(scanner.unfinished());
        }
        assert_eq!(seen, [Some((Unfinished::Headers, 1)); 3]);
        scanner.read(&[0, 0]);
        assert_eq!(scanner.unfinished(), Some((Unfinished::Frame, 2)));
    }
}
