//! A private certificate authority, and pairs it signs.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// An authority that only this test knows.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "relay tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    /// Writes the authority's own certificate, for those who are to trust it.
    pub fn write_certificate(&self, file: &Path) -> Result<()> {
        Ok(std::fs::write(file, self.issuer.pem())?)
    }

    /// Writes a certificate and its key for a host name.
    pub fn write_pair(&self, host: &str, certificate_file: &Path, key_file: &Path) -> Result<()> {
        let params = CertificateParams::new(vec![host.to_owned()])?;
        self.write(host, params, certificate_file, key_file)
    }

    /// Writes a pair that ended an hour ago.
    pub fn write_expired_pair(
        &self,
        host: &str,
        certificate_file: &Path,
        key_file: &Path,
    ) -> Result<()> {
        let hour = Duration::from_secs(3600);
        let end = SystemTime::now() - hour;
        self.write_pair_until(end, host, certificate_file, key_file)
    }

    /// Writes a pair that ends then.
    pub fn write_pair_until(
        &self,
        end: SystemTime,
        host: &str,
        certificate_file: &Path,
        key_file: &Path,
    ) -> Result<()> {
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        params.not_before = (SystemTime::now() - Duration::from_secs(7200)).into();
        params.not_after = end.into();
        self.write(host, params, certificate_file, key_file)
    }

    fn write(
        &self,
        host: &str,
        mut params: CertificateParams,
        certificate_file: &Path,
        key_file: &Path,
    ) -> Result<()> {
        let key = KeyPair::generate()?;
        // Not the name of the authority, or OpenSSL takes the certificate for a self-signed one.
        params.distinguished_name.push(DnType::CommonName, host);
        std::fs::write(certificate_file, params.signed_by(&key, &self.issuer)?.pem())?;
        Ok(std::fs::write(key_file, key.serialize_pem())?)
    }
}

/// A certificate in PEM, as files have it.
#[must_use]
pub fn pem_of(der: &[u8]) -> String {
    let encoded = BASE64.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = encoded.as_str();
    while let Some((line, after)) = rest.split_at_checked(64) {
        pem += &format!("{line}\n");
        rest = after;
    }
    if !rest.is_empty() {
        pem += &format!("{rest}\n");
    }
    pem + "-----END CERTIFICATE-----\n"
}
