//! NATS's decentralised logins: an operator signs accounts, an account signs users (docs.nats.io, "JWTs").

use anyhow::{Result, anyhow};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// What a server is configured with, and what its one user has.
#[derive(Debug)]
pub struct Logins {
    /// Lines of the server's configuration.
    pub configuration: String,
    /// A `.creds` file.
    pub credentials: String,
}

impl Logins {
    pub fn new() -> Result<Self> {
        let (operator, system) = (KeyPair::new_operator(), KeyPair::new_account());
        let (account, user) = (KeyPair::new_account(), KeyPair::new_user());
        let limits = |jetstream: bool| {
            // Without these an account has none of JetStream.
            let most = if jetstream { -1 } else { 0 };
            json!({
                "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1,
                "leaf": -1, "mem_storage": most, "disk_storage": most, "streams": most, "consumer": most,
            })
        };
        let of = |limits: Value| json!({ "type": "account", "version": 2, "limits": limits });
        let operator_token =
            token(&operator, &operator, "operator", json!({ "type": "operator", "version": 2 }))?;
        let system_token = token(&operator, &system, "system", of(limits(false)))?;
        let account_token = token(&operator, &account, "relays", of(limits(true)))?;
        let rights = json!({
            "type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1,
        });
        let user_token = token(&account, &user, "relay", rights)?;
        let (system, account) = (system.public_key(), account.public_key());
        let seed = user.seed().map_err(|error| anyhow!("{error}"))?;
        Ok(Self {
            configuration: format!(
                "operator: \"{operator_token}\"\n\
                 system_account: {system}\n\
                 resolver: MEMORY\n\
                 resolver_preload: {{ {system}: \"{system_token}\", {account}: \"{account_token}\" }}\n"
            ),
            credentials: format!(
                "-----BEGIN NATS USER JWT-----\n{user_token}\n------END NATS USER JWT------\n\n\
                 -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
            ),
        })
    }
}

/// What one key says of another.
fn token(issuer: &KeyPair, subject: &KeyPair, name: &str, nats: Value) -> Result<String> {
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let claims = json!({
        "jti": name, "iat": 1_700_000_000, "iss": issuer.public_key(), "sub": subject.public_key(), "name": name, "nats": nats,
    });
    let [header, claims] =
        [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
    let signed = format!("{header}.{claims}");
    let signature = issuer.sign(signed.as_bytes()).map_err(|error| anyhow!("{error}"))?;
    Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}
