//! What `relay doctor` looks at.

use ipnet::IpNet;

use super::Environment;
use super::reader::Reader;
use crate::access::networks::Networks;
use crate::access::senders::SenderPattern;
use crate::doctor::facts::Settings;

#[derive(Debug, Clone)]
pub struct DoctorConfig {
    /// `DOCTOR_DAILY`: look by itself once a day.
    pub daily: bool,
    pub settings: Settings,
    /// The domains of `ALLOWED_SENDER_DOMAINS`.
    pub sender_domains: Vec<String>,
    pub allowed: Networks,
}

/// Allowed, dangerous, and what happens then. Several are relay-init's, which has the same `.env`.
const DANGEROUS: [(&str, &[&str], &str); 6] = [
    (
        "TRUST_GATEWAY",
        &["true", "yes", "1"],
        "whoever Docker hides behind its gateway may send without a login",
    ),
    (
        "ALLOW_UNSAFE_POSTFIX",
        &["true", "yes", "1"],
        "settings of Postfix that can open the relay are not refused",
    ),
    (
        "DKIM_FAIL_OPEN",
        &["true", "yes", "1"],
        "mail leaves unsigned when it cannot be signed, and receivers may refuse it",
    ),
    (
        "FLEET_INSECURE",
        &["true", "yes", "1"],
        "password hashes and DKIM keys cross the network to the fleet's engine in the clear",
    ),
    ("RELAYHOST_TLS_LEVEL", &["none", "may"], "mail may go to the next hop in the clear"),
    (
        "ENABLE_TLS",
        &["false", "no", "0"],
        "nobody can log in, because no password goes in the clear",
    ),
];

impl<E: Environment> Reader<'_, E> {
    /// Takes what was read already: senders and networks of `ALLOWED_…`.
    pub fn doctor(&mut self, senders: &[SenderPattern], networks: &[IpNet]) -> DoctorConfig {
        let value = |name: &str| self.value(name).unwrap_or_default();
        let settings = Settings {
            hostname: value("RELAY_MYHOSTNAME").to_ascii_lowercase(),
            relayhost: value("RELAYHOST"),
            inet_protocols: value("INET_PROTOCOLS").to_ascii_lowercase(),
            dangerous: self.dangerous(),
            warnings: self.warnings.clone(),
        };
        let sender_domains = senders.iter().map(|pattern| pattern.domain().to_owned()).collect();
        let allowed = Networks::new(networks.to_vec());
        DoctorConfig { daily: self.boolean("DOCTOR_DAILY"), settings, sender_domains, allowed }
    }

    fn dangerous(&self) -> Vec<(String, &'static str)> {
        let set = DANGEROUS.iter().filter_map(|(name, values, what)| {
            let value = self.value(name)?;
            let is_dangerous = values.iter().any(|bad| value.eq_ignore_ascii_case(bad));
            is_dangerous.then(|| (format!("{name}={value}"), *what))
        });
        set.collect()
    }
}
