//! The log: one line for each decision, on standard output, as text or JSON.

use crate::config::{LogConfig, LogFormat};

/// Sets the process's log up. Called once, before anything is logged.
pub fn start(config: LogConfig) {
    let base =
        tracing_subscriber::fmt().with_max_level(config.level).with_target(false).with_ansi(false);
    match config.format {
        LogFormat::Text => base.init(),
        LogFormat::Json => base.json().flatten_event(true).with_current_span(false).init(),
    }
}
