//! The supervisor: it outlives the build, knows every process of it and ends them all.

use std::ffi::{CString, c_char};

use nix::libc;

use super::call;
use super::host::{GO, TERMINATE};
use super::namespaces::Held;
use super::plan::Plan;
use super::status::{Message, SIZE, Step, Watched};
use super::walk::Walk;
use super::{confine, namespaces};

const SAMPLE_EVERY_MS: i64 = 250;

/// Descriptors and argument vectors of one child; -1 for an absent descriptor. All are above 9.
pub(super) struct Descriptors {
    pub(super) control: i32,
    pub(super) status: i32,
    pub(super) stdout: i32,
    pub(super) stderr: i32,
    pub(super) result: i32,
    pub(super) recipe: i32,
    pub(super) null: i32,
    pub(super) group_join: i32,
    pub(super) group_kill: i32,
    /// Where this program's arguments and environment are, and their length.
    pub(super) memory: (usize, usize),
    pub(super) arguments: *const *const c_char,
    pub(super) environment: *const *const c_char,
}

/// Reports a failed step and ends this process.
pub(super) fn fail(status: i32, step: Step, errno: i32, index: usize) -> ! {
    tell(status, 1, [step as i64, i64::from(errno), index as i64]);
    call::exit(111)
}

pub(super) fn tell(status: i32, kind: i64, fields: [i64; 3]) {
    let _ = call::write(status, &Message::encode(kind, fields));
}

/// Runs the supervisor. Called in the child right after the fork; never returns.
pub(super) fn run(plan: &Plan, fds: &Descriptors) -> ! {
    close_foreign(fds, [-1; 3]);
    begin(plan, fds, None)
}

/// What a supervisor in a copy of a prepared root has from who started it.
pub(super) struct Inherited<'a> {
    /// The host's `/proc`.
    pub(super) proc: i32,
    pub(super) held: Held,
    pub(super) covers: &'a [CString],
}

/// Goes on where only the supervisor's own descriptors are open. Never returns.
pub(super) fn begin(plan: &Plan, fds: &Descriptors, inherited: Option<&Inherited<'_>>) -> ! {
    let mut byte = [0u8];
    // Ended already: the host was killed or has changed its mind.
    if call::read(fds.control, &mut byte) != Ok(1) || byte != [GO] {
        call::exit(0);
    }
    forget_arguments(fds);
    // Before it becomes another user, and loses access to its own files in `/proc` with that.
    let proc = inherited.map(|inherited| inherited.proc);
    let expendable = Expendable::mark(proc);
    let namespaced = plan.namespaces.is_some();
    call::new_session();
    if let Some(view) = &plan.namespaces {
        let entered = match inherited {
            Some(Inherited {
                proc, held, covers, ..
            }) => {
                call::close(*proc);
                namespaces::complete(view, covers, held)
            }
            None => namespaces::enter(view),
        };
        if let Err((step, errno, index)) = entered {
            fail(fds.status, step, errno, index);
        }
    } else if let Err(errno) = call::control(libc::PR_SET_CHILD_SUBREAPER, 1) {
        fail(fds.status, Step::Watch, errno, 0);
    }
    // This process is a copy of the host program's memory, secrets included.
    let _ = call::control(libc::PR_SET_DUMPABLE, 0);
    let children = match call::child_signals() {
        Ok(fd) => fd,
        Err(errno) => fail(fds.status, Step::Watch, errno, 0),
    };
    let mut walk = Walk::new();
    let phase = match confine::start(plan, fds) {
        Ok(pid) => pid,
        Err(errno) => fail(fds.status, Step::Fork, errno, 0),
    };
    expendable.unmark();
    for fd in [
        fds.stdout,
        fds.stderr,
        fds.result,
        fds.recipe,
        fds.group_join,
    ] {
        call::close(fd);
    }
    let mut tree = Tree {
        namespaced,
        group_kill: fds.group_kill,
        walk: walk.as_mut(),
        exited: None,
        peak: 0,
        unlinked: 0,
    };
    tree.watch(plan, fds, children, phase);
    let proven = tree.end(children);
    // Both at once: each write wakes the host.
    let finished = Message::encode(4, [i64::from(proven), tree.peak.cast_signed(), 0]);
    let mut last = [0u8; 2 * SIZE];
    let (first, second) = last.split_at_mut(SIZE);
    second.copy_from_slice(&finished);
    let _ = match tree.exited {
        Some(status) => {
            first.copy_from_slice(&Message::encode(2, [i64::from(status), 0, 0]));
            call::write(fds.status, &last)
        }
        None => call::write(fds.status, &finished),
    };
    call::exit(0)
}

