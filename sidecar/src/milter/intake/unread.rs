//! Takes out packets that nobody reads. Pure.
//!
//! Postfix sends macros before every stage, each header field among them, whether it tells of the stage or not; it tells of
//! each header field, and after each message that it is over. With eight fields, that is 19 of the 27 packets of a message.
//! indymilter hands every packet from one task to another and back, which took half of all instructions of a message. What
//! `callbacks` reads of macros comes with MAIL, the end of the header and the end of the message.

use crate::access::header_from::names_author;
use crate::milter::negotiation::{LENGTH, Reading};

/// What of a connection is read.
#[derive(Debug, Default)]
pub struct Filter {
    pub reading: Reading,
    /// Whether the last packet was the end of a header that was answered for good.
    is_decided: bool,
}

impl Filter {
    /// Moves the packets that are read to the beginning, and returns how long that is. The first byte begins a packet; one that
    /// is not complete stays, whatever it is.
    pub fn take_out(&mut self, bytes: &mut [u8]) -> usize {
        let (mut kept, mut at) = (0, 0);
        while let Some(size) = bytes.get(at..).and_then(complete) {
            let packet = at..at + size;
            let inner = bytes.get(packet.start + LENGTH..packet.end);
            if inner.is_some_and(|inner| self.reads(inner)) {
                bytes.copy_within(packet, kept);
                kept += size;
            }
            at += size;
        }
        if at < bytes.len() {
            self.is_decided = false;
        }
        bytes.copy_within(at.., kept);
        kept + (bytes.len() - at)
    }

    /// Whether somebody reads this packet, of which the first byte is the command.
    fn reads(&mut self, packet: &[u8]) -> bool {
        let was_decided = std::mem::take(&mut self.is_decided);
        match (packet, self.reading) {
            // Macros, and the stage that they belong to: MAIL, end of header, end of message.
            ([b'D', stage, ..], _) => matches!(stage, b'M' | b'N' | b'E'),
            // A header field: its name and its value, each with a NUL behind it.
            ([b'L', field @ ..], Reading::Authors) => {
                let end = field.iter().position(|byte| *byte == 0);
                end.and_then(|end| field.get(..end)).is_none_or(names_author)
            }
            ([b'N', ..], Reading::Authors) => {
                self.is_decided = true;
                true
            }
            // ABORT, which Postfix sends after each message. Of this one nothing is left.
            ([b'A', ..], _) => !was_decided,
            _ => true,
        }
    }
}

