//! `ALERT_MAIL`: who gets alerts by mail. Pure.

/// Addresses that alerts go to.
const MOST: usize = 10;

/// Checked addresses; none means that alerts are not mailed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recipients(pub Vec<String>);

/// Reads addresses separated by spaces or commas.
pub fn parse(text: &str) -> Result<Recipients, String> {
    let entries = text.split(|c: char| c == ',' || c.is_ascii_whitespace());
    let addresses: Vec<String> =
        entries.filter(|entry| !entry.is_empty()).map(str::to_owned).collect();
    if let Some(wrong) = addresses.iter().find(|address| !is_address(address)) {
        return Err(format!("has {wrong:?}, which is no mail address: write you@example.net"));
    }
    if addresses.len() > MOST {
        return Err(format!("has {} addresses: at most {MOST}", addresses.len()));
    }
    Ok(Recipients(addresses))
}

/// Nothing that means something in a header or in an envelope.
fn is_address(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let Some((local, domain)) = text.split_once('@') else { return false };
    let labels = domain.split('.').count();
    let is_host = domain.split('.').all(|label| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    });
    !local.is_empty() && local.chars().all(is_plain) && labels > 1 && is_host && text.len() <= 254
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_plain_and_few() {
        for (text, expected) in [
            ("", Some(0)),
            ("you@example.net", Some(1)),
            ("a+b@example.net, c@example.org d@x.y", Some(3)),
            ("you", None),
            ("you@localhost", None),
            ("<you@example.net>", None),
            ("a\u{0}@example.net", None),
            ("\"a b\"@example.net", None),
            ("a@b@example.net", None),
            ("a@example..net", None),
            ("@example.net", None),
        ] {
            let parsed = parse(text);
            assert_eq!(parsed.ok().map(|recipients| recipients.0.len()), expected, "{text:?}");
        }
        assert!(parse(&"a@x.y ".repeat(11)).unwrap_err().contains("at most 10"));
    }
}
