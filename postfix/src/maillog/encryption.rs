//! Which deliveries went over an encrypted connection. Pure.
//!
//! Postfix does not say so in the line of the delivery. But the process that delivers logs that TLS was
//! established before it sends anything, and serves one message at a time; it keeps a connection with
//! TLS for no other message unless it says that the connection is reused.

use std::collections::HashMap;

use super::line::Line;

/// Processes that are remembered. Postfix runs at most a few hundred that deliver.
const MAX_PROCESSES: usize = 4096;

/// The connections with TLS, by the process that made them.
#[derive(Debug, Default)]
pub struct Encryption(HashMap<String, Connection>);

#[derive(Debug)]
struct Connection {
    /// `host[address]:port`, as in the line of a delivery.
    relay: String,
    /// The message that it is used for; `None` before the first line about it.
    queue_id: Option<String>,
}

impl Encryption {
    /// Takes note of a line that reports TLS with a next hop.
    pub fn established(&mut self, line: &Line<'_>) {
        let (Some(pid), Some(relay)) = (line.pid, line.fields.relay) else { return };
        if self.0.len() >= MAX_PROCESSES {
            self.0.clear();
        }
        let connection = Connection { relay: relay.to_owned(), queue_id: None };
        self.0.insert(pid.to_owned(), connection);
    }

    /// Whether this delivery was encrypted.
    pub fn covers(&mut self, line: &Line<'_>) -> bool {
        let (Some(pid), Some(queue_id)) = (line.pid, line.queue_id) else { return false };
        let Some(connection) = self.0.get_mut(pid) else { return false };
        let used_for = connection.queue_id.get_or_insert_with(|| queue_id.to_owned());
        if used_for != queue_id {
            self.0.remove(pid);
            return false;
        }
        line.fields.relay == Some(connection.relay.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maillog::line::parse;
    use crate::maillog::message::Kind;

    /// For each delivery among the lines, whether it was encrypted.
    fn encrypted(lines: &[&str]) -> Vec<bool> {
        let mut encryption = Encryption::default();
        let mut found = Vec::new();
        for line in lines {
            let text = format!("Nov 23 05:10:16 relay postfix/{line}");
            let line = parse(&text);
            match line.kind {
                Kind::Tls => encryption.established(&line),
                Kind::Delivery => found.push(encryption.covers(&line)),
                other => panic!("{other:?}: {text}"),
            }
        }
        found
    }

    const TLS: &str = "smtp[7]: Trusted TLS connection established to mx.a[192.0.2.1]:25: TLSv1.3";
    const REUSED: &str = "smtp[7]: Trusted TLS connection reused to mx.a[192.0.2.1]:25: TLSv1.3";
    const FIRST: &str =
        "smtp[7]: 4C5F2A8D01: to=<x@a>, relay=mx.a[192.0.2.1]:25, dsn=2.0.0, status=sent (ok)";
    const SECOND: &str =
        "smtp[7]: 4C5F2A8D02: to=<x@a>, relay=mx.a[192.0.2.1]:25, dsn=2.0.0, status=sent (ok)";
    const OF_ANOTHER_PROCESS: &str =
        "smtp[8]: 4C5F2A8D01: to=<x@a>, relay=mx.a[192.0.2.1]:25, dsn=2.0.0, status=sent (ok)";
    const TO_ANOTHER_HOST: &str =
        "smtp[7]: 4C5F2A8D01: to=<y@a>, relay=mx.b[192.0.2.2]:25, dsn=2.0.0, status=sent (ok)";
    const OF_A_CLIENT: &str =
        "smtpd[7]: Anonymous TLS connection established from mx.a[192.0.2.1]: TLSv1.3";

    #[test]
    fn a_delivery_is_encrypted_if_its_process_established_tls_with_that_host_for_that_message() {
        for (lines, expected) in [
            (vec![FIRST], vec![false]),
            (vec![TLS, FIRST, FIRST], vec![true, true]),
            (vec![TLS, FIRST, SECOND, FIRST], vec![true, false, false]),
            (vec![TLS, FIRST, TLS, SECOND], vec![true, true]),
            (vec![TLS, FIRST, REUSED, SECOND], vec![true, true]),
            (vec![TLS, OF_ANOTHER_PROCESS, FIRST], vec![false, true]),
            (vec![TLS, FIRST, TO_ANOTHER_HOST], vec![true, false]),
            (vec![OF_A_CLIENT, FIRST], vec![false]),
        ] {
            assert_eq!(encrypted(&lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn processes_are_forgotten_in_the_end() {
        let mut encryption = Encryption::default();
        for pid in 0..3 * MAX_PROCESSES {
            let text =
                format!("Nov 23 05:10:16 relay postfix/{TLS}").replace("[7]", &format!("[{pid}]"));
            encryption.established(&parse(&text));
        }
        assert!(encryption.0.len() <= MAX_PROCESSES);
    }
}
