//! What the fuzz targets check: a function from bytes that panics when the sidecar breaks a promise.
//!
//! The test `corpus` of the sidecar includes this file and runs the same functions over the saved
//! corpus, so that what fuzzing has reached once is reached in each test run.

pub mod address_check;
pub mod allowed_networks;
pub mod dkim_key;
pub mod dkim_message;
pub mod passwd_import;
pub mod policy_request;
pub mod sasl_line;
pub mod sasl_session;