/// The size of the first packet, when all of it is there.
fn complete(bytes: &[u8]) -> Option<usize> {
    let (length, _) = bytes.split_first_chunk::<LENGTH>()?;
    let size = usize::try_from(u32::from_be_bytes(*length)).ok()?.checked_add(LENGTH)?;
    (size <= bytes.len()).then_some(size)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::access::header_from::AuthorFields;

    fn packet(content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&length[..], content].concat()
    }

    fn filter(reading: Reading) -> Filter {
        Filter { reading, ..Filter::default() }
    }

    fn left(contents: &[&[u8]], reading: Reading) -> Vec<u8> {
        let mut bytes = packets(contents);
        let length = filter(reading).take_out(&mut bytes);
        bytes.truncate(length);
        bytes
    }

    fn packets(contents: &[&[u8]]) -> Vec<u8> {
        contents.iter().flat_map(|content| packet(content)).collect()
    }

    #[test]
    fn macros_of_stages_that_are_not_read_are_taken_out_and_nothing_else_is() {
        let sent: [&[u8]; 14] = [
            b"DCj\0relay.example.org\0",
            b"DH",
            b"DM{client_addr}\x00192.0.2.1\0",
            b"M<a@example.org>\0",
            b"DR{rcpt_addr}\0b@example.net\0",
            b"R<b@example.net>\0",
            b"DTi\x004ABC\0",
            b"DLi\x004ABC\0",
            b"LSubject\0DL\0",
            b"DNi\x004ABC\0",
            b"N",
            b"DEi\x004ABC\0",
            b"E",
            b"",
        ];
        let read = [2, 3, 5, 8, 9, 10, 11, 12, 13].map(|place| sent[place]);
        assert_eq!(left(&sent, Reading::Everything), packets(&read));
        let read = [2, 3, 5, 9, 10, 11, 12, 13].map(|place| sent[place]);
        assert_eq!(left(&sent, Reading::Authors), packets(&read));
        assert_eq!(left(&[b"DLi\x004ABC\0", b"DH"], Reading::Everything), b"");
    }

    #[test]
    fn a_field_that_may_name_an_author_stays_however_it_is_written() {
        let stay: [&[u8]; 8] = [
            b"LFrom\0a@example.org\0",
            b"LfROM\0\0",
            b"LFrom \0a@example.org\0",
            b"L\tFrom\t \0a@example.org\0",
            b"LSender\0a@example.org\0",
            b"LSENDER \0a@example.org\0",
            b"LSubject without an end",
            b"L",
        ];
        for field in stay {
            assert_eq!(left(&[field], Reading::Authors), packet(field), "{}", field.escape_ascii());
        }
        for field in
            [&b"LFrom:\0a@example.org\0"[..], b"LResent-From\0\0", b"LReply-To\0\0", b"L\0\0"]
        {
            assert_eq!(left(&[field], Reading::Authors), b"", "{}", field.escape_ascii());
        }
    }

    #[test]
    fn an_abort_is_taken_out_only_right_after_the_end_of_a_header() {
        let sent: [&[u8]; 9] = [b"M", b"A", b"M", b"R", b"N", b"A", b"A", b"M", b"Q"];
        let read = [0, 1, 2, 3, 4, 6, 7, 8].map(|place| sent[place]);
        assert_eq!(left(&sent, Reading::Authors), packets(&read));
        // Elsewhere the end of the header may be followed by a body, and the body by an abort.
        assert_eq!(left(&sent, Reading::Everything), packets(&sent));
        // Read by read.
        let mut filter = filter(Reading::Authors);
        let mut reads = |bytes: &[u8]| filter.take_out(&mut bytes.to_vec());
        let [end, abort] = [packet(b"N"), packet(b"A")];
        assert_eq!((reads(&end), reads(&abort), reads(&abort)), (5, 0, 5));
        // Nobody knows what a piece of a packet was.
        assert_eq!((reads(&end), reads(&[0, 0]), reads(&abort)), (5, 2, 5));
    }

    #[test]
    fn a_packet_that_is_not_complete_stays() {
        let all = [packet(b"DLi\0x\0"), packet(b"LTo\0x\0")].concat();
        let first = packet(b"DLi\0x\0").len();
        for cut in 1..all.len() {
            let mut bytes = all[..cut].to_vec();
            let mut filter = filter(Reading::Authors);
            let length = filter.take_out(&mut bytes);
            let begun = if cut < first { 0..cut } else { first..cut };
            assert_eq!(bytes[..length], all[begun], "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_are_no_more_than_before(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let before = bytes.len();
            let mut filter = filter(Reading::Authors);
            prop_assert!(filter.take_out(&mut bytes) <= before);
        }

        /// Whatever the decision collects reaches it.
        #[test]
        fn no_field_is_taken_out_that_names_an_author(
            name in "[ \t]{0,2}([Ff][Rr][Oo][Mm]|[Ss][Ee][Nn][Dd][Ee][Rr]|[!-~]{1,7})[ \t]{0,2}",
            value in "[ -~]{0,20}",
        ) {
            let mut fields = AuthorFields::default();
            fields.add(name.as_bytes(), value.as_bytes());
            let is_collected = fields != AuthorFields::default();
            let field = [b"L", name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat();
            prop_assert_eq!(!left(&[&field], Reading::Authors).is_empty(), is_collected);
        }
    }
}
