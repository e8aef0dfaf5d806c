//! Which values of Postfix's own parameters would do harm. Pure.
//!
//! A relay that is opened, that leaks passwords into its log or its mail, or that is moved to where
//! this image does not look, is refused unless the operator insists. What is only unusual passes.

use crate::configuration::main_cf::{ASK_THE_SIDECAR, MILTER};

/// Why a parameter is not simply set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objection {
    /// A variable of ours is for that.
    Ours(&'static str),
    /// It would do harm, which the text says.
    Harm(String),
}

#[derive(Debug, Clone, Copy)]
enum Rule {
    /// Any value is harm: what is rendered is the only right one.
    Fixed(&'static str),
    /// Only these words are harmless.
    OneOf(&'static [&'static str], &'static str),
    Checked(fn(&str) -> Result<(), &'static str>),
}

use Rule::{Checked, Fixed, OneOf};

/// Parameters that a variable sets.
const OURS: &[(&str, &str)] = &[
    ("inet_protocols", "INET_PROTOCOLS"),
    ("message_size_limit", "MESSAGE_SIZE_LIMIT"),
    ("mydomain", "RELAY_DOMAIN"),
    ("myhostname", "RELAY_MYHOSTNAME"),
    ("mynetworks", "ALLOWED_NETWORKS"),
    ("myorigin", "RELAY_DOMAIN"),
    ("relayhost", "RELAYHOST"),
    ("smtp_fallback_relay", "RELAYHOST_FALLBACK"),
    ("sender_dependent_relayhost_maps", "RELAYHOST_MAP"),
    ("sender_dependent_default_transport_maps", "RELAYHOST_MAP"),
    ("smtp_sender_dependent_authentication", "RELAYHOST_MAP"),
    ("smtp_sasl_auth_enable", "RELAYHOST_USERNAME and RELAYHOST_PASSWORD"),
    ("smtp_sasl_password_maps", "RELAYHOST_USERNAME and RELAYHOST_PASSWORD"),
    ("smtp_tls_CAfile", "TLS_CA"),
    ("smtp_tls_security_level", "RELAYHOST_TLS_LEVEL"),
    ("smtp_tls_wrappermode", "RELAYHOST with port 465"),
    ("smtp_use_tls", "RELAYHOST_TLS_LEVEL"),
    ("smtp_enforce_tls", "RELAYHOST_TLS_LEVEL"),
    ("smtp_tls_chain_files", "RELAYHOST_CERT and RELAYHOST_KEY"),
    ("smtp_tls_cert_file", "RELAYHOST_CERT and RELAYHOST_KEY"),
    ("smtp_tls_key_file", "RELAYHOST_CERT and RELAYHOST_KEY"),
    ("smtpd_tls_chain_files", "TLS_CERT and TLS_KEY"),
    ("smtpd_tls_cert_file", "TLS_CERT and TLS_KEY"),
    ("smtpd_tls_key_file", "TLS_CERT and TLS_KEY"),
    ("smtpd_tls_security_level", "ENABLE_TLS"),
    ("smtpd_use_tls", "ENABLE_TLS"),
    ("smtpd_enforce_tls", "ENABLE_TLS"),
];

const OPEN: &str = "could let strangers send through this relay";
const IMAGE: &str = "is where this image and relay-init look, and nowhere else";
const LOGGED: &str = "would write passwords into the log";
const UNCHECKED: &str = "would let mail pass that the sidecar has not checked";

const RULES: &[(&str, Rule)] = &[
    // Who may send.
    (
        "mynetworks",
        Fixed("also takes the gateways out of the networks, as which strangers may appear"),
    ),
    ("smtpd_relay_restrictions", Checked(relay_restrictions)),
    ("smtpd_recipient_restrictions", Checked(recipient_restrictions)),
    ("smtpd_data_restrictions", Checked(data_restrictions)),
    ("smtpd_restriction_classes", Fixed("would hide restrictions from this check")),
    ("mydestination", Fixed(OPEN)),
    ("relay_domains", Fixed(OPEN)),
    ("virtual_alias_domains", Fixed(OPEN)),
    ("virtual_mailbox_domains", Fixed(OPEN)),
    ("permit_mx_backup_networks", Fixed(OPEN)),
    ("local_transport", Fixed("would deliver here, where there is no mailbox")),
    ("local_recipient_maps", Fixed("would deliver here, where there is no mailbox")),
    ("smtpd_authorized_xclient_hosts", Fixed("would let clients say that they are somebody else")),
    ("smtpd_authorized_xforward_hosts", Fixed("would let clients say that they are somebody else")),
    ("smtpd_upstream_proxy_protocol", Fixed("would let clients say that they are somebody else")),
    ("allow_percent_hack", OneOf(&["no"], OPEN)),
    ("swap_bangpath", OneOf(&["no"], OPEN)),
    ("allow_untrusted_routing", OneOf(&["no"], OPEN)),
    ("resolve_dequoted_address", OneOf(&["yes"], OPEN)),
    ("smtpd_forbid_bare_newline", OneOf(&["normalize", "reject", "yes"], SMUGGLED)),
    ("smtpd_forbid_bare_newline_exclusions", Fixed(SMUGGLED)),
    ("smtpd_forbid_unauth_pipelining", OneOf(&["yes"], SMUGGLED)),
    ("smtpd_command_filter", Fixed("would let mail pass under another name than the client gave")),
    // The sidecar.
    ("smtpd_milters", Checked(milters)),
    ("smtpd_milter_maps", Fixed(UNCHECKED)),
    ("milter_default_action", OneOf(&["tempfail", "reject", "shutdown"], UNCHECKED)),
    ("milter_macro_defaults", Fixed("would tell the sidecar of logins that did not happen")),
    ("receive_override_options", Fixed(UNCHECKED)),
    ("smtpd_proxy_filter", Fixed(UNCHECKED)),
    ("smtpd_policy_service_default_action", Checked(refusal)),
    // Login.
    ("smtpd_sasl_auth_enable", OneOf(&["no"], "would offer login on port 25, too")),
    ("smtpd_sasl_path", Fixed("would ask somebody else than the sidecar about passwords")),
    ("smtpd_sasl_type", OneOf(&["dovecot"], "would ask somebody else than the sidecar")),
    ("smtpd_sasl_security_options", Checked(not_anonymous)),
    ("smtpd_sasl_tls_security_options", Checked(not_anonymous)),
    ("smtpd_tls_auth_only", OneOf(&["yes"], "would let passwords pass without encryption")),
    // What would show passwords.
    ("debug_peer_list", Fixed(LOGGED)),
    ("debugger_command", Fixed("would give Postfix's memory to a program")),
    ("smtpd_tls_loglevel", OneOf(&["0", "1", "2"], LOGGED)),
    ("smtp_tls_loglevel", OneOf(&["0", "1", "2"], LOGGED)),
    ("notify_classes", Checked(harmless_notices)),
    // What relay-init depends on.
    ("maillog_file", Fixed(IMAGE)),
    ("maillog_file_prefixes", Fixed(IMAGE)),
    ("postlog_service_name", Fixed(IMAGE)),
    ("syslog_name", Fixed("is what relay-init knows Postfix's lines by")),
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
    ("compatibility_level", Fixed("would change defaults that this relay is safe by")),
    ("import_environment", Fixed("would hand relay-init's variables to Postfix's programs")),
    ("export_environment", Fixed("would hand relay-init's variables to Postfix's programs")),
];

const SMUGGLED: &str = "would let a client hide one message in another";

/// What speaks against a value in main.cf or, for one service, in master.cf.
pub fn objection(parameter: &str, value: &str, in_service: bool) -> Option<Objection> {
    if let Some((_, variable)) = OURS.iter().find(|(name, _)| *name == parameter && !in_service) {
        return Some(Objection::Ours(variable));
    }
    if parameter.ends_with("_code") && refusal(value).is_err() {
        let harm = "would answer a refusal as if it were none; it must be 4xx or 5xx";
        return Some(Objection::Harm(harm.to_owned()));
    }
    let (_, rule) = RULES.iter().find(|(name, _)| *name == parameter)?;
    let harm = match rule {
        Fixed(harm) => (*harm).to_owned(),
        // What stands behind a $ is only known when Postfix runs.
        OneOf(..) | Checked(_) if value.contains('$') => {
            "cannot be checked with a $ in it; write the value out".to_owned()
        }
        OneOf(words, _) if words.contains(&value) => return None,
        OneOf(words, harm) => format!("{harm}; it must be {}", words.join(" or ")),
        Checked(check) => check(value).err()?.to_owned(),
    };
    Some(Objection::Harm(harm))
}

/// The words of a list, with `{…}` as one.
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

/// The list behind the sidecar, which stands in it in the words that are rendered.
fn behind_the_sidecar(value: &str) -> Option<Vec<String>> {
    let found = words(value);
    let ask = words(ASK_THE_SIDECAR);
    let at = found.windows(ask.len()).position(|window| window == ask)?;
    let (before, from) = found.split_at_checked(at)?;
    // Not warn_if_reject, which would make a mere warning of what the sidecar refuses.
    before
        .iter()
        .all(|word| word.starts_with("reject"))
        .then(|| from.get(ask.len()..).unwrap_or_default().to_vec())
}

fn relay_restrictions(value: &str) -> Result<(), &'static str> {
    let Some(rest) = behind_the_sidecar(value) else {
        return Err(
            "must begin with the sidecar's check_policy_service as relay-init render shows \
                    it, or mail is relayed that the sidecar knows nothing of",
        );
    };
    let is_known = |word: &String| {
        word == "permit_mynetworks"
            || word == "permit_sasl_authenticated"
            || ["reject", "defer"].iter().any(|known| word.starts_with(known))
    };
    if !rest.iter().all(is_known) {
        return Err(
            "may hold behind the sidecar only permit_mynetworks, permit_sasl_authenticated \
                    and what rejects or defers",
        );
    }
    if rest.last().is_none_or(|word| word != "reject") {
        return Err("must end in reject, or strangers could send through this relay");
    }
    Ok(())
}

fn recipient_restrictions(value: &str) -> Result<(), &'static str> {
    let is_permit = |word: &String| {
        word.starts_with("permit")
            && !["permit_mynetworks", "permit_sasl_authenticated"].contains(&word.as_str())
    };
    match words(value).iter().any(is_permit) {
        true => Err("may permit only by permit_mynetworks and permit_sasl_authenticated"),
        false => Ok(()),
    }
}

