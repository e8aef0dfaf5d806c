use super::*;

const HEAD: &str = "Nov  3 05:10:16 relay postfix";

/// The parts that a line has, as `name=value`.
fn parts(line: &Line<'_>) -> String {
    let fields = &line.fields;
    let all = [
        ("level", Some(line.level).filter(|level| *level != "info")),
        ("service", line.service),
        ("pid", line.pid),
        ("id", line.queue_id),
        ("client", fields.client),
        ("user", fields.sasl_username),
        ("message-id", fields.message_id),
        ("from", fields.from),
        ("size", fields.size),
        ("nrcpt", fields.nrcpt),
        ("to", fields.to),
        ("orig_to", fields.orig_to),
        ("relay", fields.relay),
        ("delay", fields.delay),
        ("delays", fields.delays),
        ("dsn", fields.dsn),
        ("status", fields.status),
        ("reason", fields.reason),
        ("tls", fields.tls),
        ("notification", fields.notification),
    ];
    let there = all.iter().filter_map(|(name, value)| Some(format!("{name}={}", (*value)?)));
    there.collect::<Vec<_>>().join(" | ")
}

/// A line as Postfix 3.10.13 writes it, its kind, and its parts.
const LINES: &[(&str, Kind, &str)] = &[
    (
        "/smtpd[32]: connect from unknown[203.0.113.5]",
        Kind::Connect,
        "service=smtpd | pid=32 | client=unknown[203.0.113.5]",
    ),
    (
        "/smtpd[32]: disconnect from unknown[203.0.113.5] ehlo=1 mail=1 rcpt=1 data=1 commands=4",
        Kind::Disconnect,
        "service=smtpd | pid=32 | client=unknown[203.0.113.5]",
    ),
    (
        "/submissions/smtpd[44]: Anonymous TLS connection established from unknown[198.51.100.7]: \
         TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange x25519",
        Kind::Tls,
        "service=submissions/smtpd | pid=44 | client=unknown[198.51.100.7] | tls=Anonymous",
    ),
    (
        "/smtp[9]: Verified TLS connection established to mx.example.net[2001:db8::1]:25: TLSv1.3 \
         with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)",
        Kind::Tls,
        "service=smtp | pid=9 | relay=mx.example.net[2001:db8::1]:25 | tls=Verified",
    ),
    (
        "/smtpd[32]: 4jXvlj465Sz1Sm1P: client=unknown[203.0.113.5]",
        Kind::Received,
        "service=smtpd | pid=32 | id=4jXvlj465Sz1Sm1P | client=unknown[203.0.113.5]",
    ),
    (
        "/submission/smtpd[4]: 4C5F2A8D01: client=home.example[203.0.113.5], sasl_method=PLAIN, \
         sasl_username=alice@example.org",
        Kind::Received,
        "service=submission/smtpd | pid=4 | id=4C5F2A8D01 | client=home.example[203.0.113.5] | \
         user=alice@example.org",
    ),
    (
        "/cleanup[36]: 4jXvlj465Sz1Sm1P: message-id=<bob-0-0@example.net@example.org>",
        Kind::MessageId,
        "service=cleanup | pid=36 | id=4jXvlj465Sz1Sm1P | message-id=bob-0-0@example.net@example.org",
    ),
    (
        "/qmgr[30]: 4jXvlj465Sz1Sm1P: from=<alice@example.org>, size=1561, nrcpt=1 (queue active)",
        Kind::Queued,
        "service=qmgr | pid=30 | id=4jXvlj465Sz1Sm1P | from=alice@example.org | size=1561 | nrcpt=1",
    ),
    (
        "/qmgr[30]: 4jXvlj465Sz1Sm1P: removed",
        Kind::Removed,
        "service=qmgr | pid=30 | id=4jXvlj465Sz1Sm1P",
    ),
    (
        "/smtp[38]: 4jXvlj465Sz1Sm1P: to=<bob@example.net>, relay=192.0.2.25[192.0.2.25]:2525, \
         delay=0.3, delays=0.01/0.03/0.01/0.25, dsn=2.0.0, status=sent (250 2.0.0 kept)",
        Kind::Delivery,
        "service=smtp | pid=38 | id=4jXvlj465Sz1Sm1P | to=bob@example.net | \
         relay=192.0.2.25[192.0.2.25]:2525 | delay=0.3 | delays=0.01/0.03/0.01/0.25 | dsn=2.0.0 | \
         status=sent | reason=250 2.0.0 kept",
    ),
    (
        "/smtp[8]: 4jXvlj465Sz1Sm1P: to=<bob@example.net>, orig_to=<b>, relay=none, conn_use=2, \
         delay=12, delays=12/0/0/0, dsn=4.4.1, status=deferred (connect to 192.0.2.25[192.0.2.25]:25: \
         Connection refused)",
        Kind::Delivery,
        "service=smtp | pid=8 | id=4jXvlj465Sz1Sm1P | to=bob@example.net | orig_to=b | relay=none | \
         delay=12 | delays=12/0/0/0 | dsn=4.4.1 | status=deferred | reason=connect to \
         192.0.2.25[192.0.2.25]:25: Connection refused",
    ),
    (
        "/smtp[8]: 4jXvlj465Sz1Sm1P: to=<bob@example.net>, relay=mx[192.0.2.25]:25, delay=1, \
         delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx[192.0.2.25] said: 550 5.1.1 \
         <bob@example.net>, status=sent (no) (in reply to RCPT TO command))",
        Kind::Delivery,
        "service=smtp | pid=8 | id=4jXvlj465Sz1Sm1P | to=bob@example.net | relay=mx[192.0.2.25]:25 | \
         delay=1 | delays=0/0/0/1 | dsn=5.1.1 | status=bounced | reason=host mx[192.0.2.25] said: 550 \
         5.1.1 <bob@example.net>, status=sent (no) (in reply to RCPT TO command)",
    ),
    (
        // A recipient that looks like the end of its own line.
        "/smtp[8]: 4jXvlj465Sz1Sm1P: to=<\"a>, relay=x, status=sent (no)\\\"\"@example.net>, \
         relay=none, delay=1, delays=0/0/0/1, dsn=4.0.0, status=deferred (no)",
        Kind::Delivery,
        "service=smtp | pid=8 | id=4jXvlj465Sz1Sm1P | to=\"a>, relay=x, status=sent \
         (no)\\\"\"@example.net | relay=none | delay=1 | delays=0/0/0/1 | dsn=4.0.0 | \
         status=deferred | reason=no",
    ),
    (
        "/qmgr[30]: 4jXvlj465Sz1Sm1P: from=<alice@example.org>, status=expired, returned to sender",
        Kind::Delivery,
        "service=qmgr | pid=30 | id=4jXvlj465Sz1Sm1P | from=alice@example.org | status=expired | \
         reason=returned to sender",
    ),
    (
        "/smtp[9]: Trusted TLS connection reused to mx.example.net[192.0.2.25]:25: TLSv1.3 with \
         cipher TLS_AES_256_GCM_SHA384 (256/256 bits)",
        Kind::Tls,
        "service=smtp | pid=9 | relay=mx.example.net[192.0.2.25]:25 | tls=Trusted",
    ),
    (
        "/bounce[41]: 4jXvlj465Sz1Sm1P: sender non-delivery notification: 4jXvlj4F98z1Sm1Q",
        Kind::Bounce,
        "service=bounce | pid=41 | id=4jXvlj465Sz1Sm1P | notification=4jXvlj4F98z1Sm1Q",
    ),
    (
        "/smtpd[42]: NOQUEUE: reject: RCPT from unknown[198.51.100.7]: 554 5.7.1 <x@example.net>: \
         Recipient address rejected: not allowed; from=<m@example.org> to=<x@example.net> \
         proto=ESMTP helo=<a b>",
        Kind::Reject,
        "service=smtpd | pid=42 | client=unknown[198.51.100.7] | from=m@example.org | \
         to=x@example.net | dsn=5.7.1 | status=reject | reason=554 5.7.1 <x@example.net>: Recipient \
         address rejected: not allowed",
    ),
    (
        "/cleanup[37]: 4jXvlj465Sz1Sm1P: milter-reject: END-OF-MESSAGE from unknown[203.0.113.5]: \
         5.7.1 no; from=<> to=<x@example.net> proto=ESMTP helo=<a>",
        Kind::Reject,
        "service=cleanup | pid=37 | id=4jXvlj465Sz1Sm1P | client=unknown[203.0.113.5] | from= | \
         to=x@example.net | dsn=5.7.1 | status=reject | reason=5.7.1 no",
    ),
    (
        "/submission/smtpd[4]: warning: unknown[198.51.100.7]: SASL PLAIN authentication failed: \
         (reason unavailable), sasl_username=alice",
        Kind::Other,
        "level=warning | service=submission/smtpd | pid=4 | client=unknown[198.51.100.7] | user=alice",
    ),
    (
        "/smtpd[32]: warning: 4jXvlj465Sz1Sm1P: queue file size limit exceeded",
        Kind::Other,
        "level=warning | service=smtpd | pid=32 | id=4jXvlj465Sz1Sm1P",
    ),
    (
        "/smtpd[5]: fatal: no SASL authentication mechanisms",
        Kind::Other,
        "level=fatal | service=smtpd | pid=5",
    ),
    (
        "/master[28]: daemon started -- version 3.10.13, configuration /etc/postfix",
        Kind::Other,
        "service=master | pid=28",
    ),
    (
        "/anvil[34]: statistics: max connection rate 2/60s for (25:203.0.113.5) at Nov 23 05:34:57",
        Kind::Other,
        "service=anvil | pid=34",
    ),
    ("/postsuper[7]: panic: no", Kind::Other, "level=panic | service=postsuper | pid=7"),
];

