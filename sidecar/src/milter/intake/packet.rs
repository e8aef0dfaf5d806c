//! Packets of the milter protocol, followed as their bytes pass. Pure.

use std::io;

/// Longest packet in bytes, without its length. The largest that Postfix sends is a header field:
/// 102,400 bytes (`header_size_limit`) and its name. A piece of a body has 65,535.
pub const MAX_PACKET: usize = 128 * 1024;

/// Where in a packet the stream is: four bytes of length, then so many bytes.
#[derive(Debug, Default)]
pub struct Packet {
    length: [u8; 4],
    length_read: usize,
    remaining: usize,
}

impl Packet {
    /// Follows bytes that were read. Returns the length of the packet that is unfinished after
    /// them; 0 when the stream is between two packets.
    pub fn follow(&mut self, mut bytes: &[u8]) -> io::Result<usize> {
        while let Some((first, rest)) = bytes.split_first() {
            if self.remaining > 0 {
                let skipped = bytes.len().min(self.remaining);
                self.remaining -= skipped;
                bytes = bytes.get(skipped..).unwrap_or_default();
                if self.remaining == 0 {
                    self.length_read = 0;
                }
                continue;
            }
            if let Some(place) = self.length.get_mut(self.length_read) {
                *place = *first;
            }
            self.length_read += 1;
            bytes = rest;
            if self.length_read == self.length.len() {
                self.remaining = self.declared();
                if self.remaining > MAX_PACKET {
                    let text = format!("milter packet of {} bytes", self.remaining);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
                if self.remaining == 0 {
                    self.length_read = 0;
                }
            }
        }
        Ok(if self.remaining > 0 { self.declared() } else { self.length_read })
    }

    /// Whether the next byte begins a packet.
    pub fn is_between(&self) -> bool {
        self.length_read == 0
    }

    fn declared(&self) -> usize {
        usize::try_from(u32::from_be_bytes(self.length)).unwrap_or(usize::MAX)
    }
}
