//! The set of accepted bearer tokens, compared in constant time.

use http::{HeaderMap, header};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::{Choice, ConstantTimeEq};

/// First 12 hexadecimal characters of a token's SHA-256: names a token without telling it.
pub type Fingerprint = String;

/// The bearer tokens that every door of the gateway accepts. Only digests are kept, so it cannot be printed.
#[derive(Clone, Default)]
pub struct Credentials {
    digests: Vec<[u8; 32]>,
}

impl Credentials {
    /// Accepts these tokens; blank ones are dropped.
    pub fn new<'a>(tokens: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let digests = tokens
            .into_iter()
            .map(|token| token.expose_secret().trim())
            .filter(|token| !token.is_empty())
            .map(digest)
            .collect();
        Self { digests }
    }

    /// Whether no token is accepted at all.
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// The fingerprint of the token if it is accepted. Takes as long for a near miss as for a far one.
    pub fn check(&self, presented: &str) -> Option<Fingerprint> {
        let presented = digest(presented);
        let found = self.digests.iter().fold(Choice::from(0), |found, known| found | known.ct_eq(&presented));
        bool::from(found).then(|| fingerprint_of(&presented))
    }

    /// The fingerprint of the bearer token of a request if it carries one that is accepted.
    pub fn check_headers(&self, headers: &HeaderMap) -> Option<Fingerprint> {
        bearer(headers).and_then(|token| self.check(token))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({} tokens)", self.digests.len())
    }
}

/// The token of `Authorization: Bearer <token>`; the scheme's case does not matter.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn fingerprint_of(digest: &[u8; 32]) -> Fingerprint {
    use fmt::Write;
    digest.iter().take(6).fold(String::with_capacity(12), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_listed_token_is_accepted_and_it_is_named_by_its_fingerprint() {
        let tokens: Vec<SecretString> = ["alpha-token-000000", " ", "beta"].map(SecretString::from).into();
        let credentials = Credentials::new(&tokens);
        assert_eq!(credentials.check("beta").as_deref(), Some("f44e64e75f39"));
        assert_eq!(credentials.check("bet"), None);
        assert_eq!(credentials.check(""), None);
        assert_eq!(format!("{credentials:?}"), "Credentials(2 tokens)");
        assert!(Credentials::default().is_empty());
    }

    #[test]
    fn the_scheme_is_read_without_regard_to_case() {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, "bEaReR  abc ".parse().unwrap());
        assert_eq!(bearer(&headers), Some("abc"));
        headers.insert(header::AUTHORIZATION, "Basic abc".parse().unwrap());
        assert_eq!(bearer(&headers), None);
    }
}
