use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// A folder with two pairs made by this program, and files that are wrong in one way each.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        for pair in ["one", "two"] {
            let folder = files.path(pair);
            fs::create_dir(&folder).unwrap();
            self_signed::ensure(&folder, "relay.example.org").unwrap();
        }
        let both =
            [fs::read(files.certificate("one")).unwrap(), fs::read(files.key("one")).unwrap()];
        fs::write(files.path("both"), both.concat()).unwrap();
        fs::write(files.path("empty"), "").unwrap();
        let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        fs::write(files.path("damaged"), damaged).unwrap();
        let encrypted =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        fs::write(files.path("encrypted"), encrypted).unwrap();
        let nonsense = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        fs::write(files.path("nonsense"), nonsense).unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn certificate(&self, pair: &str) -> PathBuf {
        self.path(pair).join("cert.pem")
    }

    fn key(&self, pair: &str) -> PathBuf {
        self.path(pair).join("key.pem")
    }
}

#[test]
fn a_pair_that_belongs_together_is_taken() {
    let files = Files::new();
    for (certificate, key) in [
        (files.certificate("one"), files.key("one")),
        (files.path("both"), files.key("one")),
        (files.path("both"), files.path("both")),
    ] {
        let first = load_pair(&certificate, &key).unwrap();
        assert!(names_host(&first, "relay.example.org"));
    }
}

#[test]
fn what_is_wrong_with_a_pair_is_said_of_the_right_file() {
    let files = Files::new();
    let (certificate, key) = (files.certificate("one"), files.key("one"));
    for (certificate, key, about_key, expected) in [
        (&key, &certificate, false, "this is a private key, and TLS_KEY names a certificate"),
        (&certificate, &files.key("two"), true, "does not belong to the certificate"),
        (&certificate, &certificate, true, "there is no private key in this file"),
        (&key, &key, false, "there is no certificate in this file"),
        (&files.path("none"), &key, false, "cannot read this file: No such file"),
        (&certificate, &files.path("none"), true, "cannot read this file: No such file"),
        (&files.path("empty"), &key, false, "there is no certificate in this file"),
        (&certificate, &files.path("empty"), true, "there is no private key in this file"),
        (&files.path("damaged"), &key, false, "the certificate in this file is damaged"),
        (&certificate, &files.path("encrypted"), true, "the key is encrypted"),
        (&certificate, &files.path("nonsense"), true, "the key cannot be used"),
    ] {
        let error = load_pair(certificate, key).unwrap_err();
        assert!(error.to_string().contains(expected), "{error} is not {expected}");
        assert_eq!(error.concerns_key(), about_key, "{error}");
    }
}

#[test]
fn the_fingerprint_is_written_as_openssl_writes_it() {
    // SHA-256 of nothing, a known value.
    let empty = CertificateDer::from(Vec::new());
    assert!(fingerprint(&empty).starts_with("E3:B0:C4:42:98:FC:1C:14:"));
    assert_eq!(fingerprint(&empty).len(), 95);
}

#[test]
fn the_paths_of_the_self_signed_pair_are_on_the_volume() {
    let (certificate, key) = paths(&ServerTls::SelfSigned).unwrap();
    assert_eq!(certificate, Path::new("/var/lib/relay-tls/cert.pem"));
    assert_eq!(key, Path::new("/var/lib/relay-tls/key.pem"));
    assert_eq!(paths(&ServerTls::Off), None);
}
