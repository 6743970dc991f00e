//! What is tried again, how often, and after which pause: every status and every kind of error.
#![allow(clippy::unwrap_used)]

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use network_policy::{AddressKind, CROWDED, Enough, Outlook, Refusal, Retries, Retry, retry_after};
use reqwest::header::{HeaderMap, HeaderValue};
use rustls::{AlertDescription, CertificateError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

#[test]
fn every_status_has_its_outlook() {
    for status in 0..=999 {
        let expected = match status {
            429 | 503 => Outlook::Crowded,
            408 | 425 | 500 | 502 | 504 | 522 | 524 => Outlook::Passing,
            _ => Outlook::Final,
        };
        assert_eq!(Outlook::of_status(status), expected, "{status}");
    }
}

type Failure = Box<dyn Error + Send + Sync>;

#[test]
fn every_kind_of_error_has_its_outlook() {
    use io::ErrorKind;
    use rustls::Error as Tls;
    let refusal = || Refusal::Address {
        host: "example.org".to_owned(),
        port: 443,
        address: [127, 0, 0, 1].into(),
        kind: AddressKind::Loopback,
    };
    let certificate = |problem| Tls::InvalidCertificate(problem);
    let alert = Tls::AlertReceived;
    let last: Vec<Failure> = vec![
        refusal().into(),
        Refusal::NoHost.into(),
        certificate(CertificateError::Expired).into(),
        certificate(CertificateError::UnknownIssuer).into(),
        certificate(CertificateError::NotValidForName).into(),
        certificate(CertificateError::Revoked).into(),
        Tls::NoCertificatesPresented.into(),
        Tls::PeerIncompatible(rustls::PeerIncompatible::Tls12NotOffered).into(),
        Tls::InvalidMessage(rustls::InvalidMessage::InvalidContentType).into(),
        alert(AlertDescription::HandshakeFailure).into(),
        alert(AlertDescription::ProtocolVersion).into(),
        alert(AlertDescription::UnknownCA).into(),
        io::Error::from(ErrorKind::PermissionDenied).into(),
        io::Error::from(ErrorKind::Unsupported).into(),
    ];
    let passing: Vec<Failure> = vec![
        alert(AlertDescription::InternalError).into(),
        alert(AlertDescription::BadRecordMac).into(),
        Tls::DecryptError.into(),
        io::Error::from(ErrorKind::ConnectionRefused).into(),
        io::Error::from(ErrorKind::ConnectionReset).into(),
        io::Error::from(ErrorKind::ConnectionAborted).into(),
        io::Error::from(ErrorKind::BrokenPipe).into(),
        io::Error::from(ErrorKind::UnexpectedEof).into(),
        io::Error::from(ErrorKind::TimedOut).into(),
        io::Error::from(ErrorKind::HostUnreachable).into(),
        io::Error::from(ErrorKind::NetworkUnreachable).into(),
        io::Error::from(ErrorKind::NetworkDown).into(),
        io::Error::other("no address for this name").into(),
    ];
    let last = last.into_iter().map(|error| (error, Outlook::Final));
    let passing = passing.into_iter().map(|error| (error, Outlook::Passing));
    for (error, expected) in last.chain(passing) {
        assert_eq!(Outlook::of_error(&*error), expected, "{error:?}");
        // The same inside of whatever wraps it.
        let text = format!("{error:?}");
        let wrapped = io::Error::other(io::Error::other(Wrapped(error.into())));
        assert_eq!(Outlook::of_error(&wrapped), expected, "wrapped {text}");
    }
}

#[derive(Debug, Clone)]
struct Wrapped(Arc<dyn Error + Send + Sync>);

impl std::fmt::Display for Wrapped {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("it failed")
    }
}

impl Error for Wrapped {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// What asking a server says that answers with these bytes.
async fn asked(answer: Vec<u8>) -> Outlook {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = connection.read(&mut request).await;
        let _ = connection.write_all(&answer).await;
    });
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let sent = client.get(format!("http://{address}/")).send().await;
    let error = match sent {
        Ok(response) => response.bytes().await.unwrap_err(),
        Err(error) => error,
    };
    Outlook::of_error(&error)
}

