//! What Postfix's files depend on besides the settings: this container's addresses and its resolver.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::Context;

use crate::log;
use crate::network::{gateways, resolver};
use crate::settings::tls_level::TlsLevel;
use crate::settings::{Settings, networks};

#[derive(Debug, Default)]
pub struct Host {
    /// Addresses that must not match ALLOWED_NETWORKS: see [`gateways`].
    pub untrusted: BTreeSet<IpAddr>,
    /// Whether there is a resolver on loopback that validates DNSSEC.
    pub validating_resolver: bool,
}

impl Host {
    /// Finds the addresses, and asks the resolver if its answer matters for these settings; logs what
    /// that means for deliveries.
    pub fn probe(settings: &Settings) -> anyhow::Result<Self> {
        let untrusted =
            gateways::untrusted_addresses().context("cannot read this container's addresses")?;
        let hops = &settings.next_hops;
        let level = hops.main.as_ref().map(|hop| hop.level).or(hops.level);
        let matters = level.is_none_or(TlsLevel::needs_dnssec);
        let finding = matters.then(resolver::check_dnssec);
        let validating_resolver = matches!(finding, Some(Ok(())));
        match (level, finding) {
            (None, Some(Ok(()))) => {
                log::info("the resolver validates DNSSEC: delivering with DANE where possible");
            }
            (None, Some(Err(why))) => log::info(format_args!(
                "delivering with TLS where it is offered, but without DANE: {why}"
            )),
            (Some(level), Some(Err(why))) => {
                log::warning(format_args!("RELAYHOST_TLS_LEVEL={level} cannot be relied on: {why}"))
            }
            (Some(_), Some(Ok(()))) | (_, None) => {}
        }
        Ok(Self { untrusted, validating_resolver })
    }
}

/// One warning for each allowed network that contains untrusted addresses.
pub fn gateway_warnings(settings: &Settings, untrusted: &BTreeSet<IpAddr>) -> Vec<String> {
    let consequence = match settings.trust_gateway {
        true => {
            "with TRUST_GATEWAY=true every client that seems to come from there may send without \
             login, and behind a published port that can be anybody"
        }
        false => {
            "every client that seems to come from there must log in, because behind a published \
             port that can be anybody"
        }
    };
    let mut warnings = Vec::new();
    for network in &settings.allowed_networks {
        let covered: Vec<String> =
            gateways::covered(untrusted, network).map(ToString::to_string).collect();
        if !covered.is_empty() {
            warnings.push(format!(
                "ALLOWED_NETWORKS: {} contains {} (gateways or addresses of this container); \
                 {consequence}",
                networks::in_postfix_form(network),
                covered.join(", ")
            ));
        }
    }
    warnings
}
