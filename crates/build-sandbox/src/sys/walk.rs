//! Finds processes by reading `/proc`, without allocating.

use std::ffi::CStr;

use nix::libc;

use super::call::{self, raw};

/// Processes that one walk can hold; more make the walk incomplete, and it is repeated.
const ENTRIES_MAX: usize = 65536;

#[derive(Clone, Copy)]
#[repr(C)]
struct Entry {
    pid: i32,
    parent: i32,
    started: u64,
    descendant: bool,
}

/// A table of processes in memory of its own.
pub(super) struct Walk {
    proc: i32,
    me: i32,
    entries: &'static mut [Entry],
    count: usize,
}

/// Open files without a name, each counted once as far as they can be remembered.
struct Nameless {
    /// Devices of the file systems that are counted as a whole.
    counted: [u64; 2],
    seen: [(u64, u64); SEEN_MAX],
    count: usize,
    memory: u64,
    disk: u64,
}

/// Files without a name that one walk can tell apart; further ones count for each descriptor.
const SEEN_MAX: usize = 1024;

impl Nameless {
    fn new(namespaced: bool) -> Self {
        let device = |path| status(libc::AT_FDCWD, path).map_or(0, |status| status.st_dev);
        Self {
            counted: if namespaced {
                [device(c"/tmp"), device(c"/dev/shm")]
            } else {
                [0; 2]
            },
            seen: [(0, 0); SEEN_MAX],
            count: 0,
            memory: 0,
            disk: 0,
        }
    }

    /// Looks at the descriptor `name`, ended by NUL, in a directory of descriptors.
    fn add(&mut self, directory: i32, name: &[u8]) {
        let Ok(name) = CStr::from_bytes_until_nul(name) else {
            return;
        };
        let Some(file) = status(directory, name) else {
            return;
        };
        let regular = file.st_mode & libc::S_IFMT == libc::S_IFREG;
        if !regular || file.st_nlink > 0 || self.counted.contains(&file.st_dev) {
            return;
        }
        let identity = (file.st_dev, file.st_ino);
        if self
            .seen
            .iter()
            .take(self.count)
            .any(|seen| *seen == identity)
        {
            return;
        }
        if let Some(slot) = self.seen.get_mut(self.count) {
            *slot = identity;
            self.count += 1;
        }
        let bytes = u64::try_from(file.st_blocks).unwrap_or(0) * 512;
        // Files of memory have no device: the kernel gives them a number without a driver.
        if libc::major(file.st_dev) == 0 && in_memory(directory, name) {
            self.memory += bytes;
        } else {
            self.disk += bytes;
        }
    }
}

fn status(directory: i32, path: &CStr) -> Option<libc::stat> {
    let mut status = std::mem::MaybeUninit::<libc::stat>::uninit();
    let done = raw!(
        libc::SYS_newfstatat,
        directory,
        path.as_ptr(),
        status.as_mut_ptr(),
        0
    );
    // SAFETY: where the call succeeded it filled the structure.
    (done == 0).then(|| unsafe { status.assume_init() })
}

/// Whether an open file is on a tmpfs, as a memfd is; other file systems, like btrfs, have no major
/// number either.
fn in_memory(directory: i32, name: &CStr) -> bool {
    let Ok(file) = call::open_at(directory, name, libc::O_PATH, 0) else {
        return true;
    };
    let mut status = std::mem::MaybeUninit::<libc::statfs>::uninit();
    let done = raw!(libc::SYS_fstatfs, file, status.as_mut_ptr());
    call::close(file);
    // SAFETY: where the call succeeded it filled the structure.
    done != 0 || unsafe { status.assume_init() }.f_type == libc::TMPFS_MAGIC
}

/// What the descendants use.
#[derive(Clone, Copy, Default)]
pub(super) struct Sample {
    pub(super) memory: u64,
    pub(super) processes: u64,
    pub(super) most_files: u64,
    /// Bytes on disk of open files without a name.
    pub(super) unlinked: u64,
}

impl Walk {
    /// `None` where `/proc` is missing.
    pub(super) fn new() -> Option<Self> {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let proc = call::open_at(libc::AT_FDCWD, c"/proc", flags, 0).ok()?;
        let memory = call::map(ENTRIES_MAX * size_of::<Entry>()).ok()?;
        #[expect(clippy::cast_ptr_alignment, reason = "mappings start at a page")]
        // SAFETY: the mapping is page-aligned, large enough, zeroed (a valid `Entry`) and never
        // unmapped, and nothing else refers to it.
        let entries =
            unsafe { std::slice::from_raw_parts_mut(memory.cast::<Entry>(), ENTRIES_MAX) };
        Some(Self {
            proc,
            me: call::own_pid(),
            entries,
            count: 0,
        })
    }

