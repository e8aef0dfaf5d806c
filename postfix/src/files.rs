//! Files that a reader sees complete or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::Context;

/// Replaces a file in one step, so that a reader sees the old or the new content and never a part
/// of it, even after a power cut. `mode` holds whatever the umask says.
pub fn write_atomically(path: &Path, content: &[u8], mode: u32) -> anyhow::Result<()> {
    write_and_rename(path, content, mode)
        .with_context(|| format!("cannot write {}", path.display()))
}

fn write_and_rename(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let no_name = || io::Error::new(io::ErrorKind::InvalidInput, "the path has no file name");
    let folder = path.parent().ok_or_else(no_name)?;
    let mut temporary_name = OsString::from(".");
    temporary_name.push(path.file_name().ok_or_else(no_name)?);
    temporary_name.push(".new");
    let temporary = folder.join(temporary_name);
    // A crash may have left one behind, perhaps with another mode.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(content)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_written_file_has_its_mode_and_leaves_nothing_else() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("secret");
        fs::write(base.path().join(".secret.new"), "left over").unwrap();
        for content in ["one", "two"] {
            write_atomically(&path, content.as_bytes(), 0o600).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        }
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_path_that_cannot_be_written_is_named() {
        let error = write_atomically(Path::new("/nowhere/file"), b"", 0o600).unwrap_err();
        assert_eq!(error.to_string(), "cannot write /nowhere/file");
    }
}
