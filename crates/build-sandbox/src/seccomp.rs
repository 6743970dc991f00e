//! The seccomp deny list: what no build needs and an attack would.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule,
};

use crate::sys::plan::{Filter, Instruction};

/// A program that many plans share.
pub(crate) type Program = Arc<Vec<Instruction>>;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;
/// Conditions that must all hold.
type Case<'a> = &'a [(u8, Op, u64)];

/// Which sockets a build may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Sockets {
    /// Unix, IPv4, IPv6 and netlink.
    Usual,
    /// Not Unix either: one by path leads to a service of the host.
    NoUnix,
    /// None but `socketpair`: the tier has no network namespace to cut off.
    None,
}

const DENIED: &[i64] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_lookup_dcookie,
];

/// Calls whose arguments lie behind a pointer, where a filter cannot look. They are reported as
/// unknown, so that the C library falls back to the older call that can be filtered.
const UNKNOWN: &[i64] = &[libc::SYS_clone3, libc::SYS_openat2];

/// Changes of extended attributes, which Landlock does not cover. They are reported as unsupported,
/// as by a file system without attributes, which programs that copy files expect.
const ATTRIBUTES: &[i64] = &[
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    SETXATTRAT,
    REMOVEXATTRAT,
];

/// What a deny list depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Choice {
    pub(crate) sockets: Sockets,
    /// Make `chown` succeed without effect, for the packaging phase.
    pub(crate) plain_ownership: bool,
    /// Refuse to change extended attributes.
    pub(crate) refuse_attributes: bool,
    /// Whether processes and System V objects of the host can be named: no namespaces hide them.
    pub(crate) shared_host: bool,
}

/// Objects of the host's IPC namespace.
const SHARED_MEMORY: &[i64] = &[
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
];

/// The program of a choice; each is compiled once. Nothing on an architecture that is not known.
pub(crate) fn program(choice: Choice) -> Program {
    static COMPILED: LazyLock<Mutex<HashMap<Choice, Program>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let program = compiled
        .entry(choice)
        .or_insert_with(|| Arc::new(compile(choice).unwrap_or_default()));
    Arc::clone(program)
}

/// The calls that are refused, and with which error. No call is in two of the lists.
fn lists(choice: Choice) -> Vec<(i32, Rules)> {
    let whole = |calls: &[i64]| -> Rules { calls.iter().map(|call| (*call, Vec::new())).collect() };
    let mut lists = vec![
        (libc::ENOSYS, whole(UNKNOWN)),
        (libc::EPERM, denied(choice.sockets, choice.shared_host)),
    ];
    if choice.plain_ownership {
        lists.push((0, ownership_calls()));
    }
    if choice.refuse_attributes {
        lists.push((libc::EOPNOTSUPP, whole(ATTRIBUTES)));
    }
    if choice.shared_host {
        lists.push((libc::EPERM, whole(SHARED_MEMORY)));
    }
    lists
}

/// One program for all lists. The kernel reads and runs it for each call number when it is applied,
/// so calls are found by bisection and not one after the other.
fn compile(choice: Choice) -> Option<Vec<Instruction>> {
    let mut calls = BTreeMap::new();
    let mut opening = None;
    for (errno, rules) in lists(choice) {
        for (call, rules) in rules {
            let number = u32::try_from(call).ok()?;
            let always = rules.is_empty();
            let compiled = alone(call, rules, errno)?;
            let (start, code) = compiled.split_at_checked(OPENING)?;
            opening.get_or_insert_with(|| start.to_vec());
            // Shorter than what the library makes of a call without rules.
            let code = if always {
                vec![
                    instruction(JUMP_IF_EQUAL, 0, 1, number),
                    instruction(RETURN, 0, 0, ERRNO | errno.cast_unsigned()),
                    instruction(RETURN, 0, 0, ALLOW),
                ]
            } else {
                code.to_vec()
            };
            calls.insert(number, code);
        }
    }
    let mut program = opening?;
    if cfg!(target_arch = "x86_64") {
        // The x32 variants share the architecture's mark but have numbers of their own, which a
        // deny list by number would let through.
        program.extend([
            instruction(JUMP_IF_AT_LEAST, 0, 1, 0x4000_0000),
            instruction(RETURN, 0, 0, ERRNO | libc::ENOSYS.cast_unsigned()),
        ]);
    }
    let calls: Vec<(u32, Vec<Instruction>)> = calls.into_iter().collect();
    program.extend(bisect(&calls)?);
    Some(program)
}

