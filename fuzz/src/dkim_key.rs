//! Files of private keys, and records in DNS.

use relay_sidecar::dkim::key::{Algorithm, PrivateKey};
use relay_sidecar::dkim::key_file;
use relay_sidecar::dkim::published::{Finding, compare};
use relay_sidecar::dkim::signer::Signer;

pub fn check(data: &[u8]) {
    match key_file::parse(data) {
        Ok(parsed) => {
            let algorithm = Algorithm::from(parsed.algorithm);
            let signer = Signer::new(&parsed.private, algorithm);
            assert!(signer.is_ok(), "taken, but of no use");
            let again = key_file::parse(parsed.private.to_pem().as_bytes());
            assert_eq!(again.as_ref(), Ok(&parsed), "not the same after export and import");
        }
        // What is said of a wrong file is one of a few fixed sentences.
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    check_record(data);
}

/// The lines are strings of a record, empty lines stand between records.
fn check_record(data: &[u8]) {
    let mut records = vec![Vec::new()];
    for line in data.split(|byte| *byte == b'\n') {
        match (line, records.last_mut()) {
            ([], _) => records.push(Vec::new()),
            (line, Some(record)) => record.push(line.to_vec()),
            (_, None) => {}
        }
    }
    let key = PrivateKey::from_seed(&[1; 32]);
    for algorithm in Algorithm::BOTH {
        let public = key.public(algorithm).unwrap_or_default();
        let findings = compare(&records, algorithm, &public);
        let is_right = !findings.iter().any(Finding::spoils);
        // Nothing but the key itself is this key.
        let joined: Vec<u8> = records.concat().concat();
        let text = String::from_utf8_lossy(&joined).split_whitespace().collect::<String>();
        let p = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=";
        assert!(!is_right || algorithm == Algorithm::Ed25519 && text.contains(p), "{findings:?}");
    }
}
