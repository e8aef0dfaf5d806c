//! A client of the milter that says what Postfix says, for tests that count messages and need no Postfix.

use std::io::{BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::wait;

const ANSWER: Duration = Duration::from_secs(60);

/// One session with one message: negotiation, the message in one write, end. Returns the letter of the answer: `a` and `c`
/// accept, `y` carries a reply code, `t` puts off, `r` refuses.
pub fn session(socket: &Path, message: &[u8]) -> Result<u8> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER))?;
    let offer = [6_u32, 0x1ff, 0x1f_ffff].map(u32::to_be_bytes).concat();
    stream.write_all(&packet(b'O', &offer))?;
    ensure!(answer(&stream)? == b'O', "no negotiation");
    stream.write_all(message)?;
    let reply = answer(&stream)?;
    stream.write_all(&packet(b'Q', b""))?;
    Ok(reply)
}

/// Everything of a message to one recipient that Postfix tells when no answer is awaited before the end of its header.
/// `macros` are those of MAIL: names and values in turn, each with a NUL behind it.
#[must_use]
pub fn message(macros: &str, sender: &str) -> Vec<u8> {
    let mut bytes = packet(b'D', format!("M{macros}").as_bytes());
    bytes.extend(packet(b'M', format!("<{sender}>\0").as_bytes()));
    bytes.extend(packet(b'R', b"<r0@example.net>\0"));
    let from = format!("From\0Alice <{sender}>\0");
    for field in [&*from, "To\0r0@example.net\0", "Subject\0hello\0"] {
        bytes.extend(packet(b'L', field.as_bytes()));
    }
    bytes.extend(packet(b'D', b"Ni\x004ABCDEF\0"));
    bytes.extend(packet(b'N', b""));
    bytes
}

/// The first byte of the next packet.
fn answer(stream: &UnixStream) -> Result<u8> {
    wait::readable(stream, ANSWER)?;
    // Nothing follows an answer before the next question.
    let mut answers = BufReader::new(stream);
    let mut length = [0; 4];
    answers.read_exact(&mut length)?;
    let mut packet = vec![0; usize::try_from(u32::from_be_bytes(length))?];
    answers.read_exact(&mut packet)?;
    Ok(packet.first().copied().unwrap_or_default())
}

fn packet(command: u8, data: &[u8]) -> Vec<u8> {
    // Ours are a few hundred bytes long.
    let length = u32::try_from(data.len() + 1).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &[command], data].concat()
}
