//! One type per entity that has an id, and the two ways ids are derived.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps a text that is already known to be such an id.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

text_id!(
    /// One durable execution. The product makes UUID v4 shaped ids; a client may name any text.
    RunId
);
text_id!(
    /// One step of a run: shared by the `started` record and the record that closes it.
    StepId
);
text_id!(
    /// A free text of the client that groups runs.
    SessionId
);
text_id!(
    /// `bundle@version:flow`, `scheduled:<uuid>` or a derived id such as `visual_event_listener_…`.
    WorkflowId
);
text_id!(
    /// The client's own id of a command; it makes sending a command twice harmless.
    CommandId
);

/// A text that cannot be the id it was meant to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} '{text}' must be 1 to 64 characters of A-Z, a-z, 0-9, '_' and '-'")]
pub struct IdError {
    what: &'static str,
    text: String,
}

/// Whose data: a tenant and, inside it, one data plane. Part of every subject, key and row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Plane {
    tenant: String,
    plane: String,
}

impl Plane {
    /// The only plane of a gateway without user accounts.
    pub fn main() -> Self {
        Self { tenant: "default".to_owned(), plane: "main".to_owned() }
    }

    /// A plane of the given tenant. Both names become tokens of subjects, so they are checked.
    pub fn new(tenant: &str, plane: &str) -> Result<Self, IdError> {
        for (what, text) in [("tenant", tenant), ("plane", plane)] {
            if !is_token(text) || text.len() > 64 {
                return Err(IdError { what, text: text.to_owned() });
            }
        }
        Ok(Self { tenant: tenant.to_owned(), plane: plane.to_owned() })
    }

    /// The tenant's name, a subject token.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The plane's name, a subject token.
    pub fn plane(&self) -> &str {
        &self.plane
    }
}

impl fmt::Display for Plane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.tenant, self.plane)
    }
}

/// An installed bundle: `id@version`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BundleRef {
    /// The bundle's id.
    pub id: String,
    /// Its version, free text such as `1.2.0` or `draft.7`.
    pub version: String,
}

impl BundleRef {
    /// Names a version of a bundle.
    pub fn new(id: impl Into<String>, version: impl Into<String>) -> Self {
        Self { id: id.into(), version: version.into() }
    }

    /// The workflow id of one of its flows.
    pub fn workflow(&self, flow: &str) -> WorkflowId {
        WorkflowId::new(format!("{self}:{flow}"))
    }
}

impl fmt::Display for BundleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.version)
    }
}

/// Whether a text can be one token of a subject as it stands: 1 to 128 characters of `A-Za-z0-9_-`.
pub fn is_token(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Lower-case hexadecimal SHA-256 of the parts, each preceded by its length so that no two lists of parts collide.
pub fn digest_hex(parts: &[&[u8]]) -> String {
    use fmt::Write;
    digest(parts).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A UUID with the bits of version 4 that is a function of the parts, for ids that a repeated step must repeat.
pub fn uuid_from(parts: &[&[u8]]) -> String {
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&digest(parts)[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_uuid_is_version_4_and_repeats() {
        let first = uuid_from(&[b"run", b"1"]);
        assert_eq!(first, uuid_from(&[b"run", b"1"]));
        assert_ne!(first, uuid_from(&[b"run1", b""]));
        assert_eq!(first.as_bytes()[14], b'4');
    }

    #[test]
    fn a_plane_refuses_names_that_would_break_a_subject() {
        assert!(Plane::new("a.b", "c").is_err());
        assert!(Plane::new("a", "*").is_err());
        assert_eq!(Plane::new("acme", "p-1").map(|p| p.to_string()), Ok("acme.p-1".to_owned()));
    }
}
