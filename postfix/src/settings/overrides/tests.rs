use super::*;

fn read_from(pairs: &[(&str, &str)], unsafe_allowed: bool) -> (Overrides, Vec<String>) {
    let (overrides, problems) = read(&Environment::from(pairs), unsafe_allowed);
    (overrides, problems.iter().map(ToString::to_string).collect())
}

#[track_caller]
fn refused(variable: &str, value: &str, expected: &str) {
    let (_, problems) = read_from(&[(variable, value)], false);
    let said = problems.concat();
    assert!(said.contains(expected), "{said:?} is not {expected:?}");
}

#[test]
fn a_parameter_is_set_in_main_cf_or_for_one_service() {
    let (overrides, problems) = read_from(
        &[
            ("POSTFIX_smtpd_banner", "$myhostname"),
            ("POSTFIX_header_checks", ""),
            ("POSTFIXMASTER_587__inet__smtpd_client_connection_rate_limit", "10"),
            ("POSTFIXMASTER_submissions__inet__message_size_limit", "1000"),
        ],
        false,
    );
    assert_eq!(problems, Vec::<String>::new());
    let main: Vec<_> = overrides.main.iter().map(|set| (&*set.parameter, &*set.value)).collect();
    assert_eq!(main, [("smtpd_banner", "$myhostname")]);
    let services = overrides.services.iter();
    let services: Vec<_> = services.map(|set| (&*set.service.0, &*set.set.parameter)).collect();
    let expected = [("587", "smtpd_client_connection_rate_limit"), ("465", "message_size_limit")];
    assert_eq!(services, expected);
}

#[test]
fn a_value_is_one_line_and_nothing_hides_in_it() {
    for (value, expected) in [
        ("a\nb", "a b"),
        ("a\r\n  # b", "a   # b"),
        (" ", ""),
        ("  a  ", "a"),
        ("a\nmynetworks = 0.0.0.0/0", "a mynetworks = 0.0.0.0/0"),
    ] {
        let (overrides, _) = read_from(&[("POSTFIX_smtpd_banner", value)], false);
        assert_eq!(overrides.main.first().map(|set| &*set.value), Some(expected));
    }
    refused("POSTFIX_smtpd_banner", "a\x1b[1m", "holds a control character");
    refused("POSTFIX_smtpd_milters", " ", "must begin with unix:/run/relay/milter.sock");
    refused(
        "POSTFIX_smtpd_relay_restrictions",
        "permit\n# check_policy_service { unix:/run/relay/policy.sock, timeout=10s, try_limit=2 }, reject",
        "must begin with the sidecar's check_policy_service",
    );
    refused("POSTFIXMASTER_25__inet__smtpd_banner", "x } -o y={", "a brace without its other half");
}

#[test]
fn an_unknown_name_gets_the_one_that_was_meant() {
    for (variable, expected) in [
        ("POSTFIX_smtpd_baner", "did you mean POSTFIX_smtpd_banner?"),
        ("POSTFIX_SMTPD_BANNER", "did you mean POSTFIX_smtpd_banner?"),
        ("POSTFIX_MESSAGE_SIZE_LIMIT", "is set by MESSAGE_SIZE_LIMIT here: use that"),
        ("POSTFIX_my_own", "is no parameter of this Postfix; postconf(5)"),
        ("POSTFIX_", "is no parameter of this Postfix"),
        (
            "POSTFIXMASTER_587__inet__smtpd_baner",
            "did you mean POSTFIXMASTER_587__inet__smtpd_banner?",
        ),
        ("POSTFIXMASTER_submission__inet", "names no parameter; write it like"),
    ] {
        refused(variable, "1", expected);
    }
}

#[test]
fn what_a_variable_of_ours_sets_is_refused_with_its_name() {
    refused("POSTFIX_mynetworks", "10.0.0.0/8", "is set by ALLOWED_NETWORKS here: use that");
    refused("POSTFIX_relayhost", "[a]:25", "is set by RELAYHOST here: use that");
}

#[test]
fn the_operator_may_insist_and_is_warned() {
    let pairs = [
        ("POSTFIX_mynetworks", "0.0.0.0/0"),
        ("POSTFIXMASTER_25__inet__smtpd_tls_auth_only", "no"),
    ];
    let (overrides, problems) = read_from(&pairs, true);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!((overrides.main.len(), overrides.services.len()), (1, 1));
    let [second, first] = overrides.warnings.as_slice() else { panic!("{overrides:?}") };
    assert!(
        first.starts_with("POSTFIX_mynetworks=0.0.0.0/0: is set by ALLOWED_NETWORKS"),
        "{first}"
    );
    assert!(second.contains("would let passwords pass without encryption"), "{second}");
    assert!(second.ends_with("ALLOW_UNSAFE_POSTFIX lets it be"), "{second}");
    let (_, problems) = read_from(&pairs, false);
    let hints = problems.iter().filter(|said| said.contains("ALLOW_UNSAFE_POSTFIX=true")).count();
    // Not where a variable of ours does it.
    assert_eq!((problems.len(), hints), (2, 1), "{problems:?}");
}

#[test]
fn what_copies_mail_is_set_and_warned_about_whether_or_not_the_operator_insists() {
    for unsafe_allowed in [false, true] {
        let pairs = [("POSTFIX_always_bcc", "archive@example.org")];
        let (overrides, problems) = read_from(&pairs, unsafe_allowed);
        assert_eq!((overrides.main.len(), problems.len()), (1, 0));
        let [warning] = overrides.warnings.as_slice() else { panic!("{overrides:?}") };
        assert_eq!(
            warning,
            "POSTFIX_always_bcc=archive@example.org: sends a copy of everybody's mail to an address \
             that the sidecar has not seen"
        );
    }
}

#[test]
fn the_smarthost_s_password_does_not_get_into_master_cf() {
    let name = "POSTFIXMASTER_smtp__unix__smtp_sasl_password_maps";
    refused(name, "inline:{x=me:hunter2}", "is set by RELAYHOST_USERNAME and RELAYHOST_PASSWORD");
}

#[test]
fn a_password_in_a_value_is_not_shown() {
    for (variable, value) in [
        ("POSTFIX_smtp_sasl_password_maps", "inline:{x=me:hunter2}"),
        ("POSTFIX_sender_dependent_relayhost_maps", "static:hunter2"),
    ] {
        let (overrides, problems) = read_from(&[(variable, value)], true);
        let said = [overrides.warnings, problems].concat().concat();
        assert!(said.contains(variable) && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn service_links_of_kubernetes_are_no_parameters() {
    let (overrides, problems) =
        read_from(&[("POSTFIX_PORT", "tcp://10.0.0.1:587"), ("POSTFIX_SERVICE_PORT", "25")], false);
    assert_eq!((overrides.main.len(), problems.len()), (0, 0));
}
