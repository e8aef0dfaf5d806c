//! The modules of `relay`. They are a library so that fuzz targets, which are programs of their
//! own, can call what reads the bytes of a peer; `main.rs` is the story.

pub mod access;
pub mod alerts;
pub mod app;
pub mod bounded;
pub mod cli;
pub mod config;
pub mod events;
pub mod http;
pub mod ledger;
pub mod limits;
pub mod listener;
pub mod logging;
pub mod metrics;
pub mod milter;
pub mod password;
pub mod policy;
pub mod printable;
pub mod reply;
pub mod sasl;
pub mod shutdown;
pub mod users;
