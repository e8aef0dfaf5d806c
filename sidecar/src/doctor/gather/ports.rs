//! The relay's own ports, as a stranger in the containers' network sees them.

use std::net::IpAddr;

use super::Questions;
use super::smtp::{self, Stream, Talk};
use super::tls::{self, Agreed};
use crate::doctor::facts::{Dialogue, Encrypted, Greeting, NoGreeting, PortFacts};

const PORTS: [u16; 3] = [25, 587, 465];
/// TLS from the first byte (RFC 8314 section 3.3).
const IMPLICIT_TLS: u16 = 465;
/// Nobody's (RFC 2606); it is asked for, and nothing is sent.
const ELSEWHERE: &str = "relay-doctor@example.com";

/// What each port says, and this container's address if it is in `ALLOWED_NETWORKS`.
pub async fn look(questions: &Questions) -> (Vec<PortFacts>, Option<IpAddr>) {
    let (host, postfix) = (questions.settings.greeting_name(), &questions.postfix);
    let [first, second, third] = PORTS;
    let ((a, from), (b, _), (c, _)) = tokio::join!(
        port(postfix, first, host),
        port(postfix, second, host),
        port(postfix, third, host)
    );
    let allowed = from.filter(|address| questions.allowed.contains(*address));
    (vec![a, b, c], allowed)
}

async fn port(postfix: &str, port: u16, host: &str) -> (PortFacts, Option<IpAddr>) {
    let stream = match smtp::connect_to(postfix, port).await {
        Ok(stream) => stream,
        Err(error) => return (PortFacts { port, dialogue: Err(error) }, None),
    };
    let from = stream.local_addr().ok().map(|local| local.ip().to_canonical());
    let dialogue = match port {
        IMPLICIT_TLS => encrypted(stream, host).await,
        _ => plain(stream, host).await,
    };
    (PortFacts { port, dialogue }, from)
}

async fn encrypted<S: Stream>(stream: S, host: &str) -> Result<Dialogue, NoGreeting> {
    let (stream, agreed) = match tls::over(stream, host).await {
        Ok(agreed) => agreed,
        Err(error) => {
            return Ok(Dialogue { tls: Some(Err(error.to_string())), ..Dialogue::default() });
        }
    };
    let (greeting, mut talk) = smtp::greet(stream, host).await?;
    let recipient_reply = ask(&mut talk, host).await;
    let encrypted = agreement(greeting, agreed);
    Ok(Dialogue { plain: None, tls: Some(Ok(encrypted)), recipient_reply })
}

async fn plain<S: Stream>(stream: S, host: &str) -> Result<Dialogue, NoGreeting> {
    let (greeting, mut talk) = smtp::greet(stream, host).await?;
    if !greeting.offers("STARTTLS") {
        let recipient_reply = ask(&mut talk, host).await;
        return Ok(Dialogue { plain: Some(greeting), tls: None, recipient_reply });
    }
    let (tls, recipient_reply) = match start_tls(talk, host).await {
        Ok((encrypted, reply)) => (Ok(encrypted), reply),
        Err(error) => (Err(error), String::new()),
    };
    Ok(Dialogue { plain: Some(greeting), tls: Some(tls), recipient_reply })
}

async fn start_tls<S: Stream>(
    mut talk: Talk<S>,
    host: &str,
) -> Result<(Encrypted, String), String> {
    let words = |error: std::io::Error| error.to_string();
    let reply = talk.say("STARTTLS").await.map_err(words)?;
    if reply.code != 220 {
        return Err(reply.text());
    }
    let (stream, agreed) = tls::over(talk.into_inner(), host).await.map_err(words)?;
    let mut talk = Talk::new(stream);
    let greeting = talk.ehlo(host, None).await.map_err(words)?;
    let reply = ask(&mut talk, host).await;
    let encrypted = agreement(greeting, agreed);
    Ok((encrypted, reply))
}

fn agreement(greeting: Greeting, agreed: Agreed) -> Encrypted {
    let Agreed { version, certificate, key_pin } = agreed;
    Encrypted { greeting, version, certificate, key_pin }
}

/// Asks for a recipient elsewhere, and leaves before anything is sent.
async fn ask<S: Stream>(talk: &mut Talk<S>, host: &str) -> String {
    let mut reply = String::new();
    for command in [format!("MAIL FROM:<postmaster@{host}>"), format!("RCPT TO:<{ELSEWHERE}>")] {
        match talk.say(&command).await {
            Ok(said) => {
                reply = said.text();
                if !said.is_good() {
                    break;
                }
            }
            Err(_) => return String::new(),
        }
    }
    talk.quit().await;
    reply
}
