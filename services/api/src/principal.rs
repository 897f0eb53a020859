//! Who asks: the principal that the security layer attaches to every request.

use serde::Serialize;

/// The caller, as `/api/gateway/me` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Principal {
    /// The user.
    pub user_id: String,
    /// The user's tenant.
    pub tenant_id: String,
    /// `admin`, `user` or `readonly`.
    pub roles: Vec<String>,
    /// What the credential is good for; `*` is everything.
    pub scopes: Vec<String>,
    /// First 12 hexadecimal characters of the token's SHA-256; none without a token.
    pub token_fingerprint: Option<String>,
    /// The data plane's name.
    pub runtime_id: String,
    /// How the caller was recognised.
    pub source: &'static str,
    /// Whether the roles contain `admin`.
    pub admin: bool,
}

impl Principal {
    /// The holder of one of the gateway's shared tokens.
    pub fn shared_token(fingerprint: String) -> Self {
        Self { token_fingerprint: Some(fingerprint), ..Self::local("legacy-token", &["admin", "user"], "*") }
    }

    /// The holder of an API key that may change backends and models.
    pub fn admin_key(name: String) -> Self {
        Self { user_id: name, ..Self::local("api-key", &["admin"], "models") }
    }

    /// Whoever asks while security is switched off.
    pub fn open() -> Self {
        Self::local("security-disabled", &["admin", "user"], "*")
    }

    /// A caller of a method that needs no authentication here: everything but the admin's routes.
    pub fn unprotected() -> Self {
        Self::local("unprotected", &["user"], "gateway:*")
    }

    /// A reader from the same machine under `DEV_READ_NO_AUTH`.
    pub fn loopback_reader() -> Self {
        let user = "loopback-readonly";
        Self {
            user_id: user.to_owned(),
            runtime_id: user.to_owned(),
            ..Self::local("loopback-dev-read", &["readonly"], "gateway:read")
        }
    }

    fn local(source: &'static str, roles: &[&str], scope: &str) -> Self {
        Self {
            user_id: "local-admin".to_owned(),
            tenant_id: "local".to_owned(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            scopes: vec![scope.to_owned()],
            token_fingerprint: None,
            runtime_id: "local-admin".to_owned(),
            source,
            admin: roles.contains(&"admin"),
        }
    }
}
