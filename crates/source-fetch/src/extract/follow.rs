//! A file that is read while another thread still appends to it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that must have come before the reader is woken: a wake-up for each packet costs more than it brings.
const STEP: u64 = 256 * 1024;

/// How much of a file is there; shared by the one that writes it and the one that follows.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: u64,
    told: u64,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    Abandoned,
}

impl Arrived {
    /// Says that the file holds `bytes` bytes now.
    pub(crate) fn advance(&self, bytes: u64) {
        let mut state = self.state();
        state.bytes = bytes;
        if bytes >= state.told.saturating_add(STEP) {
            state.told = bytes;
            self.changed.notify_one();
        }
    }

    /// Says that nothing more comes and everything is there.
    pub(crate) fn finish(&self) {
        self.end(End::Whole);
    }

    /// Says that what has come is void; the reader fails at once.
    pub(crate) fn abandon(&self) {
        self.end(End::Abandoned);
    }

    fn end(&self, end: End) {
        self.state().end = Some(end);
        self.changed.notify_one();
    }

    /// Waits for bytes after `offset`; zero is the end.
    fn wait(&self, offset: u64) -> io::Result<u64> {
        let mut state = self.state();
        loop {
            let available = state.bytes.saturating_sub(offset);
            match state.end {
                Some(End::Abandoned) => return Err(io::Error::other("the download was given up")),
                Some(End::Whole) => return Ok(available),
                None if available > 0 => return Ok(available),
                None => {
                    state = self
                        .changed
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads from the beginning and waits for what has not come yet.
#[derive(Debug)]
pub(super) struct Follower {
    file: File,
    offset: u64,
    arrived: Arc<Arrived>,
}

impl Follower {
    pub(super) fn new(file: File, arrived: Arc<Arrived>) -> Self {
        Self {
            file,
            offset: 0,
            arrived,
        }
    }
}

impl Read for Follower {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.arrived.wait(self.offset)?;
        let want = usize::try_from(available).map_or(buffer.len(), |some| some.min(buffer.len()));
        let count = self.file.read_at(&mut buffer[..want], self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::*;

    #[test]
    fn what_is_appended_is_read_and_no_more() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let arrived = Arc::new(Arrived::default());
        let mut follower = Follower::new(file.reopen().unwrap(), Arc::clone(&arrived));
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            follower.read_to_end(&mut all).map(|_| all)
        });
        let text: Vec<u8> = (0..=u8::MAX).cycle().take(1_000_003).collect();
        let mut length = 0;
        for chunk in text.chunks(70_001) {
            file.write_all(chunk).unwrap();
            length += chunk.len() as u64;
            arrived.advance(length);
        }
        file.write_all(b"not announced").unwrap();
        arrived.finish();
        assert_eq!(reader.join().unwrap().unwrap(), text);
    }

    #[test]
    fn a_reader_that_waits_learns_that_the_rest_never_comes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let arrived = Arc::new(Arrived::default());
        let mut follower = Follower::new(file.reopen().unwrap(), Arc::clone(&arrived));
        let reader = std::thread::spawn(move || follower.read(&mut [0; 16]));
        arrived.abandon();
        assert!(reader.join().unwrap().is_err());
    }
}
