//! An unfinished download on disk.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::request::Ask;
use crate::cache::{self, Entry, EntryLock, Meta};
use crate::checksum::{Algorithm, Hashers, copy_hashed};
use crate::error::FetchError;
use crate::extract::Arrived;

/// Chunks between the connection and the disk; each is at most a few hundred KiB.
const CHANNEL: usize = 8;

/// The bytes that have arrived so far, and their digests.
#[derive(Debug)]
pub(super) struct Part {
    entry: Entry,
    lock: Arc<EntryLock>,
    url_digest: String,
    body: Option<Body>,
    length: u64,
    meta: Option<Meta>,
    /// Whether the bytes came in more than one answer.
    pieced: bool,
}

struct Body {
    file: File,
    hashers: Hashers,
}

impl std::fmt::Debug for Body {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Body").finish_non_exhaustive()
    }
}

/// Takes the bytes of one answer on a thread that may block.
pub(super) struct Writer {
    sender: mpsc::Sender<Bytes>,
    handle: JoinHandle<Result<(Body, u64), FetchError>>,
}

impl Writer {
    /// Hands over a chunk; tells whether the writer still takes any.
    pub(super) async fn write(&mut self, chunk: Bytes) -> bool {
        self.sender.send(chunk).await.is_ok()
    }
}

impl Part {
    /// Opens what an earlier download has left, or an empty file.
    pub(super) fn open(
        entry: Entry,
        lock: Arc<EntryLock>,
        url_digest: String,
        algorithms: &[Algorithm],
        token: &CancellationToken,
    ) -> Result<Self, FetchError> {
        let path = entry.part();
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(FetchError::io("open", &path))?;
        let mut hashers = Hashers::new(algorithms.iter().copied());
        let meta = cache::read_meta(&entry.part_meta()).filter(|meta| {
            meta.url_digest == url_digest && (has_validator(meta) || entry.is_content_addressed())
        });
        let length = if meta.is_some() {
            copy_hashed(&mut file, &mut hashers, &mut io::sink(), |_| {
                if token.is_cancelled() {
                    return Err(io::Error::other("cancelled"));
                }
                Ok(())
            })
        } else {
            file.set_len(0).map(|()| 0)
        };
        if token.is_cancelled() {
            return Err(FetchError::Cancelled);
        }
        let length = length.map_err(FetchError::io("read", &path))?;
        Ok(Self {
            entry,
            lock,
            url_digest,
            body: Some(Body { file, hashers }),
            length,
            meta: meta.filter(|_| length > 0),
            pieced: length > 0,
        })
    }

    /// Bytes on disk.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn path(&self) -> PathBuf {
        self.entry.part()
    }

    /// Whether bytes of several answers were put together.
    pub(super) fn is_pieced(&self) -> bool {
        self.pieced
    }

    /// What to ask the server for.
    pub(super) fn ask(&self) -> Ask<'_> {
        match &self.meta {
            Some(meta) if self.length > 0 => Ask::From {
                offset: self.length,
                meta,
            },
            _ => Ask::Whole,
        }
    }

    /// Starts from zero; with `meta`, what arrives next can be resumed later.
    pub(super) fn restart(&mut self, meta: Option<&Meta>) -> Result<(), FetchError> {
        let path = self.entry.part();
        if let Some(body) = &mut self.body {
            body.hashers.reset();
            body.file
                .set_len(0)
                .and_then(|()| body.file.seek(SeekFrom::Start(0)))
                .map_err(FetchError::io("truncate", &path))?;
        }
        self.length = 0;
        self.pieced = false;
        self.meta = None;
        if let Some(meta) = meta {
            let meta = Meta {
                url_digest: self.url_digest.clone(),
                ..meta.clone()
            };
            cache::write_meta(&self.entry.part_meta(), &meta)?;
            self.meta =
                Some(meta).filter(|meta| has_validator(meta) || self.entry.is_content_addressed());
        }
        Ok(())
    }

    /// Starts the thread that takes the bytes of one answer and tells `arrived` of them.
    pub(super) fn writer(&mut self, arrived: Option<Arc<Arrived>>) -> Result<Writer, FetchError> {
        let path = self.entry.part();
        let Some(mut body) = self.body.take() else {
            let lost = io::Error::other("an earlier write has failed");
            return Err(FetchError::io("write", path)(lost));
        };
        self.pieced = self.length > 0;
        let (sender, mut receiver) = mpsc::channel::<Bytes>(CHANNEL);
        let (lock, mut length) = (Arc::clone(&self.lock), self.length);
        let handle = tokio::task::spawn_blocking(move || {
            let _lock = lock;
            while let Some(chunk) = receiver.blocking_recv() {
                body.file
                    .write_all(&chunk)
                    .map_err(FetchError::io("write", &path))?;
                length += chunk.len() as u64;
                // Before the digests, which another processor need not wait for.
                if let Some(arrived) = &arrived {
                    arrived.advance(length);
                }
                body.hashers.update(&chunk);
            }
            Ok((body, length))
        });
        Ok(Writer { sender, handle })
    }

    /// Waits until everything handed to the writer is on disk.
    pub(super) async fn rejoin(&mut self, writer: Writer) -> Result<(), FetchError> {
        drop(writer.sender);
        let (body, length) = match writer.handle.await {
            Ok(result) => result?,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Err(FetchError::Cancelled),
        };
        self.body = Some(body);
        self.length = length;
        Ok(())
    }

    /// Leaves an empty part in its place.
    pub(super) fn take(&mut self) -> Self {
        Self {
            entry: self.entry.clone(),
            lock: Arc::clone(&self.lock),
            url_digest: self.url_digest.clone(),
            body: self.body.take(),
            length: self.length,
            meta: self.meta.take(),
            pieced: self.pieced,
        }
    }

    /// The digests and the length of everything.
    pub(super) fn digests(&mut self) -> (Vec<(Algorithm, Vec<u8>)>, u64) {
        let digests = self.body.take().map(|body| body.hashers.finish());
        (digests.unwrap_or_default(), self.length)
    }

    /// Removes it from disk.
    pub(super) fn discard(self) -> Result<(), FetchError> {
        self.entry.drop_part()
    }
}

/// Tells whether a server can be asked for the rest of exactly this; RFC 9110, 13.1.5.
pub(super) fn has_validator(meta: &Meta) -> bool {
    meta.etag.as_ref().is_some_and(|tag| !tag.starts_with("W/")) || meta.last_modified_strong
}
