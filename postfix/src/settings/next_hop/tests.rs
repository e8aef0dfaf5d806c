use super::super::environment::Environment;
use super::super::variables::{RELAYHOST, RELAYHOST_PASSWORD, RELAYHOST_USERNAME};
use super::*;

const NAMES: Names =
    Names { host: &RELAYHOST, username: &RELAYHOST_USERNAME, password: &RELAYHOST_PASSWORD };

fn read_from(pairs: &[(&str, &str)]) -> (Option<NextHop>, Vec<String>) {
    let environment = Environment::from(pairs);
    let mut reader = Reader::new(&environment);
    let next_hop = read(&mut reader, NAMES);
    (next_hop, reader.problems.iter().map(ToString::to_string).collect())
}

#[test]
fn relayhost_is_rewritten_to_postfix_s_syntax() {
    for (text, without_login, with_login) in [
        ("mail.example.org", "[mail.example.org]:25", "[mail.example.org]:587"),
        ("mail.example.org:2525", "[mail.example.org]:2525", "[mail.example.org]:2525"),
        ("[mail.example.org]", "[mail.example.org]:25", "[mail.example.org]:587"),
        ("[mail.example.org]:465", "[mail.example.org]:465", "[mail.example.org]:465"),
        ("next_hop", "[next_hop]:25", "[next_hop]:587"),
        ("192.0.2.1", "[192.0.2.1]:25", "[192.0.2.1]:587"),
        ("[192.0.2.1]:26", "[192.0.2.1]:26", "[192.0.2.1]:26"),
        ("[2001:db8::1]", "[2001:db8::1]:25", "[2001:db8::1]:587"),
        ("[2001:db8::1]:26", "[2001:db8::1]:26", "[2001:db8::1]:26"),
    ] {
        let (next_hop, problems) = read_from(&[("RELAYHOST", text)]);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(next_hop.unwrap().to_string(), without_login);
        let login = [("RELAYHOST_USERNAME", "me"), ("RELAYHOST_PASSWORD", "hunter2")];
        let (next_hop, problems) = read_from(&[[("RELAYHOST", text)].as_slice(), &login].concat());
        // Postfix does not match a certificate against an address.
        let is_address = without_login.contains("192.0.2.1") || without_login.contains("::");
        let expected =
            if is_address { "with a login the next hop must be a host name" } else { "" };
        assert!(problems.concat().contains(expected), "{problems:?}");
        assert_eq!(problems.is_empty(), !is_address, "{problems:?}");
        let Some(next_hop) = next_hop else { continue };
        assert_eq!(next_hop.to_string(), with_login);
        assert_eq!(next_hop.implicit_tls(), text.ends_with(":465"));
        assert_eq!(next_hop.login.unwrap().password.unwrap().reveal(), "hunter2");
    }
}

#[test]
fn an_invalid_host_is_refused() {
    for (text, expected) in [
        ("2001:db8::1", "write [2001:db8::1]:25"),
        ("mail.example.org:", "a number from 1 to 65535"),
        ("mail.example.org:0", "a number from 1 to 65535"),
        ("mail.example.org:smtp", "a number from 1 to 65535"),
        ("mail.example.org:70000", "a number from 1 to 65535"),
        ("mail.example.org:+25", "a number from 1 to 65535"),
        ("[mail.example.org", "must be a host like"),
        ("[mail.example.org]25", "must be a host like"),
        ("[]:25", "must be a host like"),
        ("smtp://mail.example.org", "a number from 1 to 65535"),
        ("mail.example.org\nmynetworks=0.0.0.0/0", "only letters, digits"),
        ("$mydomain", "only letters, digits"),
        ("1.2.3", "is not an IPv4 address"),
    ] {
        let (next_hop, problems) = read_from(&[("RELAYHOST", text)]);
        assert_eq!(next_hop, None);
        assert!(problems.concat().contains(expected), "{text}: {problems:?}");
    }
}

#[test]
fn a_login_inside_relayhost_is_not_shown() {
    for text in [
        "me:hunter2@mail.example.org",
        "smtp://me:hunter2@mail.example.org:587",
        "mail.example.org:587:me:hunter2",
        "[mail.example.org]:587:me:hunter2",
        "[mail.example.org]:587 me:hunter2",
        "mail.example.org\tme:hunter2",
    ] {
        let (_, problems) = read_from(&[("RELAYHOST", text)]);
        let problems = problems.concat();
        assert!(problems.contains("set the login with RELAYHOST_USERNAME"), "{problems}");
        assert!(!problems.contains("hunter2"), "{problems}");
    }
}

#[test]
fn a_login_is_complete_or_absent() {
    const HOST: (&str, &str) = ("RELAYHOST", "mail.example.org");
    const NAME: (&str, &str) = ("RELAYHOST_USERNAME", "me");
    const PASSWORD: (&str, &str) = ("RELAYHOST_PASSWORD", "hunter2");
    for (set, missing) in [
        (vec![HOST, NAME], vec!["RELAYHOST_PASSWORD"]),
        (vec![HOST, PASSWORD], vec!["RELAYHOST_USERNAME"]),
        (vec![NAME, PASSWORD], vec!["RELAYHOST"]),
        (vec![NAME], vec!["RELAYHOST", "RELAYHOST_PASSWORD"]),
    ] {
        let (_, problems) = read_from(&set);
        let named: Vec<&str> = problems
            .iter()
            .filter_map(|text| Some(text.split_once(": must be set too")?.0))
            .collect();
        assert_eq!(named, missing);
    }
}

#[test]
fn credentials_that_do_not_fit_postfix_s_table_are_refused_and_passwords_not_shown() {
    for (name, password, expected) in [
        ("me:hunter2", "x", "RELAYHOST_USERNAME: must not contain a colon"),
        ("me\nhunter2", "x", "RELAYHOST_USERNAME: must be one line"),
        (" me", "x", "RELAYHOST_USERNAME: must be one line and not start"),
        ("me", "hunter2 ", "RELAYHOST_PASSWORD: must be one line and not end"),
        ("me", "hunter2\nx", "RELAYHOST_PASSWORD: must be one line"),
    ] {
        let (_, problems) = read_from(&[
            ("RELAYHOST", "mail.example.org"),
            ("RELAYHOST_USERNAME", name),
            ("RELAYHOST_PASSWORD", password),
        ]);
        let problems = problems.concat();
        assert!(problems.starts_with(expected), "{problems}");
        assert!(!problems.contains("hunter2"), "{problems}");
    }
}
