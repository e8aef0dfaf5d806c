//! What a time server says (SNTP, RFC 4330).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::bounded;
use crate::dns::Dns;

const SERVER: &str = "pool.ntp.org";
const PORT: u16 = 123;
const PATIENCE: Duration = Duration::from_secs(3);
/// Seconds from 1900, where NTP begins to count, to 1970.
const TO_1970: f64 = 2_208_988_800.0;
/// Bytes of a packet without extensions.
const PACKET: usize = 48;
/// Version 4, mode 3: a client.
const CLIENT: u8 = 0x23;
/// Mode 4: a server.
const SERVER_MODE: u8 = 4;

/// Seconds that this clock is ahead of the server's.
pub async fn ahead(dns: &Dns) -> Result<f64, String> {
    let found = bounded(SERVER, dns.a(SERVER)).await.map_err(|error| error.to_string())?;
    let address = found.records.first().ok_or_else(|| format!("{SERVER} has no address"))?;
    let asking = ask(SocketAddr::new(IpAddr::V4(*address), PORT));
    match timeout(PATIENCE, asking).await {
        Ok(Ok(ahead)) => Ok(ahead),
        Ok(Err(error)) => Err(format!("the time server {address} cannot be asked: {error}")),
        Err(_) => Err(format!("the time server {address} does not answer")),
    }
}

async fn ask(server: SocketAddr) -> std::io::Result<f64> {
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    socket.connect(server).await?;
    let sent = since_1970();
    let mut request = [0; PACKET];
    request[0] = CLIENT;
    socket.send(&request).await?;
    let mut reply = [0; PACKET];
    let size = socket.recv(&mut reply).await?;
    let received = since_1970();
    read(&reply, size)
        .map(|server| f64::midpoint(sent, received) - server)
        .ok_or_else(|| std::io::Error::other("its answer makes no sense"))
}

/// When the server sent its answer: seconds since 1970.
fn read(reply: &[u8; PACKET], size: usize) -> Option<f64> {
    let is_answer = size == PACKET && reply[0] & 7 == SERVER_MODE;
    let (seconds, rest) = reply.get(40..)?.split_first_chunk::<4>()?;
    let fraction = rest.first_chunk::<4>()?;
    let seconds = u32::from_be_bytes(*seconds);
    let fraction = f64::from(u32::from_be_bytes(*fraction)) / f64::from(u32::MAX);
    // Zero is a server that does not know.
    (is_answer && seconds != 0).then(|| f64::from(seconds) + fraction - TO_1970)
}

fn since_1970() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_time_and_nonsense_has_none() {
        let mut reply = [0; PACKET];
        reply[0] = 0x24;
        // The first second of 1970, and a half.
        reply[40..48].copy_from_slice(&[0x83, 0xaa, 0x7e, 0x80, 0x80, 0, 0, 0]);
        assert!((read(&reply, PACKET).unwrap() - 0.5).abs() < 0.001);
        assert_eq!(read(&reply, PACKET - 1), None);
        reply[0] = CLIENT;
        assert_eq!(read(&reply, PACKET), None);
        assert_eq!(read(&[0x24; PACKET].map(|_| 0), PACKET), None);
    }
}
