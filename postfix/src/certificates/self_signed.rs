//! The self-signed certificate: made once and kept on its volume; its key is never replaced.
//!
//! Clients cannot check a self-signed certificate against an authority, so they pin it or its key.
//! That is why the key stays for good: a new hostname or a renewal only gets a new certificate.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SerialNumber,
};
use zeroize::Zeroizing;

use super::pair::Pair;
use crate::{files, log};

/// Ten years, because a client that accepted this certificate rather than its key has to accept each
/// renewal again.
const LIFETIME: Duration = Duration::from_secs(3650 * 24 * 3600);
/// Time before the end at which it is renewed, early enough that certificate monitoring stays quiet.
const RENEW_BEFORE_END: Duration = Duration::from_secs(30 * 24 * 3600);
/// For clients whose clock is slow: to them the certificate must not start in the future.
const BACKDATED: Duration = Duration::from_secs(24 * 3600);

fn paths(folder: &Path) -> (PathBuf, PathBuf) {
    (folder.join("cert.pem"), folder.join("key.pem"))
}

/// Why a certificate must be replaced; `None` if it need not be.
pub fn reason_to_replace(pair: &Pair, hostname: &str, now: SystemTime) -> Option<String> {
    if !pair.names_host(hostname) {
        return Some(format!("is not for {hostname}"));
    }
    if pair.validity.left(now) < RENEW_BEFORE_END {
        let end = humantime::format_rfc3339_seconds(pair.validity.not_after);
        return Some(format!("expires at {end}"));
    }
    // Happens when this machine's clock was set back.
    (!pair.is_valid_at(now)).then(|| "is not valid yet".to_owned())
}

/// Returns the pair in the folder, after making or renewing it if necessary.
///
/// A read-only folder does not keep the relay from serving: the new pair is used, and lost when the
/// container stops.
///
/// # Errors
///
/// If the key in the folder is damaged or cannot be read.
pub fn ensure(folder: &Path, hostname: &str, now: SystemTime) -> anyhow::Result<Pair> {
    let (certificate_path, key_path) = paths(folder);
    let key = match fs::read_to_string(&key_path).map(Zeroizing::new) {
        Ok(pem) => KeyPair::from_pem(&pem).map_err(|_| {
            anyhow!(
                "{} is damaged; restore it, or delete it to get a new key, which clients that pinned \
                 the old one will reject",
                key_path.display()
            )
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => create_key(&key_path)?,
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", key_path.display()));
        }
    };
    match Pair::load(&certificate_path, &key_path) {
        Ok(pair) => match reason_to_replace(&pair, hostname, now) {
            None => return Ok(pair),
            Some(reason) => log::info(format_args!(
                "the self-signed certificate {reason}; making a new one for {hostname} with the same key"
            )),
        },
        Err(_) => log::info(format_args!("making a self-signed certificate for {hostname}")),
    }
    let certificate = sign(hostname, &key, now).context("cannot make a self-signed certificate")?;
    let (certificate_pem, key_pem) = (certificate.pem(), Zeroizing::new(key.serialize_pem()));
    store(&certificate_path, certificate_pem.as_bytes(), 0o644);
    Ok(Pair::from_pem(certificate_pem.as_bytes(), key_pem.as_bytes())?)
}

fn store(path: &Path, content: &[u8], mode: u32) {
    if let Err(error) = files::write_atomically(path, content, mode) {
        log::warning(format_args!(
            "{error:#}; the self-signed certificate cannot be kept, and the next start will make a new \
             one, which clients that pinned this one will reject: make the volume writable"
        ));
    }
}

fn create_key(path: &Path) -> anyhow::Result<KeyPair> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("cannot generate a key")?;
    let pem = Zeroizing::new(key.serialize_pem());
    store(path, pem.as_bytes(), 0o600);
    Ok(key)
}

fn sign(hostname: &str, key: &KeyPair, now: SystemTime) -> anyhow::Result<rcgen::Certificate> {
    let mut params = CertificateParams::new([hostname.to_owned()].as_slice())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, hostname);
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + LIFETIME).into();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Certificates with the same issuer name and key need different serial numbers, or NSS refuses the
    // second one.
    let serial = now.duration_since(UNIX_EPOCH)?.as_micros();
    params.serial_number = Some(SerialNumber::from(u64::try_from(serial)?));
    Ok(params.self_signed(key)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn modes(folder: &Path) -> (u32, u32) {
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (certificate, key) = paths(folder);
        (mode(certificate), mode(key))
    }

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn today() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_435_200)
    }

    fn key_of(folder: &Path) -> Vec<u8> {
        fs::read(paths(folder).1).unwrap()
    }

    #[test]
    fn the_first_start_makes_a_pair_and_the_second_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = ensure(folder.path(), "relay.example.org", today()).unwrap();
        assert!(first.names_host("relay.example.org"));
        assert_eq!(modes(folder.path()), (0o644, 0o600));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        let second = ensure(folder.path(), "relay.example.org", today() + DAY).unwrap();
        assert_eq!(first.fingerprint(), second.fingerprint());
    }

    #[test]
    fn a_new_hostname_gets_a_new_certificate_with_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let first = ensure(folder.path(), "relay.example.org", today()).unwrap();
        let second = ensure(folder.path(), "mail.example.org", today()).unwrap();
        assert_ne!(first.fingerprint(), second.fingerprint());
        assert!(second.names_host("mail.example.org"));
        assert!(!second.names_host("relay.example.org"));
        assert_eq!((first.pin(), first.tlsa()), (second.pin(), second.tlsa()));
    }

    #[test]
    fn it_is_renewed_thirty_days_before_its_end_with_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let first = ensure(folder.path(), "relay.example.org", today()).unwrap();
        let key = key_of(folder.path());
        for (day, renewed) in [(3619, false), (3620, false), (3621, true)] {
            let now = today() + DAY * day;
            assert_eq!(
                reason_to_replace(&first, "relay.example.org", now).is_some(),
                renewed,
                "day {day}"
            );
            let found = ensure(folder.path(), "relay.example.org", now).unwrap();
            assert_eq!(found.fingerprint() != first.fingerprint(), renewed, "day {day}");
            assert_eq!(key_of(folder.path()), key);
        }
    }

    #[test]
    fn after_the_clock_was_set_back_the_certificate_is_valid() {
        let folder = tempfile::tempdir().unwrap();
        ensure(folder.path(), "relay.example.org", today()).unwrap();
        for days in [1, 2] {
            let now = today() - DAY * days;
            assert!(
                ensure(folder.path(), "relay.example.org", now).unwrap().is_valid_at(now),
                "{days}"
            );
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_still_gives_a_pair() {
        let nowhere = Path::new("/proc/nowhere");
        let pair = ensure(nowhere, "relay.example.org", today()).unwrap();
        assert!(pair.is_valid_at(today()) && pair.names_host("relay.example.org"));
    }

    #[test]
    fn a_missing_key_is_replaced_and_a_damaged_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (_, key) = paths(folder.path());
        let first = ensure(folder.path(), "relay.example.org", today()).unwrap();
        fs::remove_file(&key).unwrap();
        let second = ensure(folder.path(), "relay.example.org", today()).unwrap();
        assert_ne!(first.pin(), second.pin());
        fs::write(&key, "nonsense").unwrap();
        let error = ensure(folder.path(), "relay.example.org", today()).unwrap_err().to_string();
        assert!(error.contains("key.pem is damaged; restore it"), "{error}");
    }
}
