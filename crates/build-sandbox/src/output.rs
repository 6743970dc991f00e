//! Bytes of two pipes to lines: split on bytes, decoded lossily, capped.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter};

use crate::progress::{Event, LineEnd, Reporter, Stream};

/// Bytes of one line that are kept; the rest is only counted.
pub(crate) const LINE_CAP: usize = 64 << 10;
/// Bytes of output that an error shows.
const TAIL_CAP: usize = 8 << 10;

/// Splits one stream. Holds at most one unfinished line.
#[derive(Debug)]
pub(crate) struct Splitter {
    stream: Stream,
    partial: Vec<u8>,
    dropped: u64,
    /// The last line ended in a carriage return whose newline may still come.
    after_return: bool,
}

impl Splitter {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            partial: Vec::new(),
            dropped: 0,
            after_return: false,
        }
    }

    /// Reports every line that `chunk` completes and keeps the rest.
    pub(crate) fn push(&mut self, mut chunk: &[u8], reporter: &dyn Reporter) {
        if self.after_return && !chunk.is_empty() {
            self.after_return = false;
            if chunk[0] == b'\n' {
                // The newline of a pair that the pipe cut in two: nothing new was written.
                chunk = &chunk[1..];
            }
        }
        if memchr(b'\r', chunk).is_some() {
            self.push_with_returns(chunk, reporter);
            return;
        }
        let Some(first) = memchr(b'\n', chunk) else {
            self.keep(chunk);
            return;
        };
        let mut start = 0;
        if !self.partial.is_empty() || self.dropped > 0 {
            self.finish_line(&chunk[..first], LineEnd::Newline, reporter);
            start = first + 1;
        }
        let rest = &chunk[start..];
        let Some(last) = memchr::memrchr(b'\n', rest) else {
            self.keep(rest);
            return;
        };
        let complete = &rest[..last];
        // One check for the whole block instead of one for each line.
        if let Ok(text) = simdutf8::basic::from_utf8(complete) {
            let mut from = 0;
            for newline in memchr_iter(b'\n', text.as_bytes()) {
                self.emit_str(&text[from..newline], reporter);
                from = newline + 1;
            }
            self.emit_str(&text[from..], reporter);
        } else {
            for line in complete.split(|b| *b == b'\n') {
                self.emit(line, 0, LineEnd::Newline, reporter);
            }
        }
        self.keep(&rest[last + 1..]);
    }

    fn push_with_returns(&mut self, mut chunk: &[u8], reporter: &dyn Reporter) {
        while let Some(at) = memchr::memchr2(b'\n', b'\r', chunk) {
            let end = if chunk[at] == b'\n' {
                LineEnd::Newline
            } else if chunk.get(at + 1) == Some(&b'\n') {
                self.finish_line(&chunk[..at], LineEnd::Newline, reporter);
                chunk = &chunk[at + 2..];
                continue;
            } else {
                self.after_return = at + 1 == chunk.len();
                LineEnd::CarriageReturn
            };
            self.finish_line(&chunk[..at], end, reporter);
            chunk = &chunk[at + 1..];
        }
        self.keep(chunk);
    }

    /// Reports the last line if it has no terminator.
    pub(crate) fn finish(&mut self, reporter: &dyn Reporter) {
        if !self.partial.is_empty() || self.dropped > 0 {
            self.finish_line(&[], LineEnd::EndOfStream, reporter);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE_CAP.saturating_sub(self.partial.len()).min(bytes.len());
        self.partial.extend_from_slice(&bytes[..room]);
        self.dropped += (bytes.len() - room) as u64;
    }

    fn finish_line(&mut self, bytes: &[u8], end: LineEnd, reporter: &dyn Reporter) {
        self.keep(bytes);
        let mut line = std::mem::take(&mut self.partial);
        let dropped = std::mem::take(&mut self.dropped);
        self.emit(&line, dropped, end, reporter);
        line.clear();
        self.partial = line;
    }

    fn emit(&self, line: &[u8], dropped: u64, end: LineEnd, reporter: &dyn Reporter) {
        let kept = &line[..line.len().min(LINE_CAP)];
        let dropped = dropped + (line.len() - kept.len()) as u64;
        let text = String::from_utf8_lossy(kept);
        reporter.report(Event::Output {
            stream: self.stream,
            text,
            end,
            dropped,
        });
    }

    fn emit_str(&self, line: &str, reporter: &dyn Reporter) {
        if line.len() > LINE_CAP {
            self.emit(line.as_bytes(), 0, LineEnd::Newline, reporter);
        } else {
            reporter.report(Event::Output {
                stream: self.stream,
                text: Cow::Borrowed(line),
                end: LineEnd::Newline,
                dropped: 0,
            });
        }
    }
}

