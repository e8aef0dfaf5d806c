//! Hands a message to Postfix as postdrop(1) does: a file in `maildrop`, which pickup(8) takes within a minute.
//!
//! The format is that of Postfix's rec_type.h: a type letter, the length in groups of seven bits (lowest first, the high
//! bit set while more follow), and that many bytes. pickup takes a file once its owner may execute it.

use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::SystemTime;

use anyhow::Context as _;

use super::letter::Letter;

/// Complete (MAIL_QUEUE_STAT_READY), and to be read by pickup, which is not root.
const READY: u32 = 0o744;

/// Writes the message; the name is made of the time and the number, which must not repeat within a second.
pub fn write(
    queue: &Path,
    letter: &Letter<'_>,
    now: SystemTime,
    number: u64,
) -> anyhow::Result<()> {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let name = format!("A{:X}{number:X}", since.as_micros());
    let path = queue.join("maildrop").join(name);
    let written = (|| {
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(&records(letter, since.as_secs()))?;
        file.sync_all()?;
        file.set_permissions(Permissions::from_mode(READY))
    })();
    if written.is_err() {
        // What is not complete is never taken; it may not even be there.
        drop(std::fs::remove_file(&path));
    }
    written.with_context(|| format!("writing {}", path.display()))
}

/// The null sender: what cannot be delivered is not returned, and the log says so.
fn records(letter: &Letter<'_>, seconds: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    record(&mut bytes, b'T', format!("{seconds} 0").as_bytes());
    record(&mut bytes, b'S', b"");
    for recipient in &letter.recipients.0 {
        record(&mut bytes, b'R', recipient.as_bytes());
    }
    record(&mut bytes, b'M', b"");
    for line in letter.lines() {
        record(&mut bytes, b'N', line.as_bytes());
    }
    record(&mut bytes, b'X', b"");
    record(&mut bytes, b'E', b"");
    bytes
}

fn record(bytes: &mut Vec<u8>, kind: u8, data: &[u8]) {
    bytes.push(kind);
    let mut length = data.len();
    while length > 0x7f {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(data);
}

#[cfg(test)]
mod tests {
    use super::super::ask::Mail;
    use super::*;
    use crate::settings::alert_mail::Recipients;

    #[test]
    fn a_file_is_complete_before_pickup_takes_it() {
        let queue = tempfile::tempdir().unwrap();
        let mail = Mail { subject: "s".to_owned(), text: "x".repeat(200) };
        let recipients = Recipients(vec!["a@example.net".to_owned()]);
        let letter = Letter { mail: &mail, recipients: &recipients, hostname: "relay.example.org" };
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(5);
        assert!(write(queue.path(), &letter, now, 1).is_err(), "there is no maildrop");
        std::fs::create_dir(queue.path().join("maildrop")).unwrap();
        write(queue.path(), &letter, now, 1).unwrap();
        let path = queue.path().join("maildrop").join("A4C4B401");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, READY);
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.starts_with(b"T\x035 0S\x00R\x0da@example.netM\x00N\x2dFrom: relay"));
        assert!(bytes.windows(4).any(|window| window == b"N\xc8\x01x"), "a long record");
        assert!(bytes.ends_with(b"X\x00E\x00"));
    }
}
