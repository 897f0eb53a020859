//! Credentials: which tokens are accepted, where the first one comes from, and what is too weak to serve with.

mod admin_keys;
mod credentials;
mod startup;
mod token;

pub use admin_keys::AdminKeys;
pub use credentials::{Credentials, Fingerprint};
pub use startup::{StartupError, check_startup};
pub use token::{TokenError, TokenFile, ensure_token, token_path};
