//! Every spelling of a place that a recipe has no business at.
#![allow(clippy::unwrap_used)]

use network_policy::{
    Access, AddressKind, HostRule, HttpClients, Refusal, Scheme, SourcePolicy, is_loopback,
    kind_of, may_carry_secrets,
};
use url::{Host, Url};

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

#[test]
fn addresses_are_what_they_stand_for_however_they_are_spelled() {
    use AddressKind::{LinkLocal, Loopback, Multicast, Private, Reserved};
    let cases = [
        ("127.0.0.1", Some(Loopback)),
        ("127.1", Some(Loopback)),
        ("127.255.255.254", Some(Loopback)),
        ("2130706433", Some(Loopback)),
        ("0x7f.1", Some(Loopback)),
        ("0x7f000001", Some(Loopback)),
        ("0177.0.0.1", Some(Loopback)),
        ("127.0.0.1.", Some(Loopback)),
        ("%31%32%37.0.0.1", Some(Loopback)),
        ("127。0。0。1", Some(Loopback)),
        ("①②⑦.0.0.1", Some(Loopback)),
        ("[::1]", Some(Loopback)),
        ("[0:0:0:0:0:0:0:1]", Some(Loopback)),
        ("[::ffff:127.0.0.1]", Some(Loopback)),
        ("[::ffff:7f00:1]", Some(Loopback)),
        ("[::127.0.0.1]", Some(Loopback)),
        ("[::ffff:0:127.0.0.1]", Some(Loopback)),
        ("[64:ff9b::127.0.0.1]", Some(Loopback)),
        ("[2002:7f00:1::]", Some(Loopback)),
        ("[2001:0:1:2:3:4:80ff:fffe]", Some(Loopback)),
        ("0.0.0.0", Some(Reserved)),
        ("0", Some(Reserved)),
        ("[::]", Some(Reserved)),
        ("10.0.0.1", Some(Private)),
        ("10.255.255.255", Some(Private)),
        ("172.16.0.1", Some(Private)),
        ("172.31.255.255", Some(Private)),
        ("172.32.0.1", None),
        ("172.15.0.1", None),
        ("192.168.1.1", Some(Private)),
        ("192.169.1.1", None),
        ("100.64.0.1", Some(Private)),
        ("100.127.255.255", Some(Private)),
        ("100.128.0.1", None),
        ("[fc00::1]", Some(Private)),
        ("[fdff::1]", Some(Private)),
        ("[fec0::1]", Some(Private)),
        ("[64:ff9b:1::a00:1]", Some(Private)),
        ("[64:ff9b::10.0.0.1]", Some(Private)),
        ("[2002:a00:1::]", Some(Private)),
        ("169.254.169.254", Some(LinkLocal)),
        ("0xa9fea9fe", Some(LinkLocal)),
        ("[::ffff:169.254.169.254]", Some(LinkLocal)),
        ("[fe80::1]", Some(LinkLocal)),
        ("[febf::1]", Some(LinkLocal)),
        ("224.0.0.1", Some(Multicast)),
        ("239.255.255.255", Some(Multicast)),
        ("[ff02::1]", Some(Multicast)),
        ("240.0.0.1", Some(Reserved)),
        ("255.255.255.255", Some(Reserved)),
        ("192.0.0.1", Some(Reserved)),
        ("192.0.2.1", Some(Reserved)),
        ("198.18.0.1", Some(Reserved)),
        ("198.19.255.255", Some(Reserved)),
        ("198.20.0.1", None),
        ("198.51.100.1", Some(Reserved)),
        ("203.0.113.1", Some(Reserved)),
        ("[2001:db8::1]", Some(Reserved)),
        ("[3fff::1]", Some(Reserved)),
        ("[100::1]", Some(Reserved)),
        ("[4000::1]", Some(Reserved)),
        ("93.184.216.34", None),
        ("1.1.1.1", None),
        ("[2606:4700:4700::1111]", None),
        ("[64:ff9b::1.1.1.1]", None),
        ("[2002:101:101::]", None),
    ];
    for (text, expected) in cases {
        let url = url(&format!("https://user@{text}:8443/x"));
        let address = match url.host().unwrap() {
            Host::Ipv4(address) => address.into(),
            Host::Ipv6(address) => address.into(),
            Host::Domain(name) => panic!("{text} is the name {name}"),
        };
        assert_eq!(kind_of(address), expected, "{text}");
        let judged = SourcePolicy::default().check_url(&url, true);
        assert_eq!(judged.is_err(), expected.is_some(), "{text}: {judged:?}");
    }
}

