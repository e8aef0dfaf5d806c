use super::*;
use crate::settings::variables::VARIABLES;

fn complaint(name: &str) -> Option<String> {
    unknown(&Environment::from([(name, "x")])).first().map(ToString::to_string)
}

/// The settings in `.env.example`, with those that are commented out or without.
fn example(with_comments: bool) -> Vec<(String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../.env.example");
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter_map(|line| match line.strip_prefix('#') {
        Some(line) if with_comments => line.split_once('='),
        Some(_) => None,
        None => line.split_once('='),
    });
    let pairs = lines.map(|(name, value)| (name.to_owned(), value.to_owned()));
    pairs.filter(|(name, _)| !name.starts_with(' ')).collect()
}

#[test]
fn env_example_lists_every_variable_with_its_default_and_no_other() {
    let all = example(true);
    for variable in VARIABLES.iter().filter(|variable| variable.name != "RELAY_MYHOSTNAME") {
        let shown = all.iter().find(|(name, _)| name == variable.name);
        let value = shown.map(|(_, value)| value.as_str());
        assert_eq!(value, Some(variable.default), "{}", variable.name);
    }
    let pairs: Vec<_> = all.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(unknown(&Environment::from(pairs.as_slice())), []);
}

#[test]
fn env_example_is_valid_as_it_is_and_with_every_default_written_out() {
    for with_comments in [false, true] {
        let pairs = example(with_comments);
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
        let problems = crate::settings::read(&Environment::from(pairs.as_slice())).problems;
        assert_eq!(problems, []);
    }
}

#[test]
fn variables_of_the_runtime_and_of_the_sidecar_are_no_mistakes() {
    for name in [
        "PATH",
        "HOME",
        "HOSTNAME",
        "TERM",
        "TZ",
        "LANG",
        "SHLVL",
        "PWD",
        "_",
        "container",
        "HTTP_PROXY",
        "no_proxy",
        "KUBERNETES_SERVICE_HOST",
        "SMTP_USERNAME",
        "LOG_LEVEL",
        "SMTP_PASSWORD_FILE",
        "RELAYHOST_PASSWORD_FILE",
        "ARGON2_MEMORY_KIB",
        "PUBLISH_587",
        "PUBLISH_465",
        "COMPOSE_PROJECT_NAME",
        "RUST_BACKTRACE",
        "LS_COLORS",
        "USER",
    ] {
        assert_eq!(complaint(name), None, "{name}");
    }
}

#[test]
fn a_typo_gets_a_suggestion() {
    for (typo, right) in [
        ("RELAY_HOSTNAME", "RELAY_MYHOSTNAME"),
        ("RELAY_MYHOSTNAM", "RELAY_MYHOSTNAME"),
        ("ALLOWED_NETWORK", "ALLOWED_NETWORKS"),
        ("ALOWED_NETWORKS", "ALLOWED_NETWORKS"),
        ("relayhost", "RELAYHOST"),
        ("RELAYHOST_PASSWROD", "RELAYHOST_PASSWORD"),
        ("RELAYHOST_PASSWORD_FILES", "RELAYHOST_PASSWORD_FILE"),
        ("TLS_CERTS", "TLS_CERT"),
        ("MESSAGE_SIZE_LIMITS", "MESSAGE_SIZE_LIMIT"),
        ("SMTP_USERNAM", "SMTP_USERNAME"),
    ] {
        let expected = format!("{typo}: is not a setting; did you mean {right}?");
        assert_eq!(complaint(typo), Some(expected));
    }
}

#[test]
fn a_name_with_our_prefix_and_no_similar_setting_is_refused_too() {
    for name in ["RELAY_SOMETHING_ELSE", "SMTPD_SASL_SOMETHING", "TLS_MINIMUM_VERSION"] {
        let expected =
            format!("{name}: is not a setting of this relay; see .env.example for the list");
        assert_eq!(complaint(name), Some(expected));
    }
}

#[test]
fn a_variable_of_another_image_gets_its_counterpart() {
    for (foreign, expected) in [
        ("RELAY_HOST", "use RELAYHOST"),
        ("MYNETWORKS", "use ALLOWED_NETWORKS"),
        ("SMTPD_SASL_USERS", "use SMTP_USERNAME and SMTP_PASSWORD, or relay user add"),
        ("SMTP_SERVER", "here SMTP_USERNAME and SMTP_PASSWORD are the login of your own clients"),
        ("POSTCONF_smtpd_banner", "use POSTFIX_<parameter>"),
    ] {
        let complaint = complaint(foreign).unwrap();
        assert!(complaint.starts_with(&format!("{foreign}: is a setting of another image; ")));
        assert!(complaint.contains(expected), "{complaint}");
    }
}

#[test]
fn service_links_are_ignored_and_those_that_look_like_ours_are_listed() {
    let environment = Environment::from([
        ("RELAY_PORT", "tcp://10.0.0.1:587"),
        ("RELAY_SERVICE_HOST", "10.0.0.1"),
        ("POSTFIX_PORT_587_TCP", "tcp://10.0.0.1:587"),
        ("REDIS_PORT", "tcp://10.0.0.2:6379"),
        ("KUBERNETES_SERVICE_HOST", "10.0.0.3"),
    ]);
    assert_eq!(unknown(&environment), []);
    let links = ["POSTFIX_PORT_587_TCP", "RELAY_PORT", "RELAY_SERVICE_HOST"];
    assert_eq!(service_links(&environment), links);
    // A value that Kubernetes would not set makes it a mistake.
    assert!(complaint("RELAY_PORT").is_some());
}
