use super::*;
use crate::configuration::main_cf::fixed;
use crate::settings::environment::Environment;
use crate::settings::{overrides, parameters};

const ASK: &str = ASK_THE_SIDECAR;

/// `{ASK}` stands for the sidecar's check_policy_service.
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
fn harmful_values_are_found() {
    for (parameter, value) in HARMFUL {
        let value = value.replace("{ASK}", ASK);
        assert!(harm(parameter, &value).is_some(), "{parameter} = {value}");
    }
}

#[test]
fn unusual_values_pass() {
    for (parameter, value) in [
        ("smtpd_banner", "$myhostname ESMTP mail"),
        ("smtp_destination_concurrency_limit", "5"),
        ("smtpd_relay_restrictions", "{ASK}, permit_mynetworks, permit_sasl_authenticated, reject"),
        (
            "smtpd_relay_restrictions",
            "reject_unknown_recipient_domain {ASK} permit_mynetworks reject",
        ),
        ("smtpd_recipient_restrictions", "reject_unknown_recipient_domain, permit_mynetworks"),
        ("smtpd_data_restrictions", "reject_unauth_pipelining, reject_multi_recipient_bounce"),
        ("smtpd_data_restrictions", "permit"),
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
fn the_rendered_values_pass() {
    let rendered = fixed::RELAY_ACCESS
        .iter()
        .chain(fixed::CLIENTS)
        .chain(fixed::SIDECAR_MILTER)
        .filter(|(name, _)| name.ends_with("_restrictions") || name.contains("milter"));
    for (name, value) in rendered {
        assert_eq!(harm(name, value), None, "{name} = {value}");
    }
}

fn findings(pairs: &[(&str, &str)], unsafe_allowed: bool) -> Findings {
    let (overrides, problems) = overrides::read(&Environment::from(pairs), unsafe_allowed);
    assert_eq!(problems, []);
    check(&overrides)
}

#[test]
fn a_harmful_override_is_refused_in_main_cf_and_in_a_service() {
    for variable in ["POSTFIX_smtpd_tls_auth_only", "POSTFIXMASTER_25__inet__smtpd_tls_auth_only"] {
        let findings = findings(&[(variable, "no")], false);
        let problems: Vec<String> = findings.problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [format!(
                "{variable}=no: would let clients send passwords unencrypted; it must be yes \
                 (ALLOW_UNSAFE_POSTFIX=true sets it anyway)"
            )]
        );
        assert_eq!(findings.warnings, Vec::<String>::new());
    }
}

#[test]
fn the_operator_may_insist_and_is_warned_once() {
    let pairs = [
        ("POSTFIX_mynetworks", "0.0.0.0/0"),
        ("POSTFIXMASTER_25__inet__smtpd_tls_auth_only", "no"),
    ];
    let findings = findings(&pairs, true);
    assert_eq!(findings.problems, []);
    // The warning about mynetworks, which ALLOWED_NETWORKS sets, belongs to the settings.
    let [warning] = findings.warnings.as_slice() else { panic!("{findings:?}") };
    assert!(warning.contains("would let clients send passwords unencrypted"), "{warning}");
    assert!(warning.ends_with("set anyway because of ALLOW_UNSAFE_POSTFIX"), "{warning}");
}

#[test]
fn a_parameter_that_a_variable_sets_may_differ_in_a_service_if_that_is_harmless() {
    let of = |variable: &str, value: &str| findings(&[(variable, value)], false).problems.len();
    assert_eq!(of("POSTFIXMASTER_25__inet__message_size_limit", "1"), 0);
    assert_eq!(of("POSTFIXMASTER_25__inet__mynetworks", "10.0.0.0/8"), 1);
    assert_eq!(of("POSTFIXMASTER_25__inet__smtpd_sasl_auth_enable", "yes"), 1);
}

#[test]
fn a_value_of_spaces_or_two_lines_is_checked_as_postfix_reads_it() {
    for (variable, value, expected) in [
        ("POSTFIX_smtpd_milters", " ", "must start with unix:/run/relay/milter.sock"),
        (
            "POSTFIX_smtpd_relay_restrictions",
            "permit\n# check_policy_service { unix:/run/relay/policy.sock, timeout=10s, try_limit=2 }, reject",
            "must start with the sidecar's check_policy_service",
        ),
    ] {
        let problems = findings(&[(variable, value)], false).problems;
        let [problem] = problems.as_slice() else { panic!("{problems:?}") };
        assert!(problem.to_string().contains(expected), "{problem}");
    }
}

#[test]
fn every_rule_is_about_an_existing_parameter() {
    for (name, _) in RULES {
        assert!(parameters::exists(name), "{name}");
    }
}
