//! `relay backup` and `relay restore`: the whole database in one file.

mod archive;

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, IsTerminal, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{Mode, OFlags};

use super::failure::{Exit, Failure};
use crate::store::UserStore;
use crate::store::copy::{self, Contents, Unused};

/// Standard input or output, instead of a file.
const STANDARD: &str = "-";
/// A folder in the data folder, where a backup is unpacked and checked. It is on the same volume, so
/// that the database can be moved from there.
const UNPACKED: &str = "restoring";

/// Writes a backup; says on standard error what is in it, because standard output may be the backup.
///
/// # Errors
///
/// When the file exists and `force` is not set, or a record is damaged: a restore would refuse it.
pub fn backup(target: &Path, force: bool, folder: &Path) -> Result<(), Failure> {
    if target == Path::new(STANDARD) && io::stdout().is_terminal() {
        return Err(Failure::new(
            Exit::BadInput,
            "a backup is not for a terminal: redirect it, as in relay backup - > relay.backup",
        ));
    }
    if !copy::exists(folder) {
        return Err(Failure::trouble(format!("there is no database in {}", folder.display())));
    }
    let store = UserStore::open(folder).map_err(Failure::trouble)?;
    let contents = store.check_all().map_err(Failure::trouble)?;
    let mut data =
        unnamed_file(folder).map_err(|error| failed("cannot make a copy in", folder, &error))?;
    store.copy_to(&mut data).map_err(Failure::trouble)?;
    let write = |out: &mut dyn Write| {
        let length = data.metadata()?.len();
        data.rewind()?;
        archive::write(&data, length, out)
    };
    if target == Path::new(STANDARD) {
        let mut write = write;
        let written = write(&mut io::stdout().lock());
        written.map_err(|error| Failure::trouble(format!("cannot write the backup: {error}")))?;
    } else {
        write_file(target, force, write)?;
    }
    note(&format!("{contents} saved. The file has password hashes and private keys: guard it."));
    Ok(())
}

/// Puts the database of a backup in the place of the folder's own.
///
/// # Errors
///
/// When the relay runs, when the database has users or keys and `force` is not set, and when the
/// backup is not whole. Nothing was changed then.
pub fn restore(source: &Path, force: bool, folder: &Path) -> Result<(), Failure> {
    if source == Path::new(STANDARD) && io::stdin().is_terminal() {
        return Err(Failure::new(Exit::BadInput, "the backup must be a file or come from a pipe"));
    }
    drop(unused(folder)?);
    if !force {
        check_empty(folder)?;
    }
    let unpacked = folder.join(UNPACKED);
    let restored = unpack(source, &unpacked).and_then(|contents| {
        let aside = format!(
            "users.mdb.before-{}",
            humantime::format_rfc3339_seconds(SystemTime::now()).to_string().replace(':', "")
        );
        let had_one = copy::exists(folder);
        let replaced = unused(folder)?.replace(folder, &unpacked.join("users.mdb"), &aside);
        replaced.map_err(|error| failed("cannot replace the database in", folder, &error))?;
        let kept = if had_one { format!("; the old database is {aside}") } else { String::new() };
        Ok(format!("{contents} restored{kept}"))
    });
    // What is left there is a copy of what the backup has.
    fs::remove_dir_all(&unpacked).ok();
    note(&restored?);
    Ok(())
}

fn unused(folder: &Path) -> Result<Unused, Failure> {
    let lock = Unused::lock(folder);
    let lock = lock.map_err(|error| failed("cannot lock the database in", folder, &error))?;
    lock.ok_or_else(|| {
        Failure::trouble(
            "the database is in use: stop the sidecar (docker compose stop sidecar), and restore with \
             docker compose run --rm -T --no-deps sidecar restore - < relay.backup",
        )
    })
}

fn check_empty(folder: &Path) -> Result<(), Failure> {
    if !copy::exists(folder) {
        return Ok(());
    }
    let or_force = |error| Failure::trouble(format!("{error}; --force replaces it all the same"));
    let contents = UserStore::open(folder).and_then(|store| store.check_all()).map_err(or_force)?;
    if contents.users > 0 || contents.keys > 0 {
        return Err(Failure::new(
            Exit::UserExists,
            format!(
                "the database has {contents}: --force replaces it, and keeps it under another name"
            ),
        ));
    }
    Ok(())
}

/// Unpacks a backup, and reads every record of it.
fn unpack(source: &Path, unpacked: &Path) -> Result<Contents, Failure> {
    let trouble = |error: &io::Error| failed("cannot unpack the backup in", unpacked, error);
    // Of a restore that was killed.
    if unpacked.exists() {
        fs::remove_dir_all(unpacked).map_err(|error| trouble(&error))?;
    }
    DirBuilder::new().mode(0o700).create(unpacked).map_err(|error| trouble(&error))?;
    let mut options = OpenOptions::new();
    let data = options.write(true).create_new(true).mode(0o600).open(unpacked.join("users.mdb"));
    let data = data.map_err(|error| trouble(&error))?;
    let input: Box<dyn Read> = if source == Path::new(STANDARD) {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(source).map_err(|error| failed("cannot read", source, &error))?)
    };
    let read = archive::read(input, &data);
    read.map_err(|error| Failure::new(Exit::BadInput, format!("{error}; nothing was changed")))?;
    data.sync_all().map_err(|error| trouble(&error))?;
    let checked = UserStore::open(unpacked).and_then(|store| store.check_all());
    checked.map_err(|error| {
        Failure::new(Exit::BadInput, format!("the backup is no good: {error}; nothing was changed"))
    })
}

/// Writes a file of mode 0600. One that exists stays as it is until the new one is whole.
fn write_file(
    target: &Path,
    force: bool,
    mut write: impl FnMut(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Failure> {
    let place = if force { part_of(target) } else { target.to_owned() };
    if force {
        // Of a backup that was killed.
        fs::remove_file(&place).ok();
    }
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&place) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let text = format!("{} exists: --force replaces it", target.display());
            return Err(Failure::new(Exit::BadInput, text));
        }
        file => file.map_err(|error| failed("cannot write", &place, &error))?,
    };
    let written = write(&mut file).and_then(|()| file.sync_all());
    let written = written.and_then(|()| if force { fs::rename(&place, target) } else { Ok(()) });
    written.map_err(|error| {
        fs::remove_file(&place).ok();
        failed("cannot write", target, &error)
    })
}

fn part_of(target: &Path) -> PathBuf {
    let mut name = OsString::from(target);
    name.push(".part");
    name.into()
}

/// A file that vanishes with this process: the copy is as secret as the database.
fn unnamed_file(folder: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR)?))
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::trouble(format!("{what} {}: {error}", path.display()))
}

fn note(text: &str) {
    // Nobody is left to tell when standard error is gone.
    drop(writeln!(io::stderr(), "{text}"));
}
