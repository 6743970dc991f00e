//! One conversation with `git-upload-pack`, in protocol version 2, 1 or 0.

use bytes::Bytes;
use git2::Oid;
use tokio::sync::mpsc;

use super::address::Address;
pub(super) use super::answer::ShallowUpdate;
use super::answer::{receive_0, receive_2};
use super::error::{GitProblem, ProtocolError, printable};
use super::options::GitOptions;
use super::pkt_line::{self, Packet};
use super::transport::{PacketReader, Transport};

const AGENT: &str = concat!(
    "agent=",
    env!("CARGO_PKG_NAME"),
    "/",
    env!("CARGO_PKG_VERSION")
);
/// What git itself sends to take away a depth: `INFINITE_DEPTH`.
pub(super) const UNLIMITED: u32 = 0x7fff_ffff;

/// A reference as the server announces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoteRef {
    /// In full; it need not be UTF-8.
    pub(super) name: Vec<u8>,
    pub(super) id: Oid,
}

/// The references of a server.
#[derive(Debug, Default)]
pub(super) struct RemoteRefs {
    pub(super) refs: Vec<RemoteRef>,
    /// What `HEAD` points to, by name; known even when that branch has no commit yet, if the server tells.
    pub(super) head_target: Option<String>,
    /// What `HEAD` points to, by id.
    pub(super) head: Option<Oid>,
}

/// What to ask of the server.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) wants: Vec<Oid>,
    pub(super) haves: Vec<Oid>,
    /// Commits whose parents are missing here.
    pub(super) shallow: Vec<Oid>,
    /// How many commits deep; none leaves depth alone.
    pub(super) depth: Option<u32>,
}

/// An open conversation.
pub(super) struct Session {
    transport: Transport,
    capabilities: Vec<String>,
    version_2: bool,
    announced: RemoteRefs,
    limit: u64,
    max_references: u64,
}

impl Session {
    /// Connects and reads the capabilities.
    pub(super) async fn open(
        address: &Address,
        is_pinned: bool,
        shown: &str,
        options: &GitOptions,
    ) -> Result<Self, GitProblem> {
        let transport = Transport::connect(address, is_pinned, shown, options).await?;
        Self::over(transport, options).await
    }

    /// Reads the capabilities that the other side sends first.
    pub(super) async fn over(
        transport: Transport,
        options: &GitOptions,
    ) -> Result<Self, GitProblem> {
        let mut session = Self {
            transport,
            capabilities: Vec::new(),
            version_2: false,
            announced: RemoteRefs::default(),
            limit: options.limits.received_bytes,
            max_references: options.limits.references,
        };
        match session.read_advertisement().await {
            Ok(()) => Ok(session),
            Err(error) => Err(session.transport.explain(error).await),
        }
    }

    async fn read_advertisement(&mut self) -> Result<(), GitProblem> {
        let reader = self.transport.reader();
        let mut first = reader.message().await?;
        if let Packet::Data(line) = &first
            && line.starts_with(b"# service=git-upload-pack")
        {
            match reader.message().await? {
                Packet::Flush => {}
                other => return Err(unexpected(reader, &other)),
            }
            first = reader.message().await?;
        }
        if let Packet::Data(line) = &first {
            match line.trim_ascii_end() {
                b"version 2" => {
                    self.version_2 = true;
                    loop {
                        match reader.message().await? {
                            Packet::Data(line) => self.capabilities.push(text(reader, &line)?),
                            Packet::Flush => break,
                            other => return Err(unexpected(reader, &other)),
                        }
                        if self.capabilities.len() > 1000 {
                            return Err(reader.protocol(ProtocolError::Unexpected(
                                "capabilities without end".into(),
                            )));
                        }
                    }
                    return self.check_capabilities();
                }
                b"version 1" => first = reader.message().await?,
                _ => {}
            }
        }
        self.read_announced_refs(first).await?;
        self.check_capabilities()
    }

    /// The advertisement of versions 0 and 1: gitprotocol-pack(5), "Reference Discovery".
    async fn read_announced_refs(&mut self, first: Packet) -> Result<(), GitProblem> {
        let reader = self.transport.reader();
        let mut packet = first;
        let mut is_first = true;
        loop {
            let line = match packet {
                Packet::Data(line) => line,
                Packet::Flush => break,
                other => return Err(unexpected(reader, &other)),
            };
            let mut halves = line.splitn(2, |byte| *byte == 0);
            let reference = halves.next().unwrap_or_default();
            if is_first {
                let capabilities = text(reader, halves.next().unwrap_or_default())?;
                self.capabilities = capabilities.split(' ').map(str::to_owned).collect();
                is_first = false;
            }
            // `shallow <id>` says what the server itself lacks; the fetch answer tells it again.
            if !reference.starts_with(b"shallow ") {
                let mut words = reference.trim_ascii_end().splitn(2, |byte| *byte == b' ');
                let id = words.next().and_then(object_id);
                let (Some(id), Some(name)) = (id, words.next()) else {
                    return Err(invalid(reader, reference));
                };
                match name {
                    b"HEAD" => self.announced.head = Some(id),
                    name if name.ends_with(b"^{}") => {}
                    name => push(
                        reader,
                        &mut self.announced.refs,
                        name,
                        id,
                        self.max_references,
                    )?,
                }
            }
            packet = reader.message().await?;
        }
        self.announced.head_target = self
            .capabilities
            .iter()
            .find_map(|capability| capability.strip_prefix("symref=HEAD:"))
            .map(str::to_owned);
        Ok(())
    }

