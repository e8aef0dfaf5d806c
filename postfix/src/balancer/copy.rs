//! Copies what one side sends to the other.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;

/// A connection whose directions end one by one.
pub trait Half: Read + Write {
    fn no_more(&self) -> io::Result<()>;
}

impl Half for TcpStream {
    fn no_more(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Half for UnixStream {
    fn no_more(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// Copies until one side sends no more, and passes that on. How long a side may be silent is smtpd's to say.
pub fn all(mut from: impl Half, mut to: impl Half) {
    // A side that is gone ends the connection, which is all there is to do about it.
    io::copy(&mut from, &mut to).ok();
    to.no_more().ok();
}
