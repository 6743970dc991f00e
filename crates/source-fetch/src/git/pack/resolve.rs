//! The second pass over a pack: the ids of the objects that are deltas, on every processor.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use flate2::Decompress;
use git2::{ObjectType, Oid};
use tokio_util::sync::CancellationToken;

use super::Counters;
use super::format::{self, Content, LARGE, MAX_DEPTH, damaged};
use super::scan::{Entry, id};
use super::window::Window;
use crate::git::threads;

/// Bytes of bases one thread keeps; those that do not fit are made again.
const KEPT: usize = 8 << 20;

/// Everything the threads share.
pub(super) struct Resolver<'a> {
    file: &'a File,
    entries: &'a [Entry],
    /// The deltas by where their base is, sorted.
    by_offset: Vec<(u64, u32)>,
    /// The deltas by the id of their base, sorted.
    by_id: Vec<(Oid, u32)>,
    /// Bytes of bases that a thread keeps.
    keep: usize,
    /// Set once a thread has taken an entry, as hostile packs lead to the same one in many ways.
    taken: Vec<AtomicBool>,
    /// Held by the one thread that works on large objects.
    large: Mutex<()>,
    counters: &'a Counters,
    token: &'a CancellationToken,
}

/// An entry and its id.
pub(super) type Found = Vec<(u32, Oid)>;

impl<'a> Resolver<'a> {
    pub(super) fn new(
        file: &'a File,
        entries: &'a [Entry],
        counters: &'a Counters,
        token: &'a CancellationToken,
    ) -> Self {
        let (mut by_offset, mut by_id) = (Vec::new(), Vec::new());
        for (index, entry) in (0..).zip(entries) {
            match entry.content {
                Content::Whole(_) => {}
                Content::DeltaAt(offset) => by_offset.push((offset, index)),
                Content::DeltaOf(id) => by_id.push((id, index)),
            }
        }
        by_offset.sort_unstable();
        by_id.sort_unstable();
        Self {
            file,
            entries,
            by_offset,
            by_id,
            keep: KEPT,
            taken: entries.iter().map(|_| AtomicBool::new(false)).collect(),
            large: Mutex::new(()),
            counters,
            token,
        }
    }

    #[cfg(test)]
    pub(super) fn keeping(self, keep: usize) -> Self {
        Self { keep, ..self }
    }

    /// Resolves what builds on whole objects of the pack, whose ids are in `ids`.
    pub(super) fn inside(&self, ids: &[Option<Oid>]) -> io::Result<Found> {
        let roots: Vec<(u32, ObjectType, Oid)> = (0..)
            .zip(self.entries.iter().zip(ids))
            .filter_map(|(index, (entry, id))| match (entry.content, id) {
                (Content::Whole(kind), Some(id)) => Some((index, kind, *id)),
                _ => None,
            })
            .collect();
        let next = AtomicUsize::new(0);
        let work = || {
            let result = self.roots(&roots, &next);
            if result.is_err() {
                next.store(roots.len(), Ordering::Relaxed);
            }
            result
        };
        Ok(threads::run(work)?.concat())
    }

    fn roots(&self, roots: &[(u32, ObjectType, Oid)], next: &AtomicUsize) -> io::Result<Found> {
        let mut tree = Tree::new(self);
        while let Some(&(index, kind, id)) = roots.get(next.fetch_add(1, Ordering::Relaxed)) {
            let children = self.children(Some(index), id);
            if !children.is_empty() {
                let data = tree.read(index)?;
                tree.grow(kind, Start::Entry(index), data, children)?;
                tree.large = None;
            }
        }
        Ok(tree.found)
    }

    /// The bases outside of the pack that unresolved deltas build on.
    pub(super) fn missing(&self) -> Vec<Oid> {
        let mut missing: Vec<Oid> = self
            .by_id
            .iter()
            .filter(|(_, index)| !self.is_taken(*index))
            .map(|(id, _)| *id)
            .collect();
        missing.dedup();
        missing
    }

    /// Whether something that is not resolved builds on the object `id`.
    pub(super) fn needs(&self, id: Oid) -> bool {
        group(&self.by_id, id)
            .iter()
            .any(|(_, index)| !self.is_taken(*index))
    }

    /// Resolves what builds on an object that is not in the pack.
    pub(super) fn outside(&self, id: Oid, kind: ObjectType, data: Vec<u8>) -> io::Result<Found> {
        let mut tree = Tree::new(self);
        let children = self.children(None, id);
        tree.grow(kind, Start::Outside, data, children)?;
        Ok(tree.found)
    }

    fn is_taken(&self, index: u32) -> bool {
        self.taken
            .get(index as usize)
            .is_none_or(|taken| taken.load(Ordering::Relaxed))
    }

    fn entry(&self, index: u32) -> io::Result<Entry> {
        let entry = self.entries.get(index as usize).copied();
        entry.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The deltas that build on an object.
    fn children(&self, index: Option<u32>, id: Oid) -> Vec<u32> {
        let offset = index.and_then(|index| Some(self.entries.get(index as usize)?.offset));
        let at = offset.map_or(&[][..], |offset| group(&self.by_offset, offset));
        let of = group(&self.by_id, id);
        let indices = at.iter().map(|(_, index)| *index);
        indices.chain(of.iter().map(|(_, index)| *index)).collect()
    }
}

fn group<K: Ord + Copy>(sorted: &[(K, u32)], key: K) -> &[(K, u32)] {
    let start = sorted.partition_point(|(k, _)| *k < key);
    let length = sorted[start..].partition_point(|(k, _)| *k == key);
    &sorted[start..start + length]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Entry(u32),
    Outside,
}

/// An object on the way from a whole one to the delta being resolved.
struct Frame {
    start: Start,
    /// Made again when it is gone; only what is at the bottom and outside of the pack is always kept.
    data: Option<Vec<u8>>,
    children: Vec<u32>,
}

/// One thread's walk through the deltas that build on one object, depth first.
struct Tree<'a> {
    resolver: &'a Resolver<'a>,
    window: Window<&'a File>,
    state: Decompress,
    delta: Vec<u8>,
    frames: Vec<Frame>,
    kept: usize,
    found: Found,
    /// Held from the first large object on until the walk ends.
    large: Option<MutexGuard<'a, ()>>,
}

