//! Whether a sender's domain exists, and bounces find a way back to it. Pure.

use crate::doctor::facts::DomainFacts;
use crate::doctor::finding::{Check, Finding};

pub fn check(facts: &DomainFacts) -> Vec<Finding> {
    vec![judge(facts)]
}

fn judge(facts: &DomainFacts) -> Finding {
    let domain = facts.domain.as_str();
    let publish =
        format!("publish: {domain}. IN MX 10 <the server that receives mail for {domain}>.");
    let mx = match &facts.mx {
        Ok(mx) => mx,
        Err(error) => return Finding::skipped(Check::Bounces, domain, error),
    };
    if !mx.name_exists {
        let found = "the domain does not exist: receivers refuse mail from it";
        let remedy = "register it, or correct the senders of the users (relay user show) and ALLOWED_SENDER_DOMAINS";
        return Finding::fail(Check::Bounces, domain, found, remedy);
    }
    // RFC 7505: the domain says that it takes no mail.
    if mx.records.iter().any(|(_, host)| host.is_empty()) {
        let found = "has a null MX: it takes no mail, and receivers refuse mail from it";
        return Finding::fail(Check::Bounces, domain, found, publish);
    }
    if let Some((_, host)) = mx.records.first() {
        return Finding::ok(Check::Bounces, domain, format!("bounces go to {host}"));
    }
    match (&facts.v4, &facts.v6) {
        (Ok(v4), Ok(v6)) if v4.records.is_empty() && v6.records.is_empty() => {
            let found =
                "has neither MX nor address: bounces get lost, and receivers refuse mail from it";
            Finding::fail(Check::Bounces, domain, found, publish)
        }
        (Err(error), _) | (_, Err(error)) => Finding::skipped(Check::Bounces, domain, error),
        (Ok(_), Ok(_)) => Finding::warn(
            Check::Bounces,
            domain,
            "has no MX; bounces go to the address of the domain itself, often a web server",
            publish,
        ),
    }
}