    /// Reads all processes and marks the descendants of this one.
    fn refresh(&mut self) {
        self.count = 0;
        raw!(libc::SYS_lseek, self.proc, 0usize, libc::SEEK_SET);
        let proc = self.proc;
        each_name(proc, |name| {
            if let Some(pid) = number(name)
                && let Some((parent, started, zombie)) = self.status_of(pid)
                && !zombie
                && let Some(slot) = self.entries.get_mut(self.count)
            {
                *slot = Entry {
                    pid,
                    parent,
                    started,
                    descendant: false,
                };
                self.count += 1;
            }
        });
        // `/proc` lists processes by number, so parents can be found by bisection; a child may
        // have a lower number than its parent, hence the repetition.
        let mut changed = true;
        while changed {
            changed = false;
            for index in 0..self.count {
                let Some(&entry) = self.entries.get(index) else {
                    break;
                };
                if !entry.descendant
                    && (entry.parent == self.me || self.is_descendant(entry.parent))
                {
                    if let Some(slot) = self.entries.get_mut(index) {
                        slot.descendant = true;
                    }
                    changed = true;
                }
            }
        }
    }

    fn is_descendant(&self, pid: i32) -> bool {
        let Some(known) = self.entries.get(..self.count) else {
            return false;
        };
        known
            .binary_search_by_key(&pid, |entry| entry.pid)
            .is_ok_and(|index| known.get(index).is_some_and(|entry| entry.descendant))
    }

    /// Sends a signal to every descendant found.
    pub(super) fn signal(&mut self, signal: i32) {
        self.refresh();
        for entry in self
            .entries
            .iter()
            .take(self.count)
            .filter(|entry| entry.descendant)
        {
            if entry.parent == self.me {
                // Not yet waited for, so the number cannot belong to anyone else.
                let _ = call::kill(entry.pid, signal);
                continue;
            }
            // The number of a grandchild may be used again at any time; a descriptor pins it, and
            // an unchanged start time tells that it pins the right one.
            let Ok(pinned) = call::pidfd_open(entry.pid) else {
                continue;
            };
            if self
                .status_of(entry.pid)
                .is_some_and(|(_, started, _)| started == entry.started)
            {
                let _ = call::pidfd_send_signal(pinned, signal);
            }
            call::close(pinned);
        }
    }

    /// Adds up the descendants' use; `outside` is memory that belongs to no process, and `limit` the
    /// limit on memory, near which it is looked at more closely.
    pub(super) fn sample(&mut self, outside: u64, limit: u64, namespaced: bool) -> Sample {
        self.refresh();
        let mut sample = Sample {
            memory: outside,
            ..Sample::default()
        };
        let mut nameless = Nameless::new(namespaced);
        // With everything that is mapped, each time that it is: never less than what is used.
        let mut most = outside;
        for entry in self.descendants() {
            sample.processes += 1;
            let (resident, shared) = self.resident(entry.pid);
            most += resident;
            sample.memory += resident.saturating_sub(shared);
            sample.most_files = sample.most_files.max(self.open_files(entry.pid));
            self.nameless_files(entry.pid, &mut nameless);
        }
        sample.unlinked = nameless.disk;
        if limit > 0 && most + nameless.memory > limit {
            sample.memory = outside;
            for entry in self.descendants() {
                sample.memory += self.own_memory(entry.pid);
            }
        }
        sample.memory += nameless.memory;
        sample
    }

    fn descendants(&self) -> impl Iterator<Item = &Entry> {
        self.entries
            .iter()
            .take(self.count)
            .filter(|entry| entry.descendant)
    }

    fn read_file(&self, pid: i32, name: &[u8], buffer: &mut [u8]) -> usize {
        let mut path = [0u8; 32];
        let Some(path) = proc_path(pid, name, &mut path) else {
            return 0;
        };
        let Ok(fd) = call::open_at(self.proc, path, libc::O_RDONLY, 0) else {
            return 0;
        };
        let read = call::read(fd, buffer).unwrap_or(0);
        call::close(fd);
        read
    }

    /// Parent, start time and whether it is a zombie. Source: proc(5), `/proc/pid/stat`.
    fn status_of(&self, pid: i32) -> Option<(i32, u64, bool)> {
        let mut buffer = [0u8; 512];
        let read = self.read_file(pid, b"stat", &mut buffer);
        let text = buffer.get(..read)?;
        // The name is in parentheses and may hold any byte, so look for the last one.
        let end = text.iter().rposition(|b| *b == b')')?;
        let mut fields = text.get(end + 2..)?.split(|b| *b == b' ');
        let zombie = matches!(fields.next()?.first()?, b'Z' | b'X');
        let parent = number(fields.next()?)?;
        let started = fields.nth(17).and_then(wide_number)?;
        Some((parent, started, zombie))
    }