/// Overwrites what `/proc/pid/cmdline` and `/proc/pid/environ` show: the host program's.
fn forget_arguments(fds: &Descriptors) {
    let _ = call::control(libc::PR_SET_NAME, c"supervisor".as_ptr() as u64);
    let (start, length) = fds.memory;
    if length > 0
        && let Ok(zero) = call::open_at(libc::AT_FDCWD, c"/dev/zero", libc::O_RDONLY, 0)
    {
        // The kernel writes: where the memory is not as expected that is an error, not a fault.
        call::raw!(libc::SYS_read, zero, start, length);
        call::close(zero);
    }
}

/// Closes what is neither the supervisor's nor in `besides`.
pub(super) fn close_foreign(fds: &Descriptors, besides: [i32; 3]) {
    for standard in 0..3 {
        let _ = call::duplicate(fds.null, standard);
    }
    close_all_but(&mut [
        besides[0],
        besides[1],
        besides[2],
        fds.control,
        fds.status,
        fds.stdout,
        fds.stderr,
        fds.result,
        fds.recipe,
        fds.null,
        fds.group_join,
        fds.group_kill,
    ]);
}

/// Closes all descriptors above 2 but these; a negative one stands for none.
pub(super) fn close_all_but(kept: &mut [i32]) {
    kept.sort_unstable();
    let mut next = 3u32;
    for fd in kept.iter() {
        if let Ok(fd) = u32::try_from(*fd) {
            call::close_range(next, fd.saturating_sub(1), false);
            next = fd + 1;
        }
    }
    call::close_range(next, u32::MAX, false);
}

struct Tree<'a> {
    namespaced: bool,
    /// `cgroup.kill` of the build's control group, or -1.
    group_kill: i32,
    walk: Option<&'a mut Walk>,
    peak: u64,
    /// Bytes on disk of files without a name, as told last.
    unlinked: u64,
    /// Wait status of the phase process, once it has ended.
    exited: Option<i32>,
}

impl Tree<'_> {
    /// Returns when the phase process has ended, the host wants an end or a limit is passed.
    fn watch(&mut self, plan: &Plan, fds: &Descriptors, children: i32, phase: i32) {
        let mut ready = [
            libc::pollfd {
                fd: fds.control,
                events: libc::POLLIN,
                revents: 0,
            },
            libc::pollfd {
                fd: children,
                events: libc::POLLIN,
                revents: 0,
            },
        ];
        let mut due = call::now() + SAMPLE_EVERY_MS;
        loop {
            call::poll(&mut ready, (due - call::now()).max(0));
            drain(children);
            while let Ok(Some((pid, status))) = call::reap() {
                if pid == phase {
                    self.exited = Some(status);
                    return;
                }
            }
            if ready[0].revents != 0 {
                let mut byte = [0u8];
                match call::read(fds.control, &mut byte) {
                    Ok(1) if byte == [TERMINATE] => self.signal(libc::SIGTERM),
                    Ok(1) => {}
                    _ => return,
                }
            }
            if call::now() >= due {
                let started = call::now();
                if self.breached(plan, fds) {
                    return;
                }
                // At most a tenth of the time goes into looking.
                due = call::now() + SAMPLE_EVERY_MS.max(9 * (call::now() - started));
            }
        }
    }

    fn breached(&mut self, plan: &Plan, fds: &Descriptors) -> bool {
        let Some(walk) = self.walk.as_mut() else {
            return false;
        };
        let mut outside = 0;
        if self.namespaced {
            outside = used_by(c"/tmp") + used_by(c"/dev/shm") + system_v_memory();
        }
        let sample = walk.sample(outside, plan.watch.memory, self.namespaced);
        if sample.unlinked != self.unlinked {
            self.unlinked = sample.unlinked;
            tell(fds.status, 5, [sample.unlinked.cast_signed(), 0, 0]);
        }
        self.peak = self.peak.max(sample.memory);
        for (kind, used, allowed) in [
            (Watched::Memory, sample.memory, plan.watch.memory),
            (Watched::Processes, sample.processes, plan.watch.processes),
            // At the limit the next descriptor is refused, so reaching it counts.
            (
                Watched::OpenFiles,
                sample.most_files + 1,
                plan.watch.open_files,
            ),
        ] {
            if allowed > 0 && used > allowed {
                tell(fds.status, 3, [kind as i64, used.cast_signed(), 0]);
                return true;
            }
        }
        false
    }

    fn signal(&mut self, signal: i32) {
        if signal == libc::SIGKILL && self.group_kill >= 0 {
            // All members in one step; what follows is for those that may have left the group.
            let _ = call::write(self.group_kill, b"1");
        }
        if self.namespaced {
            // All processes of the namespace but this one, in one step that no fork can slip by.
            let _ = call::kill(-1, signal);
        } else if let Some(walk) = self.walk.as_mut() {
            walk.signal(signal);
        }
    }

    /// Kills until no child is left. With every orphan adopted here, no child means no descendant.
    fn end(&mut self, children: i32) -> bool {
        let mut pause = 0;
        loop {
            // Most builds leave nothing; then there is nothing to look for either.
            if reap_all() {
                return true;
            }
            self.signal(libc::SIGKILL);
            let mut ready = [libc::pollfd {
                fd: children,
                events: libc::POLLIN,
                revents: 0,
            }];
            call::poll(&mut ready, pause);
            pause = 2;
            drain(children);
            if reap_all() {
                return true;
            }
            if !self.namespaced && self.walk.is_none() {
                return false;
            }
        }
    }
}

