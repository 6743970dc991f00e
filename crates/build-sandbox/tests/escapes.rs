//! Attempts to get out of the sandbox. Each is a line of shell that ends with status 0 only if the
//! attempt worked.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod support;

use std::fmt::Write;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

use build_sandbox::{Isolation, NetworkPolicy, Phase};
use support::{Recorder, build, chain, have, sandbox, tiers};
use tokio_util::sync::CancellationToken;

/// A tier and all stronger ones refuse it.
const G: Isolation = Isolation::Group;
const L: Isolation = Isolation::Landlock;
const N: Isolation = Isolation::Namespaces;

/// Name with the reason, weakest tier that refuses it, attempt. `$OUT` is a directory of the host
/// that everybody may write, `$HOST` the process id of the host program.
const ATTEMPTS: &[(&str, Isolation, &str)] = &[
    (
        "create a file outside: read-only or hidden",
        L,
        "echo x > $OUT/created && [[ -e $OUT/secret ]]",
    ),
    (
        "append to a file outside: read-only or hidden",
        L,
        "echo x >> $OUT/target && [[ -e $OUT/secret ]]",
    ),
    (
        "truncate a file outside: read-only or hidden",
        L,
        "perl -e 'exit !truncate(\"$ENV{OUT}/target\", 0)'",
    ),
    (
        "remove a file outside: read-only or hidden",
        L,
        "rm $OUT/target",
    ),
    (
        "rename a file outside: read-only or hidden",
        L,
        "mv $OUT/target $OUT/moved",
    ),
    (
        "change the mode outside: read-only or hidden, not covered by Landlock",
        N,
        "perl -e 'exit !chmod(0600, \"$ENV{OUT}/target\")' && [[ -e $OUT/secret ]]",
    ),
    (
        "change times outside: read-only or hidden, not covered by Landlock",
        N,
        "touch -c $OUT/target && [[ -e $OUT/target ]]",
    ),
    (
        "make a directory outside: read-only or hidden",
        L,
        "mkdir $OUT/made && [[ -e $OUT/secret ]]",
    ),
    (
        "make a link outside: read-only or hidden",
        L,
        "ln -s x $OUT/link && [[ -e $OUT/secret ]]",
    ),
    (
        "read a file in the host's /tmp: covered or denied",
        L,
        "grep secret $OUT/secret",
    ),
    (
        "list the host's /tmp: covered or denied",
        L,
        "ls $OUT | grep secret",
    ),
    (
        "read the home of root: covered or denied",
        L,
        "ls /root/.bashrc /root/.profile /root/.cargo | grep .",
    ),
    ("list /home: covered or denied", L, "ls /home | grep ."),
    (
        "write below /usr: read-only",
        L,
        "touch /usr/lib/created-by-test",
    ),
    (
        "write below /etc: read-only",
        L,
        "touch /etc/created-by-test",
    ),
    (
        "write below /var: read-only",
        L,
        "touch /var/lib/created-by-test",
    ),
    ("write to /: read-only", L, "touch /created-by-test"),
    (
        "write to a symbolic link in srcdir that leads out: the target decides",
        L,
        "ln -s $OUT/target l1; echo x > l1 && [[ -e $OUT/secret ]]",
    ),
    (
        "write through a directory link in pkgdir: the target decides",
        L,
        "ln -s $OUT $pkgdir/out; echo x > $pkgdir/out/created && [[ -e $OUT/secret ]]",
    ),
    (
        "hard-link a file from outside: other mount or denied",
        L,
        "ln $OUT/target hard && echo x >> hard",
    ),
    (
        "hard-link /etc/passwd into pkgdir: other mount or denied",
        L,
        "ln /etc/passwd $pkgdir/passwd",
    ),
    (
        "rename a build file out: other mount or denied",
        L,
        "echo x > mine; perl -e 'exit !rename(\"mine\", \"$ENV{OUT}/mine\")'",
    ),
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
        G,
        "kill -9 $PPID && sleep 0.1 && ! kill -0 $PPID",
    ),
    (
        "stop the supervisor: first process or signal scope",
        G,
        "kill -STOP $PPID && grep -q 'T (stopped)' /proc/$PPID/status",
    ),
    (
        "signal the host program: invisible or signal scope",
        G,
        "kill -CONT $HOST",
    ),
    (
        "signal the host program's thread: invisible or signal scope",
        G,
        "perl -e 'exit !!syscall(200, $ENV{HOST}, 18)'",
    ),
    (
        "lower the supervisor's limits: refused by seccomp",
        L,
        "prlimit --pid $PPID --nofile=0:0 && grep -q 'open files *0' /proc/$PPID/limits",
    ),
    (
        "trace the supervisor: refused by seccomp",
        L,
        "perl -e 'exit syscall(101, 16, $ENV{PARENT}, 0, 0) < 0'",
    ),
    (
        "trace a process of the build: refused by seccomp",
        L,
        "perl -e 'exit syscall(101, 0, 0, 0, 0) < 0'",
    ),
    (
        "read another process's memory: refused by seccomp",
        L,
        "perl -e 'exit syscall(310, $ENV{PARENT}, 0, 0, 0, 0, 0) < 0'",
    ),
    (
        "steal a descriptor: refused by seccomp",
        L,
        "perl -e '$f = syscall(434, getppid, 0); exit syscall(438, $f, 0, 0) < 0'",
    ),
    (
        "mount a tmpfs: refused by seccomp",
        L,
        "mount -t tmpfs none $srcdir",
    ),
    (
        "remount / writable: refused by seccomp",
        L,
        "mount -o remount,rw /",
    ),
    ("unmount /tmp: refused by seccomp", L, "umount -l /tmp"),
    (
        "new mount interface: refused by seccomp",
        L,
        "perl -e 'exit syscall(430, \"tmpfs\", 0) < 0'",
    ),
    (
        "change the root directory: refused by seccomp",
        L,
        "chroot / true",
    ),
    (
        "new user namespace: refused by seccomp",
        L,
        "unshare -Ur true",
    ),
    (
        "new user namespace by clone: refused by seccomp",
        L,
        "perl -e '$p = syscall(56, 0x10000000 | 17, 0, 0, 0, 0); exit 0 if $p == 0; exit $p < 0'",
    ),
    (
        "clone3: unknown to the build, so flags cannot hide",
        L,
        "perl -e '$a = pack(\"Q11\", 0x10000000, (0) x 10); $p = syscall(435, $a, 88); exit 0 if $p == 0; exit $p < 0'",
    ),
    (
        "join a namespace: refused by seccomp",
        L,
        "perl -e 'open(F, \"/proc/self/ns/uts\"); exit syscall(308, fileno(F), 0) < 0'",
    ),
    (
        "key ring: refused by seccomp",
        L,
        "perl -e 'exit syscall(250, 0, -3, 1) < 0'",
    ),
    (
        "add a key: refused by seccomp",
        L,
        "perl -e 'exit syscall(248, \"user\", \"k\", \"v\", 1, -3) < 0'",
    ),
    (
        "load a BPF program: refused by seccomp",
        L,
        "perl -e '$a = \"\\0\" x 128; exit syscall(321, 0, $a, 128) < 0 && $! == 1'",
    ),
    (
        "performance events: refused by seccomp",
        L,
        "perl -e '$a = \"\\0\" x 128; exit syscall(298, $a, 0, -1, -1, 0) < 0'",
    ),
    (
        "userfaultfd: refused by seccomp",
        L,
        "perl -e 'exit syscall(323, 1) < 0'",
    ),
    (
        "io_uring: refused by seccomp",
        L,
        "perl -e '$a = \"\\0\" x 120; exit syscall(425, 1, $a) < 0'",
    ),
    (
        "x32 system calls: unknown to the build",
        L,
        "perl -e 'exit syscall(0x40000000 + 39) < 0'",
    ),
    (
        "open a file by handle: refused by seccomp",
        L,
        "perl -e '$h = \"\\0\" x 128; exit syscall(304, -100, $h, 0) < 0'",
    ),
    ("kernel log: refused by seccomp", L, "dmesg | grep ."),
    (
        "load a module: refused by seccomp",
        L,
        "perl -e 'exit syscall(175, \"x\", 1, \"\") < 0'",
    ),
    (
        "restart the machine: refused by seccomp",
        L,
        "perl -e 'exit syscall(169, 0, 0, 0, 0) < 0'",
    ),
    ("set the clock: refused by seccomp", L, "date -s @0"),
    (
        "set the host name: refused by seccomp",
        L,
        "perl -e 'exit syscall(170, \"x\", 1) < 0'",
    ),
    (
        "set swap: refused by seccomp",
        L,
        "swapoff -a && perl -e 'exit syscall(168, \"/x\") < 0'",
    ),
    (
        "push input into a terminal: refused by seccomp",
        L,
        "perl -e 'open(T, \"+</dev/ptmx\"); exit !ioctl(T, 0x5412, \"x\")'",
    ),
    (
        "open a controlling terminal: there is none",
        G,
        "exec 9<>/dev/tty",
    ),
    (
        "set the core pattern: owned by the host's root",
        L,
        "echo x > /proc/sys/kernel/core_pattern",
    ),
    (
        "magic system request: owned by the host's root",
        L,
        "echo h > /proc/sysrq-trigger",
    ),
    (
        "make a device node: no capability",
        L,
        "mknod node b 8 0 && cat node",
    ),
    (
        "make a device node and open memory: no capability",
        L,
        "mknod mem c 1 1 && head -c1 mem",
    ),
    (
        "disk device: absent or denied",
        L,
        "head -c1 /dev/sda /dev/vda /dev/nvme0n1 | grep -c .",
    ),
    (
        "set-user-id bit by chmod: refused by seccomp",
        L,
        "cp /bin/true s1; chmod u+s s1 && [[ -u s1 ]]",
    ),
    (
        "set-group-id bit by chmod: refused by seccomp",
        L,
        "cp /bin/true s2; chmod g+s s2 && [[ -g s2 ]]",
    ),
    (
        "set-user-id bit on creation: refused by seccomp",
        L,
        "perl -e 'use Fcntl; exit !sysopen(F, \"s3\", O_CREAT|O_WRONLY, 04755)' && [[ -u s3 ]]",
    ),
    (
        "set-user-id program: no new privileges",
        G,
        "su -c true root </dev/null || grep -q 'NoNewPrivs:.*0' /proc/self/status",
    ),
    (
        "capabilities: none are left",
        L,
        "grep -q 'CapEff:.*[1-9a-f]' /proc/self/status",
    ),
    (
        "loopback server of the host by TCP: own network or refused",
        L,
        "exec 9<>/dev/tcp/127.0.0.1/$TCP",
    ),
    (
        "loopback server of the host by UDP: own network or refused",
        L,
        "perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(Proto => \"udp\", PeerAddr => \"127.0.0.1:$ENV{UDP}\") or exit 1; $s->send(\"x\") or exit 1; $s->send(\"x\") or exit 1; exit 0'",
    ),
    (
        "the internet by TCP: own network or refused",
        L,
        "timeout 3 bash -c 'exec 9<>/dev/tcp/1.1.1.1/53'",
    ),
    (
        "abstract socket of the host: own network or refused",
        L,
        "perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0) or exit 1; exit !connect(S, pack(\"S a*\", 1, \"\\0$ENV{ABSTRACT}\"))'",
    ),
    (
        "socket by path of the host: covered or refused",
        L,
        "perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0) or exit 1; exit !connect(S, pack_sockaddr_un(\"$ENV{OUT}/socket\"))'",
    ),
    (
        "raw socket: refused",
        L,
        "perl -MSocket -e 'exit !socket(S, AF_INET, SOCK_RAW, 1)'",
    ),
    (
        "packet socket: refused by seccomp",
        L,
        "perl -MSocket -e 'exit !socket(S, 17, SOCK_RAW, 0)'",
    ),
    (
        "socket to the hypervisor: refused by seccomp",
        L,
        "perl -MSocket -e 'exit !socket(S, 40, SOCK_STREAM, 0)'",
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
        "read the recipe's neighbours in the host's /tmp: covered or denied",
        L,
        "ls -d /tmp/* | grep -v -e build-sandbox- | grep .",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attempt_is_refused() {
    if !have("perl") || !cfg!(target_arch = "x86_64") {
        eprintln!("skipped: the attempts use perl and x86-64 call numbers");
        return;
    }
    let outside = tempfile::Builder::new()
        .prefix("outside-")
        .tempdir()
        .unwrap();
    let out = outside.path();
    for (name, mode) in [("secret", 0o644), ("target", 0o666)] {
        fs::write(out.join(name), "secret\n").unwrap();
        fs::set_permissions(out.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::set_permissions(out, fs::Permissions::from_mode(0o777)).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let by_path = UnixListener::bind(out.join("socket")).unwrap();
    fs::set_permissions(out.join("socket"), fs::Permissions::from_mode(0o777)).unwrap();
    let name = format!("build-sandbox-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let abstract_ = UnixListener::bind_addr(&address).unwrap();

    let sandbox = sandbox();
    for tier in tiers(&sandbox).await {
        let attempts: Vec<_> = ATTEMPTS
            .iter()
            .filter(|(_, weakest, _)| tier >= *weakest)
            .collect();
        let mut body = String::from("export PARENT=$PPID srcdir pkgdir\nset +e\n");
        for (index, (_, _, attempt)) in attempts.iter().enumerate() {
            let _ = writeln!(
                body,
                "if ( set +e; {attempt} ) >/dev/null 2>&1; then echo 'ESCAPED {index}'; else echo 'refused {index}'; fi"
            );
        }
        let mut build = build(tier, &format!("pkgname=demo\nbuild() {{\n{body}\n}}\n"));
        build.spec.network = NetworkPolicy::NONE;
        build.spec.limits.wall = Duration::from_mins(1);
        for (key, value) in [
            ("OUT", out.display().to_string()),
            ("HOST", std::process::id().to_string()),
            ("TCP", tcp.local_addr().unwrap().port().to_string()),
            ("UDP", udp.local_addr().unwrap().port().to_string()),
            ("ABSTRACT", name.clone()),
        ] {
            build.spec.environment.insert(key.to_owned(), value);
        }
        let recorder = Recorder::default();
        let token = CancellationToken::new();
        let outcome = sandbox
            .run(&build.spec, Phase::Build, &token, &recorder)
            .await;
        outcome.unwrap_or_else(|error| panic!("{tier}: {}", chain(&error)));
        let text = recorder.text();
        let mut escaped = Vec::new();
        for (index, (name, _, _)) in attempts.iter().enumerate() {
            if text.lines().any(|line| line == format!("ESCAPED {index}")) {
                escaped.push(*name);
            } else {
                assert!(
                    text.lines().any(|line| line == format!("refused {index}")),
                    "{tier}: {name}: {text}"
                );
            }
        }
        assert_eq!(escaped, [""; 0], "{tier}");
        if tier >= Isolation::Landlock {
            assert_eq!(
                fs::read_to_string(out.join("target")).unwrap(),
                "secret\n",
                "{tier}"
            );
            assert_eq!(fs::read_dir(out).unwrap().count(), 3, "{tier}");
        }
        eprintln!(
            "{tier}: {} attempts, all refused or harmless",
            attempts.len()
        );
    }
    drop((by_path, abstract_));
}
