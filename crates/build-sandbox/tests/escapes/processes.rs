//! Other processes, and what a process inherits.

use super::attempt::{Attempt, Weakest};

use Weakest::{Group as G, Landlock as L, Namespaces as N, Scoped as S};

pub(crate) const ATTEMPTS: &[Attempt] = &[
    (
        "read the host program's environment: invisible or not traceable",
        L,
        "tr '\\0' '\\n' < /proc/$HOST/environ | grep .",
    ),
    (
        "read the host program's memory: invisible or not traceable",
        L,
        "head -c1 /proc/$HOST/mem; [[ -r /proc/$HOST/maps ]] && grep -c . /proc/$HOST/maps",
    ),
    (
        "list the host program's descriptors: invisible or not traceable",
        L,
        "ls -l /proc/$HOST/fd | grep -e '->'",
    ),
    (
        "enter the host's root by /proc: invisible or not traceable",
        L,
        "ls /proc/$HOST/root/",
    ),
    (
        "read the supervisor's environment: not dumpable",
        G,
        "tr '\\0' '\\n' < /proc/$PPID/environ | grep .",
    ),
    (
        "read the supervisor's memory map: not dumpable",
        G,
        "grep -c . /proc/$PPID/maps",
    ),
    (
        "open the supervisor's descriptors: not dumpable",
        G,
        "ls -l /proc/$PPID/fd | grep -e '->'",
    ),
    (
        "kill the supervisor: first process or signal scope",
        S,
        "kill -9 $PPID && sleep 0.1 && ! grep -q '^State:.[SRD]' /proc/$PPID/status",
    ),
    (
        "stop the supervisor: first process or signal scope",
        S,
        "kill -STOP $PPID && sleep 0.1 && grep -q 'T (stopped)' /proc/$PPID/status",
    ),
    (
        "signal the host program: invisible or signal scope",
        S,
        "kill -CONT $HOST",
    ),
    (
        "signal the host program's thread: invisible or signal scope",
        S,
        "perl -e 'exit !!syscall(200, 0+$ENV{HOST}, 18)'",
    ),
    (
        "lower the supervisor's limits: refused by seccomp",
        G,
        "prlimit --pid $PPID --nofile=0:0",
    ),
    (
        "trace the supervisor: refused by seccomp",
        G,
        "perl -e 'exit(syscall(101, 16, 0+$ENV{PARENT}, 0, 0) < 0)'",
    ),
    (
        "trace a process of the build: refused by seccomp",
        G,
        "perl -e 'exit(syscall(101, 0, 0, 0, 0) < 0)'",
    ),
    (
        "read another process's memory: refused by seccomp",
        G,
        "perl -e 'exit(syscall(310, 0+$ENV{PARENT}, 0, 0, 0, 0, 0) < 0)'",
    ),
    (
        "steal a descriptor: refused by seccomp",
        G,
        "perl -e '$f = syscall(434, getppid, 0); exit(syscall(438, $f, 0, 0) < 0)'",
    ),
    (
        "see processes of the host: own process numbers",
        N,
        "[[ -e /proc/$HOST ]]",
    ),
    (
        "inherited descriptors: all closed",
        G,
        "ls -l /proc/self/fd | grep -e '->' | grep -v -e /dev/null -e pipe: -e /proc/ | grep .",
    ),
    (
        "inherited environment: built from nothing",
        G,
        "env | grep -e CARGO_MANIFEST -e HOST_SECRET",
    ),
    (
        "open a controlling terminal: there is none",
        G,
        "exec 9<>/dev/tty",
    ),
    (
        "set-user-id program: no new privileges",
        G,
        "su -c true root </dev/null || grep -q 'NoNewPrivs:.*0' /proc/self/status",
    ),
    (
        "capabilities: none are left",
        G,
        "grep -q 'CapEff:.*[1-9a-f]' /proc/self/status",
    ),
    (
        "compare with the supervisor: refused by seccomp",
        G,
        "perl -e 'exit(syscall(312, getppid, getppid, 0, 0, 0) < 0)'",
    ),
    (
        "read the supervisor's command line: overwritten",
        G,
        "tr -d '\\0' < /proc/$PPID/cmdline | grep .",
    ),
    (
        "read the first process's command line: the supervisor's, overwritten",
        N,
        "tr -d '\\0' < /proc/1/cmdline | grep .",
    ),
    (
        "read the host program's command line: invisible",
        N,
        "grep -a sleep /proc/$HOST/cmdline",
    ),
    (
        "shared memory of the user: own IPC namespace or refused by seccomp",
        G,
        "perl -e 'exit !defined shmget(hex($ENV{SEGMENT}), 0, 0)'",
    ),
    (
        "priority of the host program: invisible or refused by seccomp",
        G,
        "renice -n 19 -p $HOST",
    ),
    (
        "priority of all processes of the user: refused by seccomp",
        G,
        "perl -e 'exit(syscall(141, 2, 0, 19) < 0)'",
    ),
    (
        "priority of the host program's input and output: invisible or refused by seccomp",
        G,
        "ionice -c 3 -p $HOST",
    ),
    (
        "scheduler of the host program: invisible or refused by seccomp",
        G,
        "chrt -b -p 0 $HOST",
    ),
    (
        "processors of the host program: invisible or refused by seccomp",
        G,
        "taskset -p 1 $HOST",
    ),
];
