//! The modules of `relay`. They are a library so that fuzz targets, which are programs of their own,
//! can call what reads a peer's bytes; `main.rs` is the story.

pub mod access;
pub mod addresses;
pub mod alerts;
pub mod answers;
pub mod app;
pub mod bounded;
pub mod cli;
pub mod clock;
pub mod config;
pub mod decision;
pub mod dkim;
pub mod events;
pub mod gateways;
pub mod http;
pub mod labels;
pub mod ledger;
pub mod limits;
pub mod listener;
pub mod lists;
pub mod logging;
pub mod metrics;
pub mod milter;
pub mod password;
pub mod policy;
pub mod printable;
pub mod reply;
pub mod sasl;
pub mod service;
pub mod shutdown;
pub mod signing;
pub mod store;
pub mod user_name;
pub mod users;
