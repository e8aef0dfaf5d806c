//! A terminal at which somebody types passwords, or watches.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::wait;

/// A pseudo-terminal: what a person sees and types on, and what the program has.
#[derive(Debug)]
pub struct Terminal {
    person: File,
    program: File,
}

/// What a person saw, and how it ended.
#[derive(Debug)]
pub struct Session {
    pub shown: String,
    pub status: ExitStatus,
}

impl Terminal {
    pub fn open() -> Result<Self> {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&person)?;
        unlockpt(&person)?;
        let name = ptsname(&person, Vec::new())?;
        let path = Path::new(std::ffi::OsStr::from_bytes(name.to_bytes()));
        let program = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Self { person: person.into(), program })
    }

    /// The person's side and the program's.
    #[must_use]
    pub fn into_sides(self) -> (File, File) {
        (self.person, self.program)
    }

    /// Starts a command that is used by hand.
    pub fn start(self, inner: Command) -> Result<OnTerminal> {
        let before = tcgetattr(&self.program)?;
        let child = spawn(inner, self.program.try_clone()?)?;
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut screen, seen) = (self.person.try_clone()?, Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut chunk) {
                lock(&seen).extend_from_slice(chunk.get(..count).unwrap_or_default());
            }
        });
        Ok(OnTerminal { child, terminal: self, before, shown })
    }

    /// Runs a command, and types each answer once its prompt shows and the terminal no longer echoes.
    pub fn run(self, inner: Command, answers: &[(&str, &str)]) -> Result<Session> {
        let Self { mut person, program } = self;
        let mut child = spawn(inner, program)?;

        let mut shown = String::new();
        let mut answers = answers.iter().peekable();
        let mut chunk = [0; 1024];
        // When the program is gone, Linux fails the read with EIO.
        while let Ok(count @ 1..) = person.read(&mut chunk) {
            shown += &String::from_utf8_lossy(chunk.get(..count).unwrap_or_default());
            let Some((_, answer)) = answers.next_if(|(prompt, _)| shown.ends_with(prompt)) else {
                continue;
            };
            wait::until("the terminal to echo no more", wait::A_WHILE, || {
                let modes = tcgetattr(&person).ok()?.local_modes;
                (!modes.contains(LocalModes::ECHO)).then_some(())
            })?;
            writeln!(person, "{answer}")?;
        }
        let status = child.wait()?;
        Ok(Session { shown, status })
    }
}

/// Starts a command on the program's side of a terminal.
fn spawn(inner: Command, program: File) -> Result<Child> {
    // setsid(1) makes this the controlling terminal, which programs open as /dev/tty.
    let mut command = Command::new("setsid");
    command.arg("--ctty").arg(inner.get_program()).args(inner.get_args()).env_clear();
    for (name, value) in inner.get_envs() {
        command.envs(value.map(|value| (name, value)));
    }
    // Nothing holds the program's side open but the program, or its end would never be seen.
    command
        .stdin(program.try_clone()?)
        .stdout(program.try_clone()?)
        .stderr(program)
        .spawn()
        .context("starting a program on a terminal")
}

/// A program that runs on a terminal. Dropping it kills it.
#[derive(Debug)]
pub struct OnTerminal {
    child: Child,
    terminal: Terminal,
    before: Termios,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl OnTerminal {
    /// Everything that was ever shown, escape sequences included.
    #[must_use]
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&lock(&self.shown)).into_owned()
    }

    /// Waits until this is shown after `from` bytes of what was shown.
    pub fn wait_for(&self, text: &str, from: usize) -> Result<String> {
        wait::until(&format!("{text:?} on the terminal"), wait::A_WHILE, || {
            let shown = self.shown().get(from..).unwrap_or_default().to_owned();
            shown.contains(text).then_some(shown)
        })
        .with_context(|| format!("it shows {:?}", self.shown()))
    }

    pub fn press(&mut self, key: u8) -> Result<()> {
        Ok(self.terminal.person.write_all(&[key])?)
    }

    pub fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(tcsetwinsize(&self.terminal.person, size)?)
    }

    /// The program's process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end; the terminal must then be as it was.
    pub fn finish(mut self) -> Result<Session> {
        let child = &mut self.child;
        let ended = wait::until("a program on a terminal to end", wait::A_WHILE, || {
            child.try_wait().transpose()
        });
        let status = ended?.context("waiting for a program on a terminal")?;
        let after = tcgetattr(&self.terminal.program)?;
        ensure!(
            format!("{after:?}") == format!("{:?}", self.before),
            "the terminal was {:?}, and is left as {after:?}",
            self.before
        );
        Ok(Session { shown: self.shown(), status })
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        // Both fail only when the process is gone already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
