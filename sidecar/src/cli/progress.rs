//! Progress of what takes long, on a terminal; nothing where standard error is not one.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Between two pictures of something of which nobody knows how long it takes.
const TICK: Duration = Duration::from_millis(100);

/// The bar; dropping it clears the line.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// The bar for reading a file of so many bytes; without a size it only counts.
    pub fn start(bytes: Option<u64>) -> Self {
        let bar = match bytes {
            Some(bytes) => ProgressBar::new(bytes),
            None => ProgressBar::no_length(),
        };
        bar.set_style(style("checking {wide_bar} {bytes}/{total_bytes} {eta}"));
        Self(bar)
    }

    /// For going through all users, of which nobody knows how many they are. Nothing where they themselves are
    /// printed on the terminal.
    pub fn users() -> Self {
        let bar = match std::io::stdout().is_terminal() {
            true => ProgressBar::hidden(),
            false => ProgressBar::no_length(),
        };
        bar.set_style(style("checking {human_pos} users"));
        Self(bar)
    }

    /// For something that takes some seconds, such as waiting for DNS.
    pub fn working(what: &str) -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_style(style("{spinner} {msg}"));
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    pub fn checked(&self) {
        self.0.inc(1);
    }

    pub fn read(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// The bar for writing so many users.
    pub fn writing(&self, users: u64) {
        self.0.reset();
        self.0.set_length(users);
        self.0.set_style(style("writing {wide_bar} {human_pos}/{human_len} {eta}"));
    }

    pub fn written(&self) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