/// Instructions that tell the architecture and load the number of the call.
const OPENING: usize = 4;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
const ERRNO: u32 = 0x0005_0000;
const ALLOW: u32 = 0x7fff_0000;

fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
    Filter { code, jt, jf, k }
}

/// Leads each number to the code of its call, which allows every other number.
fn bisect(calls: &[(u32, Vec<Instruction>)]) -> Option<Vec<Instruction>> {
    if let [(_, code)] = calls {
        return Some(code.clone());
    }
    let (low, high) = calls.split_at(calls.len() / 2);
    let (below, from) = (bisect(low)?, bisect(high)?);
    let (first, _) = high.first()?;
    // A conditional jump reaches 255 instructions at most, the other any.
    let mut code = vec![
        instruction(JUMP_IF_AT_LEAST, 0, 1, *first),
        instruction(JUMP, 0, 0, u32::try_from(below.len()).ok()?),
    ];
    code.extend(below);
    code.extend(from);
    Some(code)
}

/// The program that refuses one call, as its rules say.
fn alone(call: i64, rules: Vec<SeccompRule>, errno: i32) -> Option<Vec<Instruction>> {
    let arch = std::env::consts::ARCH.try_into().ok()?;
    let action = SeccompAction::Errno(errno.cast_unsigned());
    let rules = Rules::from([(call, rules)]);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, arch).ok()?;
    let program: BpfProgram = filter.try_into().ok()?;
    let copy = |i: &seccompiler::sock_filter| instruction(i.code, i.jt, i.jf, i.k);
    Some(program.iter().map(copy).collect())
}

fn ownership_calls() -> Rules {
    let chown = [
        #[cfg(target_arch = "x86_64")]
        libc::SYS_chown,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_lchown,
        libc::SYS_fchown,
        libc::SYS_fchownat,
    ];
    chown.into_iter().map(|call| (call, Vec::new())).collect()
}

fn rule(conditions: &[(u8, Op, u64)]) -> Option<SeccompRule> {
    let conditions = conditions
        .iter()
        .map(|(index, op, value)| SeccompCondition::new(*index, Len::Dword, op.clone(), *value))
        .collect::<Result<Vec<_>, _>>()
        .ok()?;
    SeccompRule::new(conditions).ok()
}

