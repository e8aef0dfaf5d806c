//! `relay doctor --send`: a message takes the way of every message, with a login of its own, and is followed to the
//! receiver's answer.

use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use super::{DoctorConfig, DoctorOptions};
use crate::access::senders::{Address, SenderPattern};
use crate::answers::explain;
use crate::cli::console::{ask, print};
use crate::cli::failure::{Exit, Failure};
use crate::cli::password_input::{NewPassword, generate};
use crate::cli::user::hash;
use crate::clock::now;
use crate::control::protocol::{Answer, Question};
use crate::doctor::facts::NoGreeting;
use crate::doctor::gather::smtp::{self, Stream, Talk};
use crate::doctor::gather::tls;
use crate::history::{Entry, Event, Filter};
use crate::printable::on_a_terminal;
use crate::store::UserStore;
use crate::user_name::UserName;
use crate::users::User;

const SUBMISSION: u16 = 587;
/// How its logins are called.
const PREFIX: &str = "relay-doctor-";
const MOST_LEFTOVERS: usize = 50;
/// How long the login would work if this command were killed.
const LIFETIME: u64 = 600;
/// Postfix's first try takes so long at worst: connections to several addresses of a receiver.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A user that is gone when this is.
struct Guest<'a> {
    store: &'a UserStore,
    name: UserName,
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        // It expires by itself.
        drop(self.store.remove(&self.name));
    }
}

pub async fn run(
    store: &UserStore,
    options: &DoctorOptions,
    config: &DoctorConfig,
    recipient: &str,
    from: Option<&str>,
) -> Result<(), Failure> {
    let no_address = |text: &str| {
        Failure::new(Exit::BadInput, format!("{text:?} is no address: write you@example.com"))
    };
    let recipient = checked(recipient).ok_or_else(|| no_address(recipient))?;
    let from = from.ok_or_else(|| {
        Failure::new(
            Exit::BadInput,
            "no sender's domain is known: name one with --from you@example.org",
        )
    })?;
    let from = checked(from).ok_or_else(|| no_address(from))?;
    let password = generate()?;
    let guest = guest(store, &from, &password)?;
    let host = config.settings.greeting_name();
    let sent =
        submit(&options.at, host, (&guest.name, password.password.as_bytes()), &from, &recipient)
            .await;
    let name = guest.name.as_str().to_owned();
    drop(guest);
    let id = sent.map_err(|error| {
        Failure::trouble(format!("the relay did not take the message: {error}"))
    })?;
    print(
        format!("the relay took the message from {from} as {id}, by a login of its own ({name})\n")
            .as_bytes(),
    )?;
    follow(options, &id, &recipient).await
}

/// Addresses as the relay compares them, without anything that SMTP would read as more.
fn checked(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_graphic() && !"<>,;:\"\\()[]".contains(c);
    text.chars()
        .all(plain)
        .then(|| Address::parse(text))
        .flatten()
        .map(|address| address.to_string())
}

/// Logins of runs that were killed. They have expired, and only clutter the list.
fn remove_leftovers(store: &UserStore) {
    // What cannot be read or removed now is there the next time, too.
    for (name, user) in store.users_after(Some(PREFIX), MOST_LEFTOVERS).unwrap_or_default() {
        let has_expired = |user: &User| user.expires.is_some_and(|expires| expires <= now());
        if name.starts_with(PREFIX)
            && user.is_ok_and(|user| has_expired(&user))
            && let Ok(name) = UserName::parse(&name)
        {
            drop(store.remove(&name));
        }
    }
}

/// A user who may send as one address for a few minutes.
fn guest<'a>(
    store: &'a UserStore,
    from: &str,
    password: &NewPassword,
) -> Result<Guest<'a>, Failure> {
    let hash = hash(password)?;
    remove_leftovers(store);
    let mut number = [0; 4];
    getrandom::fill(&mut number).map_err(Failure::trouble)?;
    let name = format!("{PREFIX}{:08x}", u32::from_be_bytes(number));
    let name = UserName::parse(&name).map_err(Failure::trouble)?;
    let sender: SenderPattern =
        from.parse().map_err(|mistake: String| Failure::new(Exit::BadInput, mistake))?;
    let user = User {
        senders: vec![sender],
        expires: Some(now().saturating_add(LIFETIME)),
        note: Some("relay doctor --send; expires by itself".to_owned()),
        ..User::new(hash, now())
    };
    store.add(&name, &user)?;
    Ok(Guest { store, name })
}

