//! Files of users from other servers.

use relay_sidecar::password::{self, Arena, Password};
use relay_sidecar::user_name::UserName;
use relay_sidecar::users::import::{Entry, Secret, entries};

/// Where this stands for a password, no error may tell.
const CANARY: &str = "hunter2";
const ANOTHER: &str = "secret7";

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for line in text.lines() {
        let found = entries(line);
        found.iter().flatten().for_each(check_entry);
        let mistakes: Vec<&String> =
            found.iter().filter_map(|entry| entry.as_ref().err()).collect();
        if !mistakes.is_empty() && canary_is_a_password(line) {
            // What is said of another password is the same, word for word.
            let other = entries(&line.replace(CANARY, ANOTHER));
            let others: Vec<&String> =
                other.iter().filter_map(|entry| entry.as_ref().err()).collect();
            assert_eq!(others, mistakes);
        }
    }
}

fn check_entry(entry: &Entry) {
    assert_eq!(UserName::parse(entry.name.as_str()).as_ref(), Ok(&entry.name), "stable");
    match &entry.secret {
        Secret::Hash(hash) => {
            password::check(hash).unwrap();
            if is_cheap(hash) {
                let password = Password::received(b"fuzz");
                let verified = password::verify(&password, hash, &mut Arena::default());
                assert!(verified.is_ok(), "taken, but of no use: {hash:?}: {verified:?}");
            }
        }
        Secret::Plain(plain) => assert!(!plain.is_empty()),
    }
}

/// Whether verifying takes a few milliseconds at most, so that fuzzing gets anywhere.
fn is_cheap(hash: &str) -> bool {
    let number = |text: &str| text.parse::<u32>().unwrap_or(u32::MAX);
    let fields: Vec<&str> = hash.split('$').collect();
    match fields[..] {
        ["", "2a" | "2b" | "2y", cost, ..] => number(cost) <= 6,
        ["", "5" | "6", rounds, ..] => {
            rounds.strip_prefix("rounds=").is_none_or(|rounds| number(rounds) <= 10_000)
        }
        _ => hash.split(['$', ',']).all(|field| match field.split_once('=') {
            Some(("m", memory)) => number(memory) <= 1024,
            Some(("t", passes)) => number(passes) <= 4,
            _ => true,
        }),
    }
}

/// Whether every canary is where only a password can be.
fn canary_is_a_password(text: &str) -> bool {
    text.lines().filter(|line| line.contains(CANARY)).all(|line| {
        let before = line.split(CANARY).next().unwrap_or_default();
        let after = line.split_once(CANARY).map_or("", |(_, after)| after);
        before.contains(':')
            && !line.contains(',')
            && !after.contains('}')
            && !after.contains(CANARY)
    })
}
