//! Signatures of Standard Webhooks 1.0 (github.com/standard-webhooks/standard-webhooks): HMAC-SHA256 over
//! `id.timestamp.body`, base64, one for each secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};

const PREFIX: &str = "whsec_";
/// Bytes of a secret, as the standard bounds them.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that cannot sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a signing secret must be 'whsec_' and the base64 of 24 to 64 bytes, such as whsec_$(openssl rand -base64 32)")]
pub struct SecretError;

/// Signs with each of some secrets; without one, nothing is signed.
pub(crate) struct Signer {
    keys: Vec<hmac::Key>,
}

impl Signer {
    pub(crate) fn new(secrets: &[SecretString]) -> Result<Self, SecretError> {
        let key = |secret: &SecretString| {
            let text = secret.expose_secret();
            let bytes = STANDARD.decode(text.strip_prefix(PREFIX).unwrap_or(text)).map_err(|_| SecretError)?;
            if BYTES.contains(&bytes.len()) { Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes)) } else { Err(SecretError) }
        };
        Ok(Self { keys: secrets.iter().map(key).collect::<Result<_, _>>()? })
    }

    /// The value of `webhook-signature`: one signature for each secret, so that a receiver may know the old or the new.
    pub(crate) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
        let signatures = self.keys.iter().map(|key| {
            let mut context = hmac::Context::with_key(key);
            context.update(format!("{id}.{timestamp}.").as_bytes());
            context.update(body);
            format!("v1,{}", STANDARD.encode(context.sign()))
        });
        let all: Vec<String> = signatures.collect();
        (!all.is_empty()).then(|| all.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn signed(secrets: &[&str]) -> Option<String> {
        let secrets: Vec<SecretString> = secrets.iter().map(|text| (*text).into()).collect();
        let signer = Signer::new(&secrets).unwrap();
        signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"{\"test\": 2432232314}")
    }

    #[test]
    fn the_published_example_of_the_standard_is_signed_as_published() {
        let published = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signed(&[SECRET]).as_deref(), Some(published));
        assert_eq!(signed(&[]), None);
        let both = signed(&["whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", SECRET]).unwrap();
        let (new, old) = both.split_once(' ').unwrap();
        assert!(new.starts_with("v1,") && new != published && old == published, "{both}");
    }

    #[test]
    fn a_secret_that_is_no_secret_is_refused() {
        for wrong in ["", "whsec_", "whsec_c2hvcnQ=", "whsec_not base64", "hunter2"] {
            assert_eq!(Signer::new(&[wrong.into()]).err(), Some(SecretError), "{wrong}");
        }
    }
}
