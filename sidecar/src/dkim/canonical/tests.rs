use proptest::prelude::*;

use super::*;

/// RFC 6376 section 3.4.4 word for word, on a whole body.
fn by_the_book(body: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let end = rest.windows(2).position(|pair| pair == b"\r\n");
        let (line, after) = match end {
            Some(end) => (&rest[..end], &rest[end + 2..]),
            None => (rest, &rest[rest.len()..]),
        };
        let mut relaxed = Vec::new();
        for byte in line {
            match (byte, relaxed.last()) {
                (b' ' | b'\t', Some(b' ')) => {}
                (b' ' | b'\t', _) => relaxed.push(b' '),
                (byte, _) => relaxed.push(*byte),
            }
        }
        if relaxed.last() == Some(&b' ') {
            relaxed.pop();
        }
        lines.push(relaxed);
        rest = after;
    }
    while lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    lines.iter().flat_map(|line| [line.as_slice(), b"\r\n"].concat()).collect()
}

fn hash_in_pieces(body: &[u8], piece: usize) -> [u8; 32] {
    let mut hash = BodyHash::default();
    body.chunks(piece).for_each(|piece| hash.update(piece));
    hash.finish()
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    ring::digest::digest(&SHA256, bytes).as_ref().to_vec()
}

#[test]
fn the_bodies_of_the_rfc() {
    for (body, expected) in [
        // Section 3.4.5.
        (&b" C \r\nD \t E\r\n\r\n\r\n"[..], &b" C\r\nD E\r\n"[..]),
        (b"", b""),
        (b"\r\n", b""),
        (b"\r\n\r\n", b""),
        (b" \t\r\n \r\n", b""),
        (b"text\r\n \r\n\t\r\n", b"text\r\n"),
        (b"no line end", b"no line end\r\n"),
        (b"blanks at the end \t", b"blanks at the end\r\n"),
        (b" ", b""),
        (b"a\rb\nc\r", b"a\rb\nc\r\r\n"),
        (b"a\r\r\nb", b"a\r\r\nb\r\n"),
        (b"a\r \r\nb", b"a\r\r\nb\r\n"),
        (b"\0\x01 \x02", b"\0\x01 \x02\r\n"),
    ] {
        assert_eq!(by_the_book(body), expected, "{body:?}");
        for piece in 1..8 {
            assert_eq!(hash_in_pieces(body, piece).to_vec(), sha256(expected), "{body:?} {piece}");
        }
    }
}

proptest! {
    #[test]
    fn every_body_hashes_as_the_rfc_says_however_it_is_cut(
        body in proptest::collection::vec(prop_oneof![
            Just(b'\r'), Just(b'\n'), Just(b' '), Just(b'\t'), Just(b'a'), any::<u8>()
        ], 0..300),
        line_ends in any::<bool>(),
        piece in 1_usize..40,
    ) {
        let body = if line_ends {
            body.iter().flat_map(|byte| if *byte == b'\n' { vec![b'\r', b'\n'] } else { vec![*byte] })
                .collect()
        } else {
            body
        };
        prop_assert_eq!(hash_in_pieces(&body, piece).to_vec(), sha256(&by_the_book(&body)));
    }
}

proptest! {
    /// Mostly letters, so that whole blocks are taken at once, and cut anywhere near their edges.
    #[test]
    fn ordinary_text_hashes_as_the_rfc_says_wherever_a_block_ends(
        words in proptest::collection::vec(("[a-z=.]{1,90}", prop_oneof![
            20 => Just(" "), 6 => Just("\r\n"), 1 => Just("\r\n\r\n"), 1 => Just("  "), 1 => Just("\t"),
            1 => Just(" \r\n"), 1 => Just("\r"), 1 => Just("\n"), 1 => Just("\r\n "), 1 => Just("\u{1}"),
        ]), 0..60),
        piece in 1_usize..700,
    ) {
        let body: String = words.iter().flat_map(|(word, gap)| [word.as_str(), gap]).collect();
        let hash = hash_in_pieces(body.as_bytes(), piece).to_vec();
        prop_assert_eq!(hash, sha256(&by_the_book(body.as_bytes())));
    }
}

#[test]
fn header_fields_of_the_rfc() {
    for (name, value, expected) in [
        ("A", " X\r\n", "a:X\r\n"),
        ("B ", " Y\t\r\n\tZ  \r\n", "b:Y Z\r\n"),
        ("Subject", "", "subject:\r\n"),
        ("SUBJect", " \n", "subject:\r\n"),
        ("X", "one\n\ttwo\n   three", "x:one two three\r\n"),
        ("X", "Gr\u{fc}\u{df}e", "x:Gr\u{fc}\u{df}e\r\n"),
        ("X", "a\rb", "x:a\rb\r\n"),
    ] {
        let mut out = Vec::new();
        header_field(name.as_bytes(), value.as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