    /// All resident memory and its part that is shared or of files. Source: proc(5), `statm`.
    fn resident(&self, pid: i32) -> (u64, u64) {
        let mut buffer = [0u8; 128];
        let read = self.read_file(pid, b"statm", &mut buffer);
        let mut fields = buffer
            .get(..read)
            .unwrap_or(&[])
            .split(|b| *b == b' ')
            .skip(1);
        let mut next = || fields.next().and_then(wide_number).unwrap_or(0);
        let (resident, shared) = (next(), next());
        (resident * 4096, shared * 4096)
    }

    /// Resident memory that is private, and this process's share of what is shared and of no file.
    /// Where the share may not be read, all of it.
    fn own_memory(&self, pid: i32) -> u64 {
        let mut buffer = [0u8; 4096];
        let read = self.read_file(pid, b"smaps_rollup", &mut buffer);
        let rollup = buffer.get(..read).unwrap_or(&[]);
        if let (Some(private), Some(shared)) =
            (kib(rollup, b"Pss_Anon:"), kib(rollup, b"Pss_Shmem:"))
        {
            return private + shared;
        }
        let read = self.read_file(pid, b"status", &mut buffer);
        let status = buffer.get(..read).unwrap_or(&[]);
        kib(status, b"RssAnon:").unwrap_or(0) + kib(status, b"RssShmem:").unwrap_or(0)
    }

    /// Adds the open files of a process that have no name.
    fn nameless_files(&self, pid: i32, nameless: &mut Nameless) {
        let mut path = [0u8; 32];
        let Some(path) = proc_path(pid, b"fd", &mut path) else {
            return;
        };
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let Ok(directory) = call::open_at(self.proc, path, flags, 0) else {
            return;
        };
        each_name(directory, |name| {
            if name.first().is_some_and(u8::is_ascii_digit) {
                nameless.add(directory, name);
            }
        });
        call::close(directory);
    }

    /// The size of the directory is the number of open descriptors since Linux 6.2, before it is 0.
    fn open_files(&self, pid: i32) -> u64 {
        let mut path = [0u8; 32];
        let Some(path) = proc_path(pid, b"fd", &mut path) else {
            return 0;
        };
        let size = status(self.proc, path).map_or(0, |status| status.st_size);
        u64::try_from(size).unwrap_or(0)
    }
}

/// Calls `each` with every name of a directory, ended by NUL, from where it is read to.
fn each_name(directory: i32, mut each: impl FnMut(&[u8])) {
    let mut buffer = [0u8; 8192];
    loop {
        let read = raw!(
            libc::SYS_getdents64,
            directory,
            buffer.as_mut_ptr(),
            buffer.len()
        );
        let Some(read) = usize::try_from(read).ok().filter(|read| *read > 0) else {
            return;
        };
        let mut at = 0;
        while let Some(record) = buffer.get(at..read) {
            // struct linux_dirent64: inode, offset, u16 length, u8 type, name.
            let (Some(&low), Some(&high)) = (record.get(16), record.get(17)) else {
                break;
            };
            let length = usize::from(u16::from_ne_bytes([low, high]));
            if length == 0 {
                break;
            }
            at += length;
            if let Some(name) = record.get(19..length) {
                each(name);
            }
        }
    }
}

/// The number in front of `kB` on the line that starts with `name`, in bytes.
fn kib(text: &[u8], name: &[u8]) -> Option<u64> {
    let line = text
        .split(|b| *b == b'\n')
        .find(|line| line.starts_with(name))?;
    let blanks = |b: &u8| *b == b' ' || *b == b'\t';
    let value = line.get(name.len()..)?;
    let start = value.iter().position(|b| !blanks(b))?;
    wide_number(value.get(start..)?).map(|kib| kib * 1024)
}

fn number(text: &[u8]) -> Option<i32> {
    wide_number(text).and_then(|value| i32::try_from(value).ok())
}

/// Decimal digits at the start, up to anything else.
fn wide_number(text: &[u8]) -> Option<u64> {
    if !text.first()?.is_ascii_digit() {
        return None;
    }
    text.iter()
        .take_while(|b| b.is_ascii_digit())
        .try_fold(0u64, |value, b| {
            value.checked_mul(10)?.checked_add(u64::from(b - b'0'))
        })
}

/// Writes `<pid>/<name>` into `buffer`.
pub(super) fn proc_path<'a>(pid: i32, name: &[u8], buffer: &'a mut [u8; 32]) -> Option<&'a CStr> {
    let mut digits = [0u8; 10];
    let mut left = u32::try_from(pid).ok()?;
    let mut first = digits.len();
    loop {
        first = first.checked_sub(1)?;
        *digits.get_mut(first)? = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    let parts = digits
        .get(first..)?
        .iter()
        .chain(b"/")
        .chain(name)
        .chain(b"\0");
    let mut length = 0;
    for (slot, byte) in buffer.iter_mut().zip(parts) {
        *slot = *byte;
        length += 1;
    }
    CStr::from_bytes_with_nul(buffer.get(..length)?).ok()
}
