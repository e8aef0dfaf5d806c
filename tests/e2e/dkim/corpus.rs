//! Messages that DKIM signers have tripped over. `@DOMAIN@` is the author's domain.

/// One message.
pub struct Case {
    pub name: &'static str,
    pub data: Vec<u8>,
    /// Whether it is sent with SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// mail-auth 0.13 takes lines of blanks at the end of a body for text (its issue 62, mended in 0.15,
    /// which wants a newer Rust); such a message is shown to the other two alone.
    pub mail_auth_errs: bool,
    /// Whether it has two fields where RFC 5322 3.6 allows one, which OpenDKIM looks no further at.
    pub malformed: bool,
}

const HEADER: &str = "Date: Mon, 23 Nov 2026 08:00:00 +0100\r\n\
    From: Alice <alice@@DOMAIN@>\r\n\
    To: Bob <bob@example.net>\r\n\
    Message-ID: <1@@DOMAIN@>\r\n\
    Subject: a message\r\n";
const MIME: &str = "MIME-Version: 1.0\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Transfer-Encoding: 8bit\r\n";
const BODY: &str = "Hello Bob,\r\n\r\nthis is it.\r\n";

/// The corpus, with authors of this domain.
pub fn corpus(domain: &str) -> Vec<Case> {
    let mut cases = bodies();
    cases.extend(headers());
    cases.extend(more_headers());
    cases.extend(structures());
    cases.extend(large());
    for case in &mut cases {
        case.data = replaced(&case.data, domain.as_bytes());
    }
    cases
}

fn replaced(data: &[u8], domain: &[u8]) -> Vec<u8> {
    const PLACE: &[u8] = b"@DOMAIN@";
    let mut out = Vec::with_capacity(data.len());
    let mut rest = data;
    while let Some(byte) = rest.first() {
        if let Some(after) = rest.strip_prefix(PLACE) {
            out.extend_from_slice(domain);
            rest = after;
        } else {
            out.push(*byte);
            rest = rest.get(1..).unwrap_or_default();
        }
    }
    out
}

fn case(name: &'static str, data: impl Into<Vec<u8>>) -> Case {
    Case { name, data: data.into(), smtputf8: false, mail_auth_errs: false, malformed: false }
}

fn with_body(name: &'static str, body: impl AsRef<[u8]>) -> Case {
    case(name, [format!("{HEADER}{MIME}\r\n").as_bytes(), body.as_ref()].concat())
}

fn with_header(name: &'static str, fields: impl AsRef<[u8]>) -> Case {
    case(name, [HEADER.as_bytes(), fields.as_ref(), b"\r\n", BODY.as_bytes()].concat())
}

/// The usual fields but for one, which is replaced.
fn with_field(name: &'static str, field: &str, replacement: &str) -> Case {
    let lines = HEADER.split_inclusive("\r\n").map(|line| match line.starts_with(field) {
        true => replacement,
        false => line,
    });
    case(name, format!("{}\r\n{BODY}", lines.collect::<String>()))
}

