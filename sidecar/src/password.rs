//! Passwords: the type that holds one, argon2id, and the bounded pool that computes it.

pub mod cache;
pub mod foreign;
pub mod pool;
pub mod strength;

use std::fmt;

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use precis_profiles::OpaqueString;
use precis_profiles::precis_core::profile::PrecisFastInvocation;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

/// Longest password in bytes. argon2 takes more, but nobody types it, and Postfix forwards up to
/// 12 KiB of what a client sends (`smtpd_sasl_response_limit`).
pub const MAX_PASSWORD: usize = 1024;

/// The most memory that verifying a stored hash may take, in KiB. A database with larger
/// parameters, by mistake or malice, must not be able to exhaust the machine.
pub const MAX_MEMORY_KIB: u32 = 256 * 1024;
/// The most passes over the memory that a stored hash may ask for.
pub const MAX_ITERATIONS: u32 = 64;
/// The most memory times passes, in KiB: half a second of a core. A hash that took longer than a
/// login may wait could never be verified, and every guess at it would keep a core busy.
pub const MAX_WORK_KIB: u64 = 1024 * 1024;
pub const MAX_PARALLELISM: u32 = 16;

/// A password. It prints as nothing, and is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<Vec<u8>>);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum BadPassword {
    #[error("the password is empty")]
    Empty,
    #[error("the password has more than {MAX_PASSWORD} bytes")]
    TooLong,
    #[error("the password has a control character: use letters, digits, signs and spaces")]
    Characters,
}

impl Password {
    /// Prepares a password that somebody chose: PRECIS OpaqueString (RFC 8265 section 4.2), so
    /// that the same characters typed on another keyboard are the same password.
    pub fn choose(typed: &[u8]) -> Result<Self, BadPassword> {
        if typed.is_empty() {
            return Err(BadPassword::Empty);
        }
        if typed.len() > MAX_PASSWORD {
            return Err(BadPassword::TooLong);
        }
        prepare(typed).map(Self).ok_or(BadPassword::Characters)
    }

    /// Prepares what a client sent, in the same way. What could not have been chosen is kept as it
    /// is: it will not match, at the same cost as any other wrong password.
    pub fn received(sent: &[u8]) -> Self {
        let cut = sent.get(..MAX_PASSWORD + 1).unwrap_or(sent);
        Self(prepare(cut).unwrap_or_else(|| Zeroizing::new(cut.to_vec())))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn prepare(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    // OpaqueString leaves printable ASCII as it is. Most passwords are, and so pass through no
    // intermediate string that nobody wipes.
    if bytes.iter().all(|byte| *byte == b' ' || byte.is_ascii_graphic()) {
        return Some(Zeroizing::new(bytes.to_vec()));
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let prepared = OpaqueString::enforce(text).ok()?;
    Some(Zeroizing::new(prepared.into_owned().into_bytes()))
}

/// Bytes of a new hash.
const HASH_LENGTH: usize = 32;

/// What a new hash costs. Units: KiB of memory, passes over it, lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    pub memory_kib: u32,
    pub iterations: u32,
    pub parallelism: u32,
}

impl Default for Cost {
    /// OWASP's second recommendation for argon2id (Password Storage Cheat Sheet, 2026).
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, iterations: 2, parallelism: 1 }
    }
}

#[derive(Debug, Error)]
pub enum HashError {
    #[error("the stored hash cannot be read: set the password again with relay user passwd")]
    Unreadable,
    #[error(
        "the stored hash costs more than a login may (argon2: {MAX_MEMORY_KIB} KiB, \
         {MAX_ITERATIONS} passes): set the password again with relay user passwd"
    )]
    TooCostly,
    #[error("argon2: {0}")]
    Argon2(argon2::Error),
    #[error("no random numbers from the system: {0}")]
    Random(getrandom::Error),
}

/// The memory that argon2 fills. Kept by a worker and used again: getting 19 MiB from the system
/// for each hash costs more than a tenth of the hash.
#[derive(Default)]
pub struct Arena(Vec<Block>);

impl Arena {
    /// Exactly as much as these parameters need, so that one costly hash does not hold its memory
    /// for good.
    fn fit(&mut self, params: &Params) -> &mut [Block] {
        let needed = params.block_count();
        self.0.resize(needed, Block::default());
        self.0.shrink_to(needed);
        &mut self.0
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arena({} KiB)", self.0.len())
    }
}

