//! LOG_DETAIL: every line that Postfix writes, or one for each message and one for each delivery.
//!
//! A message takes seven lines of Postfix's log, and whatever carries the log (Docker's driver most of
//! all) takes as long for them as Postfix takes for the decision. With `messages` what Postfix says
//! until a message is in the queue becomes one line, in its own form; deliveries, refusals, bounces,
//! warnings and everything out of the ordinary stay as they are.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::line::Line;
use super::message::Kind;

/// Messages on their way into the queue that are remembered. Postfix has at most a few hundred at a
/// time; one that is never queued (its client went away) is forgotten after as many others.
const GENERATION: usize = 4096;

/// LOG_DETAIL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Detail {
    #[default]
    All,
    Messages,
}

impl Detail {
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            "messages" => Ok(Self::Messages),
            _ => Err("must be all or messages".to_owned()),
        }
    }
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    Stays,
    Goes,
    /// This is written in its place.
    Becomes(String),
}

/// Puts the lines of a message together.
#[derive(Debug, Default)]
pub struct Composer {
    arriving: HashMap<String, Arrival>,
    /// Those of the generation before.
    older: HashMap<String, Arrival>,
}

/// What is known of a message before it is in the queue.
#[derive(Debug, Default)]
struct Arrival {
    client: Option<String>,
    user: Option<String>,
    message_id: Option<String>,
}

impl Composer {
    /// `text` is the line, and `line` what was found in it.
    pub fn accept(&mut self, text: &str, line: &Line<'_>) -> Fate {
        match (line.kind, line.queue_id) {
            (Kind::Connect | Kind::Disconnect | Kind::Tls | Kind::Removed, _) => Fate::Goes,
            (Kind::Received, Some(id)) => {
                let arrival = self.arrival(id);
                arrival.client = line.fields.client.map(str::to_owned);
                arrival.user = line.fields.sasl_username.map(str::to_owned);
                Fate::Goes
            }
            (Kind::MessageId, Some(id)) => {
                self.arrival(id).message_id = line.fields.message_id.map(str::to_owned);
                Fate::Goes
            }
            // Each further attempt at a deferred message says this again.
            (Kind::Queued, Some(id)) => match self.take(id) {
                Some(arrival) => Fate::Becomes(compose(text, id, &arrival)),
                None => Fate::Goes,
            },
            (Kind::Reject, Some(id)) => {
                self.take(id);
                Fate::Stays
            }
            _ => Fate::Stays,
        }
    }

    fn arrival(&mut self, id: &str) -> &mut Arrival {
        if self.arriving.len() >= GENERATION {
            self.older = std::mem::take(&mut self.arriving);
        }
        let known = self.older.remove(id);
        self.arriving.entry(id.to_owned()).or_insert_with(|| known.unwrap_or_default())
    }

    fn take(&mut self, id: &str) -> Option<Arrival> {
        self.arriving.remove(id).or_else(|| self.older.remove(id))
    }
}