/// Hands the message over as a mail program does, and returns Postfix's queue id.
async fn submit(
    postfix: &str,
    host: &str,
    login: (&UserName, &[u8]),
    from: &str,
    recipient: &str,
) -> io::Result<String> {
    let trouble = |error: NoGreeting| io::Error::other(error.to_string());
    let stream = smtp::connect_to(postfix, SUBMISSION).await.map_err(trouble)?;
    let (greeting, mut talk) = smtp::greet(stream, host).await.map_err(trouble)?;
    if !greeting.offers("STARTTLS") {
        return Err(io::Error::other("port 587 offers no STARTTLS"));
    }
    expect(&mut talk, "STARTTLS").await?;
    // The certificate need not be good: the password is worth nothing in ten minutes, and less to a stranger than the
    // network between the two containers.
    let (stream, _) = tls::over(talk.into_inner(), host).await?;
    let mut talk = Talk::new(stream);
    talk.ehlo(host, None).await?;
    let (name, password) = login;
    let plain = Zeroizing::new([b"\0", name.as_str().as_bytes(), b"\0", password].concat());
    let line = Zeroizing::new(format!("AUTH PLAIN {}", *Zeroizing::new(BASE64.encode(&*plain))));
    expect(&mut talk, &line).await?;
    expect(&mut talk, &format!("MAIL FROM:<{from}>")).await?;
    expect(&mut talk, &format!("RCPT TO:<{recipient}>")).await?;
    expect(&mut talk, "DATA").await?;
    let reply = expect(&mut talk, &message(from, recipient, host)).await?;
    talk.quit().await;
    let id = reply.rsplit(' ').next().unwrap_or_default();
    Ok(id.to_owned())
}

fn message(from: &str, recipient: &str, host: &str) -> String {
    format!(
        "From: <{from}>\r\nTo: <{recipient}>\r\nSubject: A test of {host}\r\n\r\n\
         Somebody who looks after the mail relay {host} ran relay doctor --send, to see whether\r\n\
         this message arrives. If it is among spam, look at its header: Authentication-Results\r\n\
         has what your provider thinks of SPF, DKIM and DMARC.\r\n."
    )
}

/// Says something, and wants a good reply.
async fn expect<S: Stream>(talk: &mut Talk<S>, command: &str) -> io::Result<String> {
    let reply = talk.say(command).await?;
    let text = reply.text();
    if reply.is_good() { Ok(text) } else { Err(io::Error::other(text)) }
}

/// Waits for what the receiver says.
async fn follow(options: &DoctorOptions, id: &str, recipient: &str) -> Result<(), Failure> {
    let filter = Filter { queue_id: Some(id.to_owned()), ..Filter::default() };
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let question = Question::History { filter: filter.clone(), most: 10, since: 0 };
        let Answer::History(found) = ask::daemon(&options.data.path, &question)? else {
            return Err(ask::another_version());
        };
        if let Some(entry) = found.entries.iter().rev().find(|entry| is_answer(entry)) {
            return told(entry, recipient);
        }
        sleep(LOOK_EVERY).await;
    }
    let seconds = PATIENCE.as_secs();
    Err(Failure::new(
        Exit::DoctorWarns,
        format!("no answer within {seconds} seconds: relay history {id} shows it when it comes"),
    ))
}

fn is_answer(entry: &Entry) -> bool {
    matches!(entry.event, Event::Sent | Event::Deferred | Event::Bounced | Event::Expired)
}

fn told(entry: &Entry, recipient: &str) -> Result<(), Failure> {
    let (hop, answer) = (on_a_terminal(&entry.next_hop), on_a_terminal(&entry.answer));
    if entry.event == Event::Sent {
        let text = format!(
            "{hop} took it for {recipient}: {answer}\nlook whether it is among spam there\n"
        );
        return print(text.as_bytes());
    }
    let mut text = format!("{}: {answer}", entry.event.words());
    if !hop.is_empty() {
        text = format!("{hop}, {text}");
    }
    if let Some(explanation) = explain(&entry.answer) {
        text = format!("{text}\n  → {explanation}");
    }
    Err(Failure::new(Exit::DoctorFails, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_cannot_say_more_than_an_address() {
        assert_eq!(checked("You@Example.com").as_deref(), Some("you@example.com"));
        for text in
            ["you", "you@example.com>\r\nDATA", "a b@example.com", "<you@example.com>", "\"a\"@b.c"]
        {
            assert_eq!(checked(text), None, "{text}");
        }
    }
}
