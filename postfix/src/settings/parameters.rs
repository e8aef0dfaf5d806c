//! The names of Postfix's parameters.
//!
//! The list is what `postconf -d` of the image's Postfix prints. It is kept in a file so that names can
//! be checked without a Postfix; an end-to-end test compares the two.

const NAMES: &str = include_str!("parameters.txt");

/// Parameters that exist for each transport (postconf(5): *transport*`_…`).
const PER_TRANSPORT: &[&str] = &[
    "_delivery_slot_cost",
    "_delivery_slot_discount",
    "_delivery_slot_loan",
    "_destination_concurrency_failed_cohort_limit",
    "_destination_concurrency_limit",
    "_destination_concurrency_negative_feedback",
    "_destination_concurrency_positive_feedback",
    "_destination_rate_delay",
    "_destination_recipient_limit",
    "_extra_recipient_limit",
    "_initial_destination_concurrency",
    "_minimum_delivery_slots",
    "_recipient_limit",
    "_recipient_refill_delay",
    "_recipient_refill_limit",
    "_transport_rate_delay",
];

pub fn exists(name: &str) -> bool {
    NAMES.lines().any(|known| known == name) || is_per_transport(name)
}

fn is_per_transport(name: &str) -> bool {
    let transport = PER_TRANSPORT.iter().find_map(|suffix| name.strip_suffix(suffix));
    // Each next hop of RELAYHOST_MAP has a transport too, named hop1, hop2, …
    transport.is_some_and(|transport| {
        let hop = transport.strip_prefix("hop").unwrap_or_default();
        transport == "smtp" || (!hop.is_empty() && hop.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

/// The known name that a misspelt one is closest to.
pub fn nearest(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    let distances = NAMES.lines().map(|known| (strsim::damerau_levenshtein(&lower, known), known));
    let closest = distances.filter(|(distance, known)| *distance <= known.len() / 4).min();
    closest.map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_and_typos_get_the_nearest() {
        for name in
            ["mynetworks", "smtp_destination_concurrency_limit", "hop12_transport_rate_delay"]
        {
            assert!(exists(name), "{name}");
        }
        for name in ["my_networks", "hop_recipient_limit", "lmtp_recipient_limit", "", "x"] {
            assert!(!exists(name), "{name}");
        }
        assert_eq!(nearest("my_networks"), Some("mynetworks"));
        assert_eq!(nearest("SMTPD_BANNER"), Some("smtpd_banner"));
        assert_eq!(nearest("completely_different_thing"), None);
    }
}
