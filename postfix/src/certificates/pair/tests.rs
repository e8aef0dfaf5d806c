use std::fs;
use std::path::PathBuf;

use super::*;
use crate::certificates::self_signed;

/// A folder with two good pairs, and files that are each wrong in one way.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        for pair in ["one", "two"] {
            let folder = files.path(pair);
            fs::create_dir(&folder).unwrap();
            self_signed::ensure(&folder, "relay.example.org", SystemTime::now()).unwrap();
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
fn a_matching_pair_is_accepted() {
    let files = Files::new();
    for (certificate, key) in [
        (files.certificate("one"), files.key("one")),
        (files.path("both"), files.key("one")),
        (files.path("both"), files.path("both")),
    ] {
        let pair = Pair::load(&certificate, &key).unwrap();
        assert!(pair.names_host("relay.example.org"));
        assert!(!format!("{pair:?}").contains("key"), "{pair:?}");
    }
}

#[test]
fn a_fault_is_reported_for_the_right_file() {
    let files = Files::new();
    let (certificate, key) = (files.certificate("one"), files.key("one"));
    for (certificate, key, about_key, expected) in [
        (
            &key,
            &certificate,
            false,
            "this file is the private key and the other one the certificate",
        ),
        (&certificate, &files.key("two"), true, "does not match the certificate"),
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
        let error = Pair::load(certificate, key).unwrap_err();
        assert!(error.to_string().contains(expected), "{error} is not {expected}");
        assert_eq!(error.concerns_key(), about_key, "{error}");
    }
}

#[test]
fn fingerprint_pin_and_tlsa_are_those_of_openssl() {
    // Made by openssl req -x509 -newkey ed25519 …; expected are the outputs of x509 -fingerprint -sha256
    // and pkey -pubin -outform DER | dgst -sha256.
    let certificate = "-----BEGIN CERTIFICATE-----\n\
        MIIBPDCB76ADAgECAhRCVesYRKdVB42r31gB1jIiMSuBeTAFBgMrZXAwEzERMA8G\n\
        A1UEAwwIcGluLnRlc3QwIBcNMjYxMTIzMDUxNjEwWhgPMjEyNjEwMzAwNTE2MTBa\n\
        MBMxETAPBgNVBAMMCHBpbi50ZXN0MCowBQYDK2VwAyEA1Jz0IQnLkH4x0u38pnbD\n\
        btXtyXa0V5i1mAK6uY5NIPmjUzBRMB0GA1UdDgQWBBR5gUwZwVLg0Posu2j50fic\n\
        SnXpZDAfBgNVHSMEGDAWgBR5gUwZwVLg0Posu2j50ficSnXpZDAPBgNVHRMBAf8E\n\
        BTADAQH/MAUGAytlcANBANcqk+rUcMHstNMMbzJsMYvr1mcplDaYeQVj0Xi5a1g1\n\
        dvEJe3knF7b3dYKAmZfQi4l1ASgyTbOwncDXYu47wwU=\n\
        -----END CERTIFICATE-----";
    let key = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIJxRQanXf5hueg0d8BFLvYaxMrOarebXGvV9gHMDd1i3\n\
        -----END PRIVATE KEY-----";
    let pair = Pair::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    assert_eq!(
        pair.fingerprint(),
        "11:77:DF:84:E7:6C:7D:9C:15:E8:35:89:D3:8D:E2:70:88:F1:4C:27:73:6F:3D:E2:00:F3:4D:D6:25:5F:BC:5F"
    );
    assert_eq!(pair.pin(), "hzDjdF+UNE87MDFkKNJ20ofyw1ZqASm3dAK18L+CGss=");
    assert_eq!(
        pair.tlsa(),
        "3 1 1 8730e3745f94344f3b30316428d276d287f2c3566a0129b77402b5f0bf821acb"
    );
}

#[test]
fn the_pem_for_postfix_has_the_key_first_and_is_the_same_pair() {
    let files = Files::new();
    let pair = Pair::load(&files.path("both"), &files.path("both")).unwrap();
    let copy = pair.to_pem();
    assert!(copy.starts_with("-----BEGIN PRIVATE KEY-----\n"), "the key is not first");
    let again = Pair::from_pem(copy.as_bytes(), copy.as_bytes()).unwrap();
    assert_eq!(again.fingerprint(), pair.fingerprint());
    assert_eq!(again.to_pem().as_str(), copy.as_str());
}
