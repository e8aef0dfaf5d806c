//! `relay top`: the same view again and again, on a screen of its own that is given back whatever happens.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};

use super::{fetch, overview};
use crate::cli::failure::{Exit, Failure};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// The other screen without a cursor, and back (xterm's private modes 1049 and 25).
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Shows the relay until q, Ctrl-C or a signal.
pub fn run(folder: &Path) -> Result<(), Failure> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        let text = "relay top needs a terminal (docker compose exec without -T); for a script there is relay status";
        return Err(Failure::new(Exit::BadInput, text));
    }
    // Before the screen changes, so that the reason stays to be read.
    fetch(folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::trouble)?;
    let screen = Screen::enter().map_err(Failure::trouble)?;
    let done = runtime.block_on(watch(folder));
    drop(screen);
    done
}

async fn watch(folder: &Path) -> Result<(), Failure> {
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [mut interrupt, mut terminate, mut hangup] =
        signals.map(|kind| signal(kind).map_err(Failure::trouble));
    let (interrupt, terminate, hangup) = (interrupt.as_mut(), terminate.as_mut(), hangup.as_mut());
    let (Ok(interrupt), Ok(terminate), Ok(hangup)) = (interrupt, terminate, hangup) else {
        return Err(Failure::trouble("cannot listen for signals"));
    };
    let mut resized = signal(SignalKind::window_change()).map_err(Failure::trouble)?;
    let mut keys = keys();
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => show(folder).map_err(Failure::trouble)?,
            _ = resized.recv() => show(folder).map_err(Failure::trouble)?,
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
            key = keys.recv() => if matches!(key, None | Some(b'q' | b'Q' | 3 | 27)) {
                return Ok(());
            },
        }
    }
}

/// Draws what fits. A daemon that is away shows as such, and is asked again.
fn show(folder: &Path) -> io::Result<()> {
    let size = termios::tcgetwinsize(io::stdout());
    // A terminal that does not know its size says 0.
    let size = size.ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
    let (columns, rows) = size.map_or((80, 24), |size| (size.ws_col, size.ws_row));
    let width = usize::from(columns);
    let text = match fetch(folder) {
        Ok(status) => overview::render(&status, &overview::Style::of_terminal(), width),
        Err(failure) => failure.text,
    };
    let mut frame = "\x1b[H".to_owned();
    for line in text.lines().take(usize::from(rows).saturating_sub(1)) {
        frame.push_str(&cut(line, width));
        frame.push_str("\x1b[K\r\n");
    }
    frame.push_str("\x1b[J\x1b[2mq to leave\x1b[0m");
    let mut output = io::stdout().lock();
    output.write_all(frame.as_bytes())?;
    output.flush()
}

/// Cuts a line to so many columns; colours take none.
fn cut(line: &str, width: usize) -> String {
    let (mut shown, mut in_escape) = (0, false);
    let mut text = String::with_capacity(line.len());
    for c in line.chars() {
        if c == '\x1b' {
            in_escape = true;
        } else if in_escape {
            in_escape = !c.is_ascii_alphabetic();
        } else if shown == width {
            continue;
        } else {
            shown += 1;
        }
        text.push(c);
    }
    text
}

/// What is typed. The thread ends with the process: a read cannot be given up.
fn keys() -> Receiver<u8> {
    let (sender, receiver) = channel(16);
    std::thread::spawn(move || {
        let mut byte = [0];
        while io::stdin().read_exact(&mut byte).is_ok() {
            if byte.iter().any(|key| sender.blocking_send(*key).is_err()) {
                return;
            }
        }
    });
    receiver
}

/// The other screen; the terminal is as it was when this is dropped, by a panic, too.
struct Screen(Termios);

impl Screen {
    fn enter() -> io::Result<Self> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut changed = before.clone();
        changed.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        termios::tcsetattr(io::stdin(), OptionalActions::Now, &changed)?;
        let screen = Self(before);
        io::stdout().write_all(ENTER.as_bytes())?;
        io::stdout().flush()?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing is left to try when the terminal is gone.
        drop(io::stdout().write_all(LEAVE.as_bytes()));
        drop(io::stdout().flush());
        let _gone = termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_by_what_is_seen_of_it() {
        for (line, width, expected) in [
            ("hello", 3, "hel"),
            ("\x1b[1;32mhello\x1b[0m", 3, "\x1b[1;32mhel\x1b[0m"),
            ("é", 5, "é"),
            ("", 5, ""),
        ] {
            assert_eq!(cut(line, width), expected, "{line:?}");
        }
    }
}
