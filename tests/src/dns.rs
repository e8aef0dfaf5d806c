//! A name server for one namespace: answers A from a table, and says at once that nothing else exists.

use std::collections::HashMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::namespace::Namespace;

/// Answers on 127.0.0.1:53 of its namespace until it is dropped.
#[derive(Debug)]
pub struct Dns {
    stopped: Arc<AtomicBool>,
}

type Table = HashMap<String, Ipv4Addr>;

const HEADER: usize = 12;
const TYPE_A: u16 = 1;
const STOP_CHECK: Duration = Duration::from_millis(50);

impl Dns {
    pub fn serve(namespace: &Namespace, names: &[(&str, Ipv4Addr)]) -> Result<Self> {
        let table: Table = names.iter().map(|&(name, ip)| (name.to_owned(), ip)).collect();
        let socket = namespace
            .enter(|| Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 53))?))
            .context("listening as name server")?;
        socket.set_read_timeout(Some(STOP_CHECK))?;
        let stopped = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stopped);
        std::thread::spawn(move || {
            let mut packet = [0; 1500];
            while !flag.load(Ordering::Relaxed) {
                let Ok((size, client)) = socket.recv_from(&mut packet) else { continue };
                if let Some(reply) = packet.get(..size).and_then(|query| answer(query, &table)) {
                    // A resolver that has gone away asks nobody any more.
                    socket.send_to(&reply, client).ok();
                }
            }
        });
        Ok(Self { stopped })
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// RFC 1035 4: the header, the question repeated, and the address if there is one.
fn answer(query: &[u8], table: &Table) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    let mut rest = query.get(HEADER..)?;
    loop {
        let (&length, after) = rest.split_first()?;
        let (label, next) = after.split_at_checked(length.into())?;
        rest = next;
        if label.is_empty() {
            break;
        }
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
    }
    let kind = u16::from_be_bytes(rest.first_chunk::<2>().copied()?);
    let question = query.get(HEADER..query.len() - rest.len() + 4)?;
    let known = table.get(&labels.join("."));
    let address = known.filter(|_| kind == TYPE_A);

    let mut reply = query.get(..2)?.to_vec();
    // A response, recursion available; NXDOMAIN for a name that is not in the table.
    reply.extend([0x81, if known.is_some() { 0x80 } else { 0x83 }]);
    reply.extend([0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
    reply.extend(question);
    if let Some(address) = address {
        // The name by a pointer to the question, type A, class IN, 60 seconds, four bytes.
        reply.extend([0xC0, 0x0C, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        reply.extend(address.octets());
    }
    Some(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x04test\0\0\x01\0\x01";

    #[test]
    fn a_known_name_has_its_address() {
        let table = Table::from([("a.test".to_owned(), Ipv4Addr::new(192, 0, 2, 9))]);
        let reply = answer(QUERY, &table).unwrap();
        assert_eq!(reply[..4], [0x12, 0x34, 0x81, 0x80]);
        assert_eq!(reply[reply.len() - 4..], [192, 0, 2, 9]);
    }

    #[test]
    fn an_unknown_name_does_not_exist_and_a_broken_query_has_no_answer() {
        assert_eq!(answer(QUERY, &Table::new()).unwrap()[3], 0x83);
        assert_eq!(answer(&QUERY[..15], &Table::new()), None);
    }
}
