//! Ways to reach `git-upload-pack`, and the packets that come back.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use network_policy::Turn;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::address::Address;
use super::error::{GitProblem, ProtocolError, printable};
use super::options::GitOptions;
use super::pkt_line::{Decoder, Packet};
use crate::pace::Pace;

mod http;
mod ssh;

/// The advertisement of the largest repositories is some tens of MiB.
const ADVERTISEMENT_LIMIT: u64 = 512 << 20;

/// How long the end of an answer may take, and what may come before it.
const SOON: Duration = Duration::from_millis(100);
const MOST_AT_END: usize = 16 << 10;

/// A connection to one repository; dropping it closes sockets and kills `ssh`.
pub(super) enum Transport {
    Http(http::HttpTransport),
    Stream(StreamTransport),
}

/// A transport that stays open between requests.
pub(super) struct StreamTransport {
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    reader: PacketReader,
    // Killed with its process group when the transport goes.
    ssh: Option<ssh::Process>,
    /// For as long as there is a conversation.
    _turn: Option<Turn>,
}

impl Transport {
    /// Connects and asks for protocol version 2; the advertisement is then next on [`Transport::reader`].
    pub(super) async fn connect(
        address: &Address,
        is_pinned: bool,
        shown: &str,
        options: &GitOptions,
    ) -> Result<Self, GitProblem> {
        let turn = match address {
            Address::Ssh { .. } | Address::Daemon { .. } => {
                address.enter(options.clients.crowd()).await
            }
            Address::Http(_) | Address::Local(_) => None,
        };
        match address {
            Address::Http(url) => http::HttpTransport::connect(url, is_pinned, shown, options)
                .await
                .map(Self::Http),
            Address::Ssh { host, port, path } => {
                let policy = options.clients.policy();
                // A name of the person's ssh configuration need not resolve; a listed host is asked
                // whatever its address is.
                let address = if address.is_listed(policy) {
                    None
                } else {
                    let resolving = address.resolve(policy, shown);
                    let found = timeout(options.limits.idle, shown, resolving).await??;
                    found.first().map(std::net::SocketAddr::ip)
                };
                let (process, writer, reader) =
                    ssh::spawn((host, *port, path), address, shown, options)?;
                Ok(Self::stream(
                    Box::new(writer),
                    Box::new(reader),
                    (Some(process), turn),
                    shown,
                    options,
                ))
            }
            Address::Daemon { host, port, path } => {
                let policy = options.clients.policy();
                let resolving = address.resolve(policy, shown);
                let found = timeout(options.limits.idle, shown, resolving).await??;
                let connecting = tokio::net::TcpStream::connect(found.as_slice());
                let connection = timeout(options.limits.idle, shown, connecting).await?;
                let (reader, mut writer) = connection
                    .map_err(|source| GitProblem::Connection {
                        url: shown.to_owned(),
                        source,
                    })?
                    .into_split();
                let mut request = Vec::new();
                let line = format!("git-upload-pack {path}\0host={host}:{port}\0\0version=2\0");
                super::pkt_line::write(&mut request, line.as_bytes());
                write(&mut writer, &request, shown, options.limits.idle).await?;
                Ok(Self::stream(
                    Box::new(writer),
                    Box::new(reader),
                    (None, turn),
                    shown,
                    options,
                ))
            }
            Address::Local(_) => Err(GitProblem::Url {
                url: shown.to_owned(),
                reason: "a local repository is not reached over a connection",
            }),
        }
    }

    pub(super) fn stream(
        writer: Box<dyn AsyncWrite + Send + Unpin>,
        reader: Box<dyn AsyncRead + Send + Unpin>,
        (ssh, turn): (Option<ssh::Process>, Option<Turn>),
        shown: &str,
        options: &GitOptions,
    ) -> Self {
        Self::Stream(StreamTransport {
            _turn: turn,
            writer,
            reader: PacketReader::new(Body::Stream(reader), shown, options),
            ssh,
        })
    }

    /// What the server says next.
    pub(super) fn reader(&mut self) -> &mut PacketReader {
        match self {
            Self::Http(http) => http.reader(),
            Self::Stream(stream) => &mut stream.reader,
        }
    }

    /// Sends one request; its answer is then next on [`Transport::reader`].
    pub(super) async fn request(
        &mut self,
        body: Vec<u8>,
        version_2: bool,
    ) -> Result<(), GitProblem> {
        match self {
            Self::Http(http) => http.post(body, version_2).await,
            Self::Stream(stream) => {
                let (shown, idle) = (stream.reader.shown.clone(), stream.reader.idle);
                write(&mut stream.writer, &body, &shown, idle).await
            }
        }
    }

    /// Whether each request is answered without memory of the one before.
    pub(super) fn is_stateless(&self) -> bool {
        matches!(self, Self::Http(_))
    }