#[test]
fn schemes_are_allowed_by_what_is_said_of_them() {
    let strict = SourcePolicy::default();
    let host = Host::Domain("example.org");
    let check = |policy: &SourcePolicy, scheme, is_pinned| {
        policy.check(scheme, Some(&host), 1, is_pinned).is_ok()
    };
    let lax = [
        strict.clone().allow_insecure(true),
        strict.clone().allow_ssh(true),
        strict.clone().allow_files(true),
        strict.clone().allow_host("example.org".parse().unwrap()),
    ];
    // Scheme, pinned; strict; insecure, ssh, files, host allowed.
    let table = [
        (Scheme::Https, false, true, [true; 4]),
        (Scheme::Http, false, false, [true, false, false, false]),
        (Scheme::Http, true, true, [true; 4]),
        (Scheme::Git, false, false, [true, false, false, false]),
        (Scheme::Git, true, true, [true; 4]),
        (Scheme::Ssh, false, false, [false, true, false, false]),
        (Scheme::Ssh, true, false, [false, true, false, false]),
        (Scheme::File, false, false, [false, false, true, false]),
        (Scheme::File, true, false, [false, false, true, false]),
    ];
    for (scheme, is_pinned, expected, with) in table {
        let case = (scheme, is_pinned);
        assert_eq!(check(&strict, scheme, is_pinned), expected, "{case:?}");
        let got = lax
            .each_ref()
            .map(|policy| check(policy, scheme, is_pinned));
        assert_eq!(got, with, "{case:?}");
    }
    // Where everything must be encrypted, nothing else lifts that.
    let encrypted = strict
        .clone()
        .allow_insecure(true)
        .allow_origin(&url("http://127.0.0.1:1/"))
        .require_tls(true);
    for scheme in [Scheme::Http, Scheme::Git] {
        assert!(!check(&encrypted, scheme, true), "{scheme:?}");
    }
    assert!(check(&encrypted, Scheme::Https, false));
    let own = encrypted.check_url(&url("http://127.0.0.1:1/x"), true);
    assert!(matches!(own, Err(Refusal::WithoutTls { .. })), "{own:?}");
    // Each refusal names what would lift it.
    let text = |scheme| {
        strict
            .check(scheme, Some(&host), 1, false)
            .unwrap_err()
            .to_string()
    };
    assert!(text(Scheme::Http).contains("--allow-insecure-sources"));
    assert!(text(Scheme::Ssh).contains("--allow-ssh-sources"));
    assert!(text(Scheme::File).contains("beside the recipe"));
    let error = strict
        .check_url(&url("https://10.0.0.7:8080/"), true)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("--allow-source-host 10.0.0.7:8080"),
        "{error}"
    );
    for other in [
        "ftp://example.org/a",
        "data:text/plain,x",
        "gopher://example.org",
    ] {
        let error = strict.check_url(&url(other), true).unwrap_err();
        assert!(matches!(error, Refusal::Scheme { .. }), "{other}: {error}");
    }
}

#[test]
fn rules_are_for_a_host_and_a_port() {
    let cases = [
        ("example.org", "example.org:443", true),
        ("example.org", "EXAMPLE.org.:8443", true),
        ("example.org", "a.example.org:443", false),
        ("example.org:8443", "example.org:8443", true),
        ("example.org:8443", "example.org:443", false),
        ("10.0.0.7", "10.0.0.7:1", true),
        ("10.7", "10.0.0.7:1", true),
        ("10.0.0.7:80", "10.0.0.7:81", false),
        ("[::1]:8080", "[::1]:8080", true),
        ("[::1]", "[::1]:9", true),
        ("::1", "[::1]:9", true),
        ("bücher.example", "xn--bcher-kva.example:443", true),
    ];
    for (rule, place, expected) in cases {
        let place = url(&format!("ssh://{place}"));
        let rule: HostRule = rule.parse().unwrap();
        let host = Host::parse(place.host_str().unwrap()).unwrap();
        let host = match &host {
            Host::Domain(name) => Host::Domain(name.as_str()),
            Host::Ipv4(address) => Host::Ipv4(*address),
            Host::Ipv6(address) => Host::Ipv6(*address),
        };
        let got = rule.matches(&host, place.port().unwrap_or(443));
        assert_eq!(got, expected, "{rule} {place}");
    }
    for text in [
        "", ":80", "a:b", "a:99999", "a b", "http://a", "a/b", "[::1", "a:",
    ] {
        assert!(text.parse::<HostRule>().is_err(), "{text}");
    }
}

