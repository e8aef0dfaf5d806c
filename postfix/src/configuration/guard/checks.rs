//! The checks that `verdicts.tsv` names.

use super::{contains, tables, words};
use crate::configuration::main_cf::fixed::{ASK_THE_SIDECAR, MILTER};

#[derive(Debug)]
pub struct Check {
    pub name: &'static str,
    pub run: fn(&str) -> Result<(), String>,
    /// Postfix does not expand main.cf's `$` in this parameter.
    pub dollars_are_text: bool,
}

const fn check(name: &'static str, run: fn(&str) -> Result<(), String>) -> Check {
    Check { name, run, dollars_are_text: false }
}

pub const CHECKS: &[Check] = &[
    check("asked_keywords", tables::asked_keywords),
    check("content", tables::content),
    check("milters", milters),
    check("protocols", protocols),
    Check { name: "rbl_reply", run: rbl_reply, dollars_are_text: true },
    check("recipient_restrictions", recipient_restrictions),
    check("refusal", refusal),
    check("relay_restrictions", relay_restrictions),
    check("restrictions", restrictions),
    check("served_keywords", served_keywords),
    check("tables", tables::tables),
    check("transport", tables::transport),
    check("transport_tables", tables::transport_tables),
];

pub fn find(name: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.name == name)
}

/// What follows the sidecar in the list, where it appears exactly as it is rendered.
fn behind_the_sidecar(value: &str) -> Option<Vec<String>> {
    let found = words(value);
    let ask = words(ASK_THE_SIDECAR);
    let at = found.windows(ask.len()).position(|window| window == ask)?;
    let (before, from) = found.split_at_checked(at)?;
    // Not warn_if_reject, which would turn the sidecar's refusals into mere warnings.
    before
        .iter()
        .all(|word| word.starts_with("reject"))
        .then(|| from.get(ask.len()..).unwrap_or_default().to_vec())
}

fn relay_restrictions(value: &str) -> Result<(), String> {
    let Some(rest) = behind_the_sidecar(value) else {
        let harm = "must begin with the sidecar's check_policy_service, as relay-init render shows \
                    it, or mail would be relayed without asking the sidecar";
        return Err(harm.to_owned());
    };
    let is_known = |word: &String| {
        word == "permit_mynetworks"
            || word == "permit_sasl_authenticated"
            || ["reject", "defer"].iter().any(|known| word.starts_with(known))
    };
    if !rest.iter().all(is_known) {
        let harm = "may contain, after the sidecar, only permit_mynetworks, \
                    permit_sasl_authenticated and what rejects or defers";
        return Err(harm.to_owned());
    }
    if rest.last().is_none_or(|word| word != "reject") {
        return Err("must end in reject, or strangers could send through this relay".to_owned());
    }
    Ok(())
}

/// A second line of defence: even without smtpd_relay_restrictions, these must not open the relay.
fn recipient_restrictions(value: &str) -> Result<(), String> {
    let is_permit = |word: &String| {
        word.to_ascii_lowercase().starts_with("permit")
            && !["permit_mynetworks", "permit_sasl_authenticated"].contains(&word.as_str())
    };
    if words(value).iter().any(is_permit) || tables::permits(value) {
        let harm = "may permit only with permit_mynetworks and permit_sasl_authenticated";
        return Err(harm.to_owned());
    }
    restrictions(value)
}

/// Any list of restrictions. The address of a policy service looks like a table but is not one.
fn restrictions(value: &str) -> Result<(), String> {
    let found = words(value);
    let before = std::iter::once("").chain(found.iter().map(String::as_str));
    for (word, before) in found.iter().zip(before) {
        if !before.eq_ignore_ascii_case("check_policy_service") {
            tables::table(word)?;
        }
    }
    tables::no_action_that_moves_mail(value)
}

fn milters(value: &str) -> Result<(), String> {
    let found = words(value);
    if found.first().is_none_or(|word| word != MILTER) {
        let harm = "must begin with unix:/run/relay/milter.sock, or mail would pass that the \
                    sidecar has not checked";
        return Err(harm.to_owned());
    }
    match value.contains("default_action") {
        true => {
            let harm =
                "must not set default_action, which would let mail pass while a milter is down";
            Err(harm.to_owned())
        }
        false => Ok(()),
    }
}

fn refusal(value: &str) -> Result<(), String> {
    let digits = value.split_ascii_whitespace().next().unwrap_or_default();
    let is_refusal = digits.len() == 3
        && digits.starts_with(['4', '5'])
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    match is_refusal {
        true => Ok(()),
        false => {
            Err("must begin with a refusal code, 4xx or 5xx, or mail would pass unchecked"
                .to_owned())
        }
    }
}

/// $rbl_code is maps_rbl_reject_code, which is always a refusal.
fn rbl_reply(value: &str) -> Result<(), String> {
    match value.split_ascii_whitespace().next() {
        Some("$rbl_code" | "${rbl_code}") => Ok(()),
        _ => refusal(value),
    }
}

/// TLS 1.2 or newer, in any of the forms that Postfix accepts.
fn protocols(value: &str) -> Result<(), String> {
    const NEW: [&str; 2] = ["tlsv1.2", "tlsv1.3"];
    const OLD: [&str; 3] = ["!sslv3", "!tlsv1", "!tlsv1.1"];
    let lower = value.to_ascii_lowercase();
    let found: Vec<&str> =
        lower.split([',', ':', ' ']).filter(|protocol| !protocol.is_empty()).collect();
    let floors: Vec<&str> =
        found.iter().filter_map(|protocol| protocol.strip_prefix(">=")).collect();
    let included: Vec<&&str> =
        found.iter().filter(|protocol| !protocol.starts_with(['!', '<', '>'])).collect();
    let has_a_floor = !floors.is_empty() && floors.iter().all(|floor| NEW.contains(floor));
    let includes_new =
        !included.is_empty() && included.iter().all(|protocol| NEW.contains(protocol));
    let excludes_old = included.is_empty() && OLD.iter().all(|old| found.contains(old));
    match has_a_floor || includes_new || excludes_old {
        true => Ok(()),
        false => Err("would allow TLS older than 1.2; use >=TLSv1.2 or stricter".to_owned()),
    }
}

/// EHLO keywords that clients are not offered: CHUNKING must be among them, STARTTLS must not.
fn served_keywords(value: &str) -> Result<(), String> {
    if !contains(value, "chunking") {
        let harm = "must contain chunking: BDAT has been a source of bugs, and no client needs it";
        return Err(harm.to_owned());
    }
    match contains(value, "starttls") {
        true => Err("must not contain starttls, or passwords and mail would travel in plain text"
            .to_owned()),
        false => Ok(()),
    }
}
