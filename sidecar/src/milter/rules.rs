//! What the milter noted, as facts for the decision. Pure.

use super::session::Session;
use crate::access::senders::EnvelopeSender;
use crate::access::{Facts, Login};

/// The facts of a finished message. The same ones that policy had, gathered on another way.
pub fn facts(session: &Session, login: Option<Login>) -> Facts {
    let message = &session.message;
    Facts {
        client: session.client,
        login,
        tls: message.tls,
        sender: EnvelopeSender::from_milter(&message.sender),
        authors: message.author_fields.authors(),
    }
}

#[cfg(test)]
mod tests {
    use indymilter::ProtoOpts;

    use super::*;
    use crate::access::networks::Networks;
    use crate::access::{Action, Reason, Rules, decide};

    #[test]
    fn a_session_of_which_nothing_was_noted_may_not_relay() {
        let rules = Rules {
            networks: Networks::default(),
            login_enabled: true,
            network_senders: Vec::new(),
        };
        let verdict = decide(&rules, &facts(&Session::new(ProtoOpts::empty()), None));
        assert!(matches!(verdict.action, Action::Refuse(_)));
        assert_eq!(verdict.reason, Reason::AddressUnknown);
    }
}
