//! A TCP proxy on loopback that can make the server behind it vanish.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How the proxy treats its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Everything goes through.
    Serve,
    /// Connections are closed, those under way too.
    Close,
    /// Connections are accepted and kept, and nothing is answered any more.
    Silent,
    /// Every request is answered with the status 500.
    Fail,
    /// Each connection is closed after so many bytes of answers.
    CloseAfter(u64),
}

/// A proxy in front of a server; it stops when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    manner: watch::Sender<Manner>,
    _stop: DropGuard,
}

const FAILURE: &[u8] =
    b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

impl Proxy {
    /// Forwards a free loopback port to `upstream`, a base URL such as `http://127.0.0.1:80`.
    ///
    /// # Errors
    /// When `upstream` is no such URL or no port can be bound.
    pub async fn start(upstream: &str) -> Result<Self> {
        let upstream: SocketAddr = upstream
            .trim_start_matches("http://")
            .parse()
            .with_context(|| format!("`{upstream}` is not an address"))?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let (manner, watched) = watch::channel(Manner::Serve);
        let stopped = stop.clone();
        tokio::spawn(async move {
            let accept = async {
                while let Ok((client, _)) = listener.accept().await {
                    let (watched, stopped) = (watched.clone(), stopped.clone());
                    tokio::spawn(async move {
                        tokio::select! {
                            () = stopped.cancelled() => {}
                            _ = serve(client, upstream, watched) => {}
                        }
                    });
                }
            };
            tokio::select! {
                () = stopped.cancelled() => {}
                () = accept => {}
            }
        });
        Ok(Self {
            address,
            manner,
            _stop: stop.drop_guard(),
        })
    }

    /// `http://` and the address, without a trailing slash.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes the manner, of connections under way too.
    pub fn set(&self, manner: Manner) {
        self.manner
            .send_if_modified(|old| std::mem::replace(old, manner) != manner);
    }
}

async fn serve(
    mut client: TcpStream,
    upstream: SocketAddr,
    mut manner: watch::Receiver<Manner>,
) -> std::io::Result<()> {
    let now = *manner.borrow_and_update();
    match now {
        Manner::Close => return Ok(()),
        Manner::Silent => std::future::pending::<()>().await,
        Manner::Fail => {
            let mut request = [0; 4096];
            let _ = client.read(&mut request).await?;
            return client.write_all(FAILURE).await;
        }
        Manner::Serve | Manner::CloseAfter(_) => {}
    }
    let limit = match now {
        Manner::CloseAfter(bytes) => bytes,
        _ => u64::MAX,
    };
    let server = TcpStream::connect(upstream).await?;
    let (mut from_client, mut to_client) = client.split();
    let server = Arc::new(server);
    let forward = async {
        let mut buffer = vec![0; 16 << 10];
        loop {
            let count = from_client.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            write_all(&server, &buffer[..count]).await?;
        }
    };
    let back = async {
        let mut left = limit;
        let mut buffer = vec![0; 16 << 10];
        while left > 0 {
            let most = buffer
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            server.readable().await?;
            match server.try_read(&mut buffer[..most]) {
                Ok(0) => break,
                Ok(count) => {
                    left -= count as u64;
                    to_client.write_all(&buffer[..count]).await?;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    };
    tokio::select! {
        outcome = back => return outcome,
        outcome = forward => return outcome,
        _ = manner.changed() => {}
    }
    if *manner.borrow() == Manner::Silent {
        std::future::pending::<()>().await;
    }
    Ok(())
}

async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::Router;
    use axum::routing::get;

    use super::*;
    use crate::serve::Server;

    async fn ask(proxy: &Proxy) -> String {
        let address = proxy.base_url().replace("http://", "");
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn each_manner_is_seen_by_the_client() {
        let router = Router::new().route("/", get(|| async { "hello" }));
        let server = Server::start(0, router).await.unwrap();
        let proxy = Proxy::start(&server.base_url()).await.unwrap();
        assert!(ask(&proxy).await.ends_with("hello"));
        proxy.set(Manner::Close);
        assert_eq!(ask(&proxy).await, "");
        proxy.set(Manner::Fail);
        assert!(ask(&proxy).await.starts_with("HTTP/1.1 500"));
        proxy.set(Manner::CloseAfter(8));
        assert_eq!(ask(&proxy).await, "HTTP/1.1");
        proxy.set(Manner::Silent);
        let asking = tokio::spawn({
            let proxy = Arc::new(proxy);
            let kept = Arc::clone(&proxy);
            async move {
                let _kept = kept;
                ask(&proxy).await
            }
        });
        // Nothing will come, so there is nothing to wait for but a turn of the runtime.
        tokio::task::yield_now().await;
        assert!(!asking.is_finished());
        asking.abort();
    }
}
