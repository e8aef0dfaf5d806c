//! A mail program of Debian on a machine of its own, set up with what `relay user snippet` prints.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

use crate::namespace::Namespace;
use crate::process::PATH;
use crate::requirements::{Requirements, mail_program};

const SCRIPT: &str = include_str!("mail_program.sh");

/// What a snippet says: files with their contents, and commands to run after they are written.
#[derive(Debug, Clone, Default)]
pub struct Snippet {
    pub files: Vec<(String, String)>,
    pub commands: Vec<String>,
}

impl Snippet {
    /// Reads what the command printed, with the password in its place.
    pub fn read(text: &str, password: &str) -> Result<Self> {
        let placeholder = "YOUR-PASSWORD";
        ensure!(text.contains(placeholder), "no place for the password in: {text}");
        let mut snippet = Self::default();
        for part in text.replace("Put the password where YOUR-PASSWORD", "").split("==> ").skip(1) {
            let (name, content) = part.split_once('\n').context("a name without content")?;
            if name == "then" {
                snippet.commands.extend(content.lines().map(str::to_owned));
            } else {
                let content = content.replace(placeholder, password);
                snippet.files.push((name.to_owned(), content));
            }
        }
        ensure!(!snippet.files.is_empty(), "no file in: {text}");
        Ok(snippet)
    }
}

/// A machine with one mail program.
#[derive(Debug)]
pub struct MailProgram {
    package: PathBuf,
    place: PathBuf,
    namespace: Namespace,
}

impl MailProgram {
    /// A machine whose files are to be kept in `place`, which does not exist yet.
    pub fn new(package: &str, place: &Path, namespace: &Namespace) -> Result<Self> {
        let package = mail_program(&Requirements::find()?, package)?;
        fs::create_dir_all(place.join("files"))?;
        Ok(Self { package, place: place.to_owned(), namespace: namespace.clone() })
    }

    /// Writes a file, behind what an earlier call wrote there.
    pub fn write(&self, name: &str, content: &str) -> Result<()> {
        let path = self.place.join("files").join(name.trim_start_matches('/'));
        fs::create_dir_all(path.parent().context("a file without a folder")?)?;
        let before = fs::read_to_string(&path).unwrap_or_default();
        Ok(fs::write(path, before + content)?)
    }

    /// Starts the machine, runs a script in it, and ends it.
    pub fn run(&self, script: &str) -> Result<Output> {
        Command::new("nsenter")
            .arg(format!("--net={}", self.namespace.path()))
            .args(["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child=KILL"])
            .args(["sh", "-c", SCRIPT, "mail-program"])
            .args([&self.package, &self.place])
            .arg(script)
            .env_clear()
            .env("PATH", PATH)
            .output()
            .context("starting a machine with a mail program")
    }
}
