//! This relay as one of a fleet: joins it at the start, and takes part until the process stops.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
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

/// How long the start waits until this relay has what the others have.
const CATCH_UP: Duration = Duration::from_secs(20);
/// How long it waits for the engine.
const REACH: Duration = Duration::from_secs(2);

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

    /// Follows until this relay has what the others have, so that no user of theirs is told that it is nobody. Without the
    /// engine, or after a while, it goes on with what is here.
    pub async fn follow(&self, store: &UserStore, stopping: &CancellationToken) {
        for kind in Kind::ALL {
            let (store, link, state) = (store.clone(), self.link.clone(), self.state.clone());
            tokio::spawn(Follower { store, link, kind, state }.run(stopping.clone()));
        }
        let started = Instant::now();
        let caught_up = async {
            self.link.connected().await;
            self.state.caught_up().await;
        };
        // A relay that was here before has most of it.
        let unreachable = async {
            sleep(REACH).await;
            // What the engine lacks is an operator's to decide, and mail does not wait for that.
            let may_catch_up = || self.link.is_connected() && !self.state.standing().is_apart();
            while may_catch_up() && started.elapsed() < CATCH_UP {
                sleep(REACH).await;
            }
        };
        tokio::select! {
            () = caught_up => {}
            () = unreachable => tracing::warn!(
                "this relay starts with the users that are here: the fleet's engine is away, slow, or lacks some of them"
            ),
            () = stopping.cancelled() => {}
        }
    }

    /// Takes part until the process stops. What this relay counted is told once more after `last`.
    pub fn start(self, services: &Services, stopping: &CancellationToken, last: CancellationToken) {
        let Self { link, node, state } = self;
        let stop = || stopping.clone();
        let store = &services.store;
        let counting = Counting {
            ledger: Arc::clone(&services.ledger),
            link: link.clone(),
            node: Arc::clone(&node),
            state: state.clone(),
            opened: Arc::default(),
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
