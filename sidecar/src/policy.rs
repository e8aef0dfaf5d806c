//! Postfix's policy server (SMTPD_POLICY_README): asked once for each recipient, before Postfix's
//! own lists.
//!
//! `protocol` is attributes in and an action out, `rules` turns attributes into a question; both
//! are pure. `session` is the only asynchronous code. The answer is DUNNO or a refusal, never OK:
//! it can close the relay, but not open it.

pub mod protocol;
pub mod rules;
pub mod session;
