//! The answer to a fetch: what became shallow, and the pack.

use bytes::Bytes;
use git2::Oid;
use tokio::sync::mpsc;

use super::error::{GitProblem, ProtocolError, printable};
use super::pkt_line::Packet;
use super::session::{invalid, text, unexpected};
use super::transport::PacketReader;

/// How the set of commits without parents changes with a fetch.
#[derive(Debug, Default)]
pub(super) struct ShallowUpdate {
    pub(super) shallow: Vec<Oid>,
    pub(super) unshallow: Vec<Oid>,
}

/// gitprotocol-v2(5), "fetch": sections, of which `packfile` is the last.
pub(super) async fn receive_2(
    reader: &mut PacketReader,
    pack: &mpsc::Sender<Bytes>,
) -> Result<ShallowUpdate, GitProblem> {
    let mut update = ShallowUpdate::default();
    loop {
        let header = match reader.message().await? {
            Packet::Data(line) => text(reader, &line)?,
            Packet::Delimiter => continue,
            other => return Err(unexpected(reader, &other)),
        };
        match header.as_str() {
            "packfile" => {
                receive_pack(reader, pack).await?;
                return Ok(update);
            }
            "shallow-info" => loop {
                match reader.message().await? {
                    Packet::Data(line) => update.read(reader, &line)?,
                    Packet::Delimiter => break,
                    other => return Err(unexpected(reader, &other)),
                }
            },
            other => {
                return Err(reader.protocol(ProtocolError::Unexpected(printable(other.as_bytes()))));
            }
        }
    }
}

/// gitprotocol-pack(5): shallow lines when a depth was asked for, acknowledgements, the pack. Without `multi_ack` there are
/// one or two of the latter, with it one or two for each commit that was offered.
pub(super) async fn receive_0(
    reader: &mut PacketReader,
    deepened: bool,
    pack: &mpsc::Sender<Bytes>,
) -> Result<ShallowUpdate, GitProblem> {
    let mut update = ShallowUpdate::default();
    if deepened {
        loop {
            match reader.message().await? {
                Packet::Data(line) => update.read(reader, &line)?,
                Packet::Flush => break,
                other => return Err(unexpected(reader, &other)),
            }
        }
    }
    let mut acknowledged = 0;
    let first = loop {
        let line = match reader.message().await? {
            Packet::Data(line) => line,
            other => return Err(unexpected(reader, &other)),
        };
        // The bands of the pack are numbers below any letter.
        if !(line.starts_with(b"NAK") || line.starts_with(b"ACK ")) {
            break line;
        }
        acknowledged += 1;
        if acknowledged > MAX_ACKNOWLEDGED {
            return Err(reader.protocol(ProtocolError::Unexpected(
                "acknowledgements without end".into(),
            )));
        }
    };
    if acknowledged == 0 {
        return Err(unexpected(reader, &Packet::Data(first)));
    }
    receive_bands(reader, Some(first), pack).await?;
    Ok(update)
}

/// Most acknowledgements; no more than a few hundred commits are ever offered.
const MAX_ACKNOWLEDGED: usize = 10_000;

impl ShallowUpdate {
    fn read(&mut self, reader: &PacketReader, line: &[u8]) -> Result<(), GitProblem> {
        let line = text(reader, line)?;
        let (list, id) = match line.split_once(' ') {
            Some(("shallow", id)) => (&mut self.shallow, id),
            Some(("unshallow", id)) => (&mut self.unshallow, id),
            _ => return Err(invalid(reader, line.as_bytes())),
        };
        if list.len() > 1_000_000 {
            return Err(reader.protocol(ProtocolError::Unexpected(
                "shallow commits without end".into(),
            )));
        }
        list.push(id.parse().map_err(|_| invalid(reader, line.as_bytes()))?);
        Ok(())
    }
}

async fn receive_pack(
    reader: &mut PacketReader,
    pack: &mpsc::Sender<Bytes>,
) -> Result<(), GitProblem> {
    receive_bands(reader, None, pack).await
}

/// Band 1 is the pack, 2 is chatter, 3 the server's last words; `first` has arrived already.
async fn receive_bands(
    reader: &mut PacketReader,
    mut first: Option<Bytes>,
    pack: &mpsc::Sender<Bytes>,
) -> Result<(), GitProblem> {
    loop {
        let mut data = match first.take() {
            Some(data) => data,
            None => match reader.packet().await? {
                Packet::Data(data) => data,
                Packet::Flush => return Ok(()),
                other => return Err(unexpected(reader, &other)),
            },
        };
        if data.is_empty() {
            return Err(unexpected(reader, &Packet::Data(data)));
        }
        let band = data.split_to(1)[0];
        match band {
            1 => {
                if pack.send(data).await.is_err() {
                    // The indexer has stopped; its own error is the one to show.
                    return Ok(());
                }
            }
            2 => {}
            3 => {
                return Err(GitProblem::Remote {
                    url: reader.shown().to_owned(),
                    message: printable(&data),
                });
            }
            _ => return Err(unexpected(reader, &Packet::Data(data))),
        }
    }
}
