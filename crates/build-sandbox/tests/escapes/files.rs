//! Files of the host, devices and file modes.

use super::attempt::{Attempt, Weakest};

use Weakest::{Group as G, Landlock as L, Namespaces as N};

pub(crate) const ATTEMPTS: &[Attempt] = &[
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
        "write below /usr: read-only, and owned by root",
        L,
        "touch /usr/lib/created-by-test",
    ),
    (
        "write below /etc: read-only, and owned by root",
        L,
        "touch /etc/created-by-test",
    ),
    (
        "write below /var: read-only, and owned by root",
        L,
        "touch /var/lib/created-by-test",
    ),
    (
        "write to /: read-only, and owned by root",
        L,
        "touch /created-by-test",
    ),
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
        "read the recipe's neighbours in the host's /tmp: covered or denied",
        L,
        "ls -d /tmp/* | grep -v -e build-sandbox- | grep .",
    ),
    (
        "disk device: absent or denied",
        L,
        "head -c1 /dev/sda /dev/vda /dev/nvme0n1 | grep -c .",
    ),
    (
        "make a device node: no capability",
        G,
        "mknod node b 8 0 && cat node",
    ),
    (
        "make a device node and open memory: no capability",
        G,
        "mknod mem c 1 1 && head -c1 mem",
    ),
    (
        "set-user-id bit by chmod: refused by seccomp",
        G,
        "cp /bin/true s1; chmod u+s s1 && [[ -u s1 ]]",
    ),
    (
        "set-group-id bit by chmod: refused by seccomp",
        G,
        "cp /bin/true s2; chmod g+s s2 && [[ -g s2 ]]",
    ),
    (
        "set-user-id bit on creation: refused by seccomp",
        G,
        "perl -e 'use Fcntl; exit !sysopen(F, \"s3\", O_CREAT|O_WRONLY, 04755)' && [[ -u s3 ]]",
    ),
    (
        "set the core pattern: owned by the host's root",
        G,
        "echo x > /proc/sys/kernel/core_pattern",
    ),
    (
        "magic system request: owned by the host's root",
        G,
        "echo h > /proc/sysrq-trigger",
    ),
    (
        "create a file in a shared directory of the host: read-only",
        L,
        "echo x > $OPEN/created",
    ),
    (
        "append to a file of the user elsewhere: read-only",
        L,
        "echo x >> $OPEN/target",
    ),
    (
        "remove a file of the user elsewhere: read-only",
        L,
        "rm $OPEN/target",
    ),
    (
        "change the mode of a file of the user elsewhere: read-only, not covered by Landlock",
        N,
        "chmod 600 $OPEN/target",
    ),
    (
        "change times of a file of the user elsewhere: read-only, not covered by Landlock",
        N,
        "touch -c -d @0 $OPEN/target && [[ -e $OPEN/target ]]",
    ),
    (
        "set-user-id bit on a file of the user elsewhere: refused by seccomp",
        G,
        "chmod u+s $OPEN/target",
    ),
    (
        "set an attribute of a file of the user elsewhere: read-only or unsupported by seccomp",
        L,
        "perl -e '@a = (\"$ENV{OPEN}/target\", \"user.x\", \"y\"); exit(syscall(188, @a, 1, 0) < 0)'",
    ),
    (
        "read a private file of the user in /etc: not shown or covered",
        L,
        "set -- $PRIVATES; grep secret ${1:-/nothing}",
    ),
    (
        "read a private file of the user in /srv: not shown or covered",
        L,
        "set -- $PRIVATES; grep secret ${2:-/nothing}",
    ),
    (
        "read a private file of the user in /opt: not shown or covered",
        L,
        "set -- $PRIVATES; grep secret ${3:-/nothing}",
    ),
    (
        "read a private file of the user in /var/lib: not shown or covered",
        L,
        "set -- $PRIVATES; grep secret ${4:-/nothing}",
    ),
    (
        "read a private file of the user in /usr/local: not shown or covered",
        L,
        "set -- $PRIVATES; grep secret ${5:-/nothing}",
    ),
    (
        "read a file of the user elsewhere: not shown or denied",
        L,
        "grep secret $OPEN/secret",
    ),
    (
        "read which host this is: not shown or denied",
        L,
        "cat /etc/hostname /etc/machine-id /etc/fstab | grep .",
    ),
];