    fn check_capabilities(&mut self) -> Result<(), GitProblem> {
        let format = self
            .capability("object-format")
            .unwrap_or("sha1")
            .to_owned();
        let lacks = if self.version_2 {
            [("ls-refs", "ls-refs"), ("fetch", "fetch")]
                .into_iter()
                .find(|(name, _)| !self.has(name) && self.capability(name).is_none())
        } else if !self.announced.refs.is_empty() && !self.has("side-band-64k") {
            Some(("", "side-band-64k"))
        } else {
            None
        };
        let reader = self.transport.reader();
        if format != "sha1" {
            return Err(reader.protocol(ProtocolError::ObjectFormat(format)));
        }
        lacks.map_or(Ok(()), |(_, name)| {
            Err(reader.protocol(ProtocolError::Capability(name)))
        })
    }

    fn has(&self, name: &str) -> bool {
        self.capabilities
            .iter()
            .any(|capability| capability == name)
    }

    fn capability(&self, name: &str) -> Option<&str> {
        self.capabilities
            .iter()
            .find_map(|capability| capability.strip_prefix(name)?.strip_prefix('='))
    }

    /// Whether a fetch may name a depth.
    pub(super) fn can_be_shallow(&self) -> bool {
        if self.version_2 {
            self.capability("fetch")
                .is_some_and(|features| features.split(' ').any(|f| f == "shallow"))
        } else {
            self.has("shallow")
        }
    }

    /// Whether a commit that no reference points to may be asked for.
    pub(super) fn can_want_any_commit(&self) -> bool {
        self.version_2
            || self.has("allow-reachable-sha1-in-want")
            || self.has("allow-any-sha1-in-want")
    }

    /// The references that begin with one of `prefixes`, and `HEAD`.
    pub(super) async fn references(
        &mut self,
        prefixes: &[String],
    ) -> Result<RemoteRefs, GitProblem> {
        if !self.version_2 {
            let mut refs = std::mem::take(&mut self.announced);
            refs.refs.retain(|r| begins(&r.name, prefixes));
            return Ok(refs);
        }
        let mut body = Vec::new();
        self.begin(&mut body, "ls-refs");
        pkt_line::write(&mut body, b"symrefs\n");
        if self
            .capability("ls-refs")
            .is_some_and(|features| features.contains("unborn"))
        {
            pkt_line::write(&mut body, b"unborn\n");
        }
        for prefix in prefixes.iter().map(String::as_str).chain(["HEAD"]) {
            pkt_line::write(&mut body, format!("ref-prefix {prefix}\n").as_bytes());
        }
        body.extend_from_slice(pkt_line::FLUSH);
        self.transport.request(body, true).await?;

        let max = self.max_references;
        let reader = self.transport.reader();
        let mut refs = RemoteRefs::default();
        loop {
            let line = match reader.message().await? {
                Packet::Data(line) => line,
                Packet::Flush => break,
                other => return Err(unexpected(reader, &other)),
            };
            let mut words = line.trim_ascii_end().split(|byte| *byte == b' ');
            let id = words.next().and_then(object_id);
            let name = words.next().unwrap_or_default();
            if name == b"HEAD" {
                let target = words.find_map(|word| word.strip_prefix(b"symref-target:"));
                refs.head_target = target.and_then(|name| String::from_utf8(name.to_vec()).ok());
                refs.head = id;
                continue;
            }
            let id = id.ok_or_else(|| invalid(reader, &line))?;
            if begins(name, prefixes) {
                push(reader, &mut refs.refs, name, id, max)?;
            }
        }
        Ok(refs)
    }

    fn begin(&self, body: &mut Vec<u8>, command: &str) {
        pkt_line::write(body, format!("command={command}\n").as_bytes());
        if self.capability("agent").is_some() {
            pkt_line::write(body, AGENT.as_bytes());
        }
        if self.capability("object-format").is_some() {
            pkt_line::write(body, b"object-format=sha1");
        }
        body.extend_from_slice(pkt_line::DELIMITER);
    }

    /// Fetches `wanted` in one round: everything this side has is named at once, so the server answers with the
    /// pack, whose bytes go to `pack`. Returns early when the receiver is gone.
    pub(super) async fn fetch(
        &mut self,
        wanted: &Wanted,
        pack: &mpsc::Sender<Bytes>,
    ) -> Result<ShallowUpdate, GitProblem> {
        let body = if self.version_2 {
            self.fetch_body_2(wanted)
        } else {
            self.fetch_body_0(wanted)
        };
        self.transport.request(body, self.version_2).await?;
        self.transport.reader().set_limit(self.limit);
        let received = if self.version_2 {
            receive_2(self.transport.reader(), pack).await
        } else {
            receive_0(self.transport.reader(), wanted.depth.is_some(), pack).await
        };
        match received {
            Ok(update) => Ok(update),
            Err(error) => Err(self.transport.explain(error).await),
        }
    }

