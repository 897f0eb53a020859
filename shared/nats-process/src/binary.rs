//! Finding a nats-server program that is new enough.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::error::BinaryError;

/// The oldest server with everything the product needs: schedules with time zones, sound batches, API level 4.
pub const OLDEST: Version = Version { major: 2, minor: 14, patch: 0 };

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A server version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub patch: u32,
}

impl Version {
    /// Reads `2.15.1`, with or without a leading `v` and a suffix such as `-RC.1`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('v');
        let mut parts = text.split(['.', '-', '+']).map(str::parse::<u32>);
        let (major, minor) = (parts.next()?.ok()?, parts.next()?.ok()?);
        let patch = parts.next().and_then(Result::ok).unwrap_or(0);
        Some(Self { major, minor, patch })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Where to look for the program, first match wins: the explicit path, the PATH, the newest in the cache.
#[derive(Debug, Clone)]
pub struct Search {
    /// A program named by the user (a setting or `GANTRY_NATS_SERVER`); when given, nothing else is tried.
    pub explicit: Option<PathBuf>,
    /// Directory in which `nats/get-nats-server.sh` keeps `nats-server-<version>`.
    pub cache_dir: Option<PathBuf>,
}

impl Default for Search {
    fn default() -> Self {
        Self { explicit: None, cache_dir: std::env::home_dir().map(|home| home.join(".cache/gantry")) }
    }
}

/// A program that is known to be a nats-server and new enough.
#[derive(Debug, Clone)]
pub struct Binary {
    pub(crate) program: PathBuf,
    version: Version,
}

impl Binary {
    /// Looks where `search` says.
    ///
    /// # Errors
    /// When the explicit program is unusable or too old, or nothing usable is found.
    pub async fn find(search: &Search) -> Result<Self, BinaryError> {
        if let Some(path) = &search.explicit {
            return Self::check(path.clone()).await;
        }
        let on_path = match Self::check(PathBuf::from("nats-server")).await {
            Ok(found) => return Ok(found),
            Err(BinaryError::TooOld { found, .. }) => format!("the one on the PATH is {found}"),
            Err(BinaryError::Unusable { .. } | BinaryError::NotFound { .. }) => "none on the PATH".to_owned(),
        };
        let Some(dir) = &search.cache_dir else {
            return Err(BinaryError::NotFound { looked: on_path });
        };
        match newest_in(dir) {
            Some(path) => Self::check(path).await,
            None => Err(BinaryError::NotFound { looked: format!("{on_path}, none in {}", dir.display()) }),
        }
    }

    async fn check(path: PathBuf) -> Result<Self, BinaryError> {
        let unusable = |reason: String| BinaryError::Unusable { path: path.clone(), reason };
        let answer = Command::new(&path).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
        let answer = tokio::time::timeout(ANSWER_WITHIN, answer)
            .await
            .map_err(|_| unusable(format!("no version after {ANSWER_WITHIN:?}")))?
            .map_err(|error| unusable(error.to_string()))?;
        let text = String::from_utf8_lossy(&answer.stdout);
        let version = text
            .trim()
            .strip_prefix("nats-server:")
            .and_then(Version::parse)
            .ok_or_else(|| unusable("its --version names no version".to_owned()))?;
        if version < OLDEST {
            return Err(BinaryError::TooOld { path, found: version });
        }
        Ok(Self { program: path, version })
    }

    /// The program's version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The program's path, or a bare name that is looked up on the PATH.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }
}

fn newest_in(dir: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(dir).ok()?;
    let versioned = entries.filter_map(Result::ok).filter_map(|entry| {
        let name = entry.file_name();
        let version = Version::parse(name.to_str()?.strip_prefix("nats-server-")?)?;
        (version >= OLDEST).then(|| (version, entry.path()))
    });
    versioned.max_by_key(|(version, _)| *version).map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_with_prefix_and_suffix() {
        assert_eq!(Version::parse("v2.15.1"), Some(Version { major: 2, minor: 15, patch: 1 }));
        assert_eq!(Version::parse("2.14.0-RC.2"), Some(Version { major: 2, minor: 14, patch: 0 }));
        assert_eq!(Version::parse("nonsense"), None);
    }

    #[test]
    fn the_newest_cached_program_wins_by_number_and_not_by_letter() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["nats-server-2.9.10", "nats-server-2.14.9", "nats-server-2.14.10", "fetch.abc"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(newest_in(dir.path()), Some(dir.path().join("nats-server-2.14.10")));
    }

    #[tokio::test]
    async fn a_program_that_is_no_nats_server_is_refused_with_the_way_out() {
        let search = Search { explicit: Some("/bin/true".into()), cache_dir: None };
        let error = Binary::find(&search).await.unwrap_err().to_string();
        assert!(error.contains("/bin/true") && error.contains("make nats-server"), "{error}");
    }

    #[tokio::test]
    async fn an_old_server_is_refused_by_version() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let old = dir.path().join("old");
        std::fs::write(&old, "#!/bin/sh\necho 'nats-server: v2.9.10'\n").unwrap();
        std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o755)).unwrap();
        let search = Search { explicit: Some(old), cache_dir: None };
        let error = Binary::find(&search).await.unwrap_err().to_string();
        assert!(error.contains("2.9.10") && error.contains("2.14.0 or newer"), "{error}");
    }
}
