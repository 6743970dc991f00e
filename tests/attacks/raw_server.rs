//! A server that behaves in one way whatever it is asked, and counts what is taken from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How a server answers every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    SlowHead,
    SlowBody,
    EndlessHead,
    EndlessBody,
    Redirects,
}

/// A server that behaves one way, and counts.
pub(crate) struct Raw {
    address: std::net::SocketAddr,
    /// Bytes that somebody has taken.
    taken: Arc<AtomicU64>,
    asked: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Raw {
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (taken, asked) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (took, asks) = (Arc::clone(&taken), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let number = asks.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(answer(connection, manner, number, Arc::clone(&took)));
            }
        });
        Self {
            address,
            taken,
            asked,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::SeqCst)
    }

    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// A client that takes whatever comes, for as long as it comes.
    pub(crate) async fn patient_client(&self, path: &str, enough: u64) -> std::io::Result<()> {
        let mut connection = TcpStream::connect(self.address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address);
        connection.write_all(request.as_bytes()).await?;
        let mut buffer = vec![0; 64 << 10];
        let mut came = 0;
        while came < enough {
            match connection.read(&mut buffer).await? {
                0 => break,
                length => came += length as u64,
            }
        }
        Ok(())
    }
}

async fn answer(
    mut connection: TcpStream,
    manner: Manner,
    number: u64,
    taken: Arc<AtomicU64>,
) -> std::io::Result<()> {
    let mut request = [0; 8192];
    let length = connection.read(&mut request).await?;
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let kind = if request.contains("/info/refs") {
        "application/x-git-upload-pack-advertisement"
    } else {
        "application/json"
    };
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: {kind}\r\n");
    let many = [b'a'; 64 << 10];
    let piece: &[u8] = match manner {
        Manner::SlowHead | Manner::SlowBody => b"a",
        _ => &many,
    };
    match manner {
        Manner::Redirects => {
            let to = if request.contains("/info/refs") {
                format!("/{number}/info/refs?service=git-upload-pack")
            } else {
                format!("/{number}")
            };
            let answer = format!(
                "HTTP/1.1 302 Found\r\nconnection: close\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"
            );
            return connection.write_all(answer.as_bytes()).await;
        }
        Manner::SlowHead | Manner::EndlessHead => {
            connection
                .write_all(format!("{head}x: ").as_bytes())
                .await?;
        }
        Manner::SlowBody | Manner::EndlessBody => {
            // A packet of git's that is not at its end for a long time.
            connection
                .write_all(format!("{head}\r\nffff").as_bytes())
                .await?;
        }
    }
    loop {
        connection.write_all(piece).await?;
        taken.fetch_add(piece.len() as u64, Ordering::SeqCst);
        if piece.len() == 1 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
