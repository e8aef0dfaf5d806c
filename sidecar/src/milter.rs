//! Postfix's milter: asks again at end of message, and charges it.
//!
//! `session` is what is known of a connection and of a message, `rules` turns it into a question;
//! both are pure. `callbacks` is the glue to indymilter, `negotiation`, pure, what is asked of Postfix;
//! `intake` bounds what a connection may make us keep. `rewriting` changes the messages that pass:
//! `header_edits`, which is pure, says how their header is changed, `dkim` how they are signed.
//! `effects` is what follows from a decision: a log line, and an entry of the history.

pub mod callbacks;
mod effects;
pub mod header_edits;
pub mod intake;
mod negotiation;
pub mod rewriting;
pub mod rules;
pub mod session;
