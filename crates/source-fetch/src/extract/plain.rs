//! The content of a compressed file, for a signature that is over the unpacked bytes.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use super::Counted;
use super::format::{self, Packing};
use super::tree::RATIO_FROM;
use crate::error::ExtractProblem;
use crate::policy::ExtractLimits;

/// Reads `file` without its compression; beyond the limits, reading fails with [`ExtractProblem`].
///
/// # Errors
/// When the stream cannot be set up.
pub(crate) fn unpacked(
    file: File,
    packing: Packing,
    limits: &ExtractLimits,
    token: &CancellationToken,
) -> io::Result<Box<dyn Read>> {
    let packed = Arc::new(AtomicU64::new(0));
    let input = Counted {
        inner: BufReader::with_capacity(256 * 1024, file),
        count: Arc::clone(&packed),
        token: token.clone(),
    };
    Ok(Box::new(Unpacked {
        inner: format::decoder(packing, input)?,
        packing,
        packed,
        bytes: 0,
        limits: limits.clone(),
    }))
}

struct Unpacked {
    inner: Box<dyn Read>,
    packing: Packing,
    packed: Arc<AtomicU64>,
    bytes: u64,
    limits: ExtractLimits,
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes += count as u64;
        let packed = self.packed.load(Ordering::Relaxed).max(1);
        let limits = &self.limits;
        // What is not packed is bounded by the download already.
        if self.packing != Packing::None {
            if self.bytes > limits.max_bytes {
                return Err(io::Error::other(ExtractProblem::TooManyBytes {
                    limit: limits.max_bytes,
                }));
            }
            if self.bytes > RATIO_FROM && self.bytes / packed > limits.max_ratio {
                return Err(io::Error::other(ExtractProblem::Ratio {
                    limit: limits.max_ratio,
                }));
            }
        }
        Ok(count)
    }
}
