//! TLS in front of a plain loopback server, with a certificate of its own or of a test authority.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What a server shows of itself, and the key to it.
#[derive(Debug)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    pem: String,
    key: PrivateKeyDer<'static>,
}

/// A certificate authority that nobody trusts unasked.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        // Two of one name would be taken for each other.
        let name = format!("test authority {}", hex::encode(&key.public_key_raw()[..8]));
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, key);
        Ok(Self {
            issuer: issuer.context("failed to make an authority")?,
        })
    }

    /// Its certificate, as PEM.
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// The identity of a host.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn issue(&self, host: &str) -> Result<Identity> {
        self.sign(&CertificateParams::new(vec![host.to_owned()])?)
    }

    /// One whose time is over.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn issue_expired(&self, host: &str) -> Result<Identity> {
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let signed = params.signed_by(&key, &self.issuer);
        let certificate = signed.context("failed to sign a certificate")?;
        Ok(Identity {
            pem: certificate.pem(),
            certificate: certificate.der().clone(),
            key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        })
    }
}

/// A TLS server on loopback that passes every connection on; it stops when dropped.
#[derive(Debug)]
pub struct TlsFront {
    port: u16,
    certificate: String,
    connections: Arc<AtomicU64>,
    _stop: DropGuard,
}

impl TlsFront {
    /// Listens on a free port and passes connections on to `server`, with a certificate that it has
    /// signed itself.
    ///
    /// # Errors
    /// When no certificate can be made or no port is free.
    pub async fn start(server: SocketAddr) -> Result<Self> {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()])
            .context("failed to make a certificate")?;
        let identity = Identity {
            pem: key.cert.pem(),
            certificate: key.cert.der().clone(),
            key: PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into()),
        };
        Self::with(server, identity).await
    }

    /// The same as `identity`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn with(server: SocketAddr, identity: Identity) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![identity.certificate], identity.key)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let connections = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(stopped.run_until_cancelled_owned(async move {
            while let Ok((connection, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut plain = TcpStream::connect(server).await?;
                    let mut encrypted = acceptor.accept(connection).await?;
                    tokio::io::copy_bidirectional(&mut encrypted, &mut plain).await
                });
            }
        }));
        Ok(Self {
            port,
            certificate: identity.pem,
            connections,
            _stop: stop.drop_guard(),
        })
    }

    /// `https://localhost` and the port, without a trailing slash.
    pub fn base_url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// The certificate that it shows, as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// How many connections were made so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }
}
