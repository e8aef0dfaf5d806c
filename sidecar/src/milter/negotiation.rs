//! What we ask Postfix to tell us of, and what follows from what was agreed on. Pure.

use std::collections::HashMap;
use std::ffi::CString;

use indymilter::{Actions, MacroStage, ProtoOpts};

use super::rewriting::Watching;

/// Bytes of a packet's length: a number in network byte order, which does not count itself.
pub const LENGTH: usize = 4;

/// Stages that we need nothing from, and stages after which Postfix need not wait. The decision is made at the end of the
/// header, or at end of message where all that may follow from it are changes to the header, which are possible there only.
pub fn wanted_options(watching: Watching) -> ProtoOpts {
    let content = match watching {
        Watching { keys: true, .. } => ProtoOpts::NOREPLY_BODY,
        Watching { headers: true, .. } => ProtoOpts::NO_EOH | ProtoOpts::NO_BODY,
        Watching { .. } => ProtoOpts::NO_BODY,
    };
    content
        | ProtoOpts::NO_CONNECT
        | ProtoOpts::NO_HELO
        | ProtoOpts::NO_DATA
        | ProtoOpts::NO_UNKNOWN
        | ProtoOpts::NOREPLY_MAIL
        | ProtoOpts::NOREPLY_RCPT
        | ProtoOpts::NOREPLY_HEADER
}

/// What we may do to a message.
pub fn wanted_actions(watching: Watching) -> Actions {
    let mut actions = Actions::REQUEST_MACROS;
    actions.set(Actions::ADD_HEADER, watching.keys || watching.headers);
    actions.set(Actions::CHANGE_HEADER, watching.headers);
    actions
}

/// The macros we ask for. The client comes with them, at MAIL, and not by the connect stage, which
/// would be one more write of Postfix and one more read here. Every list has a macro that is always
/// there ({client_addr}, {rcpt_addr}, i): indymilter keeps the macros of an earlier message when a
/// list comes empty, and the login of one client would become another's.
pub fn wanted_macros() -> HashMap<MacroStage, CString> {
    let at_mail = c"{client_addr} {daemon_port} {auth_authen} {tls_version}";
    let lists = [
        (MacroStage::Mail, at_mail),
        (MacroStage::Rcpt, c"{rcpt_addr}"),
        (MacroStage::Eoh, c"i"),
        (MacroStage::Eom, c"i"),
    ];
    lists.into_iter().map(|(stage, list)| (stage, list.to_owned())).collect()
}

/// What of a message's header is read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    #[default]
    Everything,
    /// The fields that name an author, and nothing else.
    Authors,
}

impl Reading {
    /// Going by our answer to the negotiation: SMFIC_OPTNEG with version, actions and protocol options. `None` for bytes that
    /// are no such answer. A milter that is told of no body signs nothing, and one that may change no field has no rules for
    /// fields.
    pub fn agreed_on(answer: &[u8]) -> Option<Self> {
        let (_, packet) = answer.split_first_chunk::<LENGTH>()?;
        let (_version, rest) = packet.strip_prefix(b"O")?.split_first_chunk::<4>()?;
        let (actions, rest) = rest.split_first_chunk::<4>()?;
        let (options, _) = rest.split_first_chunk::<4>()?;
        let actions = Actions::from_bits_truncate(u32::from_be_bytes(*actions));
        let options = ProtoOpts::from_bits_truncate(u32::from_be_bytes(*options));
        let changes = actions.intersects(Actions::ADD_HEADER | Actions::CHANGE_HEADER);
        let signs = !options.contains(ProtoOpts::NO_BODY);
        Some(if changes || signs { Self::Everything } else { Self::Authors })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(actions: Actions, options: ProtoOpts) -> Vec<u8> {
        let numbers = [6, actions.bits(), options.bits()].map(u32::to_be_bytes);
        [&13_u32.to_be_bytes()[..], b"O", &numbers.concat()].concat()
    }

    #[test]
    fn only_the_author_is_read_where_there_are_neither_keys_nor_rules() {
        for (keys, headers) in [(false, false), (false, true), (true, false), (true, true)] {
            let watching = Watching { keys, headers };
            let answer = answer(wanted_actions(watching), wanted_options(watching));
            let expected = if keys || headers { Reading::Everything } else { Reading::Authors };
            assert_eq!(Reading::agreed_on(&answer), Some(expected), "{watching:?}");
        }
    }

    #[test]
    fn everything_is_read_where_postfix_sends_bodies_anyway() {
        let watching = Watching::default();
        let (actions, options) = (wanted_actions(watching), wanted_options(watching));
        let answer = answer(actions, options - ProtoOpts::NO_BODY);
        assert_eq!(Reading::agreed_on(&answer), Some(Reading::Everything));
    }

    #[test]
    fn what_is_no_whole_answer_to_the_negotiation_says_nothing() {
        let answer = answer(Actions::empty(), ProtoOpts::NO_BODY);
        assert_eq!(Reading::agreed_on(&answer), Some(Reading::Authors));
        for cut in 0..answer.len() {
            assert_eq!(Reading::agreed_on(&answer[..cut]), None, "{cut}");
        }
        assert_eq!(Reading::agreed_on(b"\0\0\0\x01c"), None);
    }
}
