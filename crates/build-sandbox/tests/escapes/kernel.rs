//! System calls that change or observe more than the build.

use super::attempt::{Attempt, Weakest};

use Weakest::Group as G;

pub(crate) const ATTEMPTS: &[Attempt] = &[
    (
        "mount a tmpfs: refused by seccomp",
        G,
        "mount -t tmpfs none $srcdir",
    ),
    (
        "remount / writable: refused by seccomp",
        G,
        "mount -o remount,rw /",
    ),
    ("unmount /tmp: refused by seccomp", G, "umount -l /tmp"),
    (
        "new mount interface: refused by seccomp",
        G,
        "perl -e '$f = \"tmpfs\"; exit(syscall(430, $f, 0) < 0)'",
    ),
    (
        "change the root directory: refused by seccomp",
        G,
        "chroot / true",
    ),
    (
        "new user namespace: refused by seccomp",
        G,
        "unshare -Ur true",
    ),
    (
        "new user namespace by clone: refused by seccomp",
        G,
        "perl -e '$p = syscall(56, 0x10000000 | 17, 0, 0, 0, 0); exit 0 if $p == 0; exit($p < 0)'",
    ),
    (
        "clone3: unknown to the build, so flags cannot hide",
        G,
        "perl -e '$a = pack(\"Q11\", 0x10000000, (0) x 10); $p = syscall(435, $a, 88); exit 0 if $p == 0; exit($p < 0)'",
    ),
    (
        "join a namespace: refused by seccomp",
        G,
        "perl -e 'open(F, \"/proc/self/ns/uts\"); exit(syscall(308, fileno(F), 0) < 0)'",
    ),
    (
        "key ring: refused by seccomp",
        G,
        "perl -e 'exit(syscall(250, 0, -3, 1) < 0)'",
    ),
    (
        "add a key: refused by seccomp",
        G,
        "perl -e '@a = (\"user\", \"k\", \"v\"); exit(syscall(248, @a, 1, -3) < 0)'",
    ),
    (
        "load a BPF program: refused by seccomp",
        G,
        "perl -e '$a = \"\\0\" x 128; exit(syscall(321, 0, $a, 128) < 0 && $! == 1)'",
    ),
    (
        "performance events: refused by seccomp",
        G,
        "perl -e '$a = \"\\0\" x 128; exit(syscall(298, $a, 0, -1, -1, 0) < 0)'",
    ),
    (
        "userfaultfd: refused by seccomp",
        G,
        "perl -e 'exit(syscall(323, 1) < 0)'",
    ),
    (
        "io_uring: refused by seccomp",
        G,
        "perl -e '$a = \"\\0\" x 120; exit(syscall(425, 1, $a) < 0)'",
    ),
    (
        "x32 system calls: unknown to the build",
        G,
        "perl -e 'exit(syscall(0x40000000 + 39) < 0)'",
    ),
    (
        "open a file by handle: refused by seccomp",
        G,
        "perl -e '$h = \"\\0\" x 128; exit(syscall(304, -100, $h, 0) < 0)'",
    ),
    ("kernel log: refused by seccomp", G, "dmesg | grep ."),
    (
        "load a module: refused by seccomp",
        G,
        "perl -e '@a = (\"x\", 1, \"\"); exit(syscall(175, @a) < 0)'",
    ),
    (
        "restart the machine: refused by seccomp",
        G,
        "perl -e 'exit(syscall(169, 0, 0, 0, 0) < 0)'",
    ),
    ("set the clock: refused by seccomp", G, "date -s @0"),
    (
        "set the host name: refused by seccomp",
        G,
        "perl -e '@a = (\"x\", 1); exit(syscall(170, @a) < 0)'",
    ),
    (
        "set swap: refused by seccomp",
        G,
        "swapoff -a && perl -e '@a = (\"/x\"); exit(syscall(168, @a) < 0)'",
    ),
    (
        "push input into a terminal: refused by seccomp",
        G,
        "setsid -w perl -e '$SIG{HUP} = \"IGNORE\"; $z = pack(\"i\", 0); $n = $z; $x = \"x\"; open(M, \"+</dev/ptmx\") && ioctl(M, 0x40045431, $z) && ioctl(M, 0x80045430, $n) or exit 1; open(S, \"+</dev/pts/\" . unpack(\"i\", $n)) or exit 1; exit !ioctl(S, 0x5412, $x)'",
    ),
    (
        "mount in a new user namespace: refused by seccomp",
        G,
        "unshare -Urm mount -t tmpfs none /mnt",
    ),
    (
        "change the root directory in a new user namespace: refused by seccomp",
        G,
        "unshare -Ur chroot / true",
    ),
    (
        "name a file by handle: refused by seccomp",
        G,
        "perl -e '$f = \"/etc/passwd\"; $h = pack(\"LL\", 128, 0) . \"\\0\" x 128; $m = \"\\0\" x 4; exit(syscall(303, -100, $f, $h, $m, 0) < 0)'",
    ),
    (
        "move memory between nodes: refused by seccomp",
        G,
        "perl -e 'exit(syscall(279, 0, 0, 0, 0, 0, 0) < 0)'",
    ),
];
