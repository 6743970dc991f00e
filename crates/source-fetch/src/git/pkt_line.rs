//! The framing of every git message: gitprotocol-common(5), "pkt-line Format".

use bytes::{Bytes, BytesMut};

use super::error::{ProtocolError, printable};

/// One packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// A payload.
    Data(Bytes),
    /// `0000`, the end of a message.
    Flush,
    /// `0001`, the end of a section.
    Delimiter,
    /// `0002`, the end of a stateless answer.
    ResponseEnd,
}

/// Cuts a stream of bytes into packets; holds at most one packet and one chunk.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next whole packet, or nothing until more bytes are fed.
    pub(super) fn next(&mut self) -> Result<Option<Packet>, ProtocolError> {
        let Some(head) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = length(*head)?;
        let packet = match length {
            0 => Packet::Flush,
            1 => Packet::Delimiter,
            2 => Packet::ResponseEnd,
            3 => return Err(ProtocolError::PacketLength(printable(head))),
            _ if self.buffer.len() < length => {
                self.buffer.reserve(length - self.buffer.len());
                return Ok(None);
            }
            _ => {
                let mut packet = self.buffer.split_to(length);
                return Ok(Some(Packet::Data(packet.split_off(4).freeze())));
            }
        };
        let _ = self.buffer.split_to(4);
        Ok(Some(packet))
    }
}

fn length(head: [u8; 4]) -> Result<usize, ProtocolError> {
    let mut length = 0;
    for byte in head {
        // `u16::from_str_radix` would let a sign through.
        let digit = char::from(byte)
            .to_digit(16)
            .ok_or_else(|| ProtocolError::PacketLength(printable(&head)))?;
        length = length * 16 + digit as usize;
    }
    Ok(length)
}

/// Appends one packet with `payload`, which must be shorter than 65 516 bytes.
pub(super) fn write(out: &mut Vec<u8>, payload: &[u8]) {
    out.extend_from_slice(format!("{:04x}", payload.len() + 4).as_bytes());
    out.extend_from_slice(payload);
}

pub(super) const FLUSH: &[u8] = b"0000";
pub(super) const DELIMITER: &[u8] = b"0001";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn packets_survive_any_cut() {
        let mut stream = Vec::new();
        write(&mut stream, b"first\n");
        stream.extend_from_slice(FLUSH);
        write(&mut stream, &vec![7; 65_000]);
        stream.extend_from_slice(DELIMITER);
        stream.extend_from_slice(b"0002");
        write(&mut stream, b"");
        for step in [1, 3, 4, 7, 65_009, stream.len()] {
            let mut decoder = Decoder::default();
            let mut packets = Vec::new();
            for chunk in stream.chunks(step) {
                decoder.feed(chunk);
                while let Some(packet) = decoder.next().unwrap() {
                    packets.push(packet);
                }
            }
            assert!(decoder.is_empty());
            assert_eq!(
                packets,
                [
                    Packet::Data(Bytes::from_static(b"first\n")),
                    Packet::Flush,
                    Packet::Data(Bytes::from(vec![7; 65_000])),
                    Packet::Delimiter,
                    Packet::ResponseEnd,
                    Packet::Data(Bytes::new()),
                ],
                "cut every {step} bytes"
            );
        }
    }

    #[test]
    fn lengths_that_are_none_are_refused() {
        for head in [
            "0003",
            "00g0",
            "+00a",
            "-001",
            "    ",
            "\u{0}\u{0}\u{0}\u{0}",
        ] {
            let mut decoder = Decoder::default();
            decoder.feed(head.as_bytes());
            assert!(
                matches!(decoder.next(), Err(ProtocolError::PacketLength(_))),
                "{head:?}"
            );
        }
    }
}