fn denied(sockets: Sockets, shared_host: bool) -> Rules {
    let mut rules: Rules = DENIED.iter().map(|call| (*call, Vec::new())).collect();
    #[cfg(target_arch = "x86_64")]
    for call in [
        libc::SYS_iopl,
        libc::SYS_ioperm,
        libc::SYS_kexec_file_load,
        libc::SYS_uselib,
    ] {
        rules.insert(call, Vec::new());
    }
    let mut when = |call: i64, cases: &[&[(u8, Op, u64)]]| {
        rules.insert(call, cases.iter().filter_map(|case| rule(case)).collect());
    };
    // New namespaces would give back capabilities.
    let namespaces = (libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP)
        .cast_unsigned();
    let bits: Vec<[(u8, Op, u64); 1]> = (0..32)
        .map(|bit| 1u64 << bit)
        .filter(|bit| u64::from(namespaces) & bit != 0)
        .map(|bit| [(0, Op::MaskedEq(bit), bit)])
        .collect();
    when(
        libc::SYS_clone,
        &bits.iter().map(<[_; 1]>::as_slice).collect::<Vec<_>>(),
    );
    // The kernel looks at the low 32 bits of the request only.
    when(
        libc::SYS_ioctl,
        &[&[(1, Op::Eq, libc::TIOCSTI)], &[(1, Op::Eq, 0x541c)]],
    );
    // Limits of another process: the supervisor has the same user.
    when(libc::SYS_prlimit64, &[&[(0, Op::Ne, 0)]]);
    let families = |except: &[i32]| -> Vec<(u8, Op, u64)> {
        except
            .iter()
            .map(|family| (0, Op::Ne, u64::from(family.cast_unsigned())))
            .collect()
    };
    match sockets {
        Sockets::None => when(libc::SYS_socket, &[&[(0, Op::Ge, 0)]]),
        Sockets::Usual | Sockets::NoUnix => {
            let mut allowed = vec![libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
            if sockets == Sockets::Usual {
                allowed.push(libc::AF_UNIX);
            }
            let usual = families(&allowed);
            let raw = |family: i32| {
                [
                    (0, Op::Eq, u64::from(family.cast_unsigned())),
                    (1, Op::MaskedEq(0xf), 3),
                ]
            };
            when(
                libc::SYS_socket,
                &[&usual, &raw(libc::AF_INET), &raw(libc::AF_INET6)],
            );
        }
    }
    // A set-user-id file would lend the caller's user to everybody who can reach it.
    let set_id: [u64; 2] = [0o4000, 0o2000];
    let mut mode_at = |call: i64, index: u8, condition: Option<(u8, Op, u64)>| {
        let cases: Vec<Vec<(u8, Op, u64)>> = set_id
            .iter()
            .map(|bit| {
                condition
                    .iter()
                    .cloned()
                    .chain([(index, Op::MaskedEq(*bit), *bit)])
                    .collect()
            })
            .collect();
        when(call, &cases.iter().map(Vec::as_slice).collect::<Vec<_>>());
    };
    let creates = u64::from(libc::O_CREAT.cast_unsigned());
    mode_at(libc::SYS_fchmod, 1, None);
    mode_at(libc::SYS_fchmodat, 2, None);
    mode_at(FCHMODAT2, 2, None);
    mode_at(libc::SYS_mknodat, 2, None);
    mode_at(
        libc::SYS_openat,
        3,
        Some((2, Op::MaskedEq(creates), creates)),
    );
    #[cfg(target_arch = "x86_64")]
    {
        mode_at(libc::SYS_chmod, 1, None);
        mode_at(libc::SYS_creat, 1, None);
        mode_at(libc::SYS_mknod, 1, None);
        mode_at(libc::SYS_open, 2, Some((1, Op::MaskedEq(creates), creates)));
    }
    rules.extend(priorities(shared_host));
    rules
}

/// Priorities of all processes of a user, and where they are in sight, of any other process.
fn priorities(shared_host: bool) -> Rules {
    let other: &[Case<'_>] = &[&[(0, Op::Ne, 0)]];
    let cases: &[(i64, &[Case<'_>])] = if shared_host {
        &[
            (
                libc::SYS_setpriority,
                &[&[(0, Op::Ne, 0)], &[(1, Op::Ne, 0)]],
            ),
            (
                libc::SYS_ioprio_set,
                &[&[(0, Op::Ne, 1)], &[(1, Op::Ne, 0)]],
            ),
            (libc::SYS_sched_setscheduler, other),
            (libc::SYS_sched_setparam, other),
            (libc::SYS_sched_setattr, other),
            (libc::SYS_sched_setaffinity, other),
        ]
    } else {
        &[
            (libc::SYS_setpriority, &[&[(0, Op::Eq, 2)]]),
            (libc::SYS_ioprio_set, &[&[(0, Op::Eq, 3)]]),
        ]
    };
    cases
        .iter()
        .map(|(call, cases)| (*call, cases.iter().filter_map(|case| rule(case)).collect()))
        .collect()
}

/// Too new for some C libraries' headers; the same number on every architecture.
const FCHMODAT2: i64 = 452;
const SETXATTRAT: i64 = 463;
const REMOVEXATTRAT: i64 = 466;

#[cfg(test)]
mod tests;
