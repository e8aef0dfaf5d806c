//! An SMTP client that shows everything the server says, connects from any address of its namespace, and
//! can say what no honest client would.

mod reply;
mod wire;

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

pub use reply::Reply;
use wire::Wire;
pub use wire::connect;

use crate::namespace::Namespace;

/// How a client tells its password (RFC 4954, RFC 4616 and draft-murchison-sasl-login).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    Plain,
    PlainAfterChallenge,
    Login,
    LoginWithInitialResponse,
}

impl Mechanism {
    pub const ALL: [Self; 4] =
        [Self::Plain, Self::PlainAfterChallenge, Self::Login, Self::LoginWithInitialResponse];
}

/// One SMTP session.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
}

impl Client {
    /// Connects; the greeting is read with [`Client::reply`].
    pub fn connect(namespace: &Namespace, from: IpAddr, to: SocketAddr) -> Result<Self> {
        let stream = namespace.enter(|| connect(from, to))?;
        Ok(Self { wire: Wire::new(stream) })
    }

    /// Reads one reply, of as many lines as it has.
    pub fn reply(&mut self) -> Result<Reply> {
        let mut lines = Vec::new();
        loop {
            let line = self.wire.read_line()?;
            let is_last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if is_last {
                return Reply::parse(lines);
            }
        }
    }

    /// Sends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.wire.write(bytes)
    }

    /// Sends a line and reads its reply.
    pub fn command(&mut self, line: &str) -> Result<Reply> {
        self.raw(format!("{line}\r\n").as_bytes())?;
        self.reply().with_context(|| {
            // What follows AUTH is a password.
            let verb = line.split(' ').next().unwrap_or_default();
            format!("reading the reply to {verb}")
        })
    }

    /// Says EHLO; the reply's lines are the extensions the server offers.
    pub fn ehlo(&mut self) -> Result<Reply> {
        self.command("EHLO client.example")?.expect(250)
    }

    /// Turns TLS on by STARTTLS; the session starts anew, so EHLO is said again.
    pub fn starttls(&mut self) -> Result<Reply> {
        self.command("STARTTLS")?.expect(220)?;
        self.handshake()?;
        self.ehlo()
    }

    /// Turns TLS on at once, as on port 465 before the greeting.
    pub fn handshake(&mut self) -> Result<()> {
        self.wire.handshake()
    }

    /// The certificate the server showed, in DER.
    #[must_use]
    pub fn certificate(&self) -> Option<Vec<u8>> {
        self.wire.certificate()
    }

    /// Logs in, and returns the last reply whatever it is.
    pub fn login(&mut self, mechanism: Mechanism, name: &str, password: &str) -> Result<Reply> {
        let plain = BASE64.encode(format!("\0{name}\0{password}"));
        let name = BASE64.encode(name);
        let password = BASE64.encode(password);
        let (first, then) = match mechanism {
            Mechanism::Plain => (format!("AUTH PLAIN {plain}"), vec![]),
            Mechanism::PlainAfterChallenge => ("AUTH PLAIN".to_owned(), vec![plain]),
            Mechanism::Login => ("AUTH LOGIN".to_owned(), vec![name, password]),
            Mechanism::LoginWithInitialResponse => (format!("AUTH LOGIN {name}"), vec![password]),
        };
        let mut reply = self.command(&first)?;
        for response in then {
            if reply.code != 334 {
                return Ok(reply);
            }
            reply = self.command(&response)?;
        }
        Ok(reply)
    }

    /// Sends the whole message, and returns the first refusal or the last reply.
    pub fn send(&mut self, sender: &str, recipients: &[&str], message: &[u8]) -> Result<Reply> {
        let mut reply = self.command(&format!("MAIL FROM:<{sender}> BODY=8BITMIME"))?;
        for recipient in recipients {
            if !reply.is_positive() {
                return Ok(reply);
            }
            reply = self.command(&format!("RCPT TO:<{recipient}>"))?;
        }
        if !reply.is_positive() {
            return Ok(reply);
        }
        self.data(message)
    }

    /// Sends DATA and a message byte for byte (but for the dots that RFC 5321 4.5.2 doubles).
    pub fn data(&mut self, message: &[u8]) -> Result<Reply> {
        ensure!(
            message.ends_with(b"\r\n"),
            "a message ends with CRLF, or it cannot arrive as it was"
        );
        let reply = self.command("DATA")?;
        if reply.code != 354 {
            return Ok(reply);
        }
        let mut stuffed = Vec::with_capacity(message.len() + 16);
        let mut starts_line = true;
        for &byte in message {
            if starts_line && byte == b'.' {
                stuffed.push(b'.');
            }
            stuffed.push(byte);
            starts_line = byte == b'\n';
        }
        stuffed.extend_from_slice(b".\r\n");
        self.raw(&stuffed)?;
        self.reply().context("reading the reply to the end of the message")
    }

    pub fn quit(mut self) -> Result<()> {
        self.command("QUIT")?.expect(221)?;
        Ok(())
    }

    /// Waits until the server ends the connection.
    pub fn expect_end(&mut self) -> Result<()> {
        match self.wire.read_line() {
            Err(error) if wire::is_end(&error) => Ok(()),
            Err(error) => Err(error.context("waiting for the end of the connection")),
            Ok(line) => bail!("the connection should have ended, but the server said {line:?}"),
        }
    }
}
