//! `relay top`: the same view again and again, on a screen of its own that is given back whatever happens.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::termios::{self, InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};

use super::{fetch, overview};
use crate::cli::failure::{Exit, Failure};
use crate::status::Status;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// The other screen without a cursor, and back (xterm's private modes 1049 and 25).
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[0m\x1b[?25h\x1b[?1049l";
/// A control character that the terminal is not to look for (_POSIX_VDISABLE).
const DISABLED: u8 = 0;

/// What the daemon answered, or why it did not.
type Seen = Result<Status, String>;

/// Shows the relay until q, Ctrl-C or a signal.
pub fn run(folder: &Path) -> Result<(), Failure> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        let text = "relay top needs a terminal (docker compose exec without -T); for a script there is relay status";
        return Err(Failure::new(Exit::BadInput, text));
    }
    // Before the screen changes, so that the reason stays to be read.
    let first = fetch(folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::trouble)?;
    let screen = Screen::enter().map_err(Failure::trouble)?;
    let done = runtime.block_on(watch(folder, first));
    drop(screen);
    done
}

async fn watch(folder: &Path, first: Status) -> Result<(), Failure> {
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [mut interrupt, mut terminate, mut hangup] =
        signals.map(|kind| signal(kind).map_err(Failure::trouble));
    let (interrupt, terminate, hangup) = (interrupt.as_mut(), terminate.as_mut(), hangup.as_mut());
    let (Ok(interrupt), Ok(terminate), Ok(hangup)) = (interrupt, terminate, hangup) else {
        return Err(Failure::trouble("cannot listen for signals"));
    };
    let mut resized = signal(SignalKind::window_change()).map_err(Failure::trouble)?;
    let (mut keys, mut looks) = (keys(), looks(folder.to_owned()));
    let mut seen = Ok(first);
    loop {
        show(&seen).map_err(Failure::trouble)?;
        tokio::select! {
            look = looks.recv() => match look {
                Some(look) => seen = look,
                None => return Ok(()),
            },
            _ = resized.recv() => {}
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
            key = keys.recv() => if matches!(key, None | Some(b'q' | b'Q')) {
                return Ok(());
            },
        }
    }
}

/// Draws what fits. A daemon that is away shows as such, and is asked again.
fn show(seen: &Seen) -> io::Result<()> {
    let size = termios::tcgetwinsize(io::stdout());
    // A terminal that does not know its size says 0.
    let size = size.ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
    let (columns, rows) = size.map_or((80, 24), |size| (size.ws_col, size.ws_row));
    let style = overview::Style::of_terminal();
    let text = match seen {
        Ok(status) => overview::render(status, &style, columns.into()),
        Err(why) => format!("{why}\n"),
    };
    let mut output = io::stdout().lock();
    output.write_all(frame(&text, columns.into(), rows.into()).as_bytes())?;
    output.flush()
}

/// The text on a screen of this size, and how to leave it in the last row.
fn frame(text: &str, columns: usize, rows: usize) -> String {
    let mut frame = "\x1b[H".to_owned();
    for line in text.lines().take(rows.saturating_sub(1)) {
        frame.push_str(&cut(line, columns));
        frame.push_str("\x1b[0m\x1b[K\r\n");
    }
    frame.push_str("\x1b[J");
    frame.push_str(&cut("q to leave", columns));
    frame
}

/// Asks again and again, on a thread of its own: a daemon that hangs must not keep anybody here.
fn looks(folder: PathBuf) -> Receiver<Seen> {
    let (sender, receiver) = channel(1);
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(EVERY);
            let seen = fetch(&folder).map_err(|failure| failure.text);
            if sender.blocking_send(seen).is_err() {
                return;
            }
        }
    });
    receiver
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

/// The other screen; the terminal is as it was when this is dropped.
struct Screen(Termios);

impl Screen {
    fn enter() -> io::Result<Self> {
        let before = termios::tcgetattr(io::stdin())?;
        leave_in_a_panic(before.clone());
        let mut changed = before.clone();
        changed.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        // Neither Ctrl-Z, which would leave the shell on this screen, nor Ctrl-S, which would stop it.
        changed.input_modes.remove(InputModes::IXON);
        changed.special_codes[SpecialCodeIndex::VSUSP] = DISABLED;
        termios::tcsetattr(io::stdin(), OptionalActions::Now, &changed)?;
        let screen = Self(before);
        io::stdout().write_all(ENTER.as_bytes())?;
        io::stdout().flush()?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave(&self.0);
    }
}

fn leave(before: &Termios) {
    // Nothing is left to try when the terminal is gone. Flush drops what was typed and is not for the shell.
    drop(io::stdout().write_all(LEAVE.as_bytes()));
    drop(io::stdout().flush());
    let _gone = termios::tcsetattr(io::stdin(), OptionalActions::Flush, before);
}

/// The message of a panic would vanish with the other screen.
fn leave_in_a_panic(before: Termios) {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        leave(&before);
        usual(panic);
    }));
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

    #[test]
    fn a_frame_fits_any_screen() {
        let text = "one\ntwo\x1b[1m bold\nthree\n";
        for (columns, rows, expected) in [
            (80, 24, "one/two bold/three/q to leave"),
            (3, 24, "one/two/thr/q t"),
            (80, 3, "one/two bold/q to leave"),
            (80, 1, "q to leave"),
            (1, 1, "q"),
            (0, 0, ""),
        ] {
            let frame = frame(text, columns, rows);
            let escapes = ["\x1b[H", "\x1b[K", "\x1b[J", "\x1b[0m", "\x1b[1m"];
            let shown = escapes.iter().fold(frame, |text, escape| text.replace(escape, ""));
            assert_eq!(shown.replace("\r\n", "/"), expected, "{columns} x {rows}");
        }
    }
}
