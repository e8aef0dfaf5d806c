//! This relay as one of a fleet: joins it at the start, and takes part until the process stops.

use std::sync::Arc;

use anyhow::anyhow;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::build::Services;
use crate::config::FleetConfig;
use crate::fleet::engine::NatsEngine;
use crate::fleet::follow::Follower;
use crate::fleet::link::Link;
use crate::fleet::state::State;
use crate::fleet::usage::Counting;
use crate::fleet::{blocked, join, nodes, suspensions};
use crate::store::UserStore;
use crate::store::shared::Kind;

/// Blocked addresses that wait to be told of.
const BLOCKED_WAITING: usize = 256;

/// A fleet that was joined.
#[derive(Debug)]
pub struct Fleet {
    link: Link,
    node: Arc<str>,
    pub state: State,
}

impl Fleet {
    /// Joins, and returns the database whose changes the fleet decides from now on.
    ///
    /// # Errors
    ///
    /// When there are users or keys here that the fleet lacks, or this relay never joined and the engine does not answer.
    pub async fn join(config: &FleetConfig, store: UserStore) -> anyhow::Result<(UserStore, Self)> {
        let link = Link::start(config).await.map_err(|error| anyhow!(error))?;
        join::join(&store, &link).await.map_err(|error| anyhow!(error))?;
        let engine = NatsEngine::of_daemon(Handle::current(), link.clone());
        let state = State::new(&config.node);
        tracing::info!(node = config.node, "this relay is one of a fleet");
        let fleet = Self { link, node: config.node.as_str().into(), state };
        Ok((store.with_engine(Arc::new(engine)), fleet))
    }

    /// Takes part until the process stops. What this relay counted is told once more after `last`.
    pub fn start(self, services: &Services, stopping: &CancellationToken, last: CancellationToken) {
        let Self { link, node, state } = self;
        let stop = || stopping.clone();
        let store = &services.store;
        for kind in Kind::ALL {
            let (store, link, state) = (store.clone(), link.clone(), state.clone());
            tokio::spawn(Follower { store, link, kind, state }.run(stop()));
        }
        let counting = Counting {
            ledger: Arc::clone(&services.ledger),
            link: link.clone(),
            node: Arc::clone(&node),
            state: state.clone(),
        };
        tokio::spawn(counting.clone().tell(last));
        tokio::spawn(counting.hear(stop()));
        tokio::spawn(suspensions::tell(link.clone(), store.clone(), stop()));
        tokio::spawn(nodes::tell(link.clone(), store.clone(), state.clone(), stop()));
        let double = nodes::look_for_double(link.clone(), Arc::clone(&node), state.clone(), stop());
        tokio::spawn(double);
        let (sender, found) = mpsc::channel(BLOCKED_WAITING);
        services.sasl.authenticator.guessing.tell(sender);
        tokio::spawn(blocked::tell(link.clone(), Arc::clone(&node), found, stop()));
        let sasl = Arc::clone(&services.sasl);
        let block = move |address, until| sasl.authenticator.guessing.block(address, until);
        tokio::spawn(blocked::hear(link, node, block, stop()));
        services.overview.set_fleet(state);
    }
}
