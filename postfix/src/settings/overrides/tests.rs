use super::*;

fn read_from(pairs: &[(&str, &str)], unsafe_allowed: bool) -> (Overrides, Vec<String>) {
    let (overrides, problems) = read(&Environment::from(pairs), unsafe_allowed);
    (overrides, problems.iter().map(ToString::to_string).collect())
}

#[track_caller]
fn refused(variable: &str, value: &str, expected: &str) {
    let (_, problems) = read_from(&[(variable, value)], false);
    let problems = problems.concat();
    assert!(problems.contains(expected), "{problems:?} does not contain {expected:?}");
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
fn a_value_becomes_one_line_and_hides_nothing() {
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
    refused("POSTFIX_smtpd_banner", "a\x1b[1m", "contains a control character");
    refused("POSTFIXMASTER_25__inet__smtpd_banner", "x } -o y={", "has an unbalanced brace");
}

#[test]
fn an_unknown_name_gets_a_suggestion() {
    for (variable, expected) in [
        ("POSTFIX_smtpd_baner", "did you mean POSTFIX_smtpd_banner?"),
        ("POSTFIX_SMTPD_BANNER", "did you mean POSTFIX_smtpd_banner?"),
        ("POSTFIX_MESSAGE_SIZE_LIMIT", "is set by MESSAGE_SIZE_LIMIT; use that instead"),
        ("POSTFIX_my_own", "is not a parameter of this Postfix; postconf(5)"),
        ("POSTFIX_", "is not a parameter of this Postfix"),
        (
            "POSTFIXMASTER_587__inet__smtpd_baner",
            "did you mean POSTFIXMASTER_587__inet__smtpd_banner?",
        ),
        ("POSTFIXMASTER_submission__inet", "must name service, type and parameter, like"),
    ] {
        refused(variable, "1", expected);
    }
}

#[test]
fn service_links_of_kubernetes_are_not_parameters() {
    let (overrides, problems) =
        read_from(&[("POSTFIX_PORT", "tcp://10.0.0.1:587"), ("POSTFIX_SERVICE_PORT", "25")], false);
    assert_eq!((overrides.main.len(), problems.len()), (0, 0));
}
