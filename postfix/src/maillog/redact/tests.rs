use super::*;

fn masked(line: &str) -> String {
    String::from_utf8(Redactor::Mask.apply(line.as_bytes().to_vec())).unwrap()
}

#[test]
fn addresses_are_masked_anywhere_in_a_line() {
    for (line, expected) in [
        ("to=<alice@example.org>, relay=x", "to=<a***@example.org>, relay=x"),
        ("from=<>, x", "from=<>, x"),
        ("sasl_username=alice@example.org", "sasl_username=a***@example.org"),
        ("from=<b+bob=example.net@lists.test>", "from=<b***@lists.test>"),
        ("to=<\"al ice\"@example.org>", "to=<***@example.org>"),
        ("to=<x@example.org>", "to=<***@example.org>"),
        (
            "550 <bob@example.net>: no bob@example.net.",
            "550 <b***@example.net>: no b***@example.net.",
        ),
        ("two a.b@c d.e@f", "two a***@c d***@f"),
        ("message-id=<abc@host>", "message-id=<abc@host>"),
        ("resent-message-id=<abc@host>", "resent-message-id=<abc@host>"),
        ("to=<grüße@example.org>", "to=<g***@example.org>"),
        ("to=<ü.x@example.org>", "to=<***@example.org>"),
        ("to=<a@b@example.org>", "to=<***@example.org>"),
        ("no address, a@", "no address, ***@"),
        ("@", "***@"),
    ] {
        assert_eq!(masked(line), expected, "{line}");
    }
}

#[test]
fn nothing_of_a_local_part_that_needs_quotes_is_left() {
    for address in [
        r#""hidden name""#,
        r#""hid>den""#,
        r#""hidden> name""#,
        r#""hid<den""#,
        r#""hidden <name> name""#,
        r#""hid\"den name""#,
        r#""hidden\\""#,
        r#""hidden name@hidden.name""#,
        r#""hidden, name=<hidden>, ""#,
        r#""hidden name".hidden"#,
        r#"hidden."hidden name""#,
        r#"@hidden.name,@hidden:hidden"#,
    ] {
        for (line, expected) in [
            ("to=<{}@example.org>, orig_to=<x@y>, z", "to=<***@example.org>, orig_to=<***@y>, z"),
            ("550 <{}@example.org>: no", "550 <***@example.org>: no"),
            ("from=<{}@example.org> to=<bob@b> x", "from=<***@example.org> to=<b***@b> x"),
            ("from=<{}@example.org>", "from=<***@example.org>"),
        ] {
            assert_eq!(masked(&line.replace("{}", address)), expected, "{line} {address}");
        }
    }
}

#[test]
fn nothing_is_left_of_one_without_its_quotes_or_its_brackets() {
    for line in [
        "RCPT from a[192.0.2.1]: 554 5.7.1 <hidden name@example.org>: Relay access denied",
        "554 5.7.1 <hidden>hidden@example.org>: denied",
        "554 5.7.1 <hid<den@example.org>: denied",
        "554 5.7.1 <hidden> \"hidden@hidden@example.org>: denied; from=<x@y>",
        "554 5.7.1 <hidden@hidden> hidden name@example.org>: denied; from=<x@y>",
        "from=<hidden> hidden@example.org> to=<\"hidden> hidden\"@example.org> proto=ESMTP",
        "554 5.7.1 <hidden\" name@example.org>: denied",
        "554 5.7.1 <\"hidden name@example.org>: denied; from=<\"hidden\"@example.org>",
        "said: \"hidden name\"@example.org is unknown",
        "said: no \"hidden\\\" name@hidden\"@example.org, and no \"hidden\".hidden@example.org",
        "user=\"hidden name\"@example.org",
    ] {
        let masked = masked(line);
        assert!(!masked.contains("hid") && !masked.contains("name"), "{line} became {masked}");
        assert!(masked.contains("***@example.org"), "{masked}");
    }
}

#[test]
fn nobody_erases_more_of_a_line_than_an_address() {
    for (line, expected) in [
        (
            "reject: RCPT from a[192.0.2.1]: 554 <x> \"y@z@b>: denied; from=<> to=<c@d> helo=<e>",
            "reject: RCPT from a[192.0.2.1]: 554 <***@b>: denied; from=<> to=<***@d> helo=<e>",
        ),
        ("RCPT from a[192.0.2.1]: \"x@b", "RCPT from a[192.0.2.1]: \"***@b"),
        ("RCPT from a[192.0.2.1]: x\"@b", "RCPT from a[192.0.2.1]: x\"***@b"),
        ("550 <bob@b> is unknown, <joe@b>", "550 <b***@b> is unknown, <j***@b>"),
        ("from=<bob@b> to=<joe@b> proto=x", "from=<b***@b> to=<j***@b> proto=x"),
    ] {
        assert_eq!(masked(line), expected, "{line}");
    }
}

#[test]
fn a_long_line_of_delimiters_takes_no_time() {
    for delimiter in
        ["@", "\"", "\\\"@", "\"@", "<@", "<\"@", ">@", "\"a\"", "<", "> @", "@>", "<a@b> "]
    {
        let line = delimiter.repeat(200_000 / delimiter.len()) + "@";
        let start = std::time::Instant::now();
        masked(&line);
        assert!(start.elapsed().as_secs() < 2, "{delimiter} took {:?}", start.elapsed());
    }
}

#[test]
fn a_hash_depends_on_the_whole_address_and_on_the_key() {
    let line = |address: &str| format!("to=<{address}>, x").into_bytes();
    let redactor = Redactor::with_key(&[7; KEY_SIZE]);
    let hashed = redactor.apply(line("alice@example.org"));
    assert_eq!(hashed, redactor.apply(line("Alice@Example.org")).to_ascii_lowercase());
    assert_ne!(hashed, redactor.apply(line("alice@example.net")));
    assert_ne!(hashed, Redactor::with_key(&[8; KEY_SIZE]).apply(line("alice@example.org")));
    let hashed = String::from_utf8(hashed).unwrap();
    let local = hashed.strip_prefix("to=<").unwrap().strip_suffix("@example.org>, x").unwrap();
    assert!(local.len() == 16 && local.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hashed}");
}

#[test]
fn the_key_is_kept_across_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let first = key(&path);
    assert_eq!((first.len(), key(&path)), (KEY_SIZE, first));
}

#[test]
fn bytes_that_are_not_utf_8_stay() {
    assert_eq!(Redactor::Mask.apply(b"\xff <alice@b> \xfe".to_vec()), b"\xff <a***@b> \xfe");
    assert_eq!(Redactor::Off.apply(b"alice@b".to_vec()), b"alice@b");
}
