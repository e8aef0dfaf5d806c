use super::super::environment::Environment;
use super::*;

fn read_from(pairs: &[(&str, &str)]) -> (NextHops, Vec<String>) {
    let environment = Environment::from(pairs);
    let mut reader = Reader::new(&environment);
    let hops = read(&mut reader);
    (hops, reader.problems.iter().map(ToString::to_string).collect())
}

const LOGIN: &[(&str, &str)] = &[("RELAYHOST_USERNAME", "me"), ("RELAYHOST_PASSWORD", "hunter2")];
const FALLBACK_LOGIN: &[(&str, &str)] = &[
    ("RELAYHOST_FALLBACK", "b.example.net"),
    ("RELAYHOST_FALLBACK_USERNAME", "you"),
    ("RELAYHOST_FALLBACK_PASSWORD", "hunter3"),
];

#[test]
fn a_level_that_does_not_suit_the_login_is_refused() {
    for (relayhost, login, level, expected) in [
        ("a.example.net", true, "", Ok("secure")),
        ("a.example.net", true, "encrypt", Ok("encrypt")),
        ("a.example.net", true, "dane-only", Ok("dane-only")),
        ("a.example.net", true, "may", Err("could send the password unencrypted")),
        ("a.example.net", true, "dane", Err("could send the password unencrypted")),
        ("a.example.net", false, "", Ok("may")),
        ("a.example.net", false, "none", Ok("none")),
        ("a.example.net", false, "secure", Ok("secure")),
        ("a.example.net:465", false, "", Ok("encrypt")),
        ("a.example.net:465", false, "may", Err("cannot be used with port 465")),
        ("a.example.net", false, "verify", Err("must be one of none, may")),
        ("", false, "secure", Err("needs RELAYHOST")),
        ("", false, "dane", Ok("")),
    ] {
        let login = if login { LOGIN } else { &[] };
        let pairs = [("RELAYHOST", relayhost), ("RELAYHOST_TLS_LEVEL", level)];
        let (hops, problems) = read_from(&[pairs.as_slice(), login].concat());
        match expected {
            Ok(level) => {
                assert_eq!(problems, Vec::<String>::new());
                let found = hops.main.map(|hop| hop.level.to_string());
                assert_eq!(found.unwrap_or_default(), level, "{relayhost}");
            }
            Err(expected) => assert!(problems.concat().contains(expected), "{problems:?}"),
        }
    }
}

#[test]
fn a_fallback_has_a_login_of_its_own() {
    let main = [("RELAYHOST", "a.example.net")];
    let (hops, problems) = read_from(&[main.as_slice(), LOGIN, FALLBACK_LOGIN].concat());
    assert_eq!(problems, Vec::<String>::new());
    let lines: Vec<String> =
        hops.password_lines().iter().map(|line| line.reveal().to_owned()).collect();
    assert_eq!(lines, ["[a.example.net]:587 me:hunter2\n", "[b.example.net]:587 you:hunter3\n"]);
    // Without a login, unencrypted mail is fine for the main next hop but not for the fallback.
    let level = [("RELAYHOST_TLS_LEVEL", "may")];
    let (hops, problems) = read_from(&[main.as_slice(), FALLBACK_LOGIN, &level].concat());
    assert_eq!(problems, Vec::<String>::new());
    let levels = [hops.main, hops.fallback].map(|hop| hop.unwrap().level);
    assert_eq!(levels, [TlsLevel::May, TlsLevel::Secure]);
}

#[test]
fn relayhost_and_fallback_both_use_implicit_tls_or_neither_does() {
    for (main, fallback, expected) in [
        ("a.example.net:465", "b.example.net:587", "must have port 465 too"),
        ("a.example.net", "b.example.net:465", "cannot have port 465"),
        ("", "b.example.net:465", "cannot have port 465"),
        ("a.example.net:465", "b.example.net:465", ""),
        ("", "b.example.net", ""),
        // One report, about RELAYHOST, is enough.
        ("a:b", "b.example.net:465", "RELAYHOST=a:b"),
    ] {
        let (_, problems) = read_from(&[("RELAYHOST", main), ("RELAYHOST_FALLBACK", fallback)]);
        assert!(problems.concat().contains(expected), "{problems:?}");
        assert_eq!(problems.len(), usize::from(!expected.is_empty()), "{problems:?}");
    }
}

#[test]
fn passwords_are_wiped_everywhere_and_logins_stay_known() {
    let map = [
        ("RELAYHOST", "a.example.net"),
        ("RELAYHOST_MAP", "@example.org=c.example.net:587:us"),
        ("RELAYHOST_MAP_PASSWORDS", "@example.org=hunter4"),
    ];
    let (mut hops, problems) = read_from(&[map.as_slice(), LOGIN, FALLBACK_LOGIN].concat());
    assert_eq!(problems, Vec::<String>::new());
    assert!(!format!("{hops:?}").contains("hunter"), "{hops:?}");
    hops.wipe_passwords();
    assert!(hops.logs_in() && hops.password_lines().is_empty());
    for login in hops.by_sender.iter().map(|entry| entry.hop.login.as_ref().unwrap()) {
        assert_eq!((login.username.as_str(), &login.password), ("us", &None));
    }
}
