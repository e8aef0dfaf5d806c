//! The stack as people run it: both images and compose.yaml, under whichever Compose is installed.
//!
//! Each test has a project of its own, with ports of its own, and removes it.

mod command;
mod fleet;
mod images;
mod moving;
mod operation;
mod recreate;
mod secrets;
mod stack;
