//! The files in `testdata` were made by the programs that their names say.

use super::*;
use crate::dkim::key::Algorithm;

macro_rules! file {
    ($name:literal) => {
        ($name, include_str!(concat!("../testdata/", $name)))
    };
}

/// The value of p= in a record, which these programs write in several strings.
fn published(record: &str) -> String {
    let (_, p) = record.split_once("p=").unwrap();
    let (p, _) = p.split_once(')').unwrap_or((p, ""));
    p.chars().filter(|c| !c.is_whitespace() && !"\";".contains(*c)).collect()
}

#[test]
fn a_key_of_each_program_has_the_public_part_that_the_program_published() {
    let rsa = (AlgorithmName::Rsa, AlgorithmName::Ed25519);
    for ((name, key), (_, record), algorithm) in [
        (file!("opendkim-rsa.private"), file!("opendkim-rsa.txt"), rsa.0),
        (file!("rspamd-rsa.key"), file!("rspamd-rsa.txt"), rsa.0),
        (file!("rspamd-ed25519.key"), file!("rspamd-ed25519.txt"), rsa.1),
        (file!("rspamd-ed25519-seed.key"), file!("rspamd-ed25519-seed.txt"), rsa.1),
        (file!("dkimpy-ed25519.key"), file!("dkimpy-ed25519.dns"), rsa.1),
    ] {
        let parsed = parse(key.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(parsed.algorithm, algorithm, "{name}");
        let public = parsed.private.public(algorithm.into()).unwrap();
        assert_eq!(STANDARD.encode(public), published(record), "{name}");
    }
}

#[test]
fn pkcs1_and_pkcs8_of_one_key_are_the_same_key() {
    let (_, pkcs8) = file!("openssl-pkcs8-rsa.pem");
    let (_, pkcs1) = file!("openssl-pkcs1-rsa.pem");
    assert_eq!(parse(pkcs8.as_bytes()).unwrap(), parse(pkcs1.as_bytes()).unwrap());
}

#[test]
fn what_is_exported_can_be_imported() {
    for (_, text) in [file!("openssl-pkcs8-rsa.pem"), file!("rspamd-ed25519.key")] {
        let parsed = parse(text.as_bytes()).unwrap();
        assert_eq!(parse(parsed.private.to_pem().as_bytes()).unwrap(), parsed);
    }
    let made = PrivateKey::generate(Algorithm::Ed25519).unwrap();
    assert_eq!(parse(made.to_pem().as_bytes()).unwrap().private, made);
}

#[test]
fn what_cannot_be_signed_with_is_told_without_its_content() {
    for ((name, text), expected) in [
        (file!("openssl-encrypted.pem"), BadKey::Encrypted),
        (file!("openssl-encrypted-pkcs1.pem"), BadKey::Encrypted),
        (file!("openssl-public.pem"), BadKey::Public),
        (file!("opendkim-short.private"), BadKey::TooShort(1024)),
        (("empty", ""), BadKey::Unreadable),
        (("text", "hunter2"), BadKey::Unreadable),
        (("half", "-----BEGIN PRIVATE KEY-----\nMII"), BadKey::Unreadable),
        (("certificate", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----"), {
            BadKey::Unreadable
        }),
    ] {
        assert_eq!(parse(text.as_bytes()).unwrap_err(), expected, "{name}");
    }
    let (_, text) = file!("openssl-pkcs8-rsa.pem");
    let damaged = text.replacen('M', "N", 3);
    assert_eq!(parse(damaged.as_bytes()).unwrap_err(), BadKey::Unreadable);
    assert_eq!(parse(&[b'x'; MAX_FILE + 1]).unwrap_err(), BadKey::Unreadable);
}
