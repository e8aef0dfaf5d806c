//! Figures and label values in words, the same in every view. Pure.

/// What a label value of a refusal, a refused login or a deferral means; an unknown one stands for itself.
pub fn reason(label: &str) -> &str {
    match label {
        "not_allowed" => "no login, and not from an allowed network",
        "gateway" => "from the container's gateway, without a login",
        "address_unknown" => "the client's address is not known",
        "login_off" => "login is switched off",
        "login_without_tls" | "not_secured" => "login without encryption",
        "user_disabled" => "the user is disabled",
        "user_suspended" => "the user is suspended",
        "user_expired" | "expired" => "the user or the password has expired",
        "user_unknown" => "there is no such user",
        "other_network" => "the user may not send from this network",
        "login_outdated" => "password or rights were changed since the login",
        "sender_not_allowed" => "the envelope sender is not the user's",
        "author_not_allowed" => "the author in the header is not the user's",
        "author_ambiguous" => "the header does not say clearly who wrote it",
        "rate_limit" => "over a sending limit",
        "wrong_password" => "wrong password",
        "limited_address" => "guessed too many passwords from one address",
        "limited_user" => "too many guesses at this user, told to come back",
        "other_identity" => "logs in as one user to act as another",
        "malformed" => "malformed login",
        "unsupported_mechanism" => "unsupported mechanism",
        "trouble" => "could not be judged, told to come back",
        "address" => "the address",
        "mailbox" => "the mailbox",
        "system" => "the receiver's system",
        "network" => "network or DNS",
        "protocol" => "protocol",
        "content" => "the content",
        "tls" => "TLS",
        "policy" => "policy, reputation or authentication",
        "other" => "other",
        "logged_in" => "logged in",
        other => other,
    }
}

/// The largest unit that fits: `3 days`, `2 h`, `5 min`, `40 s`.
pub fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `512 B`, `1.5 MB`: powers of 1000, as df -H has them.
pub fn bytes(number: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    let mut value = number as f64;
    let mut unit = "B";
    for larger in units {
        if value < 1_000.0 {
            break;
        }
        value /= 1_000.0;
        unit = larger;
    }
    match unit {
        "B" => format!("{value:.0} {unit}"),
        _ if value >= 100.0 => format!("{value:.0} {unit}"),
        _ => format!("{value:.1} {unit}"),
    }
}

/// `1,234,567`.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Reason;
    use crate::labels::Label;

    #[test]
    fn figures_are_written_as_people_read_them() {
        for (seconds, expected) in
            [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (172_800, "2 days")]
        {
            assert_eq!(duration(seconds), expected);
        }
        for (size, expected) in [
            (999, "999 B"),
            (1_500, "1.5 kB"),
            (20_000_000_000, "20.0 GB"),
            (250_000_000, "250 MB"),
        ] {
            assert_eq!(bytes(size), expected);
        }
        for (count, expected) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")]
        {
            assert_eq!(number(count), expected);
        }
    }

    #[test]
    fn every_reason_of_a_refusal_has_words() {
        for refusal in Reason::ALL.iter().filter(|reason| reason.action() == "refuse") {
            assert!(reason(refusal.label()).contains(' '), "{}", refusal.label());
        }
    }
}