/// Takes all children that have ended; returns whether none is left.
fn reap_all() -> bool {
    loop {
        match call::reap() {
            Ok(Some(_)) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

fn drain(children: i32) {
    let mut records = [0u8; 1024];
    let _ = call::read(children, &mut records);
}

/// Bytes that a tmpfs holds.
fn used_by(path: &std::ffi::CStr) -> u64 {
    let mut status = std::mem::MaybeUninit::<libc::statfs>::uninit();
    if call::raw!(libc::SYS_statfs, path.as_ptr(), status.as_mut_ptr()) != 0 {
        return 0;
    }
    // SAFETY: the call succeeded, so it filled the structure.
    let status = unsafe { status.assume_init() };
    if status.f_type != libc::TMPFS_MAGIC {
        return 0;
    }
    let blocks = status.f_blocks.saturating_sub(status.f_bfree);
    let files = status.f_files.saturating_sub(status.f_ffree);
    blocks * u64::try_from(status.f_bsize).unwrap_or(0) + files * INODE
}

/// Bytes of kernel memory that a file of a tmpfs takes besides its blocks, about.
const INODE: u64 = 1024;

/// Bytes of System V shared memory in this IPC namespace, attached or not. Source: shmctl(2),
/// `SHM_INFO`.
fn system_v_memory() -> u64 {
    const SHM_INFO: i32 = 14;
    let mut info = [0u64; 6];
    // struct shm_info: used_ids, and in units of pages shm_tot, shm_rss, shm_swp.
    if call::raw!(libc::SYS_shmctl, 0, SHM_INFO, info.as_mut_ptr()) < 0 {
        return 0;
    }
    (info[2] + info[3]) * 4096
}

/// Lets the kernel, when memory is short, take the build before anything else of the host.
struct Expendable {
    file: i32,
    before: [u8; 8],
    length: usize,
}

impl Expendable {
    /// Marks this process, and so those that it starts.
    ///
    /// `proc` is the host's `/proc`, where another one is at that path.
    fn mark(proc: Option<i32>) -> Self {
        let (at, path) = match proc {
            Some(proc) => (proc, c"self/oom_score_adj"),
            None => (libc::AT_FDCWD, c"/proc/self/oom_score_adj"),
        };
        let file = call::open_at(at, path, libc::O_RDWR, 0).unwrap_or(-1);
        let mut before = [0; 8];
        let length = call::read(file, &mut before).unwrap_or(0);
        let _ = call::write(file, b"1000");
        Self {
            file,
            before,
            length,
        }
    }

    /// Makes this process what it was: it has to outlive the build.
    fn unmark(self) {
        if let Some(before) = self.before.get(..self.length) {
            let _ = call::write(self.file, before);
        }
        call::close(self.file);
    }
}
