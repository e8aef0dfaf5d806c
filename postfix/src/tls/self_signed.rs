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
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::{load_pair, names_host};
use crate::{files, log};

/// Ten years, because nothing renews it: it must not end while somebody depends on it.
const LIFETIME: Duration = Duration::from_secs(3650 * 24 * 3600);
/// A client whose clock is behind must not find the certificate from the future.
const BACKDATED: Duration = Duration::from_secs(24 * 3600);

pub fn paths(folder: &Path) -> (PathBuf, PathBuf) {
    (folder.join("cert.pem"), folder.join("key.pem"))
}

/// The certificate in the folder, made when there is none for this hostname.
pub fn ensure(folder: &Path, hostname: &str) -> anyhow::Result<CertificateDer<'static>> {
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
    let found = load_pair(&certificate_path, &key_path);
    match found {
        Ok(certificate) if names_host(&certificate, hostname) => return Ok(certificate),
        Ok(_) => log::info(format_args!(
            "the self-signed certificate is for another host; making one for {hostname} with the \
             same key"
        )),
        Err(_) => log::info(format_args!("making a self-signed certificate for {hostname}")),
    }
    let certificate = sign(hostname, &key).context("cannot make a self-signed certificate")?;
    files::write_atomically(&certificate_path, certificate.pem().as_bytes(), 0o644)?;
    Ok(certificate.der().clone())
}

fn create_key(path: &Path) -> anyhow::Result<KeyPair> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("cannot make a key")?;
    let pem = Zeroizing::new(key.serialize_pem());
    files::write_atomically(path, pem.as_bytes(), 0o600)?;
    Ok(key)
}

fn sign(hostname: &str, key: &KeyPair) -> anyhow::Result<rcgen::Certificate> {
    let now = SystemTime::now();
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

    #[test]
    fn the_first_start_makes_a_pair_and_the_second_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = ensure(folder.path(), "relay.example.org").unwrap();
        assert!(names_host(&first, "relay.example.org"));
        assert_eq!(modes(folder.path()), (0o644, 0o600));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        let second = ensure(folder.path(), "relay.example.org").unwrap();
        assert_eq!(first, second);
    }

    #[test]
    fn another_hostname_gets_another_certificate_with_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let (_, key) = paths(folder.path());
        let first = ensure(folder.path(), "relay.example.org").unwrap();
        let first_key = fs::read(&key).unwrap();
        let second = ensure(folder.path(), "mail.example.org").unwrap();
        assert_ne!(first, second);
        assert!(names_host(&second, "mail.example.org"));
        assert!(!names_host(&second, "relay.example.org"));
        assert_eq!(first_key, fs::read(&key).unwrap());
    }

    #[test]
    fn a_certificate_without_its_key_is_replaced_and_a_damaged_key_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (_, key) = paths(folder.path());
        let first = ensure(folder.path(), "relay.example.org").unwrap();
        fs::remove_file(&key).unwrap();
        assert_ne!(first, ensure(folder.path(), "relay.example.org").unwrap());
        fs::write(&key, "nonsense").unwrap();
        let error = ensure(folder.path(), "relay.example.org").unwrap_err().to_string();
        assert!(error.contains("key.pem is damaged; delete it"), "{error}");
    }
}
