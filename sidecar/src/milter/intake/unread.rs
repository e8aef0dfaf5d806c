//! Takes out macros that nobody reads. Pure.
//!
//! Postfix sends macros before every stage, each header field among them, whether it tells of the stage or not: eleven of the
//! 27 packets of a short message. indymilter hands every packet from one task to another and back, which took a quarter of
//! all instructions of a message. What `callbacks` reads comes with MAIL, the end of the header and the end of the message.

/// Bytes of a packet's length: a number in network byte order, which does not count itself.
const LENGTH: usize = 4;

/// Moves everything but packets of macros that nobody reads to the beginning, and returns how long that is. The first byte
/// begins a packet; one that is not complete stays, whatever it is.
pub fn take_out(bytes: &mut [u8]) -> usize {
    let (mut kept, mut at) = (0, 0);
    while let Some(size) = bytes.get(at..).and_then(complete) {
        let packet = at..at + size;
        if !bytes.get(packet.clone()).is_some_and(is_unread) {
            bytes.copy_within(packet, kept);
            kept += size;
        }
        at += size;
    }
    bytes.copy_within(at.., kept);
    kept + (bytes.len() - at)
}

/// The size of the first packet, when all of it is there.
fn complete(bytes: &[u8]) -> Option<usize> {
    let (length, _) = bytes.split_first_chunk::<LENGTH>()?;
    let size = usize::try_from(u32::from_be_bytes(*length)).ok()?.checked_add(LENGTH)?;
    (size <= bytes.len()).then_some(size)
}

/// SMFIC_MACRO for a stage other than MAIL, end of header and end of message.
fn is_unread(packet: &[u8]) -> bool {
    match packet.get(LENGTH..) {
        Some([b'D', stage, ..]) => !matches!(stage, b'M' | b'N' | b'E'),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&length[..], content].concat()
    }

    fn left(contents: &[&[u8]]) -> Vec<u8> {
        let mut bytes: Vec<u8> = contents.iter().flat_map(|content| packet(content)).collect();
        let length = take_out(&mut bytes);
        bytes.truncate(length);
        bytes
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
        let read = [2, 3, 5, 8, 9, 10, 11, 12, 13].map(|place| packet(sent[place]));
        assert_eq!(left(&sent), read.concat());
        assert_eq!(left(&[b"DLi\x004ABC\0", b"DH"]), b"");
    }

    #[test]
    fn a_packet_that_is_not_complete_stays() {
        let all = [packet(b"DLi\0x\0"), packet(b"DTi\0x\0")].concat();
        let first = packet(b"DLi\0x\0").len();
        for cut in 1..all.len() {
            let mut bytes = all[..cut].to_vec();
            let length = take_out(&mut bytes);
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
            prop_assert!(take_out(&mut bytes) <= before);
        }
    }
}
