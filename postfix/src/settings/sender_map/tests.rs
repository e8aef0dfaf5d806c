use super::super::environment::Environment;
use super::*;

fn read_from(map: &str, passwords: &str) -> (Vec<SenderHop>, Vec<String>) {
    let environment =
        Environment::from([("RELAYHOST_MAP", map), ("RELAYHOST_MAP_PASSWORDS", passwords)]);
    let mut reader = Reader::new(&environment);
    let hops = read(&mut reader);
    (hops, reader.problems.iter().map(ToString::to_string).collect())
}

#[test]
fn every_entry_has_its_own_host_and_login() {
    let (hops, problems) = read_from(
        "@example.org=[smtp.a.net]:587:me@a.net, Alice@Example.com=b.net:465:you\n@c.net=192.0.2.1:26",
        "@example.org=pass=word #1\r\n\nalice@example.com=hunter2\n",
    );
    assert_eq!(problems, Vec::<String>::new());
    let shown: Vec<_> = hops
        .iter()
        .map(|entry| {
            let login = entry.hop.login.as_ref();
            let login =
                login.map(|login| (&*login.username, login.password.as_ref().unwrap().reveal()));
            (&*entry.sender, entry.hop.to_string(), entry.hop.level.to_string(), login)
        })
        .collect();
    assert_eq!(
        shown,
        [
            (
                "@example.org",
                "[smtp.a.net]:587".to_owned(),
                "secure".to_owned(),
                Some(("me@a.net", "pass=word #1")),
            ),
            (
                "alice@example.com",
                "[b.net]:465".to_owned(),
                "secure".to_owned(),
                Some(("you", "hunter2")),
            ),
            ("@c.net", "[192.0.2.1]:26".to_owned(), "may".to_owned(), None),
        ]
    );
    assert!(!format!("{hops:?}").contains("hunter2"));
}

#[test]
fn mistakes_name_the_sender_and_show_no_password() {
    for (map, passwords, expected) in [
        ("example.org", "", "RELAYHOST_MAP: entry 1: must be @example.org="),
        (
            "@b.org=b.net example.org=a.net",
            "",
            "entry 2: the sender must be a domain like @example.org",
        ),
        ("@a.org=b.net:587 me:hunter2", "", "entry 2: must be @example.org="),
        ("@a.org=b.net:587 hunter2=x", "", "entry 2: the sender must be a domain"),
        ("a\"b@example.org=a.net", "", "with only letters, digits"),
        ("@exa_mple..org=a.net", "", "it has an empty label"),
        (
            "@a.org=b.net:587:me",
            "",
            "@a.org: the login needs a password: add the line @a.org=password",
        ),
        ("@a.org=b.net:587:me:hunter2", "@a.org=x", "must not contain a colon"),
        ("@a.org=b.net:587:", "", "@a.org: must be @example.org="),
        ("@a.org=b.net:me", "", "the port after the colon must be a number"),
        (
            "@a.org=192.0.2.1:587:me",
            "@a.org=hunter2",
            "with a login the next hop must be a host name",
        ),
        ("@a.org=b.net", "@a.org=hunter2", "there is a password for it, but no user name"),
        ("@a.org=b.net @A.org=c.net", "", "@a.org is listed twice"),
        ("", "@a.org=hunter2", "RELAYHOST_MAP_PASSWORDS: @a.org has no entry with a login"),
        ("@a.org=b.net:587:me", "@a.org=hunter2\nhunter2", "line 2 must be sender=password"),
        (
            "@a.org=b.net:587:me",
            "@a.org=hunter2\n@a.org=hunter2",
            "line 2 is the second one for its sender",
        ),
        ("@a.org=b.net:587:me", "@a.org=hunter2 ", "line 1 has a password that must be one line"),
        ("@a.org=b.net:587:me", "@a.org=", "line 1 has an empty password"),
    ] {
        let (_, problems) = read_from(map, passwords);
        let said = problems.join("\n");
        assert!(said.contains(expected), "{map:?}: {said:?} is not {expected:?}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
