//! Postfix's milter: the second question, at end of message.
//!
//! `session` keeps what was noted of a connection and of a message, `rules` turns it into facts;
//! both are pure. `callbacks` is the glue to indymilter, and what is negotiated with Postfix.

pub mod callbacks;
pub mod rules;
pub mod session;
