//! Postfix's log, on its way from Postfix to our standard output and to the sidecar.
//!
//! Postfix cannot write to our standard output itself. It opens `/dev/stdout` again, which fails
//! for a socket, and it blocks when nobody reads. So it gets a pipe instead: one thread reads the
//! pipe at once, and another writes to standard output as fast as that accepts lines. What waits in
//! between is bounded ([`store`]), because mail matters more than its log; lines about what became of
//! a message are kept longest.
//!
//! Lines are read in bursts. Deliveries are also parsed ([`mod@line`]) and sent to the sidecar as events
//! ([`events`]), and [`report`] tells it of the queue and of Postfix; with LOG_DETAIL=messages, [`detail`] makes one line of those that a message takes.

pub mod detail;
mod encryption;
pub mod events;
pub mod facts;
mod fields;
pub mod format;
pub mod line;
mod message;
mod output;
pub mod pump;
pub mod redact;
pub mod report;
mod store;
pub mod waiting;
