use super::*;

fn harm(parameter: &str, value: &str) -> Option<String> {
    match objection(parameter, value, false) {
        Some(Objection::Harm(harm)) => Some(harm),
        Some(Objection::Ours(variable)) => Some(format!("ours: {variable}")),
        None => None,
    }
}

const ASK: &str = ASK_THE_SIDECAR;

/// `{ASK}` stands for the sidecar's check.
const HARMFUL: &[(&str, &str)] = &[
    ("mynetworks", "0.0.0.0/0"),
    ("mynetworks", "10.0.0.0/8"),
    ("smtpd_relay_restrictions", "permit"),
    ("smtpd_relay_restrictions", "permit_mynetworks, reject"),
    ("smtpd_relay_restrictions", "permit_mynetworks, {ASK}, reject"),
    ("smtpd_relay_restrictions", "permit, {ASK}, reject"),
    ("smtpd_relay_restrictions", "warn_if_reject {ASK}, permit_mynetworks, reject"),
    ("smtpd_relay_restrictions", "{ASK}, permit_mynetworks"),
    ("smtpd_relay_restrictions", "{ASK}, permit"),
    ("smtpd_relay_restrictions", "{ASK}, permit_mynetworks, warn_if_reject, reject"),
    ("smtpd_relay_restrictions", "{ASK}, permit_mynetworks, permit_auth_destination, reject"),
    ("smtpd_relay_restrictions", "{ASK}, check_client_access static:OK, reject"),
    ("smtpd_relay_restrictions", "{ASK}, $smtpd_client_restrictions, reject"),
    ("smtpd_relay_restrictions", "check_policy_service unix:/tmp/x, reject"),
    (
        "smtpd_relay_restrictions",
        "check_policy_service { unix:/run/relay/policy.sock, default_action=DUNNO }, reject",
    ),
    ("smtpd_recipient_restrictions", "permit"),
    ("smtpd_recipient_restrictions", "permit_mx_backup, reject"),
    ("smtpd_recipient_restrictions", "$smtpd_client_restrictions"),
    ("smtpd_data_restrictions", "reject_unauth_pipelining"),
    ("smtpd_data_restrictions", "permit, {ASK}"),
    ("smtpd_restriction_classes", "anybody"),
    ("mydestination", "example.org"),
    ("relay_domains", "example.org"),
    ("permit_mx_backup_networks", "0.0.0.0/0"),
    ("local_transport", "smtp:"),
    ("smtpd_authorized_xclient_hosts", "0.0.0.0/0"),
    ("smtpd_upstream_proxy_protocol", "haproxy"),
    ("allow_percent_hack", "yes"),
    ("allow_percent_hack", "$x"),
    ("resolve_dequoted_address", "no"),
    ("smtpd_forbid_bare_newline", "no"),
    ("smtpd_forbid_bare_newline_exclusions", "$mynetworks"),
    ("smtpd_milters", ""),
    ("smtpd_milters", "inet:rspamd:11332"),
    ("smtpd_milters", "{ unix:/run/relay/milter.sock, default_action=accept }"),
    ("smtpd_milters", "unix:/run/relay/milter.sock { inet:x:1, default_action=accept }"),
    ("smtpd_milter_maps", "cidr:/x"),
    ("milter_default_action", "accept"),
    ("milter_macro_defaults", "{auth_authen}=admin"),
    ("receive_override_options", "no_milters"),
    ("smtpd_policy_service_default_action", "DUNNO"),
    ("smtpd_sasl_path", "inet:x:1"),
    ("smtpd_sasl_security_options", "noplaintext"),
    ("smtpd_tls_auth_only", "no"),
    ("debug_peer_list", "0.0.0.0/0"),
    ("smtpd_tls_loglevel", "4"),
    ("notify_classes", "resource, software"),
    ("notify_classes", "bounce"),
    ("maillog_file", "/var/log/mail"),
    ("daemon_directory", "/tmp"),
    ("mail_owner", "root"),
    ("import_environment", "X=Y"),
    ("reject_code", "250"),
    ("access_map_reject_code", "2"),
];

#[test]
fn what_would_open_the_relay_is_refused() {
    for (parameter, value) in HARMFUL {
        let value = value.replace("{ASK}", ASK);
        assert!(harm(parameter, &value).is_some(), "{parameter} = {value}");
    }
}

#[test]
fn what_is_only_unusual_passes() {
    for (parameter, value) in [
        ("smtpd_banner", "$myhostname ESMTP mail"),
        ("smtp_destination_concurrency_limit", "5"),
        ("smtpd_relay_restrictions", "{ASK}, permit_mynetworks, permit_sasl_authenticated, reject"),
        (
            "smtpd_relay_restrictions",
            "reject_unknown_recipient_domain {ASK} permit_mynetworks reject",
        ),
        ("smtpd_recipient_restrictions", "reject_unknown_recipient_domain, permit_mynetworks"),
        ("smtpd_data_restrictions", "{ASK}, reject_multi_recipient_bounce"),
        ("smtpd_milters", "unix:/run/relay/milter.sock, inet:rspamd:11332"),
        ("milter_default_action", "reject"),
        ("notify_classes", "delay, 2bounce"),
        ("notify_classes", ""),
        ("smtpd_tls_loglevel", "2"),
        ("reject_code", "550"),
        ("smtpd_sasl_auth_enable", "no"),
        ("smtpd_forbid_bare_newline", "reject"),
        ("transport_maps", "inline:{x=y}"),
    ] {
        let value = value.replace("{ASK}", ASK);
        assert_eq!(harm(parameter, &value), None, "{parameter} = {value}");
    }
}

#[test]
fn what_is_rendered_would_pass() {
    let rendered = crate::configuration::main_cf::fixed::RELAY_ACCESS
        .iter()
        .chain(crate::configuration::main_cf::fixed::CLIENTS)
        .chain(crate::configuration::main_cf::fixed::SIDECAR_MILTER)
        .filter(|(name, _)| name.ends_with("_restrictions") || name.contains("milter"));
    for (name, value) in rendered {
        assert_eq!(harm(name, value), None, "{name} = {value}");
    }
}

#[test]
fn a_parameter_with_a_variable_is_set_by_that_but_may_differ_for_one_service() {
    assert_eq!(
        objection("message_size_limit", "1", false),
        Some(Objection::Ours("MESSAGE_SIZE_LIMIT"))
    );
    assert_eq!(objection("message_size_limit", "1", true), None);
    assert!(objection("mynetworks", "10.0.0.0/8", true).is_some());
    assert!(objection("smtpd_sasl_auth_enable", "yes", true).is_some());
}

#[test]
fn every_name_in_the_tables_is_a_parameter() {
    for name in OURS.iter().map(|(name, _)| name).chain(RULES.iter().map(|(name, _)| name)) {
        assert!(crate::settings::parameters::exists(name), "{name}");
    }
}