    /// Turns an early end of an `ssh` stream into what `ssh` said about it.
    pub(super) async fn explain(&mut self, error: GitProblem) -> GitProblem {
        match (self, error) {
            (
                Self::Stream(StreamTransport {
                    ssh: Some(process), ..
                }),
                error @ (GitProblem::Connection { .. }
                | GitProblem::Protocol {
                    source: ProtocolError::Truncated,
                    ..
                }),
            ) => process.explain(error).await,
            (_, error) => error,
        }
    }
}

async fn write(
    writer: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    shown: &str,
    idle: Duration,
) -> Result<(), GitProblem> {
    let all = async {
        writer.write_all(bytes).await?;
        writer.flush().await
    };
    timeout(idle, shown, all)
        .await?
        .map_err(|source| GitProblem::Connection {
            url: shown.to_owned(),
            source,
        })
}

async fn timeout<T>(
    idle: Duration,
    shown: &str,
    work: impl Future<Output = T>,
) -> Result<T, GitProblem> {
    tokio::time::timeout(idle, work)
        .await
        .map_err(|_| GitProblem::Idle {
            url: shown.to_owned(),
            seconds: idle.as_secs(),
        })
}

enum Body {
    Http(reqwest::Response),
    Stream(Box<dyn AsyncRead + Send + Unpin>),
}

/// Packets as they arrive, under the idle limit and a limit on bytes.
pub(super) struct PacketReader {
    body: Body,
    decoder: Decoder,
    shown: String,
    idle: Duration,
    pace: Pace,
    left: u64,
    limit: u64,
}

impl PacketReader {
    fn new(body: Body, shown: &str, options: &GitOptions) -> Self {
        Self {
            body,
            decoder: Decoder::default(),
            shown: shown.to_owned(),
            idle: options.limits.idle,
            pace: Pace::new(options.limits.lowest_speed),
            left: ADVERTISEMENT_LIMIT,
            limit: ADVERTISEMENT_LIMIT,
        }
    }

    /// Sets how many more bytes may arrive.
    pub(super) fn set_limit(&mut self, limit: u64) {
        (self.left, self.limit) = (limit, limit);
    }

    /// The next packet; the end of the stream is an error.
    pub(super) async fn packet(&mut self) -> Result<Packet, GitProblem> {
        loop {
            if let Some(packet) = self
                .decoder
                .next()
                .map_err(|source| self.protocol(source))?
            {
                return Ok(packet);
            }
            let asked = Instant::now();
            let chunk = self.chunk().await?;
            if chunk.is_empty() {
                return Err(self.protocol(ProtocolError::Truncated));
            }
            let pace = self.pace.arrived(chunk.len(), asked.elapsed());
            pace.map_err(|lowest| GitProblem::TooSlow {
                url: self.shown.clone(),
                lowest,
            })?;
            self.left =
                self.left
                    .checked_sub(chunk.len() as u64)
                    .ok_or_else(|| GitProblem::Limit {
                        url: self.shown.clone(),
                        unit: "bytes",
                        limit: self.limit,
                    })?;
            self.decoder.feed(&chunk);
        }
    }

    /// The next packet, where a payload of `ERR` becomes an error.
    pub(super) async fn message(&mut self) -> Result<Packet, GitProblem> {
        let packet = self.packet().await?;
        if let Packet::Data(data) = &packet
            && let Some(message) = data.strip_prefix(b"ERR ")
        {
            return Err(GitProblem::Remote {
                url: self.shown.clone(),
                message: printable(message),
            });
        }
        Ok(packet)
    }

    /// Reads the end of an answer whose packets are all there, so that its connection serves the next
    /// request too. A server that does not come to it is not waited for.
    pub(super) async fn finish(&mut self) {
        let Body::Http(response) = &mut self.body else {
            return;
        };
        let mut left = MOST_AT_END;
        let end = async {
            while let Ok(Some(chunk)) = response.chunk().await {
                left = left.saturating_sub(chunk.len());
                if left == 0 {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(SOON, end).await;
    }

    async fn chunk(&mut self) -> Result<Bytes, GitProblem> {
        match &mut self.body {
            Body::Http(response) => {
                let chunk = timeout(self.idle, &self.shown, response.chunk()).await?;
                chunk
                    .map(Option::unwrap_or_default)
                    .map_err(|source| GitProblem::Http {
                        url: self.shown.clone(),
                        source: source.without_url(),
                    })
            }
            Body::Stream(stream) => {
                let mut buffer = bytes::BytesMut::with_capacity(64 << 10);
                let read = timeout(self.idle, &self.shown, stream.read_buf(&mut buffer)).await?;
                read.map_err(|source: io::Error| GitProblem::Connection {
                    url: self.shown.clone(),
                    source,
                })?;
                Ok(buffer.freeze())
            }
        }
    }

    pub(super) fn protocol(&self, source: ProtocolError) -> GitProblem {
        GitProblem::Protocol {
            url: self.shown.clone(),
            source,
        }
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }
}
