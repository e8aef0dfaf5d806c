//! The database at the start: opened, joined to its fleet, with the user of `SMTP_USERNAME` in it.

use anyhow::Context as _;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::first_user;
use super::fleet::Fleet;
use crate::config::Config;
use crate::store::UserStore;
use crate::store::shared::Kind;

/// Opens the database, as one of a fleet if there is one, with the user of `SMTP_USERNAME` in it.
pub async fn open(
    config: &Config,
    stopping: &CancellationToken,
) -> anyhow::Result<(UserStore, Option<Fleet>)> {
    let store = UserStore::open(&config.data_folder)?;
    let (store, fleet) = match &config.fleet {
        Some(fleet) => {
            let (store, fleet) = Fleet::join(fleet, store).await?;
            fleet.follow(&store, stopping).await;
            (store, Some(fleet))
        }
        None => {
            if store.position(Kind::Users)?.is_some() {
                tracing::error!(
                    "this database is a replica of a fleet's, and FLEET_URL is not set: mail goes on with what is here, and \
                     users cannot be changed. Set FLEET_URL again, or make it the local database with relay fleet leave"
                );
            }
            (store, None)
        }
    };
    if let Some(first_user) = config.first_user.clone() {
        let (store, cost) = (store.clone(), config.passwords.cost);
        // A hash takes its time, and in a fleet the engine is asked.
        let made = spawn_blocking(move || first_user::ensure(&store, &first_user, cost)).await?;
        match made {
            Err(error) if fleet.is_some() => tracing::error!(
                %error, "the user of SMTP_USERNAME is as it was before; a restart tries again"
            ),
            made => made.context("creating the user of SMTP_USERNAME")?,
        }
    }
    Ok((store, fleet))
}
