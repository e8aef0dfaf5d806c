//! Host and domain names that are valid in SMTP and in main.cf.

/// Limits of RFC 1035 2.3.4, in characters; a name of 253 takes the 255 octets allowed on the wire.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// A name of at least two labels of letters, digits and hyphens, as `EHLO` requires.
pub fn full_name(text: &str) -> Result<String, String> {
    if let Some(without_dot) = text.strip_suffix('.') {
        return Err(format!("must not end with a dot; write {without_dot}"));
    }
    let example = "must be a fully qualified host name like relay.example.org";
    if text.parse::<std::net::IpAddr>().is_ok() || is_dotted_number(text) {
        return Err(format!("{example}, not an IP address"));
    }
    if !text.contains('.') {
        return Err(format!("{example}, with at least one dot"));
    }
    if !text.is_ascii() {
        return Err(format!("{example}; write internationalised labels as xn--…"));
    }
    check_labels(text, false).map_err(|why| format!("{example}; {why}"))?;
    Ok(text.to_owned())
}

/// A name to connect to: one label is enough, and underscores are allowed for container names.
pub fn target_name(text: &str) -> Result<String, String> {
    if is_dotted_number(text) {
        return Err("is not an IPv4 address".to_owned());
    }
    check_labels(text, true)?;
    Ok(text.to_owned())
}

/// Whether a name is all digits and dots: an address was meant, and no host is called that.
fn is_dotted_number(text: &str) -> bool {
    text.chars().all(|character| character.is_ascii_digit() || character == '.')
}

fn check_labels(text: &str, underscores: bool) -> Result<(), String> {
    if text.len() > MAX_NAME {
        return Err(format!("a name has at most {MAX_NAME} characters"));
    }
    text.split('.').try_for_each(|label| check_label(label, underscores))
}

fn check_label(label: &str, underscores: bool) -> Result<(), String> {
    let is_allowed = |character: char| {
        character.is_ascii_alphanumeric() || character == '-' || (underscores && character == '_')
    };
    if label.is_empty() {
        return Err("it has an empty label".to_owned());
    }
    if label.len() > MAX_LABEL {
        return Err(format!("a label has at most {MAX_LABEL} characters"));
    }
    if !label.chars().all(is_allowed) {
        return Err("only letters, digits, hyphens and dots are allowed".to_owned());
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err("no label may start or end with a hyphen".to_owned());
    }
    Ok(())
}

/// The domain of a host: `example.org` for `relay.example.org`, and also for `example.org`.
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
    fn fully_qualified_names_are_kept_as_written() {
        let long = format!("{}.example.org", "a".repeat(63));
        for name in ["relay.example.org", "Relay.Example.ORG", "xn--mnchen-3ya.de", "a.b", &long] {
            assert_eq!(full_name(name), Ok(name.to_owned()));
        }
    }

    #[test]
    fn any_other_name_is_refused_with_the_reason() {
        let long_label = format!("{}.org", "a".repeat(64));
        let long_name = format!("{}org", "a.".repeat(126));
        for (name, why) in [
            ("relay", "with at least one dot"),
            ("relay.example.org.", "must not end with a dot; write relay.example.org"),
            ("192.0.2.1", "not an IP address"),
            ("2001:db8::1", "not an IP address"),
            ("999.1.1.1", "not an IP address"),
            ("relay..org", "it has an empty label"),
            (".example.org", "it has an empty label"),
            ("-a.example.org", "no label may start or end with a hyphen"),
            ("a-.example.org", "no label may start or end with a hyphen"),
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
    fn the_domain_is_the_name_without_its_first_label_if_that_leaves_two() {
        for (hostname, domain) in [
            ("relay.example.org", "example.org"),
            ("a.b.example.org", "b.example.org"),
            ("example.org", "example.org"),
        ] {
            assert_eq!(domain_of(hostname), domain);
        }
    }
}