fn data_restrictions(value: &str) -> Result<(), &'static str> {
    behind_the_sidecar(value).map(|_| ()).ok_or(
        "must hold the sidecar's check_policy_service as relay-init render shows it, and no permit \
         before it, or the limits of users are not counted",
    )
}

fn milters(value: &str) -> Result<(), &'static str> {
    let found = words(value);
    if found.first().is_none_or(|word| word != MILTER) {
        return Err(
            "must begin with unix:/run/relay/milter.sock, or mail passes that the sidecar has \
                    not checked",
        );
    }
    match value.contains("default_action") {
        true => {
            Err("must not have a default_action, which would let mail pass when a milter is away")
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
        false => Err("must begin with a code of refusal, 4xx or 5xx, or mail passes unchecked"),
    }
}

fn not_anonymous(value: &str) -> Result<(), &'static str> {
    match words(value).iter().any(|word| word == "noanonymous") {
        true => Ok(()),
        false => Err("must hold noanonymous, or everybody can log in"),
    }
}

/// The others mail whole sessions, and with them passwords.
fn harmless_notices(value: &str) -> Result<(), &'static str> {
    match words(value).iter().all(|word| ["delay", "2bounce"].contains(&word.as_str())) {
        true => Ok(()),
        false => {
            Err("may hold only delay and 2bounce; the others mail passwords to the postmaster")
        }
    }
}

#[cfg(test)]
mod tests;
