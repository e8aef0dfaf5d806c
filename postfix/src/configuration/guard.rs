//! Finds overrides of Postfix's parameters that would do harm. Pure.
//!
//! Values that open the relay, leak passwords into log or mail, or break what this image depends on are
//! refused unless the operator insists. Values that are merely unusual pass.

use super::main_cf::fixed::{ASK_THE_SIDECAR, MILTER};
use crate::settings::environment::Problem;
use crate::settings::overrides::{Overrides, set_anyway, variable_for};

#[derive(Debug, Clone, Copy)]
enum Rule {
    /// Any other value than the rendered one does harm.
    Fixed(&'static str),
    /// Any other value than these does harm.
    OneOf(&'static [&'static str], &'static str),
    Checked(fn(&str) -> Result<(), &'static str>),
}

use Rule::{Checked, Fixed, OneOf};

const OPEN: &str = "could let strangers send through this relay";
const IMAGE: &str = "must stay as it is, because this image depends on it";
const LOGGED: &str = "would write passwords to the log";
const UNCHECKED: &str = "would let mail bypass the sidecar's checks";

const RULES: &[(&str, Rule)] = &[
    // Who may send.
    (
        "mynetworks",
        Fixed(
            "must exclude the gateways, which strangers may seem to come from; use ALLOWED_NETWORKS",
        ),
    ),
    ("smtpd_relay_restrictions", Checked(relay_restrictions)),
    ("smtpd_recipient_restrictions", Checked(recipient_restrictions)),
    // smtpd_data_restrictions may be anything, even permit: who may relay was decided at RCPT, the milter
    // decides about the message, and smtpd_forbid_unauth_pipelining has a rule of its own.
    ("smtpd_restriction_classes", Fixed("would hide restrictions from this check")),
    ("mydestination", Fixed(OPEN)),
    ("relay_domains", Fixed(OPEN)),
    ("virtual_alias_domains", Fixed(OPEN)),
    ("virtual_mailbox_domains", Fixed(OPEN)),
    ("permit_mx_backup_networks", Fixed(OPEN)),
    ("local_transport", Fixed("would deliver mail locally, where there are no mailboxes")),
    ("local_recipient_maps", Fixed("would deliver mail locally, where there are no mailboxes")),
    ("smtpd_authorized_xclient_hosts", Fixed("would let clients claim to be somebody else")),
    ("smtpd_authorized_xforward_hosts", Fixed("would let clients claim to be somebody else")),
    ("smtpd_upstream_proxy_protocol", Fixed("would let clients claim to be somebody else")),
    ("allow_percent_hack", OneOf(&["no"], OPEN)),
    ("swap_bangpath", OneOf(&["no"], OPEN)),
    ("allow_untrusted_routing", OneOf(&["no"], OPEN)),
    ("resolve_dequoted_address", OneOf(&["yes"], OPEN)),
    ("smtpd_forbid_bare_newline", OneOf(&["normalize", "reject", "yes"], SMUGGLED)),
    ("smtpd_forbid_bare_newline_exclusions", Fixed(SMUGGLED)),
    ("smtpd_forbid_unauth_pipelining", OneOf(&["yes"], SMUGGLED)),
    (
        "smtpd_command_filter",
        Fixed("would change the client's commands, and with them the envelope that is checked"),
    ),
    // The sidecar.
    ("smtpd_milters", Checked(milters)),
    ("smtpd_milter_maps", Fixed(UNCHECKED)),
    ("milter_default_action", OneOf(&["tempfail", "reject", "shutdown"], UNCHECKED)),
    ("milter_macro_defaults", Fixed("could report logins to the sidecar that never happened")),
    ("receive_override_options", Fixed(UNCHECKED)),
    ("smtpd_proxy_filter", Fixed(UNCHECKED)),
    ("smtpd_policy_service_default_action", Checked(refusal)),
    // Login.
    ("smtpd_sasl_auth_enable", OneOf(&["no"], "would offer login on port 25 as well")),
    ("smtpd_sasl_path", Fixed("would have passwords checked by something other than the sidecar")),
    (
        "smtpd_sasl_type",
        OneOf(&["dovecot"], "would have passwords checked by something other than the sidecar"),
    ),
    ("smtpd_sasl_security_options", Checked(not_anonymous)),
    ("smtpd_sasl_tls_security_options", Checked(not_anonymous)),
    ("smtpd_tls_auth_only", OneOf(&["yes"], "would let clients send passwords unencrypted")),
    // What would expose passwords.
    ("debug_peer_list", Fixed(LOGGED)),
    ("debugger_command", Fixed("would expose the memory of Postfix's processes")),
    ("smtpd_tls_loglevel", OneOf(&["0", "1", "2"], LOGGED)),
    ("smtp_tls_loglevel", OneOf(&["0", "1", "2"], LOGGED)),
    ("notify_classes", Checked(harmless_notices)),
    // What relay-init depends on.
    ("maillog_file", Fixed(IMAGE)),
    ("maillog_file_prefixes", Fixed(IMAGE)),
    ("postlog_service_name", Fixed(IMAGE)),
    (
        "syslog_name",
        Fixed("must stay as it is, because relay-init recognises Postfix's log lines by it"),
    ),
    ("alternate_config_directories", Fixed(IMAGE)),
    ("multi_instance_directories", Fixed(IMAGE)),
    ("multi_instance_enable", Fixed(IMAGE)),
    ("command_directory", Fixed(IMAGE)),
    ("config_directory", Fixed(IMAGE)),
    ("daemon_directory", Fixed(IMAGE)),
    ("data_directory", Fixed(IMAGE)),
    ("meta_directory", Fixed(IMAGE)),
    ("process_id_directory", Fixed(IMAGE)),
    ("queue_directory", Fixed(IMAGE)),
    ("shlib_directory", Fixed(IMAGE)),
    ("default_privs", Fixed(IMAGE)),
    ("mail_owner", Fixed(IMAGE)),
    ("setgid_group", Fixed(IMAGE)),
    ("compatibility_level", Fixed("would change defaults that this relay's safety depends on")),
    ("import_environment", Fixed("would pass environment variables on to Postfix's programs")),
    ("export_environment", Fixed("would pass environment variables on to Postfix's programs")),
];

const SMUGGLED: &str = "would let a client smuggle one message inside another";

/// What the guard found, with one text per override.
#[derive(Debug, Default)]
pub struct Findings {
    pub problems: Vec<Problem>,
    /// What would be a problem without ALLOW_UNSAFE_POSTFIX.
    pub warnings: Vec<String>,
}

/// Checks the value of every override.
pub fn check(overrides: &Overrides) -> Findings {
    let mut findings = Findings::default();
    // A parameter that another variable sets in main.cf was reported when the overrides were read.
    let in_main = overrides.main.iter().filter(|set| variable_for(&set.parameter).is_none());
    let in_services = overrides.services.iter().map(|service| &service.set);
    for set in in_main.chain(in_services) {
        let Some(harm) = harm(&set.parameter, &set.value) else { continue };
        if overrides.unsafe_allowed {
            findings.warnings.push(set_anyway(&set.problem(harm)));
        } else {
            let advice = format!("{harm} (ALLOW_UNSAFE_POSTFIX=true sets it anyway)");
            findings.problems.push(set.problem(advice));
        }
    }
    findings
}

/// What harm a value would do in main.cf or in one service of master.cf; `None` if none.
fn harm(parameter: &str, value: &str) -> Option<String> {
    if parameter.ends_with("_code") && refusal(value).is_err() {
        return Some("would turn rejections into something else; it must be 4xx or 5xx".to_owned());
    }
    let (_, rule) = RULES.iter().find(|(name, _)| *name == parameter)?;
    match rule {
        Fixed(harm) => Some((*harm).to_owned()),
        // What a $ stands for is only known when Postfix runs.
        OneOf(..) | Checked(_) if value.contains('$') => {
            Some("cannot be checked because of the $ in it; write the value out".to_owned())
        }
        OneOf(words, _) if words.contains(&value) => None,
        OneOf(words, harm) => Some(format!("{harm}; it must be {}", words.join(" or "))),
        Checked(check) => check(value).err().map(str::to_owned),
    }
}

/// The words of a list; `{…}` is one word.
fn words(value: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut depth = 0_u32;
    for character in value.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let ends = depth == 0 && (character == ',' || character.is_ascii_whitespace());
        match words.last_mut() {
            Some(word) if !ends => word.push(character),
            _ => words.push(String::new()),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The restrictions after the sidecar's, which must be spelt as rendered and come before any permit.
fn after_the_sidecar(value: &str) -> Option<Vec<String>> {
    let found = words(value);
    let ask = words(ASK_THE_SIDECAR);
    let at = found.windows(ask.len()).position(|window| window == ask)?;
    let (before, from) = found.split_at_checked(at)?;
    // This excludes warn_if_reject, which would only log what the sidecar refuses.
    before
        .iter()
        .all(|word| word.starts_with("reject"))
        .then(|| from.get(ask.len()..).unwrap_or_default().to_vec())
}

fn relay_restrictions(value: &str) -> Result<(), &'static str> {
    let Some(rest) = after_the_sidecar(value) else {
        return Err(
            "must start with the sidecar's check_policy_service, spelt as `relay-init render` \
             prints it, or mail is relayed without asking the sidecar",
        );
    };
    let is_known = |word: &String| {
        word == "permit_mynetworks"
            || word == "permit_sasl_authenticated"
            || ["reject", "defer"].iter().any(|known| word.starts_with(known))
    };
    if !rest.iter().all(is_known) {
        return Err("may only contain, after the sidecar's check, permit_mynetworks, \
             permit_sasl_authenticated, and restrictions that reject or defer");
    }
    if rest.last().is_none_or(|word| word != "reject") {
        return Err("must end with reject, or strangers could send through this relay");
    }
    Ok(())
}

fn recipient_restrictions(value: &str) -> Result<(), &'static str> {
    let is_permit = |word: &String| {
        word.starts_with("permit")
            && !["permit_mynetworks", "permit_sasl_authenticated"].contains(&word.as_str())
    };
    match words(value).iter().any(is_permit) {
        true => Err("may only permit with permit_mynetworks and permit_sasl_authenticated"),
        false => Ok(()),
    }
}

fn milters(value: &str) -> Result<(), &'static str> {
    let found = words(value);
    if found.first().is_none_or(|word| word != MILTER) {
        return Err(
            "must start with unix:/run/relay/milter.sock, or mail bypasses the sidecar's checks",
        );
    }
    match value.contains("default_action") {
        true => {
            Err("must not have a default_action, which could let mail pass while a milter is down")
        }
        false => Ok(()),
    }
}

fn refusal(value: &str) -> Result<(), &'static str> {
    let digits = value.split_ascii_whitespace().next().unwrap_or_default();
    let is_refusal = digits.len() == 3
        && digits.starts_with(['4', '5'])
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    match is_refusal {
        true => Ok(()),
        false => Err("must start with a 4xx or 5xx reply code, or mail passes unchecked"),
    }
}

fn not_anonymous(value: &str) -> Result<(), &'static str> {
    match words(value).iter().any(|word| word == "noanonymous") {
        true => Ok(()),
        false => Err("must contain noanonymous, or anybody can log in"),
    }
}

/// The notices of the other classes contain session transcripts.
fn harmless_notices(value: &str) -> Result<(), &'static str> {
    match words(value).iter().all(|word| ["delay", "2bounce"].contains(&word.as_str())) {
        true => Ok(()),
        false => Err(
            "may only contain delay and 2bounce; the other classes mail passwords to the postmaster",
        ),
    }
}

#[cfg(test)]
mod tests;