/// Hashes a password for storing: a PHC string with a new salt of 16 bytes.
pub fn hash(password: &Password, cost: Cost, arena: &mut Arena) -> Result<String, HashError> {
    let (params, salt) = (params(cost)?, Salt::new(&random::<16>()?));
    let salt = salt.map_err(|_| HashError::Unreadable)?;
    let mut out = Zeroizing::new([0; HASH_LENGTH]);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    argon2
        .hash_password_into_with_memory(password.as_bytes(), &salt, &mut *out, arena.fit(&params))
        .map_err(HashError::Argon2)?;
    phc(&params, salt, &*out)
}

/// A hash that costs as much as any to compare a password with, and that is nobody's: random bytes
/// stand in the place of the result, so making it costs nothing.
pub fn decoy(cost: Cost) -> Result<String, HashError> {
    let salt = Salt::new(&random::<16>()?).map_err(|_| HashError::Unreadable)?;
    phc(&params(cost)?, salt, &random::<HASH_LENGTH>()?)
}

fn params(cost: Cost) -> Result<Params, HashError> {
    Params::new(cost.memory_kib, cost.iterations, cost.parallelism, Some(HASH_LENGTH))
        .map_err(HashError::Argon2)
}

fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], HashError> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(HashError::Random)?;
    Ok(bytes)
}

fn phc(params: &Params, salt: Salt, hash: &[u8]) -> Result<String, HashError> {
    let phc = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: params.try_into().map_err(|_| HashError::Unreadable)?,
        salt: Some(salt),
        hash: Some(Output::new(hash).map_err(|_| HashError::Unreadable)?),
    };
    Ok(phc.to_string())
}

/// Whether this is the password of this PHC string. The comparison takes the same time wherever
/// the first difference is.
pub fn verify(password: &Password, phc: &str, arena: &mut Arena) -> Result<bool, HashError> {
    if let Some(kind) = foreign::kind(phc) {
        return foreign::verify(kind, password, phc);
    }
    let stored = Stored::parse(phc)?;
    let mut out = Zeroizing::new(vec![0; stored.hash.as_bytes().len()]);
    let memory = arena.fit(&stored.params);
    Argon2::new(stored.algorithm, stored.version, stored.params)
        .hash_password_into_with_memory(password.as_bytes(), &stored.salt, &mut out, memory)
        .map_err(HashError::Argon2)?;
    Ok(out.ct_eq(stored.hash.as_bytes()).into())
}

/// Whether a hash can be verified at all; for hashes that come from elsewhere.
///
/// # Errors
///
/// When it is of no known kind, incomplete, or too costly.
pub fn check(phc: &str) -> Result<(), HashError> {
    match foreign::kind(phc) {
        Some(kind) => foreign::check(kind, phc),
        None => Stored::parse(phc).map(drop),
    }
}

/// Whether a stored hash was made in another way, or with another cost, than new ones are.
pub fn is_outdated(phc: &str, cost: Cost) -> bool {
    if foreign::kind(phc).is_some() {
        return true;
    }
    let Ok(stored) = Stored::parse(phc) else { return false };
    let wanted = (cost.memory_kib, cost.iterations, cost.parallelism);
    let has = (stored.params.m_cost(), stored.params.t_cost(), stored.params.p_cost());
    stored.algorithm != Algorithm::Argon2id || has != wanted
}

struct Stored {
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Salt,
    hash: Output,
}

impl Stored {
    fn parse(phc: &str) -> Result<Self, HashError> {
        let parsed = PasswordHash::new(phc).map_err(|_| HashError::Unreadable)?;
        let params = Params::try_from(&parsed).map_err(|_| HashError::Unreadable)?;
        if params.m_cost() > MAX_MEMORY_KIB
            || params.t_cost() > MAX_ITERATIONS
            || params.p_cost() > MAX_PARALLELISM
            || u64::from(params.m_cost()) * u64::from(params.t_cost()) > MAX_WORK_KIB
        {
            return Err(HashError::TooCostly);
        }
        let algorithm =
            Algorithm::try_from(parsed.algorithm.as_str()).map_err(|_| HashError::Unreadable)?;
        let version = match parsed.version {
            None => Version::V0x13,
            Some(number) => Version::try_from(number).map_err(|_| HashError::Unreadable)?,
        };
        let (Some(salt), Some(hash)) = (parsed.salt, parsed.hash) else {
            return Err(HashError::Unreadable);
        };
        Ok(Self { algorithm, version, params, salt, hash })
    }
}

#[cfg(test)]
mod tests;
