//! Tells the fleet who was suspended here. Here it counts already.

use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::link::Link;
use crate::store::UserStore;

const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Until the process stops.
pub async fn tell(link: Link, store: UserStore, stopping: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stopping.cancelled() => return,
        }
        if !link.is_connected() {
            continue;
        }
        let store = store.clone();
        // Writing waits for the network and the disk.
        let told = spawn_blocking(move || {
            for suspension in store.suspensions()? {
                // Whoever changed the user meanwhile: it is tried again with what is there then.
                if let Err(error) = store.publish_suspension(&suspension) {
                    tracing::debug!(user = %suspension.user, %error, "the fleet was not told of a suspension");
                }
            }
            Ok::<_, crate::store::StoreError>(())
        });
        drop(told.await);
    }
}