    /// Says goodbye on a connection that stays open; a server may otherwise log a broken one.
    pub(super) async fn close(mut self) {
        if self.transport.is_stateless() {
            self.transport.reader().finish().await;
        } else {
            let _ = self
                .transport
                .request(pkt_line::FLUSH.to_vec(), self.version_2)
                .await;
        }
    }

    fn fetch_body_2(&self, wanted: &Wanted) -> Vec<u8> {
        let mut body = Vec::new();
        self.begin(&mut body, "fetch");
        for argument in ["thin-pack\n", "ofs-delta\n", "no-progress\n"] {
            pkt_line::write(&mut body, argument.as_bytes());
        }
        let mut line = |text: String| pkt_line::write(&mut body, text.as_bytes());
        wanted
            .wants
            .iter()
            .for_each(|id| line(format!("want {id}\n")));
        wanted
            .shallow
            .iter()
            .for_each(|id| line(format!("shallow {id}\n")));
        wanted
            .depth
            .iter()
            .for_each(|depth| line(format!("deepen {depth}\n")));
        wanted
            .haves
            .iter()
            .for_each(|id| line(format!("have {id}\n")));
        line("done\n".to_owned());
        body.extend_from_slice(pkt_line::FLUSH);
        body
    }

    fn fetch_body_0(&self, wanted: &Wanted) -> Vec<u8> {
        let mut body = Vec::new();
        // Some servers answer nobody who lacks `multi_ack`.
        let acknowledgements = ["multi_ack_detailed", "multi_ack"]
            .into_iter()
            .find(|name| self.has(name));
        let offered = ["side-band-64k", "thin-pack", "ofs-delta", "no-progress"]
            .into_iter()
            .filter(|name| self.has(name));
        let mut capabilities: String = acknowledgements
            .into_iter()
            .chain(offered)
            .flat_map(|name| [" ", name])
            .collect();
        if self.capability("agent").is_some() {
            capabilities.push(' ');
            capabilities.push_str(AGENT);
        }
        for (index, id) in wanted.wants.iter().enumerate() {
            let capabilities = if index == 0 {
                capabilities.as_str()
            } else {
                ""
            };
            pkt_line::write(&mut body, format!("want {id}{capabilities}\n").as_bytes());
        }
        for id in &wanted.shallow {
            pkt_line::write(&mut body, format!("shallow {id}\n").as_bytes());
        }
        if let Some(depth) = wanted.depth {
            pkt_line::write(&mut body, format!("deepen {depth}\n").as_bytes());
        }
        body.extend_from_slice(pkt_line::FLUSH);
        for id in &wanted.haves {
            pkt_line::write(&mut body, format!("have {id}\n").as_bytes());
        }
        pkt_line::write(&mut body, b"done\n");
        body
    }
}

fn push(
    reader: &PacketReader,
    refs: &mut Vec<RemoteRef>,
    name: &[u8],
    id: Oid,
    max: u64,
) -> Result<(), GitProblem> {
    if refs.len() as u64 >= max {
        return Err(GitProblem::Limit {
            url: reader.shown().to_owned(),
            unit: "references",
            limit: max,
        });
    }
    // git leaves out what it would not take for a name, and goes on.
    if name.starts_with(b"refs/") && is_valid_name(name) {
        refs.push(RemoteRef {
            name: name.to_vec(),
            id,
        });
    }
    Ok(())
}

/// Whether git takes this for the name of a reference; which bytes beyond ASCII are in it plays no part.
pub(super) fn is_valid_name(name: &[u8]) -> bool {
    git2::Reference::is_valid_name(&String::from_utf8_lossy(name))
}

fn begins(name: &[u8], prefixes: &[String]) -> bool {
    prefixes
        .iter()
        .any(|prefix| name.starts_with(prefix.as_bytes()))
}

fn object_id(text: &[u8]) -> Option<Oid> {
    // The beginning of an id would be taken too.
    (text.len() == 40).then_some(())?;
    std::str::from_utf8(text).ok()?.parse().ok()
}

pub(super) fn text(reader: &PacketReader, line: &[u8]) -> Result<String, GitProblem> {
    std::str::from_utf8(line.trim_ascii_end())
        .map(str::to_owned)
        .map_err(|_| reader.protocol(ProtocolError::Reference(printable(line))))
}

pub(super) fn invalid(reader: &PacketReader, line: &[u8]) -> GitProblem {
    reader.protocol(ProtocolError::Reference(printable(line)))
}

pub(super) fn unexpected(reader: &PacketReader, packet: &Packet) -> GitProblem {
    reader.protocol(ProtocolError::Unexpected(match packet {
        Packet::Data(data) => printable(data),
        Packet::Flush => "flush".to_owned(),
        Packet::Delimiter => "delimiter".to_owned(),
        Packet::ResponseEnd => "response end".to_owned(),
    }))
}
