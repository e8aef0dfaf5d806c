//! The corpus: what is tried, and what comes of it for a stranger, for a client of an allowed network and
//! for Alice, who is logged in and may send as anybody of example.org.
//!
//! A code is that of the first refusal, or of the last reply when nothing is refused; 0 is a connection that
//! the server ends without a word.

/// One thing to try.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    pub talk: Talk,
    pub ports: &'static [u16],
    pub stranger: u16,
    pub neighbour: u16,
    pub alice: u16,
}

#[derive(Debug, Clone, Copy)]
pub enum Talk {
    /// What follows `MAIL FROM:` and `RCPT TO:`, and then a message.
    Envelope(&'static str, &'static str),
    /// Lines of a session, one by one, with a message after a `354`.
    Lines(&'static [&'static str]),
    /// Lines of a session whose TLS is yet to come.
    BeforeTls(&'static [&'static str]),
    /// Bytes that are there before the greeting, and before TLS.
    First(&'static [u8]),
    /// Bytes behind `STARTTLS` in the same packet.
    BehindStarttls(&'static [u8]),
    /// An initial response of PLAIN: authorization identity, user, and `PASSWORD` for Alice's password.
    Plain(&'static str),
    /// What stands between the text of a message and a second transaction, all in one packet.
    EndOfData(&'static [u8]),
    /// A begin, and the same again so many times.
    Repeated(Place, &'static str, &'static str, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Command,
    Header,
    Body,
}

/// Any refusal: which one it is depends on whether Postfix has greeted when the bytes arrive.
pub const REFUSED: u16 = 1;

const fn each(name: &'static str, talk: Talk, [stranger, neighbour, alice]: [u16; 3]) -> Case {
    Case { name, talk, ports: &[25, 587, 465], stranger, neighbour, alice }
}

/// A case that ends alike for all.
const fn all(name: &'static str, talk: Talk, code: u16) -> Case {
    each(name, talk, [code; 3])
}

const fn on(ports: &'static [u16], case: Case) -> Case {
    Case { ports, ..case }
}

/// A recipient that only a stranger is refused for.
const fn to(name: &'static str, recipient: &'static str) -> Case {
    each(name, Talk::Envelope("<alice@example.org>", recipient), STRANGERS_MAY_NOT)
}

/// A recipient at one of the relay's own addresses, where nobody has a mailbox.
const fn nowhere(name: &'static str, recipient: &'static str) -> Case {
    each(name, Talk::Envelope("<alice@example.org>", recipient), [554, 550, 550])
}

/// What follows `RCPT TO:` and is no path.
const fn bad(name: &'static str, recipient: &'static str) -> Case {
    all(name, Talk::Envelope("<alice@example.org>", recipient), 501)
}

const fn from(name: &'static str, sender: &'static str, codes: [u16; 3]) -> Case {
    each(name, Talk::Envelope(sender, "<victim@victim.test>"), codes)
}

const fn lines(name: &'static str, lines: &'static [&'static str], codes: [u16; 3]) -> Case {
    each(name, Talk::Lines(lines), codes)
}

/// A login that is refused; who is logged in may not log in once more.
const fn login(name: &'static str, response: &'static str, code: u16) -> Case {
    on(LOGIN_PORTS, each(name, Talk::Plain(response), [code, code, 503]))
}

const fn auth(name: &'static str, said: &'static [&'static str], code: u16) -> Case {
    on(LOGIN_PORTS, lines(name, said, [code, code, 503]))
}

const fn smuggled(name: &'static str, end: &'static [u8]) -> Case {
    each(name, Talk::EndOfData(end), STRANGERS_MAY_NOT)
}

const STRANGERS_MAY_NOT: [u16; 3] = [554, 250, 250];
const LOGIN_PORTS: &[u16] = &[587, 465];
const CLEAR_PORTS: &[u16] = &[25, 587];
const MAIL: &str = "MAIL FROM:<alice@example.org>";
const RCPT: &str = "RCPT TO:<victim@victim.test>";
const BARE: &str = "RCPT TO:<postmaster>";

/// Addresses; the first sixteen are those of nmap's smtp-open-relay.
#[rustfmt::skip]
pub const ADDRESSES: &[Case] = &[
    from("null sender", "<>", STRANGERS_MAY_NOT),
    from("sender of the victim's domain", "<a@victim.test>", [554, 250, 553]),
    from("sender of the relay's own name", "<a@relay.test>", [554, 250, 553]),
    from("sender at the relay's address", "<a@[192.0.2.1]>", [554, 250, 553]),
    nowhere("percent hack, address literal", "<victim%victim.test@[192.0.2.1]>"),
    to("percent hack", "<victim%victim.test@relay.test>"),
    to("quoted address without a domain", "<\"victim@victim.test\">"),
    to("quoted percent hack without a domain", "<\"victim%victim.test\">"),
    to("double @, address literal", "<victim@victim.test@[192.0.2.1]>"),
    to("quoted address at an address literal", "<\"victim@victim.test\"@[192.0.2.1]>"),
    to("double @", "<victim@victim.test@relay.test>"),
    to("source route by address literal", "<@[192.0.2.1]:victim@victim.test>"),
    to("source route", "<@relay.test:victim@victim.test>"),
    to("bang path", "<victim.test!victim>"),
    nowhere("bang path, address literal", "<victim.test!victim@[192.0.2.1]>"),
    to("bang path at the relay", "<victim.test!victim@relay.test>"),
    to("quoted local part", "<\"victim\"@victim.test>"),
    to("source route over two hops", "<@relay.test,@x.test:victim@victim.test>"),
    to("bang path and percent hack", "<victim.test!victim%relay.test>"),
    to("two percents", "<victim%victim.test%relay.test>"),
    to("address literal of somebody", "<victim@[203.0.113.99]>"),
    nowhere("IPv6 loopback literal", "<victim@[IPv6:::1]>"),
    to("IPv4-mapped literal", "<victim@[IPv6:::ffff:127.0.0.1]>"),
    nowhere("loopback literal", "<victim@[127.0.0.1]>"),
    to("trailing dot", "<victim@victim.test.>"),
    to("backslash", "<victim\\@victim.test@relay.test>"),
    to("escaped quotes", "<\"victim\\\"@victim.test\"@relay.test>"),
    to("tab", "<victim\t@victim.test>"),
    to("bare CR", "<victim\r@victim.test>"),
    to("fullwidth @ without SMTPUTF8", "<victim\u{ff20}victim.test>"),
    to("bare postmaster", "<postmaster>"),
    to("unqualified name", "<root>"),
    to("postmaster of the relay", "<postmaster@relay.test>"),
    to("localhost", "<victim@localhost>"),
    to("a subdomain of the relay", "<victim@sub.relay.test>"),
    to("plus", "<victim+x@victim.test>"),
    to("spaces inside", "< victim@victim.test >"),
    bad("homograph domain without SMTPUTF8", "<victim@r\u{435}lay.test>"),
    bad("comment", "<victim@victim.test(comment)>"),
    bad("NUL", "<victim\0@victim.test>"),
    bad("without angle brackets", "victim@victim.test"),
    bad("empty", "<>"),
    bad("only a domain", "<@victim.test>"),
    bad("two recipients in one", "<victim@victim.test>,<other@victim.test>"),
    bad("a display name", "Victim <victim@victim.test>"),
];

/// Parameters of ESMTP, some of which say who somebody is.
#[rustfmt::skip]
pub const PARAMETERS: &[Case] = &[
    to("ORCPT", "<victim@victim.test> ORCPT=rfc822;alice@example.org"),
    to("NOTIFY", "<victim@victim.test> NOTIFY=NEVER"),
    from("AUTH=", "<alice@example.org> AUTH=alice@example.org", STRANGERS_MAY_NOT),
    from("AUTH=<>", "<alice@example.org> AUTH=<>", STRANGERS_MAY_NOT),
    from("SIZE of nothing", "<alice@example.org> SIZE=0", STRANGERS_MAY_NOT),
    from("SMTPUTF8", "<alice@example.org> SMTPUTF8", STRANGERS_MAY_NOT),
    from("RET and ENVID", "<alice@example.org> RET=FULL ENVID=x", STRANGERS_MAY_NOT),
    from("SIZE too large", "<alice@example.org> SIZE=99999999999", [552; 3]),
    from("SIZE negative", "<alice@example.org> SIZE=-1", [501; 3]),
    from("XVERP", "<alice@example.org> XVERP", [555; 3]),
    from("BODY unknown", "<alice@example.org> BODY=BINARYMIME", [555; 3]),
    from("REQUIRETLS", "<alice@example.org> REQUIRETLS", [555; 3]),
];

const PROXY_V1: &[u8] = b"PROXY TCP4 203.0.113.5 192.0.2.1 1234 25\r\n";
const PROXY_V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x05\xc0\0\x02\x01\x04\xd2\0\x19";
const HTTP_GET: &[u8] = b"GET / HTTP/1.1\r\nHost: relay.test\r\n\r\n";

/// Saying to be somebody else, or to speak something else.
#[rustfmt::skip]
pub const IDENTITY: &[Case] = &[
    lines("XCLIENT ADDR", &["XCLIENT ADDR=203.0.113.5", MAIL, RCPT], [550; 3]),
    lines("XCLIENT LOGIN", &["XCLIENT LOGIN=alice", MAIL, RCPT], [550; 3]),
    lines("XFORWARD", &["XFORWARD ADDR=203.0.113.5", MAIL, RCPT], [550; 3]),
    lines("LHLO", &["LHLO localhost", MAIL, RCPT], [500; 3]),
    lines("EHLO of loopback", &["EHLO [127.0.0.1]", MAIL, RCPT], STRANGERS_MAY_NOT),
    lines("HELO localhost", &["HELO localhost", MAIL, RCPT], STRANGERS_MAY_NOT),
    lines("EHLO of the relay itself", &["EHLO relay.test", MAIL, RCPT], STRANGERS_MAY_NOT),
    lines("commands behind EHLO", &["EHLO client.example\r\nMAIL FROM:<alice@example.org>"], [554; 3]),
    lines("ETRN", &["ETRN victim.test"], [554; 3]),
    lines("VRFY", &["VRFY victim@victim.test"], [502; 3]),
    lines("EXPN", &["EXPN list"], [500; 3]),
    lines("TURN", &["TURN"], [500; 3]),
    lines("RSET between sender and recipient", &[MAIL, "RSET", RCPT], [503; 3]),
    lines("recipient first", &[RCPT], [503; 3]),
    lines("DATA without a recipient", &[MAIL, "DATA"], [554; 3]),
    lines("sender twice", &[MAIL, MAIL], [503; 3]),
    lines("PROXY in a session", &["PROXY TCP4 203.0.113.5 192.0.2.1 1234 25", MAIL, RCPT], [500; 3]),
    lines("HTTP POST", &["POST / HTTP/1.1"], [221; 3]),
    lines("HTTP CONNECT", &["CONNECT victim.test:25 HTTP/1.1"], [221; 3]),
    on(CLEAR_PORTS, all("HTTP GET first", Talk::First(HTTP_GET), REFUSED)),
    on(CLEAR_PORTS, all("PROXY v1 first", Talk::First(PROXY_V1), REFUSED)),
    on(CLEAR_PORTS, all("PROXY v2 first", Talk::First(PROXY_V2), REFUSED)),
    on(CLEAR_PORTS, all("TLS first", Talk::First(b"\x16\x03\x01\0\x05hello\r\n"), REFUSED)),
    on(&[465], all("HTTP GET before TLS", Talk::First(HTTP_GET), 0)),
    on(&[465], all("PROXY v1 before TLS", Talk::First(PROXY_V1), 0)),
    on(&[465], all("PROXY v2 before TLS", Talk::First(PROXY_V2), 0)),
    on(&[465], all("no TLS", Talk::First(b"EHLO client.example\r\n"), 0)),
];

/// TLS and login.
#[rustfmt::skip]
pub const LOGIN: &[Case] = &[
    on(CLEAR_PORTS, all("sender behind STARTTLS", Talk::BehindStarttls(b"MAIL FROM:<alice@example.org>\r\n"), 220)),
    on(CLEAR_PORTS, all("login behind STARTTLS", Talk::BehindStarttls(b"AUTH PLAIN AGFsaWNlAHg=\r\n"), 220)),
    on(LOGIN_PORTS, lines("STARTTLS within TLS", &["STARTTLS"], [554; 3])),
    on(&[25], all("login on port 25", Talk::Plain("\0alice\0PASSWORD"), 503)),
    on(&[587], all("login before TLS", Talk::BeforeTls(&["AUTH PLAIN AGFsaWNlAHg="]), 530)),
    on(&[587], all("sender before TLS", Talk::BeforeTls(&[MAIL, RCPT]), 530)),
    login("logging in again", "\0alice\0PASSWORD", 235),
    login("acting as oneself", "alice\0alice\0PASSWORD", 235),
    login("acting as another user", "admin\0alice\0PASSWORD", 535),
    login("acting as nobody known", "root\0alice\0PASSWORD", 535),
    login("an empty password", "\0alice\0", 535),
    login("an empty name", "\0\0PASSWORD", 535),
    login("a NUL too many", "\0alice\0PASSWORD\0", 535),
    login("a NUL too few", "alice\0PASSWORD", 535),
    login("a space behind the name", "\0alice \0PASSWORD", 535),
    login("a soft hyphen in the name", "\0al\u{ad}ice\0PASSWORD", 535),
    login("a name turned around", "\0\u{202e}ecila\0PASSWORD", 535),
    login("a line break behind the name", "\0alice\n\0PASSWORD", 535),
    auth("login in a transaction", &[MAIL, "AUTH PLAIN AGFsaWNlAHg="], 503),
    auth("login given up", &["AUTH PLAIN", "*"], 501),
    auth("login with nothing", &["AUTH PLAIN ="], 535),
    auth("login that is no base64", &["AUTH PLAIN @@@@"], 535),
    auth("base64 with bits left over", &["AUTH PLAIN AGFsaWNlAHh"], 535),
    auth("anonymous", &["AUTH ANONYMOUS eA=="], 535),
    auth("external", &["AUTH EXTERNAL ="], 535),
    auth("CRAM-MD5", &["AUTH CRAM-MD5"], 535),
    auth("XOAUTH2", &["AUTH XOAUTH2 dXNlcj1hbGljZQ=="], 535),
    on(LOGIN_PORTS, each("a response longer than Postfix takes", Talk::Repeated(Place::Command, "AUTH PLAIN ", "AAAA", 4_000), [535, 535, 503])),
];

/// Where a message ends, and where a line does.
#[rustfmt::skip]
pub const FRAMING: &[Case] = &[
    smuggled("LF . LF", b"\n.\n"),
    smuggled("CR . CR", b"\r.\r"),
    smuggled("CR . LF", b"\r.\n"),
    smuggled("LF . CR", b"\n.\r"),
    smuggled("LF . CRLF", b"\n.\r\n"),
    smuggled("CRLF . LF", b"\r\n.\n"),
    smuggled("CR . CRLF", b"\r.\r\n"),
    smuggled("CRLF . CR", b"\r\n.\r"),
    smuggled("CRLF NUL . CRLF", b"\r\n\0.\r\n"),
    smuggled("CRLF . NUL CRLF", b"\r\n.\0\r\n"),
    smuggled("CRLF .. CRLF", b"\r\n..\r\n"),
    smuggled("CR LF LF . LF LF", b"\r\n\n.\n\n"),
    lines("BDAT of nothing", &[MAIL, BARE, "BDAT 0 LAST"], [521; 3]),
    lines("BDAT", &[MAIL, BARE, "BDAT 10"], [521; 3]),
    lines("BDAT of less than nothing", &[MAIL, BARE, "BDAT -1 LAST"], [521; 3]),
    lines("BDAT of too much", &["BDAT 99999999999999999999 LAST"], [521; 3]),
    lines("DATA with an argument", &[MAIL, BARE, "DATA x"], [501; 3]),
    lines("bare LF between commands", &["MAIL FROM:<alice@example.org>\nRCPT TO:<victim@victim.test>"], STRANGERS_MAY_NOT),
    lines("NUL in a command", &["MAIL FROM:<alice@example.org>\0", RCPT], STRANGERS_MAY_NOT),
    lines("a command of control characters", &["\u{1}\u{2}\u{3}"], [221; 3]),
    all("a line longer than Postfix reads at once", Talk::Repeated(Place::Command, "NOOP ", "x", 3_000), 250),
    all("a sender of 8 kB", Talk::Repeated(Place::Command, "MAIL FROM:<", "a", 8_000), 501),
    each("a body line of 100 kB", Talk::Repeated(Place::Body, "", "x", 100_000), STRANGERS_MAY_NOT),
    each("NUL in the body", Talk::Repeated(Place::Body, "", "a\0b\r\n", 10), STRANGERS_MAY_NOT),
    each("a header field of 120 kB", Talk::Repeated(Place::Header, "X: y", "\r\n z", 30_000), STRANGERS_MAY_NOT),
    all("10,000 Received", Talk::Repeated(Place::Header, "", "Received: from x by y; z\r\n", 10_000), 554),
    all("51 Received", Talk::Repeated(Place::Header, "", "Received: from x by y; z\r\n", 51), 554),
];
