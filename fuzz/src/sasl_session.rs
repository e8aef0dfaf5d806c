//! A whole session of the login socket, in memory: from bytes to the replies.
//!
//! The oracle is a second reading of the input, made as simple as can be: an OK has been earned only
//! when the exchange of its id had the right name and the right password in it, over TLS.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use relay_sidecar::gateways::Gateways;
use relay_sidecar::history::Redaction;
use relay_sidecar::ledger::Ledger;
use relay_sidecar::limits::guessing::{GuessLimit, GuessLimits};
use relay_sidecar::limits::limit::DefaultLimits;
use relay_sidecar::metrics::Registry;
use relay_sidecar::password::cache::VerifiedCache;
use relay_sidecar::password::pool::{HashingPool, PoolMetrics};
use relay_sidecar::password::{self, Arena, Cost, Password};
use relay_sidecar::recorder::Recorder;
use relay_sidecar::sasl::authenticator::{Authenticator, Dependencies};
use relay_sidecar::sasl::metrics::AuthMetrics;
use relay_sidecar::sasl::session::{SaslService, serve};
use relay_sidecar::service::ServiceMetrics;
use relay_sidecar::store::UserStore;
use relay_sidecar::user_name::UserName;
use relay_sidecar::users::{NewHash, User};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

const PASSWORD: &str = "secret";
/// As cheap as argon2 can be: millions of logins are tried.
const CHEAP: Cost = Cost { memory_kib: 8, iterations: 1, parallelism: 1 };
/// More than all replies to the longest input.
const ROOM: usize = 4 * 1024 * 1024;

/// A SASL service with two users: alice, and bob who is disabled.
pub struct Lab {
    service: Arc<SaslService>,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Lab {
    /// # Panics
    ///
    /// When the machine has no room for a small database.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = UserStore::open(folder.path()).unwrap();
        let registry = Registry::default();
        let metrics = AuthMetrics::register(&registry).unwrap();
        for (name, enabled) in [("alice", true), ("bob", false)] {
            let chosen = Password::choose(PASSWORD.as_bytes()).unwrap();
            let hash = password::hash(&chosen, CHEAP, &mut Arena::default()).unwrap();
            let password = NewHash { hash, unguessable: false };
            let user = User { enabled, ..User::new(password, 0) };
            store.add(&UserName::parse(name).unwrap(), &user).unwrap();
        }
        let off = GuessLimit { most: 0, window: 1 };
        let ledger = Ledger::new(store.clone(), DefaultLimits::default(), Duration::ZERO);
        let authenticator = Authenticator::new(Dependencies {
            ledger: Arc::new(ledger),
            pool: HashingPool::start(1, &PoolMetrics::register(&registry).unwrap()).unwrap(),
            cache: VerifiedCache::new(16, Duration::from_secs(1)).unwrap(),
            guess_limits: GuessLimits { per_address: off, per_user: off },
            cost: CHEAP,
            enabled: true,
            gateways: Gateways::of(&[]),
            metrics: metrics.clone(),
            store,
        });
        let services = ServiceMetrics::register(&registry).unwrap();
        let history = Recorder::new(Redaction::None).unwrap();
        let service =
            SaslService::new(authenticator.unwrap(), metrics, services, history, Duration::ZERO);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { service: Arc::new(service), runtime, _folder: folder }
    }

    /// The first byte says into which pieces the rest is cut.
    ///
    /// # Panics
    ///
    /// When a promise is broken.
    pub fn check(&self, data: &[u8]) {
        let Some((&first, stream)) = data.split_first() else { return };
        let piece = usize::from(first) + 1 + stream.len() / 256;
        let whole = self.answer(stream, stream.len().max(1));
        let replies: Vec<&str> = whole.lines().collect();
        for reply in &replies {
            check_reply(reply, stream);
        }
        let asked = lines(stream).filter(|fields| [b"AUTH", &b"CONT"[..]].contains(&fields[0]));
        assert!(replies.len() <= asked.count(), "more replies than requests: {whole}");
        assert_eq!(whole, self.answer(stream, piece), "pieces of {piece} bytes");
    }

    /// What the session says to a stream that arrives in pieces, after its greeting.
    fn answer(&self, stream: &[u8], piece: usize) -> String {
        self.runtime.block_on(async {
            let (mut ours, theirs) = tokio::io::duplex(ROOM);
            let session = serve(theirs, Arc::clone(&self.service), CancellationToken::new());
            let client = async {
                for piece in stream.chunks(piece) {
                    // A session that breaks the connection off hears no more.
                    if ours.write_all(piece).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                ours.shutdown().await.ok();
                let mut said = Vec::new();
                ours.read_to_end(&mut said).await.ok();
                said
            };
            let (said, _end) = tokio::join!(client, session);
            let said = String::from_utf8(said).unwrap();
            said.split_once("\nDONE\n").unwrap().1.to_owned()
        })
    }
}

/// The lines of the input as fields; there is one field at least in each.
fn lines(stream: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    stream.split(|byte| *byte == b'\n').map(|line| line.split(|byte| *byte == b'\t').collect())
}

fn check_reply(reply: &str, stream: &[u8]) {
    let fields: Vec<&str> = reply.split('\t').collect();
    let id: u32 = fields[1].parse().unwrap();
    assert!(!reply.contains(|c: char| c.is_control() && c != '\t'), "{reply:?}");
    match fields[0] {
        "OK" => {
            assert_eq!(fields[2..], ["user=alice"], "{reply}");
            assert!(earned(id, stream), "{reply}");
        }
        "FAIL" => {
            assert!(fields.iter().any(|field| field.starts_with("reason=")), "{reply}");
            assert!(!reply.contains("temp_fail"), "there is no trouble here: {reply}");
        }
        "CONT" => assert!(["", "VXNlcm5hbWU6", "UGFzc3dvcmQ6"].contains(&fields[2]), "{reply}"),
        _ => panic!("no such reply: {reply}"),
    }
}

/// Whether the lines with this id have all that a login of alice takes.
fn earned(id: u32, stream: &[u8]) -> bool {
    let of_id = |fields: &Vec<&[u8]>| {
        let text = fields.get(1).and_then(|field| std::str::from_utf8(field).ok());
        text.and_then(|text| text.parse::<u32>().ok()) == Some(id)
    };
    let (mut secured, mut messages) = (false, Vec::new());
    for fields in lines(stream).filter(of_id) {
        let response = match fields[0] {
            b"AUTH" => {
                secured |= fields.iter().any(|field| field.starts_with(b"secured"));
                fields.iter().find_map(|field| field.strip_prefix(b"resp="))
            }
            b"CONT" => fields.get(2).copied(),
            _ => None,
        };
        messages.extend(response.and_then(|response| BASE64.decode(response).ok()));
    }
    let is_alice = |name: &[u8]| {
        let name = std::str::from_utf8(name).ok().and_then(|text| UserName::parse(text).ok());
        name.is_some_and(|name| name.as_str() == "alice")
    };
    let plain = messages.iter().any(|message| {
        let parts: Vec<&[u8]> = message.split(|byte| *byte == 0).collect();
        matches!(parts[..], [other, name, password] if is_alice(name)
            && password == PASSWORD.as_bytes() && (other.is_empty() || is_alice(other)))
    });
    let login = messages.iter().any(|message| is_alice(message))
        && messages.iter().any(|message| message == PASSWORD.as_bytes());
    secured && (plain || login)
}