#[tokio::test]
async fn real_answers_have_their_outlook() {
    let many = "x: y\r\n".repeat(200);
    let long = format!("x: {}\r\n", "y".repeat(1 << 20));
    let cases: Vec<(&str, Vec<u8>, Outlook)> = vec![
        ("nothing", Vec::new(), Outlook::Passing),
        (
            "half a status line",
            b"HTTP/1.1 2".to_vec(),
            Outlook::Passing,
        ),
        (
            "half a body",
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_vec(),
            Outlook::Passing,
        ),
        (
            "a chunk without size",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\n".to_vec(),
            Outlook::Passing,
        ),
        (
            "no HTTP",
            b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec(),
            Outlook::Final,
        ),
        (
            "too many headers",
            format!("HTTP/1.1 200 OK\r\n{many}\r\n").into_bytes(),
            Outlook::Final,
        ),
        (
            "a header without end",
            format!("HTTP/1.1 200 OK\r\n{long}\r\n").into_bytes(),
            Outlook::Final,
        ),
    ];
    for (name, answer, expected) in cases {
        assert_eq!(asked(answer).await, expected, "{name}");
    }
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let error = client
        .get(format!("http://{address}/"))
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        Outlook::of_error(&error),
        Outlook::Passing,
        "nobody listens"
    );
    let error = client.get("http://").send().await.unwrap_err();
    assert_eq!(Outlook::of_error(&error), Outlook::Final, "no place at all");
}

fn rule() -> Retry {
    Retry {
        attempts: 4,
        backoff: Duration::from_millis(100),
        ..Retry::default()
    }
}

fn failures(rule: &Retry, outlook: Outlook) -> (Vec<Duration>, Enough) {
    let mut retries = Retries::new(rule);
    let mut pauses = Vec::new();
    loop {
        match retries.next(outlook, None) {
            Ok(pause) => pauses.push(pause),
            Err(enough) => return (pauses, enough),
        }
    }
}

#[test]
fn pauses_double_within_their_chance_and_come_to_an_end() {
    let (pauses, enough) = failures(&rule(), Outlook::Passing);
    assert_eq!((pauses.len(), enough), (3, Enough::Attempts));
    for (pause, whole) in pauses.iter().zip([100, 200, 400]) {
        let range = Duration::from_millis(whole / 2)..=Duration::from_millis(whole);
        assert!(range.contains(pause), "{pause:?} for {whole} ms");
    }
    let longest = Retry {
        max_backoff: Duration::from_millis(150),
        ..rule()
    };
    for pause in failures(&longest, Outlook::Crowded).0 {
        assert!(pause <= longest.max_backoff, "{pause:?}");
    }
    let (first, second) = (
        failures(&rule(), Outlook::Passing),
        failures(&rule(), Outlook::Passing),
    );
    assert_ne!(first.0, second.0, "two clients come back together");
}

#[test]
fn what_is_final_is_never_tried_again() {
    assert_eq!(failures(&rule(), Outlook::Final), (vec![], Enough::Final));
    let mut retries = Retries::new(&rule());
    let asked = Some(Duration::from_secs(1));
    assert_eq!(retries.next(Outlook::Final, asked), Err(Enough::Final));
}

#[test]
fn want_of_room_slows_down_and_does_not_give_up() {
    let (pauses, enough) = failures(&rule(), Outlook::Crowded);
    let expected = usize::try_from(3 * CROWDED).unwrap();
    assert_eq!((pauses.len(), enough), (expected, Enough::Attempts));
    // Other failures in between count for themselves.
    let mut retries = Retries::new(&rule());
    for outlook in [Outlook::Passing, Outlook::Crowded, Outlook::Passing] {
        retries.next(outlook, None).unwrap();
    }
    assert_eq!(retries.next(Outlook::Passing, None), Err(Enough::Attempts));
    for outlook in [Outlook::Passing, Outlook::Crowded] {
        let once = Retry {
            attempts: 1,
            ..rule()
        };
        assert_eq!(failures(&once, outlook).1, Enough::Attempts);
        let never = Retry {
            attempts: 0,
            ..rule()
        };
        assert!(failures(&never, outlook).0.is_empty());
    }
}