/// The last bytes of both streams, in the order in which they were read.
#[derive(Debug, Default)]
pub(crate) struct TailBuffer {
    bytes: Vec<u8>,
}

impl TailBuffer {
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        let chunk = &chunk[chunk.len().saturating_sub(TAIL_CAP)..];
        // Twice the cap, so that small writes do not move the buffer each time.
        if self.bytes.len() + chunk.len() > 2 * TAIL_CAP {
            let surplus = (self.bytes.len() + chunk.len() - TAIL_CAP).min(self.bytes.len());
            self.bytes.drain(..surplus);
        }
        self.bytes.extend_from_slice(chunk);
    }

    pub(crate) fn text(&self) -> String {
        let mut bytes = &self.bytes[self.bytes.len().saturating_sub(TAIL_CAP)..];
        if bytes.len() < self.bytes.len()
            && let Some(newline) = memchr(b'\n', bytes)
        {
            bytes = &bytes[newline + 1..];
        }
        String::from_utf8_lossy(bytes)
            .replace('\r', "\n")
            .trim_end()
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;

    type Line = (String, LineEnd, u64);
    type Case = (&'static [&'static [u8]], &'static [(&'static str, LineEnd)]);

    fn lines(chunks: &[&[u8]]) -> Vec<Line> {
        let seen = Mutex::new(Vec::new());
        let reporter = |event: Event<'_>| {
            if let Event::Output {
                text, end, dropped, ..
            } = event
            {
                seen.lock().unwrap().push((text.into_owned(), end, dropped));
            }
        };
        let mut splitter = Splitter::new(Stream::Stdout);
        for chunk in chunks {
            splitter.push(chunk, &reporter);
        }
        splitter.finish(&reporter);
        seen.into_inner().unwrap()
    }

    #[test]
    fn lines_are_split() {
        use LineEnd::{CarriageReturn as R, EndOfStream as E, Newline as N};
        let cases: &[Case] = &[
            (&[b""], &[]),
            (&[b"a\nb\n"], &[("a", N), ("b", N)]),
            (&[b"a\nb"], &[("a", N), ("b", E)]),
            (&[b"a", b"b\n\n", b"c\n"], &[("ab", N), ("", N), ("c", N)]),
            (&[b"1%\r2%\r3%\n"], &[("1%", R), ("2%", R), ("3%", N)]),
            (&[b"dos\r\nunix\n"], &[("dos", N), ("unix", N)]),
            (&[b"dos\r", b"\nunix\n"], &[("dos", R), ("unix", N)]),
            (&[b"a\xff\nb\n"], &[("a\u{fffd}", N), ("b", N)]),
            (&[b"caf\xc3", b"\xa9\n"], &[("caf\u{e9}", N)]),
        ];
        for (chunks, expected) in cases {
            let expected: Vec<Line> = expected
                .iter()
                .map(|(text, end)| ((*text).to_owned(), *end, 0))
                .collect();
            assert_eq!(lines(chunks), expected, "{chunks:?}");
        }
    }

    #[test]
    fn an_endless_line_is_capped_and_counted() {
        let block = vec![b'x'; 100_000];
        let seen = lines(&[&block, &block, b"\nnext\n"]);
        assert_eq!(seen[0].0.len(), LINE_CAP);
        assert_eq!(seen[0].2, 200_000 - LINE_CAP as u64);
        assert_eq!(seen[1].0, "next");
        let whole = lines(&[&[&block[..], b"\nnext\n"].concat()]);
        assert_eq!(
            (whole[0].0.len(), whole[0].2),
            (LINE_CAP, 100_000 - LINE_CAP as u64)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn where_a_chunk_ends_does_not_matter(
            bytes in prop::collection::vec(prop::sample::select(&b"ab\n\xff\xc3\xa9"[..]), 0..200),
            cuts in prop::collection::vec(0usize..200, 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(lines(&chunks), lines(&[&bytes]));
        }

        #[test]
        fn the_tail_is_the_end(chunks in prop::collection::vec(prop::collection::vec(b'a'..=b'z', 0..20_000), 0..5)) {
            let mut tail = TailBuffer::default();
            for chunk in &chunks {
                tail.push(chunk);
            }
            let all = chunks.concat();
            let text = tail.text();
            prop_assert!(all.ends_with(text.as_bytes()));
            prop_assert!(text.len() == all.len().min(TAIL_CAP));
        }
    }
}
