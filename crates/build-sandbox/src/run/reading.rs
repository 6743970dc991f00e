//! What comes over the pipes.

use std::io;

use super::{Cause, Driver, READ_SIZE};
use crate::sys::status::{self, Message, Watched};
use tokio::time::Instant;

/// Reads of one stream before the others get a look.
const READS_IN_A_ROW: usize = 16;
const RESULT_MAX: usize = 4 << 20;
const CAPTURE_MAX: usize = 64 << 10;

impl Driver<'_> {
    pub(super) fn read_status(&mut self) {
        let Some(pipe) = &self.status else { return };
        let mut bytes = [0; 8 * status::SIZE];
        match pipe.try_read(&mut bytes) {
            Ok(0) => self.status = None,
            Ok(count) => self.messages.extend_from_slice(&bytes[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.status = None,
        }
        while let Some((message, rest)) = self.messages.split_first_chunk() {
            let message = Message::decode(message);
            self.messages = rest.to_vec();
            match message {
                Some(Message::SetupFailed { step, errno, index }) => {
                    tracing::debug!(step, errno, index, "sandbox set-up failed");
                    self.ended.setup_failed = Some((step, io::Error::from_raw_os_error(errno)));
                }
                Some(Message::Exited { status }) => self.ended.status = Some(status),
                Some(Message::Breach { limit, used }) => {
                    let cause = match limit {
                        Watched::Memory => Cause::Memory { used },
                        Watched::Processes => Cause::Processes { used },
                        Watched::OpenFiles => Cause::OpenFiles,
                    };
                    // The supervisor is already killing.
                    self.ended.cause.get_or_insert(cause);
                    self.kill();
                }
                Some(Message::Unlinked { bytes }) => self.unlinked = bytes,
                Some(Message::Finished {
                    proven,
                    peak_memory,
                }) => {
                    self.ended.finished = true;
                    self.ended.proven = proven;
                    self.ended.peak_memory = peak_memory;
                    // The last message; the end of the pipe would only wake this task once more.
                    self.status = None;
                }
                None => {}
            }
        }
    }

    pub(super) async fn read_output(&mut self, which: usize) {
        for _ in 0..READS_IN_A_ROW {
            // Cancelled or not, it is read once: a ready pipe that nobody reads would stay ready.
            if !self.read_once(which).await || self.token.is_cancelled() {
                return;
            }
        }
        // A build that writes without end must not keep the caller's other futures waiting.
        tokio::task::yield_now().await;
    }

    /// Returns whether more may be there.
    async fn read_once(&mut self, which: usize) -> bool {
        let output = &mut self.outputs[which];
        let Some(pipe) = &output.pipe else {
            return false;
        };
        let count = match pipe.try_read(&mut self.buffer) {
            Ok(count) if count > 0 => {
                if count == self.buffer.len() && count < READ_SIZE {
                    self.buffer.resize(READ_SIZE, 0);
                }
                count
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Ok(_) | Err(_) => {
                output.pipe = None;
                return false;
            }
        };
        let chunk = &self.buffer[..count];
        output.splitter.push(chunk, self.reporter);
        self.tail.push(chunk);
        self.ended.bytes += count as u64;
        if self.job.capture && which == 0 {
            let room = CAPTURE_MAX
                .saturating_sub(self.ended.captured.len())
                .min(count);
            self.ended.captured.extend_from_slice(&chunk[..room]);
        }
        if let Some(log) = &mut self.job.log {
            tokio::select! {
                () = log.push(chunk) => {}
                // A disk that does not answer must not delay the end.
                () = self.token.cancelled() => {}
            }
        }
        self.last_output = Instant::now();
        if self.ended.bytes > self.job.limits.log {
            self.end(Cause::LogSize);
        }
        true
    }

    pub(super) fn read_result(&mut self) {
        let Some(pipe) = &self.result else { return };
        match pipe.try_read(&mut self.buffer) {
            Ok(0) => self.result = None,
            Ok(count) => {
                let full = count == self.buffer.len();
                let room = RESULT_MAX
                    .saturating_sub(self.ended.result.len())
                    .min(count);
                self.ended.result.extend_from_slice(&self.buffer[..room]);
                if full && count < READ_SIZE {
                    self.buffer.resize(READ_SIZE, 0);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.result = None,
        }
    }
}
