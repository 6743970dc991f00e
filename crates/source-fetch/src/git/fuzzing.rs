//! What the fuzz targets call of git: a whole conversation, and a pack.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use sha1::{Digest as _, Sha1};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::attributes::Reader;
use super::convert::{Conversion, Purpose};
use super::error::GitProblem;
use super::options::GitOptions;
use super::pack::{Counters, Quarantine};
use super::session::{Session, Wanted};
use super::transport::Transport;

const OBJECTS: u64 = 10_000;

/// Holds a whole conversation with a server that says `answers`, whatever it is asked.
pub fn conversation(answers: &[u8]) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
    else {
        return;
    };
    let mut options = GitOptions::new(network_policy::HttpClients::with_client(
        network_policy::SourcePolicy::default(),
        reqwest::Client::new(),
    ));
    options.limits.references = 1_000;
    options.limits.received_bytes = 1 << 20;
    if let Err(problem) = runtime.block_on(converse(answers, &options)) {
        assert!(!problem.to_string().is_empty());
    }
}

async fn converse(answers: &[u8], options: &GitOptions) -> Result<(), GitProblem> {
    let writer = Box::new(tokio::io::sink());
    let reader = Box::new(Cursor::new(answers.to_vec()));
    let transport = Transport::stream(writer, reader, (None, None), "fuzz", options);
    let mut session = Session::over(transport, options).await?;
    let prefixes = ["refs/heads/".to_owned(), "refs/tags/".to_owned()];
    let refs = session.references(&prefixes).await?;
    assert!(refs.refs.len() as u64 <= options.limits.references);
    let wanted = Wanted {
        wants: refs.refs.iter().map(|one| one.id).collect(),
        depth: session.can_be_shallow().then_some(1),
        ..Wanted::default()
    };
    let (sender, mut receiver) = mpsc::channel(4);
    let drain = async { while receiver.recv().await.is_some() {} };
    let fetch = async {
        let fetched = session.fetch(&wanted, &sender).await;
        drop(sender);
        fetched
    };
    let (fetched, ()) = tokio::join!(fetch, drain);
    fetched.map(|_| ())
}

/// Indexes `pack` beside the objects of `mirror`; its last twenty bytes are made the digest of the
/// rest, since chance finds none.
pub fn pack(mirror: &Path, pack: &[u8]) {
    let mut bytes = pack.to_vec();
    bytes.extend_from_slice(&Sha1::digest(pack));
    let (sender, receiver) = mpsc::channel(1 + bytes.len() / 4_096);
    for chunk in bytes.chunks(4_096) {
        if sender.try_send(Bytes::copy_from_slice(chunk)).is_err() {
            return;
        }
    }
    drop(sender);
    let counters = Counters::default();
    counters.complete.store(true, Ordering::Release);
    let token = CancellationToken::new();
    match Quarantine::receive(mirror, "fuzz", receiver, &counters, OBJECTS, &token) {
        Ok(quarantine) => drop(quarantine),
        Err(problem) => assert!(!problem.to_string().is_empty()),
    }
    // What was begun is gone with it.
    let left = std::fs::read_dir(mirror).into_iter().flatten().flatten();
    let begun = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b"incoming-");
    assert_eq!(left.filter(|entry| begun(&entry.file_name())).count(), 0);
}

/// Reads `text` as attributes, up to the first NUL byte, and converts what follows it by what they say of a path.
pub fn attributes(text: &[u8]) {
    let end = text.iter().position(|byte| *byte == 0);
    let (rules, content) = text.split_at(end.unwrap_or(text.len()));
    let reader = Reader::new(rules);
    let stack = [(&b""[..], Arc::new(reader.rules(rules)))];
    for path in [&b"a"[..], b"a/b.txt", b"a-b/[c]/*.d", b"\xff/\\"] {
        let mut cost = 0;
        let spend = &mut |steps| {
            cost += steps;
            true
        };
        let Some(values) = reader.values(path, false, &stack, spend) else {
            continue;
        };
        let most = (rules.len() as u64 + 2) * (path.len() as u64 + 2);
        assert!(cost <= most, "{cost} comparisons, and not {most}");
        let Ok(Some(conversion)) = Conversion::of(&values) else {
            continue;
        };
        for purpose in [Purpose::Checkout, Purpose::Archive] {
            let converted = conversion.apply(content.to_vec(), git2::Oid::ZERO_SHA1, purpose);
            let length = converted.map_or(0, |bytes| bytes.len());
            assert!(length <= content.len() * 64 + 8, "{length} bytes");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> String {
        format!("{:04x}{text}", text.len() + 4)
    }

    #[test]
    fn no_attributes_do_harm() {
        let mut random = fastrand::Rng::with_seed(7);
        let parts = [
            "*",
            "**/",
            "[a-",
            "]",
            "[[:alpha:]",
            "a",
            "/",
            " text",
            " eol=crlf",
            " ident",
            "\n",
            "[attr]",
            "\"\\1",
            " working-tree-encoding=",
            "UTF-16",
            "sjis",
            "\0",
            "$Id$",
            "\r\n",
            "é",
            "b.txt",
            " text=auto",
            "\u{1a}",
        ];
        for _ in 0..20_000 {
            let count = random.usize(1..30);
            let text: String = (0..count)
                .map(|_| parts[random.usize(..parts.len())])
                .collect();
            attributes(text.as_bytes());
        }
    }

    /// The fuzz targets' work for a moment.
    #[test]
    fn damaged_conversations_and_packs_do_no_harm() {
        let id = "1111111111111111111111111111111111111111";
        let advertised = [
            "version 2\n",
            "agent=git/2\n",
            "ls-refs=unborn\n",
            "fetch=shallow\n",
        ];
        let mut answers: String = advertised.map(line).concat() + "0000";
        answers += &(line(&format!("{id} refs/heads/main\n")) + "0000");
        answers += &(line("shallow-info\n") + &line(&format!("shallow {id}")) + "0001");
        answers += &(line("packfile\n") + &line("\u{1}PACK") + "0000");
        let mirror = tempfile::tempdir().expect("a temporary folder");
        let mut random = fastrand::Rng::with_seed(7);
        let empty_pack = b"PACK\0\0\0\x02\0\0\0\x01\x30x\x9c\x03\0\0\0\0\x01";
        for _ in 0..400 {
            for (bytes, is_pack) in [(answers.as_bytes(), false), (empty_pack, true)] {
                let mut bytes = bytes.to_vec();
                for _ in 0..random.usize(..6) {
                    let at = random.usize(..bytes.len());
                    bytes[at] = random.u8(..);
                }
                bytes.truncate(random.usize(..=bytes.len()));
                if is_pack {
                    pack(mirror.path(), &bytes);
                } else {
                    conversation(&bytes);
                }
            }
        }
    }
}
