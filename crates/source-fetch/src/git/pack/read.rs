//! Reads objects out of the packs of a store, without mapping any of them: a mapped pack counts as memory of this
//! process as far as it was touched, and its windows are bounded only by settings of the whole process.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use flate2::Decompress;
use git2::{ObjectType, Oid};
use sha1::Digest as _;
use tokio_util::sync::CancellationToken;

use super::format::{self, Content, ID, MAX_DEPTH, WHOLE, damaged};
use super::window::Window;

/// Bytes before the ids in an index of version 2: what marks it, and how many ids begin with no more than each byte.
const HEAD: usize = 8 + 256 * 4;

/// Where an object lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::git) struct Place {
    pack: usize,
    offset: u64,
}

/// The packs of one store. None is held open, as there may be more than a process may have files.
#[derive(Debug)]
pub(in crate::git) struct Packs {
    packs: Vec<Pack>,
}

#[derive(Debug)]
struct Pack {
    /// Where the index is; the pack is beside it.
    index: PathBuf,
    /// How many ids begin with no more than each byte.
    fanout: [u32; 256],
}

impl Packs {
    /// Opens the packs below the directory `objects`. One with an index of another version is left out.
    pub(in crate::git) fn open(objects: &Path) -> io::Result<Self> {
        let mut packs = Vec::new();
        for entry in fs::read_dir(objects.join("pack"))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            if name.starts_with(b"pack-")
                && name.ends_with(b".idx")
                && let Some(pack) = Pack::open(&path)?
            {
                packs.push(pack);
            }
        }
        Ok(Self { packs })
    }

    /// Finds every object of `ids`, in the order of `ids`.
    pub(in crate::git) fn locate(&self, ids: &[Oid]) -> io::Result<Vec<Option<Place>>> {
        let mut places = vec![None; ids.len()];
        // In order, so that each part of an index is read once.
        let mut order: Vec<usize> = (0..ids.len()).collect();
        order.sort_unstable_by_key(|index| ids[*index]);
        for (number, pack) in self.packs.iter().enumerate() {
            let mut part = Part::new(File::open(&pack.index)?);
            for &index in &order {
                if places[index].is_none()
                    && let Some(offset) = pack.find(ids[index], &mut part)?
                {
                    places[index] = Some(Place {
                        pack: number,
                        offset,
                    });
                }
            }
        }
        Ok(places)
    }
}

/// An open index, and those of its ids that begin with one byte.
#[derive(Debug)]
struct Part {
    index: File,
    first: Option<u8>,
    ids: Vec<u8>,
}

impl Part {
    fn new(index: File) -> Self {
        Self {
            index,
            first: None,
            ids: Vec::new(),
        }
    }
}

impl Pack {
    fn open(path: &Path) -> io::Result<Option<Self>> {
        if !path.with_extension("pack").try_exists()? {
            return Ok(None);
        }
        let index = File::open(path)?;
        let mut head = [0; HEAD];
        index.read_exact_at(&mut head, 0)?;
        let (magic, table) = head.split_at(8);
        if magic != b"\xfftOc\0\0\0\x02" {
            return Ok(None);
        }
        let mut fanout = [0; 256];
        for (count, bytes) in fanout.iter_mut().zip(table.as_chunks().0) {
            *count = u32::from_be_bytes(*bytes);
        }
        // Each object has an id, a checksum and an offset; two checksums follow. No more is then read at once than is
        // there.
        let least = HEAD as u64 + u64::from(fanout[255]) * (ID as u64 + 8) + 2 * ID as u64;
        if !fanout.is_sorted() || index.metadata()?.len() < least {
            return Err(damaged("an index is cut off"));
        }
        Ok(Some(Self {
            index: path.to_owned(),
            fanout,
        }))
    }

    fn find(&self, id: Oid, part: &mut Part) -> io::Result<Option<u64>> {
        let first = id.as_bytes()[0];
        let below = match first {
            0 => 0,
            first => self.fanout[usize::from(first) - 1],
        };
        if part.first != Some(first) {
            let count = self.fanout[usize::from(first)] - below;
            part.ids.clear();
            if count > 0 {
                part.ids.resize(count as usize * ID, 0);
                let offset = HEAD as u64 + u64::from(below) * ID as u64;
                part.index.read_exact_at(&mut part.ids, offset)?;
            }
            part.first = Some(first);
        }
        let ids: &[[u8; ID]] = part.ids.as_chunks().0;
        let Ok(at) = ids.binary_search_by(|other| other.as_slice().cmp(id.as_bytes())) else {
            return Ok(None);
        };
        self.offset(&part.index, u64::from(below) + at as u64)
            .map(Some)
    }

    /// The offset of the object with this number, counted in the order of ids.
    fn offset(&self, index: &File, number: u64) -> io::Result<u64> {
        let all = u64::from(self.fanout[255]);
        let offsets = HEAD as u64 + all * (ID as u64 + 4);
        let mut short = [0; 4];
        index.read_exact_at(&mut short, offsets + number * 4)?;
        let short = u32::from_be_bytes(short);
        if short < 1 << 31 {
            return Ok(short.into());
        }
        let mut long = [0; 8];
        let row = u64::from(short & 0x7fff_ffff);
        index.read_exact_at(&mut long, offsets + all * 4 + row * 8)?;
        Ok(u64::from_be_bytes(long))
    }
}

