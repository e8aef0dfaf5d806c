//! How full the database is.

use super::{StoreError, UserStore};

/// Sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Length of the file that is in use.
    pub size: u64,
    /// The longest that it may become.
    pub max_size: u64,
    /// Slots of the table of readers that are taken, of this and all other processes.
    pub readers: u64,
    pub max_readers: u64,
    /// What is free on its volume.
    pub volume_free: u64,
    pub volume_size: u64,
    /// Files that there can be on it, and can still be; 0 where there is no bound.
    pub inodes: u64,
    pub inodes_free: u64,
}

impl UserStore {
    /// # Errors
    ///
    /// When the volume cannot be asked.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        let info = self.env.info();
        let path = self.env.path();
        let volume = rustix::fs::statvfs(path.parent().unwrap_or(path));
        let volume = volume.map_err(std::io::Error::from)?;
        Ok(Usage {
            size: (info.last_page_number as u64 + 1) * rustix::param::page_size() as u64,
            max_size: info.map_size as u64,
            readers: info.number_of_readers.into(),
            max_readers: info.maximum_number_of_readers.into(),
            volume_free: volume.f_bavail * volume.f_frsize,
            inodes: volume.f_files,
            inodes_free: volume.f_favail,
            volume_size: volume.f_blocks * volume.f_frsize,
        })
    }
}
