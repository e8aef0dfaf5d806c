//! The validity period of a certificate. Pure: reads the DER and asks no clock.
//!
//! Neither rustls nor ring exposes the two times. They are at a fixed place (RFC 5280 4.1), so walking
//! over seven elements is cheaper than another dependency.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    pub not_before: SystemTime,
    pub not_after: SystemTime,
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT`, which contains the version; version 1 omits it.
const VERSION: u8 = 0xa0;

impl Validity {
    pub fn contains(&self, now: SystemTime) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// Time until it ends; zero once it has ended.
    pub fn left(&self, now: SystemTime) -> Duration {
        self.not_after.duration_since(now).unwrap_or_default()
    }
}

/// Reads the validity of a DER certificate; `None` if it is not one.
pub fn read(certificate: &[u8]) -> Option<Validity> {
    let (certificate, _) = expect(SEQUENCE, certificate)?;
    let (to_be_signed, _) = expect(SEQUENCE, certificate)?;
    let rest = expect(VERSION, to_be_signed).map_or(to_be_signed, |(_, rest)| rest);
    let (_, rest) = expect(INTEGER, rest)?;
    let (_signature, rest) = expect(SEQUENCE, rest)?;
    let (_issuer, rest) = expect(SEQUENCE, rest)?;
    let (validity, _) = expect(SEQUENCE, rest)?;
    let (not_before, rest) = time(validity)?;
    let (not_after, _) = time(rest)?;
    Some(Validity { not_before, not_after })
}

fn expect(tag: u8, input: &[u8]) -> Option<(&[u8], &[u8])> {
    element(input).and_then(|(found, content, rest)| (found == tag).then_some((content, rest)))
}

/// Splits off one element: its tag, its content, and what follows.
fn element(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // Three bytes reach 16 MiB, more than any certificate.
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`; RFC 5280 4.1.2.5 allows no other form.
fn time(input: &[u8]) -> Option<(SystemTime, &[u8])> {
    let (tag, content, rest) = element(input)?;
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, text) = match tag {
        UTC_TIME => {
            let (digits, text) = text.split_at_checked(2)?;
            let year: i64 = digits.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, text)
        }
        GENERALIZED_TIME => {
            let (digits, text) = text.split_at_checked(4)?;
            (digits.parse().ok()?, text)
        }
        _ => return None,
    };
    let field = |at: usize| text.get(at..at + 2)?.parse::<i64>().ok();
    let (month, day) = (field(0)?, field(2)?);
    let (hour, minute, second) = (field(4)?, field(6)?, field(8)?);
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    // Times before 1970 become 1970, which is just as long over.
    Some((UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0)), rest))
}

/// Days since 1970 in the Gregorian calendar, computed with years that start in March (Howard
/// Hinnant's `days_from_civil`).
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(time: SystemTime) -> u64 {
        time.duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    fn encoded(tag: u8, text: &str) -> Vec<u8> {
        [&[tag, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
    }

    #[test]
    fn both_forms_of_a_time_are_read() {
        for (tag, text, expected) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "500101000000Z", Some(0)),
            (UTC_TIME, "261123120000Z", Some(1_795_435_200)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (GENERALIZED_TIME, "20000229000000Z", Some(951_782_400)),
            (GENERALIZED_TIME, "21000301000000Z", Some(4_107_542_400)),
            (GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (UTC_TIME, "2611231200Z", None),
            (UTC_TIME, "261123120000+0100", None),
            (UTC_TIME, "26112312ü00Z", None),
            (INTEGER, "261123120000Z", None),
        ] {
            let encoded = encoded(tag, text);
            assert_eq!(time(&encoded).map(|(time, _)| seconds(time)), expected, "{text}");
        }
    }

    #[test]
    fn a_truncated_certificate_has_no_validity_and_does_not_panic() {
        let certificate = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap().cert;
        let der = certificate.der();
        assert!(read(der).is_some());
        for length in 0..der.len() {
            assert_eq!(read(&der[..length]), None, "the first {length} bytes");
        }
        assert_eq!(read(&[SEQUENCE, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }

    #[test]
    fn a_period_contains_its_start_and_its_end() {
        let at = |second| UNIX_EPOCH + Duration::from_secs(second);
        let validity = Validity { not_before: at(10), not_after: at(20) };
        for (now, contains, left) in [(9, false, 11), (10, true, 10), (20, true, 0), (21, false, 0)]
        {
            assert_eq!(validity.contains(at(now)), contains, "{now}");
            assert_eq!(validity.left(at(now)), Duration::from_secs(left), "{now}");
        }
    }
}
