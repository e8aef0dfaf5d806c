//! The connection to the engine.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Event};
use tokio::sync::watch;

use crate::config::FleetConfig;
use crate::config::fleet::Credentials;

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// An engine that is frozen answers no pings; two that are missed end the connection.
const PING_EVERY: Duration = Duration::from_secs(4);
/// Between attempts to connect.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A connection, which comes back by itself. Clones share it.
#[derive(Debug, Clone)]
pub struct Link {
    pub client: Client,
    /// Counts connections, and is 0 while there is none.
    connection: watch::Receiver<u64>,
}

impl Link {
    /// Connects in the background, and goes on trying for ever.
    ///
    /// # Errors
    ///
    /// When credentials or addresses cannot be used.
    pub async fn start(config: &FleetConfig) -> Result<Self, String> {
        Self::connect(config, true).await
    }

    /// Connects now.
    ///
    /// # Errors
    ///
    /// When no server answers in a few seconds.
    pub async fn now(config: &FleetConfig) -> Result<Self, String> {
        Self::connect(config, false).await
    }

    async fn connect(config: &FleetConfig, later: bool) -> Result<Self, String> {
        let (sender, connection) = watch::channel(0);
        let connections = AtomicU64::new(0);
        let options = options(config)?.event_callback(move |event| {
            match event {
                Event::Connected => {
                    sender.send_replace(1 + connections.fetch_add(1, Ordering::Relaxed));
                }
                Event::Disconnected | Event::Closed => drop(sender.send_replace(0)),
                Event::ServerError(error) => {
                    tracing::warn!(%error, "the fleet's engine refuses something");
                }
                _ => {}
            }
            std::future::ready(())
        });
        let options = if later { options.retry_on_initial_connect() } else { options };
        let client = options.connect(config.servers.clone()).await;
        let client = client.map_err(|error| in_full(&error))?;
        Ok(Self { client, connection })
    }

    /// Which connection there is; 0 is none.
    pub fn connection(&self) -> u64 {
        *self.connection.borrow()
    }

    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Waits until there is a connection, and returns which one.
    pub async fn connected(&self) -> u64 {
        let mut connection = self.connection.clone();
        let found = connection.wait_for(|connection| *connection > 0).await.map(|found| *found);
        match found {
            Ok(number) => number,
            // The client has ended, with the process.
            Err(_) => std::future::pending().await,
        }
    }

    /// Waits until a connection has ended.
    pub async fn lost(&self, number: u64) {
        let mut connection = self.connection.clone();
        drop(connection.wait_for(|connection| *connection != number).await);
    }
}

fn options(config: &FleetConfig) -> Result<ConnectOptions, String> {
    let options = match &config.credentials {
        None => ConnectOptions::new(),
        Some(Credentials::Nkey(seed)) => ConnectOptions::with_nkey(seed.to_string()),
        Some(Credentials::Jwt(text)) => ConnectOptions::with_credentials(text)
            .map_err(|error| format!("FLEET_CREDENTIALS_FILE cannot be used: {error}"))?,
    };
    let mut options = options
        .name(&config.node)
        .connection_timeout(CONNECT_TIMEOUT)
        .ping_interval(PING_EVERY)
        .max_reconnects(None)
        .reconnect_delay_callback(|attempts| {
            let doubled = SHORTEST_PAUSE * (1 << attempts.min(6));
            doubled.min(LONGEST_PAUSE)
        })
        // Only those that were named: others may have names that their certificates do not.
        .ignore_discovered_servers();
    if let Some(tls) = &config.tls {
        options = options.tls_client_config(tls.clone());
    }
    Ok(options)
}

/// An error with what is behind it: TLS says there what is wrong with a certificate.
pub fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}
