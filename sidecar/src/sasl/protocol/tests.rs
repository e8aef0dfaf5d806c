use proptest::prelude::*;

use super::*;

#[test]
fn the_line_that_postfix_sends_is_read() {
    let line = b"AUTH\t7\tplain\tservice=smtp\tnologin\tlip=192.0.2.1\trip=203.0.113.9\tsecured\tresp=AGEAYg==";
    let expected = Auth {
        id: 7,
        mechanism: b"plain",
        secured: true,
        remote_address: Some(b"203.0.113.9"),
        initial_response: Some(b"AGEAYg=="),
    };
    assert_eq!(decode(line).unwrap(), Command::Auth(expected));
}

#[test]
fn absent_and_empty_initial_responses_differ() {
    let cases: [(&[u8], Option<&[u8]>); 4] = [
        (b"AUTH\t1\tPLAIN\tservice=smtp", None),
        (b"AUTH\t1\tPLAIN\tservice=smtp\tresp=", Some(b"")),
        (b"AUTH\t1\tPLAIN\tservice=smtp\tresp==", Some(b"=")),
        (b"AUTH\t1\tPLAIN\tprotocol=smtp\tresp=YQ==\tignored", Some(b"YQ==")),
    ];
    for (line, expected) in cases {
        let Command::Auth(auth) = decode(line).unwrap() else { panic!("{line:?}") };
        assert_eq!(auth.initial_response, expected, "{line:?}");
        assert!(!auth.secured && auth.remote_address.is_none());
    }
}

#[test]
fn commands_are_read_or_refused() {
    let cases: [(&[u8], Result<Command<'_>, DecodeError>); 16] = [
        (b"VERSION\t1\t0", Ok(Command::Version { major: 1, minor: 0 })),
        (b"VERSION\t1\t4", Ok(Command::Version { major: 1, minor: 4 })),
        (b"VERSION\t2\t0", Err(DecodeError::WrongVersion(2))),
        (b"VERSION", Err(DecodeError::BadVersion)),
        (b"VERSION\tx\ty", Err(DecodeError::BadVersion)),
        (b"CPID\t42", Ok(Command::Cpid)),
        (b"CONT\t3\tYQ==", Ok(Command::Cont { id: 3, response: b"YQ==" })),
        (b"CONT\t3", Ok(Command::Cont { id: 3, response: b"" })),
        (b"CANCEL\t3", Ok(Command::Cancel { id: 3 })),
        (b"AUTH\t0\tPLAIN\tservice=smtp", Err(DecodeError::BadId)),
        (b"AUTH\t+1\tPLAIN\tservice=smtp", Err(DecodeError::BadId)),
        (b"AUTH\t4294967296\tPLAIN\tservice=smtp", Err(DecodeError::BadId)),
        (b"AUTH\t1\t\tservice=smtp", Err(DecodeError::IncompleteAuth)),
        (b"AUTH\t1\tPLAIN", Err(DecodeError::IncompleteAuth)),
        (b"", Ok(Command::Unknown)),
        (b"NONSENSE\t\xff", Ok(Command::Unknown)),
    ];
    for (line, expected) in cases {
        assert_eq!(decode(line), expected, "{}", String::from_utf8_lossy(line));
    }
}

#[test]
fn a_line_is_complete_with_its_lf_and_bounded() {
    assert_eq!(next_line(b"CPID\t1").unwrap(), None);
    assert_eq!(next_line(b"CPID\t1\nCPID").unwrap(), Some((&b"CPID\t1"[..], 7)));
    assert_eq!(next_line(&vec![b'x'; MAX_LINE]).unwrap(), None);
    assert_eq!(next_line(&vec![b'x'; MAX_LINE + 1]), Err(DecodeError::TooLong));
    let mut longest = vec![b'x'; MAX_LINE];
    longest.push(b'\n');
    assert!(next_line(&longest).unwrap().is_some());
}

#[test]
fn the_handshake_has_a_mechanism_before_spid_and_done_last() {
    let text = handshake(1, 2, [0xab; 16]);
    let lines: Vec<_> = text.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(lines, ["VERSION", "MECH", "MECH", "SPID", "CUID", "COOKIE", "DONE"]);
    assert!(text.contains(&format!("COOKIE\t{}\n", "ab".repeat(16))));
}

#[test]
fn replies_are_one_line_each() {
    let cases = [
        (Reply::Cont { id: 8, challenge: "" }, "CONT\t8\t\n"),
        (Reply::Ok { id: 8, user: "alice" }, "OK\t8\tuser=alice\n"),
        (
            Reply::Fail { id: 8, user: None, code: None, reason: "no\nOK\t8\tuser=root" },
            "FAIL\t8\treason=no?OK?8?user=root\n",
        ),
        (
            Reply::Fail {
                id: 8,
                user: Some("alice"),
                code: Some(FailCode::InvalidBase64),
                reason: "no",
            },
            "FAIL\t8\tuser=alice\tcode=invalid_base64\treason=no\n",
        ),
    ];
    for (reply, expected) in cases {
        assert_eq!(encode(&reply), expected);
    }
}

/// Cuts `bytes` at every place and decodes them as they would arrive.
fn lines_of(bytes: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut buffer = Vec::new();
    let mut position = 0;
    let ends = cuts.iter().map(|cut| cut % (bytes.len() + 1)).chain([bytes.len()]);
    let mut ends: Vec<_> = ends.collect();
    ends.sort_unstable();
    for end in ends {
        buffer.extend_from_slice(&bytes[position..end]);
        position = end;
        while let Ok(Some((line, used))) = next_line(&buffer) {
            found.push(line.to_vec());
            buffer.drain(..used);
        }
    }
    found
}

proptest! {
    #[test]
    fn decoding_never_panics(line in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _any_answer = decode(&line);
    }

    #[test]
    fn what_was_asked_is_what_is_read(
        id in 1..=u32::MAX,
        mechanism in "[A-Z0-9-]{1,20}",
        address in "[0-9a-f:.]{1,39}",
        secured in any::<bool>(),
        response in proptest::option::of("[A-Za-z0-9+/=]{0,200}"),
    ) {
        let mut line = format!("AUTH\t{id}\t{mechanism}\tservice=smtp\tnologin\trip={address}");
        if secured {
            line.push_str("\tsecured");
        }
        if let Some(response) = &response {
            line = format!("{line}\tresp={response}");
        }
        let expected = Auth {
            id,
            mechanism: mechanism.as_bytes(),
            secured,
            remote_address: Some(address.as_bytes()),
            initial_response: response.as_ref().map(|response| response.as_bytes()),
        };
        prop_assert_eq!(decode(line.as_bytes()), Ok(Command::Auth(expected)));
    }

    #[test]
    fn any_split_of_the_bytes_decodes_the_same(
        bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..300),
        cuts in proptest::collection::vec(any::<usize>(), 0..8),
    ) {
        prop_assert_eq!(lines_of(&bytes, &cuts), lines_of(&bytes, &[]));
    }

    #[test]
    fn whatever_is_in_a_reply_it_stays_one_line(user in any::<String>(), reason in any::<String>()) {
        for line in [
            encode(&Reply::Ok { id: 1, user: &user }),
            encode(&Reply::Fail { id: 1, user: Some(&user), code: None, reason: &reason }),
        ] {
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert!(line.matches('\t').count() <= 3);
        }
    }
}
