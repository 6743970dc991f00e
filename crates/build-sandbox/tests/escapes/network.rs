//! Sockets, with the network off.

use super::attempt::{Attempt, Weakest};

use Weakest::Group as G;

pub(crate) const ATTEMPTS: &[Attempt] = &[
    (
        "loopback server of the host by TCP: own network or refused",
        G,
        "exec 9<>/dev/tcp/127.0.0.1/$TCP",
    ),
    (
        "loopback server of the host by UDP: own network or refused",
        G,
        "perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(Proto => \"udp\", PeerAddr => \"127.0.0.1:$ENV{UDP}\") or exit 1; $s->send(\"x\") or exit 1; $s->send(\"x\") or exit 1; exit 0'",
    ),
    (
        "the internet by TCP: own network or refused",
        G,
        "timeout 3 bash -c 'exec 9<>/dev/tcp/1.1.1.1/53'",
    ),
    (
        "abstract socket of the host: own network or refused",
        G,
        "perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0) or exit 1; exit !connect(S, pack(\"S a*\", 1, \"\\0$ENV{ABSTRACT}\"))'",
    ),
    (
        "socket by path of the host: covered or refused",
        G,
        "perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0) or exit 1; exit !connect(S, pack_sockaddr_un(\"$ENV{OUT}/socket\"))'",
    ),
    (
        "raw socket: refused",
        G,
        "perl -MSocket -e 'exit !socket(S, AF_INET, SOCK_RAW, 1)'",
    ),
    (
        "packet socket: refused by seccomp",
        G,
        "perl -MSocket -e 'exit !socket(S, 17, SOCK_RAW, 0)'",
    ),
    (
        "socket to the hypervisor: refused by seccomp",
        G,
        "perl -MSocket -e 'exit !socket(S, 40, SOCK_STREAM, 0)'",
    ),
];
