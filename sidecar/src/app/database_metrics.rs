//! What a scrape tells of the user database.

use crate::metrics::{KnownGauges, Registry};
use crate::store::UserStore;

/// Missing while the database cannot be read.
#[derive(Debug)]
pub struct DatabaseMetrics {
    users: KnownGauges<()>,
    size: KnownGauges<()>,
    max_size: KnownGauges<()>,
    readers: KnownGauges<()>,
    max_readers: KnownGauges<()>,
    volume_free: KnownGauges<()>,
    volume_size: KnownGauges<()>,
    inodes: KnownGauges<()>,
    inodes_free: KnownGauges<()>,
}

impl DatabaseMetrics {
    /// # Errors
    ///
    /// When a name is taken.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name, help| registry.known_gauges(name, help);
        Ok(Self {
            users: gauge("relay_users", "Users in the database, disabled ones included")?,
            size: gauge("relay_database_size_bytes", "Size of the user database")?,
            max_size: gauge(
                "relay_database_size_max_bytes",
                "The largest that the user database may become",
            )?,
            readers: gauge(
                "relay_database_readers",
                "Reader slots of the user database in use, by the sidecar and by commands",
            )?,
            max_readers: gauge("relay_database_readers_max", "Reader slots of the user database")?,
            volume_free: gauge(
                "relay_database_volume_free_bytes",
                "Free space on the volume of the user database",
            )?,
            volume_size: gauge(
                "relay_database_volume_size_bytes",
                "Size of the volume of the user database",
            )?,
            inodes: gauge(
                "relay_database_volume_inodes",
                "Files that there can be on the volume of the user database; missing where there is no bound",
            )?,
            inodes_free: gauge(
                "relay_database_volume_inodes_free",
                "Files that there can still be on the volume of the user database",
            )?,
        })
    }

    pub fn refresh(&self, store: &UserStore) {
        self.users.set((), store.user_count().ok());
        let usage = store.usage().ok();
        self.size.set((), usage.map(|usage| usage.size));
        self.max_size.set((), usage.map(|usage| usage.max_size));
        self.readers.set((), usage.map(|usage| usage.readers));
        self.max_readers.set((), usage.map(|usage| usage.max_readers));
        self.volume_free.set((), usage.map(|usage| usage.volume_free));
        self.volume_size.set((), usage.map(|usage| usage.volume_size));
        let bounded = usage.filter(|usage| usage.inodes > 0);
        self.inodes.set((), bounded.map(|usage| usage.inodes));
        self.inodes_free.set((), bounded.map(|usage| usage.inodes_free));
    }
}
