//! A trio of services that decide nothing: the floor of what asking anybody costs Postfix.
//!
//! It speaks just enough of each protocol to be asked what the sidecar is asked, with the same stages
//! of the milter agreed on, and says yes. It must never be used for anything but measuring.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use anyhow::{Context, Result};

type Serve = fn(UnixStream) -> Result<()>;

/// Serves in this folder until the process is killed.
pub fn serve(folder: &Path) -> Result<()> {
    let services: [(&str, Serve); 3] =
        [("sasl.sock", sasl), ("policy.sock", policy), ("milter.sock", milter)];
    let threads: Vec<_> = services
        .into_iter()
        .map(|(name, serve)| {
            let path = folder.join(name);
            let listener = UnixListener::bind(&path)
                .with_context(|| format!("listening on {}", path.display()))?;
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666))?;
            Ok(std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    // A peer that goes away ends its own session only.
                    std::thread::spawn(move || serve(stream).ok());
                }
            }))
        })
        .collect::<Result<_>>()?;
    for thread in threads {
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
    Ok(())
}

/// Every login is right.
fn sasl(mut stream: UnixStream) -> Result<()> {
    stream.write_all(
        b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\n\
          COOKIE\t00000000000000000000000000000000\nDONE\n",
    )?;
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        let mut words = line.split('\t');
        if words.next() == Some("AUTH") {
            let id = words.next().unwrap_or_default();
            stream.write_all(format!("OK\t{id}\tuser={}\n", super::load::USER).as_bytes())?;
        }
        line.clear();
    }
    Ok(())
}

/// Every request is left to Postfix's own lists.
fn policy(mut stream: UnixStream) -> Result<()> {
    let mut buffer = [0; 8192];
    let mut unread = Vec::new();
    loop {
        let size = stream.read(&mut buffer)?;
        if size == 0 {
            return Ok(());
        }
        unread.extend(buffer.iter().take(size));
        if unread.ends_with(b"\n\n") {
            unread.clear();
            stream.write_all(b"action=DUNNO\n\n")?;
        }
    }
}

/// Version 6; the actions and the stages that the sidecar asks for (SMFIP_ of mfdef.h): NOHELO, NOBODY,
/// NOUNKNOWN, NODATA, and no answer to connect, MAIL, RCPT and header fields.
const AGREED: [u8; 17] = [0, 0, 0, 13, b'O', 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0xD3, 0x92];

/// Every message is accepted at the end of its header, after which nothing more is sent of it.
fn milter(mut stream: UnixStream) -> Result<()> {
    let mut input = BufReader::with_capacity(64 * 1024, stream.try_clone()?);
    let mut packet = Vec::new();
    loop {
        let mut length = [0; 4];
        if input.read_exact(&mut length).is_err() {
            return Ok(());
        }
        packet.resize(usize::try_from(u32::from_be_bytes(length))?, 0);
        input.read_exact(&mut packet)?;
        match packet.first() {
            Some(b'O') => stream.write_all(&AGREED)?,
            Some(b'N') => stream.write_all(&[0, 0, 0, 1, b'a'])?,
            Some(b'Q') => return Ok(()),
            _ => {}
        }
    }
}