fn bodies() -> Vec<Case> {
    let errs = |case: Case| Case { mail_auth_errs: true, ..case };
    vec![
        with_body("a plain body", BODY),
        with_body("an empty body", ""),
        with_body("a body of one line end", "\r\n"),
        with_body("a body of line ends", "\r\n\r\n\r\n"),
        errs(with_body("a body of blanks", " \t \r\n")),
        with_body("line ends at the end", "text\r\n\r\n\r\n\r\n"),
        with_body("line ends at the beginning", "\r\n\r\ntext\r\n"),
        with_body("blanks at the ends of lines", "one \r\ntwo\t\r\nthree \t \r\n"),
        with_body("blanks inside of lines", "a  b\t\tc \t d\r\n"),
        with_body("blanks at the beginnings of lines", " a\r\n\tb\r\n  c\r\n"),
        with_body("lines of blanks inside", "a\r\n \r\n\t\r\nb\r\n"),
        errs(with_body("lines of blanks at the end", "a\r\n \r\n\t \r\n")),
        with_body("dots", ".\r\n..\r\n...a\r\n.\r\n"),
        with_body("From at the beginning of a line", "From here\r\n>From there\r\n"),
        with_body("8-bit text", "Grüße aus Köln, 日本語, 🎉\r\n"),
        with_body("bytes that are no UTF-8", b"caf\xe9 \xff\xfe\x80\r\n"),
        with_body("control characters", b"a\x01b\x08c\x0cd\x1be\x7f\r\n"),
        with_body("a bare CR", "a\rb\r\n"),
        with_body("a bare LF", "a\nb\r\n"),
        with_body("CR CR LF", "a\r\r\nb\r\n"),
        with_body("a line of 998 bytes", format!("{}\r\n", "x".repeat(998))),
        with_body("a line of 999 bytes", format!("{}\r\n", "x".repeat(999))),
        with_body("a line of 2048 bytes", format!("{}\r\n", "x".repeat(2_048))),
        with_body("a line of 10000 bytes with blanks", format!("{}\r\n", "word ".repeat(2_000))),
        with_body("a line of 100000 bytes", format!("{}\r\n", "x".repeat(100_000))),
        with_body("a signature block", "text\r\n\r\n-- \r\nAlice\r\n"),
        with_body("format=flowed", "a soft \r\nbreak \r\n> quoted \r\n"),
        with_body("quoted-printable", "Gr=C3=BC=C3=9Fe=20\r\nsoft=\r\nbreak=3D\r\n"),
    ]
}

