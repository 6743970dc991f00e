//! Connections that break, stall, flood and lie.

use super::*;

#[expect(clippy::too_many_lines, reason = "a table")]
pub fn transport_cases() -> Vec<Case> {
    let stalled = |name, steps, hurry| Case(name, Call::Get, hurry, steps, "TimedOut");
    let open = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
    let chunked =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    vec![
        get_raw("closes at once", vec![], "Unreachable"),
        get_raw(
            "cut in the headers",
            raw("HTTP/1.1 200 OK\r\nContent-"),
            "Unreachable",
        ),
        get_raw(
            "cut in the body",
            raw(format!(
                "HTTP/1.1 200 OK\r\n{JSON}Content-Length: 500\r\n\r\n{{\"id\""
            )),
            "Unreachable",
        ),
        get_raw(
            "cut in a chunk",
            raw(format!("{chunked}40\r\n{{\"id\"")),
            "Unreachable",
        ),
        get_raw(
            "cut between chunks",
            raw(format!("{chunked}5\r\n{{\"id\"\r\n")),
            "Unreachable",
        ),
        stalled("stalls before the answer", vec![Step::Stall], Hurry::Idle),
        stalled(
            "stalls in the headers",
            with(raw("HTTP/1.1 200 OK\r\n"), Step::Stall),
            Hurry::Idle,
        ),
        stalled(
            "stalls in the body",
            with(raw(format!("{open}{{")), Step::Stall),
            Hurry::Idle,
        ),
        stalled(
            "trickles for ever",
            with(raw(open), Step::Trickle(b" ".to_vec())),
            Hurry::Whole,
        ),
        get_raw(
            "floods the body",
            with(raw(open), Step::Flood(vec![b' '; 1 << 16])),
            "TooLarge",
        ),
        get_raw(
            "floods in chunks",
            with(raw(chunked), Step::Flood(b"4\r\n    \r\n".repeat(1000))),
            "TooLarge",
        ),
        get_raw(
            "announces too much",
            raw(format!(
                "HTTP/1.1 200 OK\r\n{JSON}Content-Length: 99999999999\r\n\r\n"
            )),
            "TooLarge",
        ),
        get_raw(
            "length beyond any number",
            raw(format!(
                "HTTP/1.1 200 OK\r\n{JSON}Content-Length: 99999999999999999999999\r\n\r\n"
            )),
            "NotACatalog",
        ),
        get_raw(
            "two lengths",
            raw(format!(
                "HTTP/1.1 200 OK\r\n{JSON}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}"
            )),
            "NotACatalog",
        ),
        get_raw(
            "compressed bomb",
            reply(
                "200 OK",
                &format!("{JSON}Content-Encoding: gzip\r\n"),
                gzip(&vec![b' '; 64 << 20]),
            ),
            "TooLarge",
        ),
        get_raw(
            "damaged compression",
            reply(
                "200 OK",
                &format!("{JSON}Content-Encoding: gzip\r\n"),
                b"\x1f\x8b\x08\x00garbage that is no deflate",
            ),
            "NotACatalog",
        ),
        get_raw(
            "not compressed at all",
            reply("200 OK", &format!("{JSON}Content-Encoding: gzip\r\n"), GOOD),
            "NotACatalog",
        ),
        get_raw(
            "encoding not asked for",
            reply("200 OK", &format!("{JSON}Content-Encoding: br\r\n"), GOOD),
            "NotACatalog",
        ),
        get_raw(
            "floods the headers",
            with(
                raw("HTTP/1.1 200 OK\r\n"),
                Step::Flood(b"X-A: aaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(100)),
            ),
            "NotACatalog",
        ),
        get_raw(
            "one endless header",
            with(
                raw("HTTP/1.1 200 OK\r\nX-A: "),
                Step::Flood(vec![b'a'; 1 << 16]),
            ),
            "NotACatalog",
        ),
        stalled(
            "promises an answer for ever",
            vec![Step::Flood(b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100))],
            Hurry::Idle,
        ),
        get_raw(
            "length too short",
            raw(format!(
                "HTTP/1.1 200 OK\r\n{JSON}Content-Length: 9\r\n\r\n{GOOD}"
            )),
            "MalformedEntry",
        ),
        get_raw(
            "length below zero",
            raw(format!(
                "HTTP/1.1 200 OK\r\n{JSON}Content-Length: -1\r\n\r\n{GOOD}"
            )),
            "NotACatalog",
        ),
        get_raw(
            "chunk size is no number",
            raw(format!("{chunked}zz\r\n{GOOD}\r\n0\r\n\r\n")),
            "Unreachable",
        ),
        get_raw(
            "chunk size beyond any number",
            raw(format!("{chunked}FFFFFFFFFFFFFFFFF\r\n{GOOD}")),
            "Unreachable",
        ),
        get_raw(
            "compression cut short",
            reply(
                "200 OK",
                &format!("{JSON}Content-Encoding: gzip\r\n"),
                &gzip(GOOD.as_bytes())[..20],
            ),
            "NotACatalog",
        ),
        get_raw(
            "compressed twice",
            reply(
                "200 OK",
                &format!("{JSON}Content-Encoding: gzip, gzip\r\n"),
                gzip(&gzip(GOOD.as_bytes())),
            ),
            "NotACatalog",
        ),
        get_raw(
            "a zero byte in a header",
            raw("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n"),
            "NotACatalog",
        ),
        get_raw("speaks SSH", raw("SSH-2.0-OpenSSH_9.2\r\n"), "NotACatalog"),
        get_raw(
            "speaks nonsense",
            raw(b"\xff\xfe\0\0\r\n\r\n"),
            "NotACatalog",
        ),
    ]
}
