//! Credentials: which tokens are accepted, where the first one comes from, and what is too weak to serve with.

mod credentials;
mod startup;
mod stored_keys;
mod token;

pub use credentials::{Credentials, Fingerprint};
pub use startup::{StartupError, check_startup};
pub use stored_keys::{StoredKey, StoredKeys};
pub use token::{TokenError, TokenFile, ensure_token, token_path};
