//! Postfix's queue ids: what they look like, and the arrival time that a long one contains.

use std::time::{Duration, SystemTime};

/// Digits of a long queue id (Postfix's mail_queue.h): no vowels, so that no id spells a word.
const DIGITS: &[u8] = b"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
/// The microseconds take this many digits and end at the last `z`.
const MICROSECOND_DIGITS: usize = 4;

/// Short ids are hexadecimal; long ones (enable_long_queue_ids) have no vowels.
pub fn is_queue_id(text: &str) -> bool {
    let is_short = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'A'..=b'F');
    let is_long = |byte: u8| byte.is_ascii_alphanumeric() && !b"AEIOUaeiou".contains(&byte);
    (text.len() >= 6 && text.bytes().all(is_short))
        || (text.len() >= 11 && text.bytes().all(is_long))
}

/// When a message arrived, read from its long queue id: seconds since 1970, microseconds, `z`,
/// inode (Postfix's mail_queue.h). `None` for a short id.
///
/// The queue file's own times do not tell: Postfix sets the modification time to when the message
/// is due.
pub fn arrival(id: &str) -> Option<SystemTime> {
    let (time, _inode) = id.rsplit_once('z')?;
    let (seconds, microseconds) =
        time.split_at_checked(time.len().checked_sub(MICROSECOND_DIGITS)?)?;
    let since_1970 =
        Duration::from_secs(number(seconds)?) + Duration::from_micros(number(microseconds)?);
    // A short id never contains a z.
    SystemTime::UNIX_EPOCH.checked_add(since_1970).filter(|_| seconds.len() >= 6)
}

fn number(digits: &str) -> Option<u64> {
    digits.bytes().try_fold(0_u64, |number, digit| {
        let value = DIGITS.iter().position(|known| *known == digit)?;
        number.checked_mul(DIGITS.len() as u64)?.checked_add(value as u64)
    })
}

/// The long queue id of a message that arrived this many seconds, and 7 µs, after 1970.
#[cfg(test)]
pub fn id_of(seconds: u64) -> String {
    let digits = |mut number: u64, width: usize| {
        let mut text = Vec::new();
        while number > 0 || text.len() < width {
            text.insert(0, DIGITS[usize::try_from(number % 52).unwrap()]);
            number /= 52;
        }
        String::from_utf8(text).unwrap()
    };
    format!("{}{}zjk", digits(seconds, 6), digits(7, 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_queue_id_tells_when_its_message_arrived() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::new(seconds, 7000);
        for seconds in [0, 1_795_000_000, 4_000_000_000] {
            let id = id_of(seconds);
            assert!(is_queue_id(&id), "{id}");
            assert_eq!(arrival(&id), Some(at(seconds)), "{id}");
        }
        for other in ["", "z", "4C5F2A8D01", "0000z"] {
            assert_eq!(arrival(other), None, "{other}");
        }
    }
}
