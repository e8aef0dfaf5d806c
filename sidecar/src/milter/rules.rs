//! What the milter asks at end of message. Pure.

use super::session::Session;
use crate::access::senders::ToldSender;
use crate::decision::{Question, Stage};

/// The question about a finished message: policy's question, with what came after it.
pub fn question(session: &Session) -> Question<'_> {
    let message = &session.message;
    Question {
        client: message.client,
        user: message.user.as_deref(),
        tls: message.tls,
        sender: ToldSender::Milter(&message.sender),
        authors: &message.author_fields,
        // A message has at least one recipient, even where Postfix told of none.
        stage: Stage::Message { recipients: message.recipients.max(1) },
    }
}

#[cfg(test)]
mod tests {
    use indymilter::ProtoOpts;

    use super::*;
    use crate::milter::rewriting::Watching;

    #[test]
    fn a_session_of_which_nothing_is_known_claims_nothing() {
        let session = Session::new(ProtoOpts::empty(), Watching::default());
        let question = question(&session);
        assert_eq!((question.client, question.user, question.tls), (None, None, false));
        assert_eq!(question.stage, Stage::Message { recipients: 1 });
    }

    #[test]
    fn recipients_are_counted_without_end_and_named_up_to_a_point() {
        let mut session = Session::new(ProtoOpts::empty(), Watching::default());
        for _ in 0..1_000 {
            session.message.add_recipient(Some(b"<bob@example.net>"));
        }
        assert_eq!(question(&session).stage, Stage::Message { recipients: 1_000 });
        assert!(session.message.named_recipients.len() < 10);
    }
}
