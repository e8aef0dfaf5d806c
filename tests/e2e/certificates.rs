//! Certificates are replaced while the relay runs, by good ones only, and clients can pin them.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use rcgen::{CertificateParams, KeyPair};
use relay_tests::authority::{Authority, pem_of};
use relay_tests::lab::{HOME, Lab, STRANGER, in_a_lab};
use relay_tests::message::message;
use relay_tests::relay::Relay;
use relay_tests::wait;

/// What is promised for a renewed pair.
const A_MINUTE: Duration = Duration::from_secs(60);

fn relay_with_a_pair<'lab>(lab: &'lab Lab, authority: &Authority) -> Result<Relay<'lab>> {
    let mut relay = lab
        .relay_to_sink()
        .env("TLS_CERT", "/certs/cert.pem")
        .env("TLS_KEY", "/certs/key.pem")
        .build()?;
    write_pair(authority, &relay)?;
    relay.start()?;
    Ok(relay)
}

fn write_pair(authority: &Authority, relay: &Relay<'_>) -> Result<()> {
    let certs = relay.certs();
    authority.write_pair("relay.test", &certs.join("cert.pem"), &certs.join("key.pem"))
}

/// The certificate a new client is shown, in PEM.
fn shown(relay: &Relay<'_>, port: u16) -> Result<String> {
    let client = relay.session(STRANGER, port)?;
    Ok(pem_of(&client.certificate().context("no certificate was shown")?))
}

fn written(relay: &Relay<'_>) -> Result<String> {
    Ok(std::fs::read_to_string(relay.certs().join("cert.pem"))?.replace("\r\n", "\n"))
}

#[test]
fn a_renewed_certificate_is_in_use_within_a_minute_and_ends_no_session() -> Result<()> {
    in_a_lab(|lab| {
        let authority = Authority::new()?;
        let sink = lab.sink()?;
        let relay = relay_with_a_pair(lab, &authority)?;
        let mut session = relay.session(HOME, 587)?;
        session.command("MAIL FROM:<alice@example.org>")?.expect(250)?;
        write_pair(&authority, &relay)?;
        let renewed = written(&relay)?;
        wait::until("the renewed certificate", A_MINUTE, || {
            (shown(&relay, 587).ok()? == renewed).then_some(())
        })?;
        assert_eq!(shown(&relay, 465)?, renewed);
        // The session that began before is still the same.
        session.command("RCPT TO:<bob@example.net>")?.expect(250)?;
        let sent = message("renewed");
        session.data(&sent)?.expect(250)?;
        assert!(sink.one_message()?.data.ends_with(&sent));
        let log = relay.postfix()?.output();
        assert!(log.contains("now using the renewed certificate"), "{log}");
        Ok(())
    })
}

#[test]
fn a_broken_renewal_keeps_the_old_certificate_and_is_warned_about() -> Result<()> {
    in_a_lab(|lab| {
        let authority = Authority::new()?;
        let relay = relay_with_a_pair(lab, &authority)?;
        let old = written(&relay)?;
        let other = relay.certs().join("other.pem");
        authority.write_pair("relay.test", &relay.certs().join("cert.pem"), &other)?;
        wait::until("the warning", A_MINUTE, || {
            let log = relay.postfix().ok()?.output();
            log.contains("this key does not match the certificate").then_some(())
        })?;
        for port in [587, 465] {
            assert_eq!(shown(&relay, port)?, old, "port {port}");
        }
        // The second half comes after all.
        std::fs::rename(&other, relay.certs().join("key.pem"))?;
        let renewed = written(&relay)?;
        wait::until("the mended renewal", A_MINUTE, || {
            (shown(&relay, 587).ok()? == renewed).then_some(())
        })
    })
}

/// A self-signed pair as the relay makes it, with ten days left.
fn write_ending_pair(folder: &Path) -> Result<(String, KeyPair)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec!["relay.test".to_owned()])?;
    params.not_after = (SystemTime::now() + Duration::from_secs(10 * 24 * 3600)).into();
    let pem = params.self_signed(&key)?.pem();
    std::fs::write(folder.join("cert.pem"), &pem)?;
    std::fs::write(folder.join("key.pem"), key.serialize_pem())?;
    Ok((pem.replace("\r\n", "\n"), key))
}

#[test]
fn a_self_signed_certificate_near_its_end_is_renewed_with_the_same_key() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab.relay().build()?;
        let volume = lab.evidence.directory()?.join("relay/tls");
        let (old, key) = write_ending_pair(&volume)?;
        relay.start()?;
        let now = shown(&relay, 587)?;
        assert_ne!(now, old);
        assert_eq!(std::fs::read_to_string(volume.join("key.pem"))?, key.serialize_pem());
        // What the log offers for pinning is what OpenSSL finds in the new certificate.
        let certificate = lab.evidence.directory()?.join("shown.pem");
        std::fs::write(&certificate, &now)?;
        let digest = openssl_digest_of_the_key(&certificate)?;
        let log = relay.postfix()?.output();
        assert!(log.contains(&format!("TLSA 3 1 1 {digest}")), "{digest} is not in {log}");
        assert!(log.contains("expires at ") && log.contains("with the same key"), "{log}");
        Ok(())
    })
}

fn openssl_digest_of_the_key(certificate: &Path) -> Result<String> {
    let script = "openssl x509 -in \"$0\" -noout -pubkey | openssl pkey -pubin -outform DER \
                  | openssl dgst -sha256 -r";
    let output = std::process::Command::new("sh").args(["-c", script]).arg(certificate).output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.split(' ').next().context("openssl said nothing")?.to_owned())
}

#[test]
fn old_versions_of_tls_and_weak_ciphers_are_refused() -> Result<()> {
    in_a_lab(|lab| {
        let _relay = lab.relay().start()?;
        for (options, accepted) in [
            ("-tls1_2", true),
            ("-tls1_3", true),
            ("-tls1_2 -cipher ECDHE+AESGCM", true),
            ("-tls1_1 -cipher ALL:@SECLEVEL=0", false),
            ("-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0", false),
            ("-tls1_2 -cipher aNULL:@SECLEVEL=0", false),
        ] {
            let output = lab
                .namespace
                .command("sh")
                .arg("-c")
                .arg(format!("openssl s_client -connect 192.0.2.1:465 {options} < /dev/null"))
                .output()?;
            let said = String::from_utf8_lossy(&output.stdout);
            assert_eq!(said.contains("BEGIN CERTIFICATE"), accepted, "{options}: {said}");
        }
        Ok(())
    })
}