/// `… postfix/qmgr[7]: ID: client=…, sasl_username=…, from=<…>, size=…, nrcpt=1 (queue active),
/// message-id=<…>`. The message id comes last: its sender chose it, and may have written anything.
fn compose(text: &str, id: &str, arrival: &Arrival) -> String {
    let text = text.trim_end_matches(['\n', '\r']);
    let mark = format!(": {id}: ");
    let (head, rest) = text.split_once(mark.as_str()).unwrap_or((text, ""));
    let mut line = format!("{head}{mark}");
    let fields = [("client", &arrival.client), ("sasl_username", &arrival.user)];
    for (name, value) in fields {
        if let Some(value) = value {
            // Writing to a String cannot fail.
            write!(line, "{name}={value}, ").ok();
        }
    }
    line.push_str(rest);
    if let Some(message_id) = &arrival.message_id {
        write!(line, ", message-id=<{message_id}>").ok();
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maillog::line::parse;

    const HEAD: &str = "Nov 23 05:10:16 relay postfix";

    /// What is written of these lines.
    fn written(lines: &[&str]) -> Vec<String> {
        let mut composer = Composer::default();
        let mut written = Vec::new();
        for line in lines {
            let text = format!("{HEAD}/{line}\n");
            match composer.accept(&text, &parse(&text)) {
                Fate::Stays => written.push(text),
                Fate::Goes => {}
                Fate::Becomes(text) => written.push(text),
            }
        }
        written
    }

    #[test]
    fn seven_lines_of_a_message_become_two() {
        let delivery = "smtp[9]: 4hLkX53kNtzjk: to=<bob@example.net>, relay=mx[192.0.2.1]:25, \
                        delay=0.5, delays=0.1/0/0.2/0.2, dsn=2.0.0, status=sent (250 ok)";
        let lines = written(&[
            "submission/smtpd[7]: connect from home[203.0.113.5]",
            "submission/smtpd[7]: Anonymous TLS connection established from home[203.0.113.5]: TLSv1.3",
            "submission/smtpd[7]: 4hLkX53kNtzjk: client=home[203.0.113.5], sasl_method=PLAIN, \
             sasl_username=alice",
            "cleanup[8]: 4hLkX53kNtzjk: message-id=<a@home>",
            "qmgr[6]: 4hLkX53kNtzjk: from=<alice@example.org>, size=4096, nrcpt=1 (queue active)",
            "submission/smtpd[7]: disconnect from home[203.0.113.5] ehlo=1 quit=1 commands=2",
            delivery,
            "qmgr[6]: 4hLkX53kNtzjk: removed",
        ]);
        let composed = format!(
            "{HEAD}/qmgr[6]: 4hLkX53kNtzjk: client=home[203.0.113.5], sasl_username=alice, \
             from=<alice@example.org>, size=4096, nrcpt=1 (queue active), message-id=<a@home>\n"
        );
        assert_eq!(lines, [composed.clone(), format!("{HEAD}/{delivery}\n")]);
        let fields = parse(&composed).fields;
        assert_eq!(fields.client, Some("home[203.0.113.5]"));
        assert_eq!(fields.sasl_username, Some("alice"));
        assert_eq!((fields.size, fields.nrcpt), (Some("4096"), Some("1")));
        assert_eq!(fields.message_id, Some("a@home"));
    }

    #[test]
    fn what_is_out_of_the_ordinary_stays() {
        let lines = [
            "smtpd[7]: NOQUEUE: reject: RCPT from a[192.0.2.9]: 554 5.7.1 <b@c>: no; from=<a@b>",
            "smtpd[7]: 4hLkX53kNtzjk: milter-reject: END-OF-MESSAGE from a[192.0.2.9]: 5.7.1 no",
            "smtpd[7]: warning: hostname x does not resolve",
            "smtpd[7]: lost connection after DATA from a[192.0.2.9]",
            "smtp[9]: 4hLkX53kNtzjk: to=<b@c>, relay=none, delay=1, delays=0/0/0/0, dsn=4.4.1, \
             status=deferred (refused)",
            "bounce[9]: 4hLkX53kNtzjk: sender non-delivery notification: 4hLkX53kNtzjm",
            "qmgr[6]: 4hLkX53kNtzjk: from=<a@b>, status=expired, returned to sender",
            "master[1]: daemon started -- version 3.10.13",
        ];
        assert_eq!(written(&lines).len(), lines.len());
    }

    #[test]
    fn another_attempt_at_a_message_is_not_another_message() {
        let queued = "qmgr[6]: 4hLkX53kNtzjk: from=<a@b>, size=1, nrcpt=1 (queue active)";
        let received = "smtpd[7]: 4hLkX53kNtzjk: client=a[192.0.2.9]";
        assert_eq!(written(&[received, queued, queued, queued]).len(), 1);
    }

    #[test]
    fn a_message_id_that_looks_like_fields_is_none() {
        let lines = written(&[
            "cleanup[8]: 4hLkX53kNtzjk: message-id=x, to=<y@z>, dsn=2.0.0, status=sent (forged)",
            "qmgr[6]: 4hLkX53kNtzjk: from=<a@b>, size=1, nrcpt=1 (queue active)",
        ]);
        let line = parse(&lines[0]);
        assert_eq!((line.fields.to, line.fields.status), (None, None));
        assert_eq!(line.fields.from, Some("a@b"));
    }

    #[test]
    fn messages_that_are_never_queued_are_forgotten() {
        let mut composer = Composer::default();
        for number in 0..10 * GENERATION {
            let text = format!("{HEAD}/smtpd[7]: 4hLkX53{number:06}: client=a[192.0.2.9]");
            composer.accept(&text, &parse(&text));
        }
        assert!(composer.arriving.len() + composer.older.len() <= 2 * GENERATION);
    }
}