#[test]
fn the_catalogs_own_origin_is_allowed_and_no_other_port() {
    let own = SourcePolicy::default().allow_origin(&url("http://127.0.0.1:8787/v2"));
    assert!(
        own.check_url(&url("http://127.0.0.1:8787/file"), false)
            .is_ok()
    );
    assert!(
        own.check_url(&url("http://127.0.0.1:8788/file"), true)
            .is_err()
    );
    assert!(
        own.check_url(&url("http://localhost:8787/file"), false)
            .is_err()
    );
    // Elsewhere somebody may be in between.
    let lan = SourcePolicy::default().allow_origin(&url("http://10.0.0.7/"));
    assert!(lan.check_url(&url("http://10.0.0.7/file"), false).is_err());
    assert!(lan.check_url(&url("http://10.0.0.7/file"), true).is_ok());
}

#[test]
fn secrets_go_over_tls_or_nowhere() {
    for (place, expected) in [
        ("https://example.org", true),
        ("http://example.org", false),
        ("http://127.0.0.1:1", true),
        ("http://localhost", true),
        ("http://LOCALHOST.", true),
        ("http://localhost.example.org", false),
        ("http://10.0.0.1", false),
        ("http://[::1]", true),
        ("http://[::ffff:127.0.0.1]", false),
    ] {
        assert_eq!(may_carry_secrets(&url(place)), expected, "{place}");
    }
    assert!(!is_loopback(&Host::Domain("127.0.0.1.example.org")));
}

#[tokio::test]
async fn a_name_that_resolves_to_this_machine_is_not_connected_to() {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let strict = HttpClients::new(SourcePolicy::default(), Access::default(), |builder| {
        builder
    });
    // The one name that every machine resolves without a server.
    let place = url(&format!("https://localhost:{port}/"));
    let client = strict.client(&place, false).await.unwrap();
    let error = client.get(place.clone()).send().await.unwrap_err();
    let refusal = strict.refusal(&place, &error).unwrap();
    assert!(
        matches!(&refusal, Refusal::Address { host, port: at, kind: AddressKind::Loopback, .. }
            if host == "localhost" && *at == port),
        "{refusal:?}"
    );
    let resolved = SourcePolicy::default()
        .resolve(&Host::Domain("localhost"), port)
        .await;
    assert!(Refusal::in_chain(&resolved.unwrap_err()).is_some());

    // Allowed for this port, it is connected to.
    let rule = format!("localhost:{port}").parse().unwrap();
    let listed = SourcePolicy::default()
        .allow_host(rule)
        .allow_insecure(true);
    assert!(
        !listed
            .resolve(&Host::Domain("localhost"), port)
            .await
            .unwrap()
            .is_empty()
    );
    let listed = HttpClients::new(listed, Access::default(), |builder| builder);
    let place = url(&format!("http://localhost:{port}/"));
    let client = listed.client(&place, false).await.unwrap();
    let asked = tokio::spawn(async move { client.get(place).send().await });
    let (connection, _) = server.accept().await.unwrap();
    drop(connection);
    assert!(asked.await.unwrap().is_err());
    // Another port of the same host is judged again.
    let other = url(&format!("http://localhost:{}/", port ^ 1));
    let client = listed.client(&other, false).await.unwrap();
    let error = client.get(other.clone()).send().await.unwrap_err();
    assert!(listed.refusal(&other, &error).is_some(), "{error:?}");
}
