//! The self-signed certificate: made once, kept on its volume, its key never replaced.
//!
//! Clients that cannot check a self-signed certificate against an authority pin it or its key.
//! So the key stays for good, and when the hostname changes only the certificate is made anew.

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

/// Ten years, because whoever accepted this very certificate, and not its key, is asked again by
/// each renewal.
const LIFETIME: Duration = Duration::from_secs(3650 * 24 * 3600);
/// Renewed so long before its end, whoever watches certificates has nothing to say.
const RENEWED_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);
/// A client whose clock is behind must not find the certificate from the future.
const BACKDATED: Duration = Duration::from_secs(24 * 3600);

fn paths(folder: &Path) -> (PathBuf, PathBuf) {
    (folder.join("cert.pem"), folder.join("key.pem"))
}

/// Why a certificate cannot stay; `None` when it can.
pub fn is_due(pair: &Pair, hostname: &str, now: SystemTime) -> Option<String> {
    if !pair.names_host(hostname) {
        return Some(format!("is not for {hostname}"));
    }
    if pair.validity.left(now) < RENEWED_BEFORE {
        let end = humantime::format_rfc3339_seconds(pair.validity.not_after);
        return Some(format!("ends at {end}"));
    }
    // The clock of this machine was set back.
    (!pair.holds(now)).then(|| "begins in the future".to_owned())
}

/// The pair in the folder, made or renewed when it cannot stay.
///
/// A folder that cannot be written is no reason to serve nobody: the new pair is used, and lost when
/// the container ends.
pub fn ensure(folder: &Path, hostname: &str, now: SystemTime) -> anyhow::Result<Pair> {
    let (certificate_path, key_path) = paths(folder);
    let key = match fs::read_to_string(&key_path).map(Zeroizing::new) {
        Ok(pem) => KeyPair::from_pem(&pem).map_err(|_| {
            anyhow!(
                "{} is damaged; delete it for a new one, which every client sees as a new server",
                key_path.display()
            )
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => create_key(&key_path)?,
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", key_path.display()));
        }
    };
    match Pair::load(&certificate_path, &key_path) {
        Ok(pair) => match is_due(&pair, hostname, now) {
            None => return Ok(pair),
            Some(reason) => log::info(format_args!(
                "the self-signed certificate {reason}; making one for {hostname} with the same key"
            )),
        },
        Err(_) => log::info(format_args!("making a self-signed certificate for {hostname}")),
    }
    let certificate = sign(hostname, &key, now).context("cannot make a self-signed certificate")?;
    let (certificate_pem, key_pem) = (certificate.pem(), Zeroizing::new(key.serialize_pem()));
    keep(&certificate_path, certificate_pem.as_bytes(), 0o644);
    Ok(Pair::from_pem(certificate_pem.as_bytes(), key_pem.as_bytes())?)
}

fn keep(path: &Path, content: &[u8], mode: u32) {
    if let Err(error) = files::write_atomically(path, content, mode) {
        log::warning(format_args!(
            "{error:#}; this certificate is used, but at the next start there will be another, which \
             clients that know this one will not trust: make the volume writable"
        ));
    }
}

fn create_key(path: &Path) -> anyhow::Result<KeyPair> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("cannot make a key")?;
    let pem = Zeroizing::new(key.serialize_pem());
    keep(path, pem.as_bytes(), 0o600);
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
    // Two certificates of one name and key must differ in serial number, or browsers' libraries
    // refuse the second.
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

    fn the_day() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_435_200)
    }

    fn key_of(folder: &Path) -> Vec<u8> {
        fs::read(paths(folder).1).unwrap()
    }

    #[test]
    fn the_first_start_makes_a_pair_and_the_second_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = ensure(folder.path(), "relay.example.org", the_day()).unwrap();
        assert!(first.names_host("relay.example.org"));
        assert_eq!(modes(folder.path()), (0o644, 0o600));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        let second = ensure(folder.path(), "relay.example.org", the_day() + DAY).unwrap();
        assert_eq!(first.fingerprint(), second.fingerprint());
    }

    #[test]
    fn another_hostname_gets_another_certificate_with_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let first = ensure(folder.path(), "relay.example.org", the_day()).unwrap();
        let second = ensure(folder.path(), "mail.example.org", the_day()).unwrap();
        assert_ne!(first.fingerprint(), second.fingerprint());
        assert!(second.names_host("mail.example.org"));
        assert!(!second.names_host("relay.example.org"));
        assert_eq!((first.pin(), first.tlsa()), (second.pin(), second.tlsa()));
    }

    #[test]
    fn thirty_days_before_its_end_it_is_renewed_with_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let first = ensure(folder.path(), "relay.example.org", the_day()).unwrap();
        let key = key_of(folder.path());
        for (day, renewed) in [(3619, false), (3620, false), (3621, true)] {
            let now = the_day() + DAY * day;
            assert_eq!(is_due(&first, "relay.example.org", now).is_some(), renewed, "day {day}");
            let found = ensure(folder.path(), "relay.example.org", now).unwrap();
            assert_eq!(found.fingerprint() != first.fingerprint(), renewed, "day {day}");
            assert_eq!(key_of(folder.path()), key);
        }
    }

    #[test]
    fn a_clock_that_is_set_back_gets_a_certificate_that_holds() {
        let folder = tempfile::tempdir().unwrap();
        ensure(folder.path(), "relay.example.org", the_day()).unwrap();
        for days in [1, 2] {
            let now = the_day() - DAY * days;
            assert!(ensure(folder.path(), "relay.example.org", now).unwrap().holds(now), "{days}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_no_reason_to_serve_nobody() {
        let nowhere = Path::new("/proc/nowhere");
        let pair = ensure(nowhere, "relay.example.org", the_day()).unwrap();
        assert!(pair.holds(the_day()) && pair.names_host("relay.example.org"));
    }

    #[test]
    fn a_certificate_without_its_key_is_replaced_and_a_damaged_key_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (_, key) = paths(folder.path());
        let first = ensure(folder.path(), "relay.example.org", the_day()).unwrap();
        fs::remove_file(&key).unwrap();
        let second = ensure(folder.path(), "relay.example.org", the_day()).unwrap();
        assert_ne!(first.pin(), second.pin());
        fs::write(&key, "nonsense").unwrap();
        let error = ensure(folder.path(), "relay.example.org", the_day()).unwrap_err().to_string();
        assert!(error.contains("key.pem is damaged; delete it"), "{error}");
    }
}