impl<'a> Tree<'a> {
    fn new(resolver: &'a Resolver<'a>) -> Self {
        Self {
            resolver,
            window: Window::new(resolver.file),
            state: Decompress::new(true),
            delta: Vec::new(),
            frames: Vec::new(),
            kept: 0,
            found: Vec::new(),
            large: None,
        }
    }

    fn grow(
        &mut self,
        kind: ObjectType,
        start: Start,
        data: Vec<u8>,
        children: Vec<u32>,
    ) -> io::Result<()> {
        self.push(start, data, children);
        while let Some(top) = self.frames.len().checked_sub(1) {
            let Some(child) = self.frames[top].children.pop() else {
                self.forget(top);
                self.frames.pop();
                continue;
            };
            if self.resolver.token.is_cancelled() {
                return Err(io::Error::other("cancelled"));
            }
            if self.resolver.taken[child as usize].swap(true, Ordering::Relaxed) {
                continue;
            }
            let data = self.apply(top, child)?;
            format::check_size(kind, data.len() as u64)?;
            let id = id(kind, &data)?;
            self.found.push((child, id));
            self.resolver
                .counters
                .objects
                .fetch_add(1, Ordering::Relaxed);
            if self.frames[top].children.is_empty() && self.frames[top].start != Start::Outside {
                self.forget(top);
            }
            let children = self.resolver.children(Some(child), id);
            if !children.is_empty() {
                if self.frames.len() >= MAX_DEPTH {
                    return Err(damaged("a chain of deltas is too long"));
                }
                self.push(Start::Entry(child), data, children);
            }
        }
        Ok(())
    }

    fn push(&mut self, start: Start, data: Vec<u8>, children: Vec<u32>) {
        self.kept += data.len();
        self.frames.push(Frame {
            start,
            data: Some(data),
            children,
        });
        self.make_room();
    }

    fn make_room(&mut self) {
        for index in 0..self.frames.len().saturating_sub(1) {
            if self.kept <= self.resolver.keep {
                return;
            }
            if self.frames[index].start != Start::Outside {
                self.forget(index);
            }
        }
    }

    fn forget(&mut self, index: usize) {
        if let Some(data) = self.frames[index].data.take() {
            self.kept -= data.len();
        }
    }

    /// The object that the delta `child` makes of the one in frame `top`.
    fn apply(&mut self, top: usize, child: u32) -> io::Result<Vec<u8>> {
        if self.frames[top].data.is_none() {
            let data = self.again(top)?;
            self.kept += data.len();
            self.frames[top].data = Some(data);
            self.make_room();
        }
        self.read_delta(child)?;
        self.claim(format::result_size(&self.delta));
        let base = self.frames[top].data.as_deref().unwrap_or_default();
        format::apply(base, &self.delta)
    }

    /// Waits until no other thread has large objects, when `size` makes this one of them.
    fn claim(&mut self, size: u64) {
        if size > LARGE && self.large.is_none() {
            let large = self.resolver.large.lock();
            self.large = Some(large.unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Makes the object of a frame again, from the nearest one below it that is still there.
    fn again(&mut self, top: usize) -> io::Result<Vec<u8>> {
        let below = (0..top)
            .rev()
            .find(|index| self.frames[*index].data.is_some());
        let (mut data, from) = match (below, self.frames[0].start) {
            (Some(below), _) => (
                self.frames[below].data.clone().unwrap_or_default(),
                below + 1,
            ),
            (None, Start::Entry(index)) => (self.read(index)?, 1),
            (None, Start::Outside) => return Err(io::ErrorKind::NotFound.into()),
        };
        for index in from..=top {
            if self.resolver.token.is_cancelled() {
                return Err(io::Error::other("cancelled"));
            }
            let Start::Entry(entry) = self.frames[index].start else {
                return Err(io::ErrorKind::NotFound.into());
            };
            self.read_delta(entry)?;
            self.claim(format::result_size(&self.delta));
            data = format::apply(&data, &self.delta)?;
        }
        Ok(data)
    }

    /// Reads a whole object.
    fn read(&mut self, index: u32) -> io::Result<Vec<u8>> {
        let offset = self.resolver.entry(index)?.offset;
        self.window.seek(offset);
        let (_, size) = format::header(&mut self.window, offset)?;
        self.claim(size);
        let mut data = Vec::new();
        format::inflate(&mut self.state, &mut self.window, size, &mut data)?;
        Ok(data)
    }

    fn read_delta(&mut self, index: u32) -> io::Result<()> {
        let offset = self.resolver.entry(index)?.offset;
        self.window.seek(offset);
        let (_, size) = format::header(&mut self.window, offset)?;
        self.claim(size);
        if self.delta.capacity() as u64 > LARGE {
            self.delta = Vec::new();
        }
        format::inflate(&mut self.state, &mut self.window, size, &mut self.delta)
    }
}
