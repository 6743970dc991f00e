// The tables below are easier to hold against the registries one line a range.
#![allow(clippy::match_same_arms, clippy::unnested_or_patterns)]

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is for, other than for a host on the internet.
///
/// Source: the IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890 and updates).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressKind {
    /// This machine itself.
    Loopback,
    /// A private network, also one behind a carrier's NAT.
    Private,
    /// The network segment the machine is on; clouds answer with a machine's credentials there.
    LinkLocal,
    /// Many machines at once.
    Multicast,
    /// No host: unspecified, broadcast, documentation, benchmarks, reserved.
    Reserved,
}

impl fmt::Display for AddressKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Loopback => "a loopback address",
            Self::Private => "an address of a private network",
            Self::LinkLocal => "a link-local address",
            Self::Multicast => "a multicast address",
            Self::Reserved => "an address that belongs to no host",
        })
    }
}

/// What is special about an address; nothing for one of the internet.
///
/// An IPv6 address that stands for an IPv4 address (mapped, compatible, NAT64, 6to4, Teredo) is
/// what that one is.
pub fn kind_of(address: IpAddr) -> Option<AddressKind> {
    match address {
        IpAddr::V4(address) => kind_of_v4(address),
        IpAddr::V6(address) => kind_of_v6(address),
    }
}

fn kind_of_v4(address: Ipv4Addr) -> Option<AddressKind> {
    let [a, b, c, _] = address.octets();
    Some(match (a, b, c) {
        (127, ..) => AddressKind::Loopback,
        (10, ..) | (192, 168, _) => AddressKind::Private,
        (172, 16..=31, _) | (100, 64..=127, _) => AddressKind::Private,
        (169, 254, _) => AddressKind::LinkLocal,
        (224..=239, ..) => AddressKind::Multicast,
        // This network; IETF assignments; documentation; 6to4 relays; benchmarks; reserved.
        (0 | 240..=255, ..)
        | (192, 0, 0 | 2)
        | (192, 88, 99)
        | (198, 18..=19, _)
        | (198, 51, 100)
        | (203, 0, 113) => AddressKind::Reserved,
        _ => return None,
    })
}

fn kind_of_v6(address: Ipv6Addr) -> Option<AddressKind> {
    let parts = address.segments();
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        kind_of_v4(Ipv4Addr::new(a, b, c, d))
    };
    if address.is_loopback() {
        return Some(AddressKind::Loopback);
    }
    if address.is_unspecified() {
        return Some(AddressKind::Reserved);
    }
    match parts {
        // Mapped (also as translated, RFC 8215's neighbour ::ffff:0:0:0/96) and compatible.
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0, 0, 0, 0, 0, 0, high, low]
        // NAT64, RFC 6052.
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        // A network's own NAT64 prefix, RFC 8215, may lead anywhere inside.
        [0x64, 0xff9b, 1, ..] => Some(AddressKind::Private),
        // 6to4, RFC 3056.
        [0x2002, high, low, ..] => v4(high, low),
        // Teredo, RFC 4380: the client's address is stored with its bits turned round.
        [0x2001, 0, _, _, _, _, high, low] => v4(!high, !low),
        [0xfc00..=0xfdff, ..] => Some(AddressKind::Private),
        // Link-local, and site-local, which old networks still use.
        [0xfe80..=0xfebf, ..] => Some(AddressKind::LinkLocal),
        [0xfec0..=0xfeff, ..] => Some(AddressKind::Private),
        [0xff00..=0xffff, ..] => Some(AddressKind::Multicast),
        // Benchmarks, ORCHID, documentation, discard-only, segment routing.
        [0x2001, 2, 0, ..]
        | [0x2001, 0x10..=0x3f, ..]
        | [0x2001, 0xdb8, ..]
        | [0x3fff, 0..=0xfff, ..]
        | [0x100, 0, 0, 0, ..]
        | [0x5f00, ..] => Some(AddressKind::Reserved),
        // Everything outside 2000::/3 is not assigned.
        [0x2000..=0x3fff, ..] => None,
        _ => Some(AddressKind::Reserved),
    }
}
