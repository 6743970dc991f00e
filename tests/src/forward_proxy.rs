//! A proxy for clients, over HTTP and SOCKS, that leads everything to one server.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A proxy on loopback; it stops when dropped.
#[derive(Debug)]
pub struct ForwardProxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    _stop: DropGuard,
}

/// Whom a proxy lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Everybody.
    Open,
    /// Nobody: it asks for a login and takes none.
    Closed,
}

impl ForwardProxy {
    /// Leads every request to `server`, whatever host it is for, as there are no such hosts.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(server: SocketAddr, door: Door) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = Arc::clone(&seen);
        tokio::spawn(stopped.run_until_cancelled_owned(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, server, door, Arc::clone(&told)));
            }
        }));
        Ok(Self {
            address,
            seen,
            _stop: stop.drop_guard(),
        })
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked: the head of each HTTP request, or `SOCKS host:port user:password`.
    pub fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(
    mut client: TcpStream,
    server: SocketAddr,
    door: Door,
    seen: Arc<Mutex<Vec<String>>>,
) -> Result<()> {
    let note = |text: String| {
        seen.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(text);
    };
    let mut first = [0];
    client.peek(&mut first).await?;
    if first == [5] {
        note(socks(&mut client).await?);
        let mut server = TcpStream::connect(server).await?;
        copy_bidirectional(&mut client, &mut server).await?;
        return Ok(());
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8(head)?;
    note(head.clone());
    if door == Door::Closed {
        let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
        client.write_all(answer).await?;
        return Ok(());
    }
    let mut server = TcpStream::connect(server).await?;
    if head.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    } else {
        // `GET http://host/path HTTP/1.1` becomes `GET /path HTTP/1.1`, for this request alone.
        let (method, rest) = head.split_once(' ').context("no request")?;
        let (_, rest) = rest.split_once("://").context("no absolute address")?;
        let path = rest.find('/').map_or("/", |at| &rest[at..]);
        let head = format!(
            "{method} {}",
            path.replacen("\r\n", "\r\nconnection: close\r\n", 1)
        );
        server.write_all(head.as_bytes()).await?;
    }
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// RFC 1928 and 1929: takes every login, where one is offered, and says what was asked for.
async fn socks(client: &mut TcpStream) -> Result<String> {
    client.read_u8().await?;
    let mut methods = vec![0; client.read_u8().await?.into()];
    client.read_exact(&mut methods).await?;
    let mut login = String::new();
    if methods.contains(&2) {
        client.write_all(&[5, 2]).await?;
        client.read_u8().await?;
        let user = text(client).await?;
        login = format!(" {user}:{}", text(client).await?);
        client.write_all(&[1, 0]).await?;
    } else {
        client.write_all(&[5, 0]).await?;
    }
    let mut request = [0; 4];
    client.read_exact(&mut request).await?;
    let host = match request[3] {
        1 => client
            .read_u32()
            .await
            .map(std::net::Ipv4Addr::from)?
            .to_string(),
        3 => text(client).await?,
        other => bail!("the address type {other} is not expected"),
    };
    let port = client.read_u16().await?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    Ok(format!("SOCKS {host}:{port}{login}"))
}

async fn text(client: &mut TcpStream) -> Result<String> {
    let mut bytes = vec![0; client.read_u8().await?.into()];
    client.read_exact(&mut bytes).await?;
    Ok(String::from_utf8(bytes)?)
}
