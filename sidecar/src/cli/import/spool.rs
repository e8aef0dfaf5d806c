//! Checked users on their way into the database: one JSON value per line, in a file without a name.
//!
//! It lies beside the database, and is as secret: it holds hashes. It vanishes with the process.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::store::Entry;
use crate::user_name::UserName;

#[derive(Debug)]
pub struct Spool(BufWriter<File>);

impl Spool {
    pub fn create(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(Self(BufWriter::new(File::from(file))))
    }

    pub fn write(&mut self, name: &UserName, entry: &Entry) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, &(name.as_str(), entry))?;
        self.0.write_all(b"\n")
    }

    /// Everything that was written, in the same order.
    pub fn read(self) -> io::Result<impl Iterator<Item = io::Result<(UserName, Entry)>>> {
        let mut file = self.0.into_inner()?;
        file.rewind()?;
        Ok(BufReader::new(file).lines().map(|line| {
            let (name, entry): (String, Entry) = serde_json::from_str(&line?)?;
            let name = UserName::parse(&name).map_err(io::Error::other)?;
            Ok((name, entry))
        }))
    }
}
