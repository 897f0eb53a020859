//! API keys of model traffic: who holds one, what it may do, and how much.

use crate::Time;
use serde::{Deserialize, Serialize};

/// What the hash is for; another use of the same key has another hash.
const CONTEXT: &str = "gantry proxy api key v1";
/// Longest name of a key, in bytes.
pub const NAME_BYTES: usize = 64;
/// Keys that a gateway may have, revoked ones included.
pub const MOST_KEYS: usize = 4_096;
/// Models that a key may be bound to, and the bytes of one name.
pub const MOST_MODELS: usize = 64;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyScope {
    /// Call models.
    Inference,
    /// See which there are.
    Models,
    /// Change the configuration.
    Admin,
}

/// How much a key may; what is not said is not bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLimits {
    /// Requests in a minute, over all proxies.
    pub requests_per_minute: Option<u32>,
    /// Tokens in a minute, in and out, over all proxies.
    pub tokens_per_minute: Option<u32>,
    /// Requests at once, over all proxies.
    pub concurrent: Option<u32>,
    /// Tokens in all, in and out, for as long as the key lives.
    pub token_budget: Option<u64>,
    /// Its weight in queues beside other tenants; 1 if not said.
    pub weight: Option<u32>,
    /// Higher goes first in queues.
    #[serde(default)]
    pub priority: i32,
}

/// A key as it is kept: never the key itself, only its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// New with each key, also under a name that was used before.
    pub id: String,
    /// Its name, for people, usage and errors.
    pub name: String,
    /// As [`hash_key`] gives it.
    pub hash: String,
    /// Who is charged; the name if not said.
    pub tenant: Option<String>,
    /// Empty for [`KeyScope::Inference`] and [`KeyScope::Models`].
    #[serde(default)]
    pub scopes: Vec<KeyScope>,
    /// Models it may use. Empty for all.
    #[serde(default)]
    pub models: Vec<String>,
    /// How much it may.
    #[serde(flatten)]
    pub limits: KeyLimits,
    /// When it was made.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
    /// Since when it is good for nothing.
    pub revoked_at: Option<Time>,
}

/// Tokens that keys have used up, by their ids: the sum of all accounts up to a position.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySpending {
    /// The last account that is counted.
    pub sequence: u64,
    /// Tokens by key id.
    pub tokens: std::collections::BTreeMap<String, u64>,
}

impl KeyScope {
    /// The scope of that word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "inference" => Some(Self::Inference),
            "models" => Some(Self::Models),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inference => "inference",
            Self::Models => "models",
            Self::Admin => "admin",
        }
    }
}

/// Whether a key may have that name: it stands in paths, logs and labels.
pub fn is_key_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= NAME_BYTES && name.bytes().all(allowed) && !name.starts_with('.')
}

/// The hash under which a key is kept. Comparing hashes tells nothing about keys, however long it takes.
pub fn hash_key(key: &str) -> String {
    blake3::Hash::from_bytes(key_digest(key)).to_hex().to_string()
}

/// The same as bytes.
pub fn key_digest(key: &str) -> [u8; 32] {
    blake3::derive_key(CONTEXT, key.as_bytes())
}

/// A key out of random bytes, for its holder alone.
pub fn key_of(random: [u8; 32]) -> String {
    random.iter().fold("gk_".to_owned(), |mut key, byte| {
        key.push_str(&format!("{byte:02x}"));
        key
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_as_a_hash_that_does_not_hold_it() {
        let key = key_of([7; 32]);
        assert_eq!((key.len(), &key[..5]), (67, "gk_07"));
        assert_eq!(hash_key(&key).len(), 64);
        assert!(!hash_key(&key).contains(&key[3..]));
        assert_ne!(hash_key(&key), hash_key(&key_of([8; 32])));
    }

    #[test]
    fn names_that_would_break_a_path_or_a_log_are_none() {
        for good in ["alice", "team-a.ci_2", "A"] {
            assert!(is_key_name(good), "{good}");
        }
        for bad in ["", "a b", "a/b", "..", ".x", "ä", "a\n", &"x".repeat(65)] {
            assert!(!is_key_name(bad), "{bad}");
        }
    }
}