#[test]
fn progress_begins_a_new_row() {
    let mut retries = Retries::new(&rule());
    for _ in 0..100 {
        retries.progressed();
        let pause = retries.next(Outlook::Passing, None).unwrap();
        assert!(pause <= rule().backoff, "{pause:?}");
    }
    // None of which counts.
    for _ in 1..rule().attempts {
        retries.next(Outlook::Passing, None).unwrap();
    }
    assert_eq!(retries.next(Outlook::Passing, None), Err(Enough::Attempts));
    retries.progressed();
    assert_eq!(retries.next(Outlook::Final, None), Err(Enough::Final));
}

#[test]
fn a_server_may_ask_for_more_but_not_for_too_much() {
    let mut retries = Retries::new(&rule());
    let ask = |seconds| Some(Duration::from_secs(seconds));
    let pause = retries.next(Outlook::Crowded, ask(3)).unwrap();
    assert!(
        pause >= Duration::from_secs(3) && pause <= Duration::from_millis(3100),
        "{pause:?}"
    );
    assert!(retries.next(Outlook::Crowded, ask(0)).unwrap() > Duration::ZERO);
    let day = Duration::from_hours(24);
    assert_eq!(
        retries.next(Outlook::Crowded, Some(day)),
        Err(Enough::Asked(day))
    );
    let most = Some(Duration::MAX);
    assert_eq!(
        retries.next(Outlook::Passing, most),
        Err(Enough::Asked(Duration::MAX))
    );
}

#[tokio::test(start_paused = true)]
async fn time_ends_the_attempts_too() {
    let rule = Retry {
        within: Some(Duration::from_secs(10)),
        ..rule()
    };
    let mut retries = Retries::new(&rule);
    assert_eq!(
        retries.next(Outlook::Crowded, Some(Duration::from_secs(11))),
        Err(Enough::Time)
    );
    retries
        .next(Outlook::Crowded, Some(Duration::from_secs(9)))
        .unwrap();
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(retries.next(Outlook::Crowded, None), Err(Enough::Time));
}

#[test]
fn no_setting_overflows() {
    let endless = Retry {
        attempts: u32::MAX,
        backoff: Duration::MAX,
        max_backoff: Duration::MAX,
        longest_asked: Duration::MAX,
        within: Some(Duration::MAX),
    };
    let mut retries = Retries::new(&endless);
    for _ in 0..50 {
        retries.next(Outlook::Passing, None).unwrap();
    }
    assert_eq!(
        retries.next(Outlook::Passing, Some(Duration::MAX)),
        Ok(Duration::MAX)
    );
}

#[test]
fn reads_both_forms_of_the_header() {
    let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
    for (text, seconds) in [
        ("0", Some(0)),
        (" 120 ", Some(120)),
        ("18446744073709551615", Some(1 << 31)),
        ("99999999999999999999999", Some(1 << 31)),
        ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
        ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("1, 2", None),
    ] {
        let headers = |text| HeaderMap::from_iter([("retry-after".parse().unwrap(), text)]);
        let headers = headers(HeaderValue::from_str(text).unwrap());
        assert_eq!(
            retry_after(&headers, now),
            seconds.map(Duration::from_secs),
            "{text:?}"
        );
    }
    assert_eq!(retry_after(&HeaderMap::new(), now), None);
    let mut bytes = HeaderMap::new();
    bytes.insert("retry-after", HeaderValue::from_bytes(b"\xff").unwrap());
    assert_eq!(retry_after(&bytes, now), None);
}

#[test]
fn a_date_is_held_against_the_servers_own_clock() {
    let mut headers = HeaderMap::new();
    headers.insert(
        "date",
        HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"),
    );
    headers.insert(
        "retry-after",
        HeaderValue::from_static("Sun, 06 Nov 1994 08:50:07 GMT"),
    );
    let asked = retry_after(&headers, SystemTime::now());
    assert_eq!(asked, Some(Duration::from_secs(30)));
}
