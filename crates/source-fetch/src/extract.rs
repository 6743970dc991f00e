//! Unpacks archives the way makepkg does, by content and within limits.

mod alongside;
mod ar;
mod attributes;
mod compress;
mod cpio;
mod follow;
mod format;
mod members;
mod path;
mod plain;
mod sevenzip;
mod tar;
mod tree;
mod zip;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use crate::error::{ExtractProblem, FetchError};
use crate::policy::ExtractLimits;
pub(crate) use alongside::Alongside;
pub(crate) use attributes::{UMASK, has_other_umask, open_directory, set_times};
pub(crate) use follow::Arrived;
use format::Container;
pub(crate) use format::Packing;
pub(crate) use path::check_links;
pub(crate) use plain::unpacked;
pub(crate) use tree::Extraction;
use tree::Tree;

/// Bytes of the beginning that tell a format.
const HEAD: usize = 512;

/// What became of a file that may be an archive.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It was unpacked.
    Extracted(Extraction),
    /// It is no archive and stays as it is.
    Kept,
}

/// Why unpacking stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    Refused {
        member: Option<String>,
        problem: ExtractProblem,
    },
    Space(Box<FetchError>),
    Cancelled,
}

impl Stop {
    fn member(name: &[u8], problem: ExtractProblem) -> Self {
        // A name can be as long as its record; a message need not.
        let shown = &name[..name.len().min(512)];
        Self::Refused {
            member: Some(String::from_utf8_lossy(shown).into_owned()),
            problem,
        }
    }

    fn archive(problem: ExtractProblem) -> Self {
        Self::Refused {
            member: None,
            problem,
        }
    }

    fn read(error: io::Error) -> Self {
        Self::archive(match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged("it ends early"),
            _ => ExtractProblem::Io(error),
        })
    }

    fn io(path: &Path, error: io::Error) -> Self {
        match crate::space::io_error("create", path.to_owned(), error) {
            full @ FetchError::NoSpace { .. } => Self::Space(Box::new(full)),
            FetchError::Io { problem, .. } => Self::archive(ExtractProblem::Io(problem)),
            _ => Self::Cancelled,
        }
    }

    /// Makes the public error for the archive `name`.
    pub(crate) fn into_error(self, name: &str) -> FetchError {
        match self {
            Self::Refused { member, problem } => FetchError::Extract {
                archive: name.to_owned(),
                member,
                problem,
            },
            Self::Space(error) => *error,
            Self::Cancelled => FetchError::Cancelled,
        }
    }
}

fn damaged(reason: &str) -> ExtractProblem {
    ExtractProblem::Damaged {
        reason: reason.to_owned(),
    }
}

/// One file to unpack.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// Its name in `srcdir`; the extension decides for a single compressed file.
    pub(crate) name: String,
    /// A private directory that the members go to.
    pub(crate) root: PathBuf,
    pub(crate) limits: ExtractLimits,
    pub(crate) token: CancellationToken,
}

/// Counts what is read from the packed side, and fails once the token is cancelled: a decoder can
/// read gigabytes, such as empty streams, before it gives a byte.
struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
    token: CancellationToken,
}

impl<R> Counted<R> {
    fn check(&self) -> io::Result<()> {
        if self.token.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        Ok(())
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        let count = self.inner.read(buffer)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.check()?;
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.count.fetch_add(amount as u64, Ordering::Relaxed);
        self.inner.consume(amount);
    }
}

/// Unpacks a whole file.
pub(crate) fn from_file(job: &Job, file: File) -> Result<Outcome, Stop> {
    or_cancelled(job, whole(job, file))
}

/// What fails because it was cancelled says so.
fn or_cancelled<T>(job: &Job, result: Result<T, Stop>) -> Result<T, Stop> {
    match result {
        Err(_) if job.token.is_cancelled() => Err(Stop::Cancelled),
        result => result,
    }
}

fn whole(job: &Job, mut file: File) -> Result<Outcome, Stop> {
    file.seek(SeekFrom::Start(0)).map_err(Stop::read)?;
    let head = read_head(&mut file).map_err(Stop::read)?;
    file.seek(SeekFrom::Start(0)).map_err(Stop::read)?;
    let size = file.metadata().map_err(Stop::read)?.len();
    let mut container = format::detect(&head);
    if container == Container::Plain(Packing::None)
        && !is_stream(&head)
        && zip::is_behind(&mut file).map_err(Stop::read)?
    {
        container = Container::Zip;
    }
    if let Container::Plain(packing) = container {
        let count = Arc::new(AtomicU64::new(0));
        let input = Counted {
            inner: BufReader::with_capacity(256 * 1024, file),
            count: Arc::clone(&count),
            token: job.token.clone(),
        };
        return unpack_stream(job, packing, input, count);
    }
    let packed = Arc::new(AtomicU64::new(size));
    let mut tree = Tree::new(&job.root, &job.limits, &job.token, packed)?;
    match container {
        Container::Zip => zip::extract(file, &mut tree)?,
        Container::Ar => ar::extract(&mut BufReader::new(file), &mut tree)?,
        Container::SevenZip => sevenzip::extract(file, &mut tree)?,
        Container::Unsupported(format) => {
            return Err(Stop::archive(ExtractProblem::Unsupported { format }));
        }
        Container::Plain(_) => return Ok(Outcome::Kept),
    }
    tree.finish().map(Outcome::Extracted)
}

