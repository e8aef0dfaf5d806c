//! The benchmark: the relay beside bare Postfix and its peers.
//!
//! Every comparison is made in one run, interleaved, with one running stack for each variant, and
//! given as the ratio to its reference of the same round. On a shared machine the CPU time is the
//! figure to trust. `docs/benchmarks/` has what came of it.

pub mod benchmarks;
pub mod cpu;
pub mod dovecot;
pub mod growth;
pub mod libmilter;
pub mod lines;
pub mod load;
pub mod log_driver;
pub mod logging;
pub mod logins;
pub mod milter;
pub mod noop;
pub mod opendkim;
pub mod plan;
pub mod plot;
pub mod policy;
pub mod process;
pub mod report;
pub mod rounds;
pub mod service;
pub mod signing;
pub mod sink;
pub mod soak;
pub mod stack;
pub mod users;
pub mod views;
pub mod whole_relay;
