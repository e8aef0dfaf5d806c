//! End-to-end tests on the image's Postfix with the workspace's own init and sidecar.
//!
//! Each module is one side of what the relay promises.

mod alerts;
mod auth_flood;
mod backup;
mod certificates;
mod clients;
mod console;
mod delivery;
mod dkim;
mod doctor;
mod drain;
mod faults;
mod faults_of_postfix;
mod fleet;
mod gateway;
mod guessing;
mod guessing_flood;
mod history;
mod hostile_peers;
mod limits;
mod log_detail;
mod login;
mod logs;
mod many_users;
mod metrics;
mod milter;
mod networks;
mod next_hops;
mod open_relay;
mod parameters;
mod passwords;
mod postfix_log;
mod prometheus;
mod proxy_protocol;
mod queue;
mod reference_clients;
mod sasl_protocol;
mod secrets;
mod senders;
mod settings;
mod smarthost;
mod smtp_service;
mod status_page;
mod suspension;
mod users;