#[test]
fn lines_of_postfix_are_parsed() {
    for (text, kind, expected) in LINES {
        let text = format!("{HEAD}{text}\n");
        let line = parse(&text);
        assert_eq!((line.kind, parts(&line).as_str()), (*kind, *expected), "{text}");
        assert!(text.trim_end().ends_with(line.message), "{text}");
        assert_eq!(is_delivery(&text), *kind == Kind::Delivery, "{text}");
    }
}

#[test]
fn a_line_postfix_did_not_write_is_a_message() {
    for text in
        ["", "fatal", "postfix: removed", "Nov 23", "Nov 23 05:10:16 relay", "\u{fc}\u{fc}\u{fc}"]
    {
        let line = parse(text);
        assert_eq!((line.kind, line.message, line.service), (Kind::Other, text, None), "{text}");
    }
    assert_eq!(parse("fatal: parameter x: bad").level, "fatal");
}

#[test]
fn no_prefix_of_a_line_panics() {
    for (text, _, _) in LINES {
        let text = format!("{HEAD}{text}");
        for end in 0..=text.len() {
            parse(text.get(..end).unwrap_or_default());
        }
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_shown() {
    assert_eq!(printable(b"a\xff\xc3\xbc\xc3"), "a\\xff\u{fc}\\xc3");
}

#[test]
fn what_a_stranger_writes_into_a_line_is_neither_a_delivery_nor_an_address() {
    for text in [
        "/cleanup[3]: 4jXvlj465Sz1Sm1P: message-id=<x>, to=<bob@example.net>, status=sent (250 ok)",
        "/cleanup[3]: 4jXvlj465Sz1Sm1P: resent-message-id=x, to=<bob@example.net>, status=sent (ok)",
        "/cleanup[3]: 4jXvlj465Sz1Sm1P: to=<bob@example.net>, status=sent (250 ok)",
        "/smtpd[3]: 4jXvlj465Sz1Sm1P: to=<bob@example.net>, status=sent (250 ok)",
        "/submission/smtpd[3]: 4jXvlj465Sz1Sm1P: from=<a@example.org>, size=1, nrcpt=1 (queue active)",
    ] {
        let text = format!("{HEAD}{text}");
        assert!(!matches!(parse(&text).kind, Kind::Delivery | Kind::Queued), "{text}");
    }
    let twice = format!("{HEAD}/smtp[3]: 4jXvlj465Sz1Sm1P: to=<a@example.net>, to=<b@example.net>");
    assert_eq!(parse(&twice).fields.to, Some("a@example.net"));
}
