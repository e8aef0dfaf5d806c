//! Postfix's configuration, made from the settings.

pub mod explain;
#[cfg(test)]
mod golden;
pub mod guard;
pub mod main_cf;
pub mod master_cf;
