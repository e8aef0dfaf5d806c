use super::*;

fn authors(fields: &[(&str, &[u8])]) -> Result<Vec<String>, UnclearAuthor> {
    let mut collected = AuthorFields::default();
    for (name, value) in fields {
        collected.add(name.as_bytes(), value);
    }
    Ok(collected.authors()?.iter().map(Address::to_string).collect())
}

#[test]
fn every_address_in_sight_is_an_author() {
    let cases: [(&[u8], &[&str]); 29] = [
        (b"a@x.org", &["a@x.org"]),
        (b"<a@x.org>", &["a@x.org"]),
        (b"Alice <A@X.org>", &["a@x.org"]),
        (b"\"boss@victim.test\" <a@x.org>", &["a@x.org"]),
        (b"\"a \\\"b@c\\\"\" <a@x.org>", &["a@x.org"]),
        (b"a@x.org (victim@z.test)", &["a@x.org"]),
        (b"(victim@z.test (nested@q.test)) a@x.org", &["a@x.org"]),
        (b"=?utf-8?q?victim=40z.test?= <a@x.org>", &["a@x.org"]),
        (b"=?utf-8?b?PHZpY3RpbUB6LnRlc3Q+?= <a@x.org>", &["a@x.org"]),
        (b"a@x.org, Bob <b@y.org>", &["a@x.org", "b@y.org"]),
        (b"Team: a@x.org, b@y.org;", &["a@x.org", "b@y.org"]),
        (b"Alice\r\n <a@x.org>", &["a@x.org"]),
        (b"Alice\n\t<a@x.org>,\r\n b@y.org", &["a@x.org", "b@y.org"]),
        (b"a@x.org,", &["a@x.org"]),
        ("x@b\u{fc}cher.example".as_bytes(), &["x@xn--bcher-kva.example"]),
        (b"J. R. \"Bob\" D <a@x.org>", &["a@x.org"]),
        (b"J. R. Smith Jr. <a@x.org>", &["a@x.org"]),
        // What many programs write for somebody without a display name.
        (b"a@x.org <a@x.org>", &["a@x.org", "a@x.org"]),
        (b"A@X.org <a@x.org>", &["a@x.org", "a@x.org"]),
        // Display names in another character set than UTF-8.
        (b"Jos\xe9 <a@x.org>", &["a@x.org"]),
        (b"\"M\xfcller, J\xf6rg\" <a@x.org>", &["a@x.org"]),
        (b"a@x.org (M\xfcller)", &["a@x.org"]),
        // Whoever shows or checks another one of these finds an author that was checked, too.
        (b"<a@x.org> <victim@z.test>", &["a@x.org", "victim@z.test"]),
        (b"a@x.org victim@z.test", &["a@x.org", "victim@z.test"]),
        (b"<a@x.org>victim@z.test", &["a@x.org", "victim@z.test"]),
        (b"a@x.org:victim@z.test", &["a@x.org", "victim@z.test"]),
        (b"victim@z.test <a@x.org>", &["victim@z.test", "a@x.org"]),
        (b"a@x.org>", &["a@x.org"]),
        (b"(\") victim@z.test (\")", &["victim@z.test"]),
    ];
    for (value, expected) in cases {
        let shown = String::from_utf8_lossy(value);
        assert_eq!(authors(&[("From", value)]).unwrap(), expected, "{shown}");
    }
}

#[test]
fn fields_in_which_an_address_may_hide() {
    let values: [&[u8]; 34] = [
        b"",
        b" ",
        b"nobody",
        b"<>",
        b"undisclosed:;",
        b"<@h1,@h2:a@x.org>",
        b"a@@x.org",
        b"a@x.org@z.test",
        b"\"unterminated <a@x.org>",
        b"(unterminated a@x.org",
        b"a@x.org)",
        b"a@x.org\0victim@z.test",
        b"a@x.org \x1b$B<a@x.org>",
        b"\"quoted local\"@x.org",
        b"a@[192.0.2.1]",
        b"=?utf-8?q?a=40x.org?=",
        b"=?utf-8?q?a@x.org?= <a@x.org>",
        b"a @ x.org",
        b"a@ x.org",
        b"victim @z.test <a@x.org>",
        b"< Ba\\x.oa@x.org>",
        b"a@x.org \\",
        b"a(comment)@x.org",
        b"a\"b\"@x.org",
        b"<\"a@x.org> <victim@z.test\">",
        // Spaces and comments around dots: boss.a@x.org, and a@x.org.victim.test.
        b"boss . a@x.org",
        b"boss. a@x.org",
        b"boss.(comment)a@x.org",
        b"a@x.org .victim.test",
        b"a@x.org(comment).victim.test",
        b".a@x.org",
        b"a@x.org.",
        b"a@x.org\xe9",
        "a@x.org\u{a0}victim@z.test".as_bytes(),
    ];
    for value in values {
        let found = authors(&[("From", value)]);
        let shown = String::from_utf8_lossy(value);
        assert_eq!(found, Err(UnclearAuthor::Unreadable("From")), "{shown}");
    }
}

#[test]
fn one_field_of_each_name() {
    let twice: [(&str, &[u8]); 2] = [("From", b"a@x.org"), ("from", b"a@x.org")];
    assert_eq!(authors(&twice), Err(UnclearAuthor::Repeated("From")));
    let spaced: [(&str, &[u8]); 2] = [("From", b"a@x.org"), ("From ", b"victim@z.test")];
    assert_eq!(authors(&spaced), Err(UnclearAuthor::Repeated("From")));
    let both: [(&str, &[u8]); 3] =
        [("From", b"a@x.org"), ("Sender", b"b@y.org"), ("Reply-To", b"c@z.org")];
    assert_eq!(authors(&both).unwrap(), ["a@x.org", "b@y.org"]);
    assert_eq!(authors(&[("Subject", b"x")]).unwrap(), Vec::<String>::new());
    let long = "a@x.org, ".repeat(MAX_FIELDS / 8);
    assert_eq!(authors(&[("From", long.as_bytes())]), Err(UnclearAuthor::TooLong));
}

#[test]
fn a_refusal_says_how_to_write_the_field() {
    let refused = authors(&[("From", b"a @ x.org")]).unwrap_err().to_string();
    assert!(refused.contains("write it as \"Your Name\" <you@example.org>"), "{refused}");
}

#[test]
fn a_million_empty_fields_take_no_memory() {
    let mut collected = AuthorFields::default();
    for _ in 0..100_000 {
        collected.add(b"From", b"");
    }
    assert!(collected.from.len() <= 2);
    assert_eq!(collected.authors(), Err(UnclearAuthor::Repeated("From")));
}

#[test]
fn the_author_is_the_one_address_that_from_names() {
    for (fields, expected) in [
        (&[("From", "Alice <alice@Example.org>")][..], Some("alice@example.org")),
        (&[("From", "a@x.test <a@x.test>")], Some("a@x.test")),
        (&[("From", "a@x.test"), ("Sender", "b@y.test")], Some("a@x.test")),
        (&[("From", "a@x.test, b@x.test")], None),
        (&[("From", "b@y.test <a@x.test>")], None),
        (&[("From", "a@x.test"), ("From", "a@x.test")], None),
        (&[("From", "nobody")], None),
        (&[("Sender", "a@x.test")], None),
        (&[], None),
    ] {
        let mut collected = AuthorFields::default();
        for (name, value) in fields {
            collected.add(name.as_bytes(), value.as_bytes());
        }
        let author = collected.author().map(|address| address.to_string());
        assert_eq!(author.as_deref(), expected, "{fields:?}");
    }
}