/// Reads objects for one thread.
pub(in crate::git) struct Reader<'a> {
    packs: &'a Packs,
    /// The pack that was read last. A chain of deltas stays in one, and so does work in the order of places.
    open: Option<(usize, Window<File>)>,
    state: Decompress,
    piece: Vec<u8>,
    token: &'a CancellationToken,
}

impl<'a> Reader<'a> {
    pub(in crate::git) fn new(packs: &'a Packs, token: &'a CancellationToken) -> Self {
        Self {
            packs,
            token,
            open: None,
            state: Decompress::new(true),
            piece: Vec::new(),
        }
    }

    /// Hands the bytes of the blob at `place` to `sink`, each time with the length of the whole; returns false if it
    /// is no blob. Fails if they are not those of `id`; of a large one that is known only after the last piece.
    pub(in crate::git) fn blob(
        &mut self,
        place: Place,
        id: Oid,
        mut sink: impl FnMut(u64, &[u8]) -> io::Result<()>,
    ) -> io::Result<bool> {
        // Only what the disk or a stranger did to the cache is looked for here, which needs no defence against
        // objects made to collide: none of those came in.
        let begin = |size: u64| sha1::Sha1::new_with_prefix(format!("blob {size}\0"));
        let check = |hash: sha1::Sha1| {
            let is_same = hash.finalize()[..] == *id.as_bytes();
            let different = || damaged("an object is not what its name says");
            is_same.then_some(true).ok_or_else(different)
        };
        let (content, size) = self.header(place)?;
        if content == Content::Whole(ObjectType::Blob) && size > WHOLE {
            let mut hash = begin(size);
            let window = window(self.packs, &mut self.open, place.pack)?;
            self.piece.resize(64 << 10, 0);
            format::inflate_through(&mut self.state, window, size, &mut self.piece, |piece| {
                hash.update(piece);
                sink(size, piece)
            })?;
            return check(hash);
        }
        let (kind, data) = self.object(place)?;
        if kind != ObjectType::Blob {
            return Ok(false);
        }
        let size = data.len() as u64;
        check(begin(size).chain_update(&data))?;
        sink(size, &data).map(|()| true)
    }

    fn check(&self) -> io::Result<()> {
        if self.token.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        Ok(())
    }

    /// Reads what precedes the bytes of an entry and leaves the window there.
    fn header(&mut self, place: Place) -> io::Result<(Content, u64)> {
        let window = window(self.packs, &mut self.open, place.pack)?;
        window.seek(place.offset);
        format::header(window, place.offset)
    }

    fn inflated(&mut self, place: Place) -> io::Result<Vec<u8>> {
        let (_, size) = self.header(place)?;
        let mut data = Vec::new();
        let window = window(self.packs, &mut self.open, place.pack)?;
        format::inflate(&mut self.state, window, size, &mut data)?;
        Ok(data)
    }

    /// Reads the directory `id` at `place`, of at most [`MAX_TREE`](format::MAX_TREE) bytes; nothing if it is
    /// no directory. Fails if it is not the one of `id`.
    pub(in crate::git) fn tree(&mut self, place: Place, id: Oid) -> io::Result<Option<Vec<u8>>> {
        let (kind, data) = self.object(place)?;
        if kind != ObjectType::Tree {
            return Ok(None);
        }
        format::check_size(kind, data.len() as u64)?;
        if super::scan::id(kind, &data)? != id {
            return Err(damaged("an object is not what its name says"));
        }
        Ok(Some(data))
    }

    /// Reads a whole object; whether it is the right one is not verified.
    pub(super) fn object(&mut self, place: Place) -> io::Result<(ObjectType, Vec<u8>)> {
        // Places and not deltas: all of those at once may be more than fits into memory.
        let mut deltas = Vec::new();
        let mut base = place;
        let kind = loop {
            let next = match self.header(base)?.0 {
                Content::Whole(kind) => break kind,
                Content::DeltaAt(offset) => Place { offset, ..base },
                Content::DeltaOf(id) => {
                    let found = self.packs.locate(&[id])?.pop().flatten();
                    found.ok_or_else(|| damaged("a delta has no base"))?
                }
            };
            if deltas.len() >= MAX_DEPTH {
                return Err(damaged("a chain of deltas is too long"));
            }
            self.check()?;
            deltas.push(base);
            base = next;
        };
        let mut data = self.inflated(base)?;
        while let Some(delta) = deltas.pop() {
            self.check()?;
            let delta = self.inflated(delta)?;
            data = format::apply(&data, &delta)?;
        }
        Ok((kind, data))
    }
}

/// The pack with this number, opened unless it is the open one.
fn window<'a>(
    packs: &Packs,
    open: &'a mut Option<(usize, Window<File>)>,
    number: usize,
) -> io::Result<&'a mut Window<File>> {
    if open.as_ref().is_none_or(|(at, _)| *at != number) {
        let pack = packs.packs.get(number).ok_or(io::ErrorKind::NotFound)?;
        let file = File::open(pack.index.with_extension("pack"))?;
        *open = Some((number, Window::new(file)));
    }
    match open {
        Some((_, window)) => Ok(window),
        None => Err(io::ErrorKind::NotFound.into()),
    }
}
