//! The harness of the end-to-end tests: the Postfix image's own root file system, our own init and
//! sidecar, a client and a next hop, all in network namespaces of the test's own.
//!
//! A test is written as a call of [`lab::in_a_lab`], which owns everything the test starts, ends it
//! whatever happens, and keeps the logs when the test fails. Nothing here skips: what is missing is an
//! error that says which command provides it.

pub mod authority;
pub mod browser;
pub mod dkim;
pub mod dns;
pub mod evidence;
pub mod fleet;
pub mod lab;
pub mod mail_program;
pub mod measure;
pub mod message;
pub mod milter_client;
pub mod milter_proxy;
pub mod namespace;
pub mod peer;
pub mod postfix;
pub mod process;
pub mod prometheus;
pub mod relay;
pub mod requirements;
pub mod sasl;
pub mod sidecar;
pub mod sink;
pub mod smtp;
pub mod terminal;
pub mod wait;
pub mod webhook;