fn headers() -> Vec<Case> {
    let malformed = |case: Case| Case { malformed: true, ..case };
    vec![
        with_field("a folded subject", "Subject", "Subject: one\r\n two\r\n\tthree\r\n"),
        with_field("a subject folded before its text", "Subject", "Subject:\r\n text\r\n"),
        with_field("a subject with many blanks", "Subject", "Subject: \t a   b \t \r\n"),
        with_field("an empty subject", "Subject", "Subject:\r\n"),
        with_field("a subject of blanks", "Subject", "Subject:   \r\n"),
        with_field("a subject without a blank", "Subject", "Subject:text\r\n"),
        with_field("a subject in other case", "Subject", "sUBJECT: text\r\n"),
        with_field("RFC 2047", "Subject", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"),
        with_field(
            "RFC 2047, folded",
            "Subject",
            "Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\n =?utf-8?b?R3LDvMOfZQ==?=\r\n",
        ),
        with_field("UTF-8 in a subject", "Subject", "Subject: Grüße, 日本語\r\n"),
        with_field("no subject", "Subject", ""),
        with_field("no date, which Postfix adds", "Date", ""),
        with_field("no message id, which Postfix adds", "Message-ID", ""),
        with_field("no author, whom Postfix adds", "From", ""),
        with_field("no recipient", "To", ""),
        malformed(with_field("two subjects", "Subject", "Subject: one\r\nSubject: two\r\n")),
        malformed(with_field(
            "two recipients' fields",
            "To",
            "To: bob@example.net\r\nTo: eve@example.net\r\n",
        )),
        with_field("a recipient without a domain", "To", "To: bob\r\n"),
        with_field("a group of recipients", "To", "To: undisclosed-recipients:;\r\n"),
        with_field(
            "an author in quotes",
            "From",
            "From: \"Liddell, Alice (home)\" <alice@@DOMAIN@> (a comment)\r\n",
        ),
        with_field("a bare author", "From", "From: alice@@DOMAIN@\r\n"),
        with_field("a folded author", "From", "From: Alice\r\n Liddell\r\n <alice@@DOMAIN@>\r\n"),
        with_field(
            "an author in RFC 2047",
            "From",
            "From: =?utf-8?q?=C3=84lice?= <a@@DOMAIN@>\r\n",
        ),
        with_field("an author of a subdomain", "From", "From: a@mail.@DOMAIN@\r\n"),
        with_field(
            "a long list of recipients",
            "To",
            &format!("To: {}bob@example.net\r\n", "somebody@example.net,\r\n ".repeat(500)),
        ),
    ]
}

fn more_headers() -> Vec<Case> {
    vec![
        with_header("copies and answers", "Cc: eve@example.net\r\nReply-To: a@@DOMAIN@\r\n"),
        with_header("blind copies, which Postfix drops", "Bcc: eve@example.net\r\n"),
        with_header("a return path, which Postfix drops", "Return-Path: <x@example.net>\r\n"),
        with_header("a sender", "Sender: Secretary <s@@DOMAIN@>\r\n"),
        with_header(
            "a thread",
            "In-Reply-To: <a@x.test>\r\nReferences: <a@x.test>\r\n <b@x.test>\r\n",
        ),
        with_header(
            "a mailing list",
            "List-Id: <l.example.net>\r\nList-Unsubscribe: <https://l.example.net/u>\r\n\
             List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nPrecedence: list\r\n",
        ),
        with_header(
            "a message sent again",
            "Resent-From: c@@DOMAIN@\r\nResent-To: d@example.net\r\n",
        ),
        with_header("a way behind it", "Received: from a by b; today\r\nReceived: from c by a\r\n"),
        with_header("unknown fields", "X-One: 1\r\nX-Two:2\r\nX-Three:\r\n\tthree\r\n"),
        with_header("a bare CR in the header", "X-Odd: a\rb\r\nComments: c\rd\r\n"),
        with_header("Latin-1 in the header", b"Comments: caf\xe9\r\nX-Other: \xff\r\n".as_slice()),
        with_header(
            "fields of services",
            "Feedback-ID: a:b:c:d\r\nAutocrypt: addr=a@x; keydata=AA\r\n",
        ),
        with_header(
            "a signature of somebody else",
            "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=elsewhere.example; s=x;\r\n\
             \th=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n",
        ),
    ]
}

fn structures() -> Vec<Case> {
    let multipart = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary=\"=_b\"\r\n";
    let parts = "preamble\r\n--=_b\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Content-Transfer-Encoding: 8bit\r\n\r\nGrüße \r\n--=_b\r\nContent-Type: application/octet-stream\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nAAECAwQFBgcICQ==\r\n--=_b--\r\nepilogue\r\n";
    let nested = "MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n";
    let utf8 = |case: Case| Case { smtputf8: true, ..case };
    vec![
        case("multipart", format!("{HEADER}{multipart}\r\n{parts}")),
        case("a message in a message", format!("{HEADER}{nested}\r\n{HEADER}\r\n{BODY}")),
        case("a header and no empty line", HEADER),
        case("no header at all", "just text, no header\r\n\r\nmore\r\n"),
        case("text that looks like no field", format!("{HEADER}this is no field\r\n\r\n{BODY}")),
        utf8(with_field("SMTPUTF8", "From", "From: Älice <älice@@DOMAIN@>\r\n")),
        utf8(with_field("SMTPUTF8 in the recipient", "To", "To: <bøb@example.net>\r\n")),
    ]
}

/// Bodies around the 65535 bytes that Postfix sends to a milter at a time.
fn large() -> Vec<Case> {
    let lines =
        |count: usize| "0123456789abcdef0123456789abcdef0123456789abcdef0123\r\n".repeat(count);
    let up_to = |length: usize, end: &str| {
        let mut text = lines(1 + length / 54);
        text.truncate(length);
        text + end
    };
    vec![
        with_body("a line end across two pieces", up_to(65_534, "\r\nnext\r\n")),
        with_body("a blank at the end of a piece", up_to(65_534, " \tnext \r\n")),
        with_body("a line end at the end of a piece", up_to(65_533, "\r\n\r\n\r\nnext\r\n")),
        with_body("many short lines", "a\r\n\r\n".repeat(50_000)),
        with_body("a megabyte of base64", lines(20_000)),
        with_body("25 MB", lines(25_000_000 / 54)),
        with_header(
            "a header of 100 kB",
            format!(
                "References:{}\r\n",
                " <0123456789abcdef0123456789@example.net>\r\n".repeat(2_300).trim_end()
            ),
        ),
    ]
}
