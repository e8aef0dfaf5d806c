//! Alerts by mail: `ALERT_MAIL`. The sidecar knows what there is to tell and cannot send mail; relay-init asks it, and
//! puts a message into Postfix's maildrop.
//!
//! The sidecar chooses words only. Recipients are the operator's, from relay-init's own settings; the header is written
//! here; length and number are bounded. So a sidecar that was taken over can annoy the operator, and nobody else.

mod ask;
mod letter;
mod maildrop;
mod rate;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::log;
use crate::queue::directory::QUEUE_DIRECTORY;
use crate::settings::alert_mail::Recipients;
use crate::sidecar::ALERTS_SOCKET;
use ask::Mail;
use letter::Letter;
use rate::Rate;

/// How often the sidecar is asked.
const PERIOD: Duration = Duration::from_secs(10);
/// A sidecar that was not reached for this long is told of: every login fails meanwhile.
const AWAY: Duration = Duration::from_secs(300);

/// Mails alerts for as long as the process lives, on a thread of its own.
pub fn start(recipients: Recipients, hostname: String) -> std::io::Result<()> {
    thread::Builder::new().name("alerts".to_owned()).spawn(move || {
        let mut mailer = Mailer { recipients, hostname, rate: Rate::default(), number: 0 };
        let mut sidecar = Presence::new(Instant::now());
        loop {
            let answer = ask::sidecar(Path::new(ALERTS_SOCKET), |mails| mailer.send_all(mails));
            if let Some(mail) = sidecar.observe(answer.is_ok(), Instant::now()) {
                mailer.send_all(&[mail]);
            }
            thread::sleep(PERIOD);
        }
    })?;
    Ok(())
}

#[derive(Debug)]
struct Mailer {
    recipients: Recipients,
    hostname: String,
    rate: Rate,
    number: u64,
}

impl Mailer {
    /// Puts mails into the maildrop, and returns how many are done with. What is over the limit is dropped with a line in
    /// the log, which has the words.
    fn send_all(&mut self, mails: &[Mail]) -> usize {
        let mut done = 0;
        for mail in mails {
            let now = SystemTime::now();
            if self.rate.permits(now) {
                self.number += 1;
                let letter =
                    Letter { mail, recipients: &self.recipients, hostname: &self.hostname };
                let folder = Path::new(QUEUE_DIRECTORY);
                if let Err(error) = maildrop::write(folder, &letter, now, self.number) {
                    log::error(format_args!("alert not mailed, trying again: {error:#}"));
                    return done;
                }
            } else {
                log::warning(format_args!(
                    "alert not mailed, {} an hour are enough: {}",
                    rate::MOST,
                    letter::ascii(&mail.subject)
                ));
            }
            done += 1;
        }
        done
    }
}

/// Whether the sidecar is there, and what was told of it. Pure.
#[derive(Debug)]
struct Presence {
    last: Instant,
    is_told: bool,
}

impl Presence {
    fn new(now: Instant) -> Self {
        Self { last: now, is_told: false }
    }

    /// Takes the outcome of an attempt to reach it; returns what there is to tell.
    fn observe(&mut self, is_there: bool, now: Instant) -> Option<Mail> {
        let away = now.saturating_duration_since(self.last);
        let mail = |subject: &str, text: &str| {
            Some(Mail { subject: subject.to_owned(), text: text.to_owned() })
        };
        match (is_there, self.is_told) {
            (true, told) => {
                self.last = now;
                self.is_told = false;
                told.then(|| {
                    mail(
                        "over: the sidecar answers again",
                        "The sidecar answers again; mail is accepted.",
                    )
                })?
            }
            (false, false) if away >= AWAY => {
                self.is_told = true;
                mail(
                    "the sidecar does not answer",
                    "The sidecar has not answered for five minutes. Until it does, no mail is accepted; what was \
                     accepted is delivered. Look at: docker compose ps, docker compose logs sidecar.",
                )
            }
            (false, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_that_is_away_is_told_of_once_and_so_is_its_return() {
        let start = Instant::now();
        let mut sidecar = Presence::new(start);
        let mut told = Vec::new();
        for minute in 0..20_u64 {
            let is_there = !(2..12).contains(&minute) || minute == 4;
            let now = start + Duration::from_secs(60 * minute);
            if let Some(mail) = sidecar.observe(is_there, now) {
                told.push((minute, mail.subject));
            }
        }
        let expected =
            [(9, "the sidecar does not answer"), (12, "over: the sidecar answers again")];
        assert_eq!(told, expected.map(|(minute, subject)| (minute, subject.to_owned())));
    }
}
