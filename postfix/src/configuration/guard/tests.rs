mod harmful;
mod harmless;

use super::*;
use crate::configuration::main_cf::fixed::{self, ASK_THE_SIDECAR};
use crate::settings::environment::Environment;
use crate::settings::overrides;
use harmful::HARMFUL;
use harmless::{HARMLESS, NOTABLE};

fn harm(parameter: &str, value: &str) -> Option<String> {
    match objection(parameter, value, false) {
        Some(Objection::Harm(harm)) => Some(harm),
        Some(Objection::Ours(variable)) => Some(format!("ours: {variable}")),
        Some(Objection::Notable(_)) | None => None,
    }
}

const ASK: &str = ASK_THE_SIDECAR;

#[test]
fn what_would_open_the_relay_is_refused() {
    for (parameter, value) in HARMFUL {
        let value = value.replace("{ASK}", ASK);
        assert!(harm(parameter, &value).is_some(), "{parameter} = {value}");
    }
}

#[test]
fn what_is_only_unusual_passes() {
    for (parameter, value) in HARMLESS {
        let value = value.replace("{ASK}", ASK);
        assert_eq!(objection(parameter, &value, false), None, "{parameter} = {value}");
    }
}

#[test]
fn what_copies_or_redirects_mail_passes_with_a_warning() {
    for (parameter, value) in NOTABLE {
        let found = objection(parameter, value, false);
        assert!(matches!(found, Some(Objection::Notable(_))), "{parameter} = {value}: {found:?}");
    }
}

/// Nothing that is rendered is refused by a check; what is fixed may have no value of its own.
#[test]
fn what_is_rendered_would_pass() {
    let sections = [
        fixed::PLACES,
        fixed::NOT_LOCAL,
        fixed::RELAY_ACCESS,
        fixed::SIDECAR_MILTER,
        fixed::LOGIN,
        fixed::CLIENTS,
        fixed::SERVER_TLS,
        fixed::SENDING,
        fixed::OPERATION,
    ];
    let is_fixed =
        |name: &str| matches!(verdicts::find(name).unwrap().verdict(), Some(Verdict::Fixed));
    for (name, value) in sections.into_iter().flatten().filter(|(name, _)| !is_fixed(name)) {
        assert_eq!(objection(name, value, false), None, "{name} = {value}");
    }
}

#[test]
fn a_parameter_with_a_variable_is_set_by_that_and_only_sizes_may_differ_for_one_service() {
    assert_eq!(
        objection("message_size_limit", "1", false),
        Some(Objection::Ours("MESSAGE_SIZE_LIMIT"))
    );
    assert_eq!(objection("message_size_limit", "1", true), None);
    assert_eq!(objection("inet_protocols", "ipv4", true), None);
    for (parameter, value) in [
        ("mynetworks", "10.0.0.0/8"),
        ("smtpd_sasl_auth_enable", "yes"),
        // master.cf can be read by everybody in the container.
        ("smtp_sasl_password_maps", "inline:{x=me:secret}"),
        ("smtp_tls_security_level", "may"),
        ("smtp_tls_wrappermode", "no"),
        ("smtp_tls_chain_files", "/x"),
        ("smtpd_tls_security_level", "may"),
        ("relayhost", "[x]"),
    ] {
        assert!(objection(parameter, value, true).is_some(), "{parameter}");
    }
    assert_eq!(objection("smtpd_tls_security_level", "encrypt", true), None);
    assert!(objection("smtpd_tls_security_level", "encrypt", false).is_some());
}

#[test]
fn nonsense_is_refused_wherever_a_value_is_looked_at() {
    let is_tried = |name: &str| HARMFUL.iter().any(|(parameter, _)| *parameter == name);
    for row in verdicts::rows().filter(|row| !is_tried(row.parameter)) {
        if row.verdict().unwrap().depends_on_the_value() {
            let refused = ["proxy:x", "0", "nonsense"].map(|value| harm(row.parameter, value));
            assert!(refused.iter().any(Option::is_some), "{}", row.parameter);
        }
    }
}

#[test]
fn a_reference_is_known_or_cannot_be_checked() {
    for (value, expected) in [
        ("x", false),
        ("$$x", false),
        ("lmdb:$config_directory/x", false),
        ("${data_directory}/x$$", false),
        ("$config_directory$x", true),
        ("$config_directory_", true),
        ("${mydomain?x}", true),
        ("$(x)", true),
        ("$", true),
        ("${x", true),
        ("$$$x", true),
    ] {
        assert_eq!(holds_a_reference(value), expected, "{value}");
    }
}

