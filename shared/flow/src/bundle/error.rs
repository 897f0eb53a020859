//! Why a bundle is refused.

/// A file that is no usable bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// More bytes than a bundle may have.
    #[error("bundle has {size} bytes; at most {limit} are allowed")]
    TooLarge {
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// More bytes after unpacking than a bundle may have.
    #[error("bundle unpacks to more than {limit} bytes")]
    UnpacksTooLarge {
        /// The limit.
        limit: u64,
    },
    /// More files than a bundle may have.
    #[error("bundle has {count} files; at most {limit} are allowed")]
    TooManyFiles {
        /// How many.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// No zip archive, or a broken one.
    #[error("bundle is not a readable zip archive: {0}")]
    NotZip(String),
    /// A file that the bundle must have.
    #[error("bundle has no file '{path}'")]
    Missing {
        /// Its path.
        path: String,
    },
    /// A file that cannot be used.
    #[error("file '{path}' in the bundle {reason}")]
    File {
        /// Its path.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A manifest that breaks a rule.
    #[error("manifest.json: {0}")]
    Manifest(String),
    /// An id that is not safe as a file name.
    #[error("bundle id '{id}' must consist of A-Z, a-z, 0-9, '_' and single '-'")]
    UnsafeId {
        /// The id.
        id: String,
    },
    /// A version that is not safe as a file name.
    #[error("bundle version '{version}' must consist of A-Z, a-z, 0-9, '_', '.' and single '-'")]
    UnsafeVersion {
        /// The version.
        version: String,
    },
}
