//! Host and domain names as they may stand in SMTP and in main.cf.

/// RFC 1035 2.3.4.
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// A name with at least two labels of letters, digits and hyphens, as `EHLO` wants it.
pub fn full_name(text: &str) -> Result<String, String> {
    if let Some(without_dot) = text.strip_suffix('.') {
        return Err(format!("must not end with a dot; write {without_dot}"));
    }
    let example = "must be a full host name like relay.example.org";
    if text.parse::<std::net::IpAddr>().is_ok() || is_dotted_number(text) {
        return Err(format!("{example}, not an IP address"));
    }
    if !text.contains('.') {
        return Err(format!("{example}, with at least one dot"));
    }
    if !text.is_ascii() {
        return Err(format!("{example}; write its international labels as xn--…"));
    }
    check_labels(text, false).map_err(|why| format!("{example}; {why}"))?;
    Ok(text.to_owned())
}

/// A name to connect to: one label is enough, and the underscores of container names are let in.
pub fn target_name(text: &str) -> Result<String, String> {
    if is_dotted_number(text) {
        return Err("is not an IPv4 address".to_owned());
    }
    check_labels(text, true)?;
    Ok(text.to_owned())
}

/// Digits and dots only: somebody meant an address, and no host is named so.
fn is_dotted_number(text: &str) -> bool {
    text.chars().all(|character| character.is_ascii_digit() || character == '.')
}

fn check_labels(text: &str, underscores: bool) -> Result<(), String> {
    if text.len() > LONGEST_NAME {
        return Err(format!("a name has at most {LONGEST_NAME} characters"));
    }
    text.split('.').try_for_each(|label| check_label(label, underscores))
}

fn check_label(label: &str, underscores: bool) -> Result<(), String> {
    let is_allowed = |character: char| {
        character.is_ascii_alphanumeric() || character == '-' || (underscores && character == '_')
    };
    if label.is_empty() {
        return Err("between two dots there must be something".to_owned());
    }
    if label.len() > LONGEST_LABEL {
        return Err(format!("between two dots there may be at most {LONGEST_LABEL} characters"));
    }
    if !label.chars().all(is_allowed) {
        return Err("only letters, digits, hyphens and dots may stand in it".to_owned());
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err("no part may begin or end with a hyphen".to_owned());
    }
    Ok(())
}

/// The domain a host belongs to: `example.org` for `relay.example.org`, but also for `example.org`.
pub fn domain_of(hostname: &str) -> String {
    match hostname.split_once('.') {
        Some((_, rest)) if rest.contains('.') => rest.to_owned(),
        _ => hostname.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_names_are_kept_as_written() {
        let long = format!("{}.example.org", "a".repeat(63));
        for name in ["relay.example.org", "Relay.Example.ORG", "xn--mnchen-3ya.de", "a.b", &long] {
            assert_eq!(full_name(name), Ok(name.to_owned()));
        }
    }

    #[test]
    fn what_is_no_full_name_says_why() {
        let long_label = format!("{}.org", "a".repeat(64));
        let long_name = format!("{}org", "a.".repeat(126));
        for (name, why) in [
            ("relay", "with at least one dot"),
            ("relay.example.org.", "must not end with a dot; write relay.example.org"),
            ("192.0.2.1", "not an IP address"),
            ("2001:db8::1", "not an IP address"),
            ("999.1.1.1", "not an IP address"),
            ("relay..org", "between two dots there must be something"),
            (".example.org", "between two dots there must be something"),
            ("-a.example.org", "no part may begin or end with a hyphen"),
            ("a-.example.org", "no part may begin or end with a hyphen"),
            ("re_lay.example.org", "only letters, digits, hyphens and dots"),
            ("relay.example.org\nmynetworks=0.0.0.0/0", "only letters, digits"),
            ("$myhostname.org", "only letters, digits"),
            (" relay.example.org", "only letters, digits"),
            ("münchen.de", "xn--"),
            (&long_label, "at most 63"),
            (&long_name, "at most 253"),
        ] {
            let advice = full_name(name).unwrap_err();
            assert!(advice.contains(why), "{name}: {advice}");
        }
    }

    #[test]
    fn the_domain_is_the_name_without_its_first_label_if_that_is_still_a_domain() {
        for (hostname, domain) in [
            ("relay.example.org", "example.org"),
            ("a.b.example.org", "b.example.org"),
            ("example.org", "example.org"),
        ] {
            assert_eq!(domain_of(hostname), domain);
        }
    }
}