/// Unpacks what can be read from front to end; nothing when the format, such as zip, cannot.
fn from_stream(job: &Job, input: impl Read) -> Result<Option<Outcome>, Stop> {
    or_cancelled(job, stream(job, input))
}

fn stream(job: &Job, mut input: impl Read) -> Result<Option<Outcome>, Stop> {
    let head = read_head(&mut input).map_err(Stop::read)?;
    let container = format::detect(&head);
    let is_plain_stream = is_stream(&head);
    let count = Arc::new(AtomicU64::new(0));
    let mut input = Counted {
        inner: BufReader::with_capacity(256 * 1024, Cursor::new(head).chain(input)),
        count: Arc::clone(&count),
        token: job.token.clone(),
    };
    match container {
        // It may be a program with a zip behind it.
        Container::Plain(Packing::None) if !is_plain_stream => Ok(None),
        Container::Plain(packing) => unpack_stream(job, packing, input, count).map(Some),
        Container::Ar => {
            let mut tree = Tree::new(&job.root, &job.limits, &job.token, count)?;
            ar::extract(&mut input, &mut tree)?;
            tree.finish().map(|done| Some(Outcome::Extracted(done)))
        }
        Container::Zip | Container::SevenZip => Ok(None),
        Container::Unsupported(format) => {
            Err(Stop::archive(ExtractProblem::Unsupported { format }))
        }
    }
}

fn unpack_stream(
    job: &Job,
    packing: Packing,
    input: impl BufRead,
    count: Arc<AtomicU64>,
) -> Result<Outcome, Stop> {
    let mut content = format::decoder(packing, input).map_err(Stop::read)?;
    let head = match read_head(&mut content) {
        Ok(head) => head,
        // Data that only looks compressed is kept, as `file` would not know it either.
        Err(_) if !format::has_extension(packing, &job.name) => return Ok(Outcome::Kept),
        Err(error) => return Err(Stop::read(error)),
    };
    if is_stream(&head) {
        let is_tar = tar::is_tar(&head);
        let mut tree = Tree::new(&job.root, &job.limits, &job.token, count)?;
        let mut content = Cursor::new(head).chain(content);
        if is_tar {
            tar::extract(&mut content, &mut tree)?;
        } else {
            cpio::extract(&mut content, &mut tree)?;
        }
        drain(&mut content, packing, &mut tree)?;
        return tree.finish().map(Outcome::Extracted);
    }
    if !format::has_extension(packing, &job.name) {
        return Ok(Outcome::Kept);
    }
    // `foo.gz` becomes `foo`; makepkg, source/file.sh.
    let Some((stem, _)) = job
        .name
        .rsplit_once('.')
        .filter(|(stem, _)| !stem.is_empty())
    else {
        return Ok(Outcome::Kept);
    };
    let mut tree = Tree::new(&job.root, &job.limits, &job.token, count)?;
    if let Some(path) = tree.enter(stem.as_bytes())? {
        let mut content = Cursor::new(head).chain(content);
        tree.stream(stem.as_bytes(), &path, 0o666, &mut content)?;
    }
    tree.finish().map(Outcome::Extracted)
}

/// Whether an archive begins so that is read from front to end.
fn is_stream(head: &[u8]) -> bool {
    tar::is_tar(head) || cpio::is_cpio(head)
}

/// Reads what follows the archive, so that the stream's own checksum is compared.
fn drain(content: &mut dyn Read, packing: Packing, tree: &mut Tree<'_>) -> Result<(), Stop> {
    if packing == Packing::None {
        return Ok(());
    }
    let mut buffer = [0; 16 * 1024];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => tree.charge(b"", count as u64)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Stop::read(error)),
        }
    }
}

fn read_head(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD);
    input.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Gives an empty gzip stream again and again, and cancels after some.
    struct Empty {
        stream: Cursor<Vec<u8>>,
        left: u32,
        token: CancellationToken,
    }

    impl Read for Empty {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.stream.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            // Without an end, a decoder that asks nobody would go on for ever.
            match self.left.checked_sub(1) {
                Some(left) => self.left = left,
                None => self.token.cancel(),
            }
            self.stream.set_position(0);
            self.stream.read(buffer)
        }
    }

    #[test]
    fn a_decoder_that_gives_nothing_is_cancelled() {
        let stream = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast())
            .finish()
            .unwrap();
        let root = tempfile::tempdir().unwrap();
        let token = CancellationToken::new();
        let job = Job {
            name: "a.tar.gz".to_owned(),
            root: root.path().join("a"),
            limits: ExtractLimits::default(),
            token: token.clone(),
        };
        let input = Empty {
            stream: Cursor::new(stream),
            left: 1_000,
            token,
        };
        let result = from_stream(&job, input);
        assert!(matches!(result, Err(Stop::Cancelled)), "{result:?}");
    }
}
