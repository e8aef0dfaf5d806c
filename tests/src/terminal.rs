//! A terminal at which somebody types passwords.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

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
    /// Whether the terminal shows what is typed, as it did before.
    pub echoes: bool,
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

    /// Runs a command, and types each answer once its prompt shows and the terminal no longer echoes.
    pub fn run(self, inner: Command, answers: &[(&str, &str)]) -> Result<Session> {
        let Self { mut person, program } = self;
        // setsid(1) makes this the controlling terminal, which programs open as /dev/tty.
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(inner.get_program()).args(inner.get_args()).env_clear();
        for (name, value) in inner.get_envs() {
            command.envs(value.map(|value| (name, value)));
        }
        let mut child = command
            .stdin(program.try_clone()?)
            .stdout(program.try_clone()?)
            .stderr(program)
            .spawn()
            .context("starting a program on a terminal")?;
        // The command holds the program's side open, and its end would never be seen.
        drop(command);

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
        let echoes =
            tcgetattr(&person)?.local_modes.contains(LocalModes::ECHO | LocalModes::ICANON);
        Ok(Session { shown, status, echoes })
    }
}
