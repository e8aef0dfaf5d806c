//! Finds variables that look like settings of this relay but are not: typos, settings of other images,
//! and service links of Kubernetes.

use super::environment::{Environment, Problem};
use super::variables::known_names;
use super::{foreign, overrides};

/// A variable that starts like this is meant for this relay; any other may belong to the runtime.
const OUR_PREFIXES: &[&str] = &[
    "RELAY_",
    "RELAYHOST",
    "ALLOWED_",
    "ALLOW_",
    "INET_",
    "ENABLE_",
    "TLS_",
    "SASL_",
    "SMTP_",
    "SMTPD_",
    "TRUST_",
    "MESSAGE_",
    "POLICY_",
    "MILTER_",
    "DRAIN_",
    "ARGON2_",
    "RATE_LIMIT_",
    "SUSPEND_",
    "ALERT_",
    "LOGIN_",
];

/// Variables that look like settings but are not, each with a suggestion.
pub fn unknown(environment: &Environment) -> Vec<Problem> {
    let known = known_names();
    let names = environment.names().filter(|name| !foreign::is_service_link_in(environment, name));
    names.filter_map(|name| unknown_name(name, &known)).collect()
}

/// Variables that would be mistakes if an operator had set them rather than Kubernetes.
pub fn service_links(environment: &Environment) -> Vec<&str> {
    let known = known_names();
    let links = environment.names().filter(|name| foreign::is_service_link_in(environment, name));
    let looks_like_ours =
        |name: &str| overrides::is_override(name) || unknown_name(name, &known).is_some();
    links.filter(|name| looks_like_ours(name)).collect()
}

fn unknown_name(name: &str, known: &[String]) -> Option<Problem> {
    // compose.yaml reads PUBLISH_… for the ports on the host.
    if known.iter().any(|known| known == name) || name.starts_with("PUBLISH_") {
        return None;
    }
    if overrides::is_override(name) {
        return None;
    }
    if let Some(advice) = foreign::advice(name) {
        let advice = format!("is a setting of another image; {advice}");
        return Some(Problem::without_value(name, advice));
    }
    let upper = name.to_ascii_uppercase();
    let closest = known
        .iter()
        // Others are further away than anything below; comparing takes longer than reading all settings.
        .filter(|known| known.len().abs_diff(upper.len()) <= 2)
        .map(|known| (strsim::damerau_levenshtein(&upper, known), known))
        // Two letters are most of a short name: HOME is not a typo of anything.
        .filter(|(distance, known)| *distance <= if known.len() > 6 { 2 } else { 1 })
        .min();
    if let Some((_, suggestion)) = closest {
        let advice = format!("is not a setting; did you mean {suggestion}?");
        return Some(Problem::without_value(name, advice));
    }
    let looks_like_ours = OUR_PREFIXES.iter().any(|prefix| upper.starts_with(prefix));
    looks_like_ours.then(|| {
        let advice = "is not a setting of this relay; see .env.example for the list";
        Problem::without_value(name, advice)
    })
}

#[cfg(test)]
mod tests;
