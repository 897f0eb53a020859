//! What the server refuses to start with.

use crate::config::SecurityConfig;
use secrecy::{ExposeSecret, SecretString};
use std::net::IpAddr;

/// Fewest characters of a token that may be served on a public address.
const LEAST_LENGTH: usize = 15;

/// Tokens that everybody tries first.
const WELL_KNOWN: &[&str] = &[
    "abstractgateway",
    "admin",
    "change-me",
    "changeme",
    "default",
    "dev-token",
    "gantry",
    "letmein",
    "password",
    "replace-me",
    "secret",
    "test-token",
    "token",
    "your-secret-token",
    "your-token-here",
];

/// The settings would leave the gateway open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartupError {
    /// Writes are protected and nothing could ever pass.
    #[error("no token is configured: set GANTRY_TOKEN, or let `gantry up` make one under its data directory")]
    NoToken,
    /// A weak token on a public address.
    #[error(
        "the token of {length} characters is too weak for the public address {host}: use at least {LEAST_LENGTH} \
         random characters, or bind to 127.0.0.1"
    )]
    WeakToken {
        /// Its length; the token itself is not shown.
        length: usize,
        /// The address.
        host: String,
    },
    /// Protection is switched off on a public address.
    #[error("{setting} leaves the gateway open, which is only allowed on loopback: bind to 127.0.0.1, not {host}")]
    OpenOnPublicAddress {
        /// The setting that opens it.
        setting: &'static str,
        /// The address.
        host: String,
    },
}

/// Checks the settings and tokens against the address that will be served.
pub fn check_startup(config: &SecurityConfig, tokens: &[SecretString], host: &str) -> Result<(), StartupError> {
    let public = !is_loopback(host);
    if let Some(setting) = config.open_by().filter(|_| public) {
        return Err(StartupError::OpenOnPublicAddress { setting, host: host.to_owned() });
    }
    if !config.enabled {
        return Ok(());
    }
    if tokens.is_empty() && config.protect_write {
        return Err(StartupError::NoToken);
    }
    match tokens.iter().find(|token| public && is_weak(token.expose_secret())) {
        Some(token) => {
            let length = token.expose_secret().trim().chars().count();
            Err(StartupError::WeakToken { length, host: host.to_owned() })
        }
        None => Ok(()),
    }
}

fn is_weak(token: &str) -> bool {
    let token = token.trim();
    let repeated = token.chars().next().is_some_and(|first| token.chars().all(|character| character == first));
    token.chars().count() < LEAST_LENGTH || repeated || WELL_KNOWN.contains(&token.to_ascii_lowercase().as_str())
}

/// Whether an address can only be reached from this machine. Names other than `localhost` count as public.
fn is_loopback(host: &str) -> bool {
    let host = host.trim().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(list: &[&str]) -> Vec<SecretString> {
        list.iter().map(|token| SecretString::from(*token)).collect()
    }

    #[test]
    fn a_weak_token_is_refused_on_a_public_address_only() {
        let config = SecurityConfig::default();
        for weak in ["short", "aaaaaaaaaaaaaaaaaaaa", "Your-Secret-Token"] {
            let refused = check_startup(&config, &tokens(&["a-long-enough-token-1", weak]), "0.0.0.0");
            assert!(matches!(refused, Err(StartupError::WeakToken { .. })), "{weak}");
            assert_eq!(check_startup(&config, &tokens(&[weak]), "127.0.0.1"), Ok(()));
            assert_eq!(check_startup(&config, &tokens(&[weak]), "[::1]"), Ok(()));
        }
        assert_eq!(check_startup(&config, &tokens(&["a-long-enough-token-1"]), "::"), Ok(()));
    }

    #[test]
    fn an_open_gateway_is_refused_on_a_public_address() {
        let open = SecurityConfig { enabled: false, ..SecurityConfig::default() };
        assert_eq!(check_startup(&open, &[], "localhost"), Ok(()));
        assert!(matches!(check_startup(&open, &[], "10.0.0.1"), Err(StartupError::OpenOnPublicAddress { .. })));
        let unprotected = SecurityConfig { protect_write: false, ..SecurityConfig::default() };
        assert!(check_startup(&unprotected, &tokens(&["a-long-enough-token-1"]), "example.org").is_err());
        assert_eq!(check_startup(&SecurityConfig::default(), &[], "127.0.0.1"), Err(StartupError::NoToken));
    }
}
