//! gzip and bzip2 files of several streams. What follows the last one is ignored, as gzip(1), bzip2(1) and bsdtar(1) do,
//! however short it is; the decoders' own loops take a few bytes for a stream that is cut off.

use std::io::{self, BufRead, Cursor, Read};

/// Bytes that are looked at to tell another stream.
const MAGIC: usize = 3;

/// What is left of the input behind bytes that were looked at.
type Rest<R> = io::Chain<Cursor<Vec<u8>>, R>;

/// One kind of stream.
pub(super) trait Kind {
    type Decoder<R: BufRead>: Read;

    /// Whether a stream begins so.
    fn begins(head: &[u8]) -> bool;
    fn open<R: BufRead>(input: R) -> Self::Decoder<R>;
    fn close<R: BufRead>(decoder: Self::Decoder<R>) -> R;
}

pub(super) struct Gzip;

impl Kind for Gzip {
    type Decoder<R: BufRead> = flate2::bufread::GzDecoder<R>;

    fn begins(head: &[u8]) -> bool {
        head.starts_with(b"\x1f\x8b\x08")
    }

    fn open<R: BufRead>(input: R) -> Self::Decoder<R> {
        flate2::bufread::GzDecoder::new(input)
    }

    fn close<R: BufRead>(decoder: Self::Decoder<R>) -> R {
        decoder.into_inner()
    }
}

pub(super) struct Bzip2;

impl Kind for Bzip2 {
    type Decoder<R: BufRead> = bzip2::bufread::BzDecoder<R>;

    fn begins(head: &[u8]) -> bool {
        head.starts_with(b"BZh")
    }

    fn open<R: BufRead>(input: R) -> Self::Decoder<R> {
        bzip2::bufread::BzDecoder::new(input)
    }

    fn close<R: BufRead>(decoder: Self::Decoder<R>) -> R {
        decoder.into_inner()
    }
}

/// The streams of a file, one after the other.
pub(super) struct Members<K: Kind, R: BufRead> {
    now: Option<K::Decoder<Rest<R>>>,
}

impl<K: Kind, R: BufRead> Members<K, R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            now: Some(K::open(Cursor::new(Vec::new()).chain(input))),
        }
    }

    /// Begins with the next stream, if there is one.
    fn next(&mut self) -> io::Result<()> {
        let Some(ended) = self.now.take() else {
            return Ok(());
        };
        let (before, mut input) = K::close(ended).into_inner();
        let start = usize::try_from(before.position()).unwrap_or(usize::MAX);
        let mut head = before
            .into_inner()
            .get(start..)
            .unwrap_or_default()
            .to_vec();
        let missing = MAGIC.saturating_sub(head.len()) as u64;
        input.by_ref().take(missing).read_to_end(&mut head)?;
        if K::begins(&head) {
            self.now = Some(K::open(Cursor::new(head).chain(input)));
        }
        Ok(())
    }
}

impl<K: Kind, R: BufRead> Read for Members<K, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.now {
            let count = decoder.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            self.next()?;
        }
        Ok(0)
    }
}
