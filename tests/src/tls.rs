//! TLS in front of a plain loopback server, with a certificate of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A TLS server on loopback that passes every connection on; it stops when dropped.
#[derive(Debug)]
pub struct TlsFront {
    port: u16,
    certificate: String,
    _stop: DropGuard,
}

impl TlsFront {
    /// Listens on a free port and passes connections on to `server`.
    ///
    /// # Errors
    /// When no certificate can be made or no port is free.
    pub async fn start(server: SocketAddr) -> Result<Self> {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()])
            .context("failed to make a certificate")?;
        let private = PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], private)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(stopped.run_until_cancelled_owned(async move {
            while let Ok((connection, _)) = listener.accept().await {
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
            certificate: key.cert.pem(),
            _stop: stop.drop_guard(),
        })
    }

    /// `https://localhost` and the port, without a trailing slash.
    pub fn base_url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// The certificate to trust, as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }
}