#[test]
fn a_refusal_says_what_would_be_right() {
    for (parameter, value, expected) in [
        ("tls_session_ticket_cipher", "x", "it must be aes-256-cbc or aes-128-cbc or empty"),
        ("maximal_queue_lifetime", "0", "must be at least 1h, or mail is returned"),
        ("maximal_backoff_time", "2h", "must be at most 4000s, or relay-init, which"),
        (
            "smtp_discard_ehlo_keywords",
            "auth",
            "must not contain starttls or auth, or mail would go",
        ),
        ("transport_maps", "hash:/x", "uses a table of type hash, which"),
        ("notify_classes", "bounce", "may only contain delay and 2bounce; the others would mail"),
    ] {
        let said = harm(parameter, value).unwrap();
        assert!(said.contains(expected), "{said}");
    }
}

fn findings(pairs: &[(&str, &str)], unsafe_allowed: bool) -> (Vec<String>, Vec<String>) {
    let (overrides, problems) = overrides::read(&Environment::from(pairs), unsafe_allowed);
    assert_eq!(problems, []);
    let Findings { problems, warnings } = check(&overrides);
    (problems.iter().map(ToString::to_string).collect(), warnings)
}

#[test]
fn a_harmful_override_is_refused_in_main_cf_and_in_a_service() {
    for variable in ["POSTFIX_allow_percent_hack", "POSTFIXMASTER_25__inet__allow_percent_hack"] {
        let (problems, warnings) = findings(&[(variable, "yes")], false);
        let [problem] = problems.as_slice() else { panic!("{problems:?}") };
        assert!(problem.starts_with(&format!("{variable}=yes: ")), "{problem}");
        assert!(problem.ends_with("it must be no (ALLOW_UNSAFE_POSTFIX=true sets it anyway)"));
        assert_eq!(warnings, Vec::<String>::new());
    }
}

#[test]
fn a_parameter_that_a_variable_sets_is_refused_with_its_name() {
    for (variable, value, ours) in [
        ("POSTFIX_mynetworks", "10.0.0.0/8", "ALLOWED_NETWORKS"),
        ("POSTFIX_relayhost", "[a]:25", "RELAYHOST"),
        ("POSTFIXMASTER_25__inet__mynetworks", "10.0.0.0/8", "ALLOWED_NETWORKS"),
    ] {
        let (problems, _) = findings(&[(variable, value)], false);
        let expected = format!("{variable}={value}: is set by {ours}; use that instead");
        assert_eq!(problems, [expected]);
    }
}

#[test]
fn the_operator_may_insist_and_is_warned() {
    let (problems, warnings) = findings(&[("POSTFIX_mynetworks", "0.0.0.0/0")], true);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(
        warnings,
        ["POSTFIX_mynetworks=0.0.0.0/0: is set by ALLOWED_NETWORKS; use that instead; set anyway \
             because of ALLOW_UNSAFE_POSTFIX"]
    );
}

#[test]
fn what_copies_mail_is_set_and_warned_about_whether_or_not_the_operator_insists() {
    for unsafe_allowed in [false, true] {
        let pairs = [("POSTFIX_always_bcc", "archive@example.org")];
        let (problems, warnings) = findings(&pairs, unsafe_allowed);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(
            warnings,
            [
                "POSTFIX_always_bcc=archive@example.org: sends a copy of everybody's mail to an address \
                 that the sidecar has not seen"
            ]
        );
    }
}

#[test]
fn a_password_is_never_shown() {
    for (variable, value) in [
        ("POSTFIX_smtp_sasl_password_maps", "inline:{x=me:hunter2}"),
        ("POSTFIXMASTER_smtp__unix__smtp_sasl_password_maps", "inline:{x=me:hunter2}"),
        ("POSTFIX_sender_dependent_relayhost_maps", "static:hunter2"),
        ("POSTFIX_transport_maps", "inline:{x=hunter2$y}"),
    ] {
        for unsafe_allowed in [false, true] {
            let (problems, warnings) = findings(&[(variable, value)], unsafe_allowed);
            let texts = [problems, warnings].concat().concat();
            assert!(texts.contains(variable) && !texts.contains("hunter2"), "{texts}");
        }
    }
}

#[test]
fn a_value_of_two_lines_is_checked_as_postfix_reads_it() {
    let value = format!("permit\n# {ASK}, reject");
    let (problems, _) = findings(&[("POSTFIX_smtpd_relay_restrictions", &value)], false);
    assert_eq!(problems.len(), 1, "{problems:?}");
}
