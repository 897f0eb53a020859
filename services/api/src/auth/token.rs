//! The token that a first start makes, so that a newcomer needs no configuration.

use base64::Engine;
use secrecy::SecretString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A token of the data directory.
#[derive(Debug)]
pub struct TokenFile {
    /// The token.
    pub token: SecretString,
    /// The file that holds it.
    pub path: PathBuf,
    /// Whether this start made it.
    pub made: bool,
}

/// The token file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the token file {} cannot be used: {problem}; make it readable, or set GANTRY_TOKEN", .path.display())]
pub struct TokenError {
    path: PathBuf,
    problem: io::Error,
}

/// Where the token of a data directory lies.
pub fn token_path(data_dir: &Path) -> PathBuf {
    data_dir.join("auth").join("token")
}

/// Reads the token of the data directory, or makes one that only the owner can read (mode 600).
///
/// Two processes that start at once end with the same token: the file is created exclusively.
pub fn ensure_token(data_dir: &Path) -> Result<TokenFile, TokenError> {
    let path = token_path(data_dir);
    ensure(&path).map_err(|problem| TokenError { path: path.clone(), problem }).map(|(token, made)| TokenFile {
        token: token.into(),
        path,
        made,
    })
}

fn ensure(path: &Path) -> io::Result<(String, bool)> {
    if let Some(token) = read(path)? {
        return Ok((token, false));
    }
    if let Some(directory) = path.parent() {
        private_directory(directory)?;
    }
    let token = fresh_token();
    let staged = path.with_extension(format!("{}.new", uuid::Uuid::new_v4().simple()));
    private_file(&staged)?.write_all(format!("{token}\n").as_bytes())?;
    // A hard link fails when the name exists, so the first of several starters wins and nobody reads half a file.
    let placed = fs::hard_link(&staged, path);
    fs::remove_file(&staged)?;
    match placed {
        Ok(()) => Ok((token, true)),
        Err(problem) if problem.kind() == io::ErrorKind::AlreadyExists => match read(path)? {
            Some(token) => Ok((token, false)),
            None => Err(io::Error::new(io::ErrorKind::InvalidData, "it is empty")),
        },
        Err(problem) => Err(problem),
    }
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => Err(io::Error::new(io::ErrorKind::InvalidData, "it is empty")),
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// 244 random bits, as URL-safe text with a prefix that secret scanners can look for.
fn fresh_token() -> String {
    let mut bytes = [0_u8; 32];
    bytes[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    bytes[16..].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    format!("gty_{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(unix)]
fn private_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(unix)]
fn private_file(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn private_directory(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(not(unix))]
fn private_file(path: &Path) -> io::Result<fs::File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn the_first_start_makes_a_private_token_and_the_second_keeps_it() {
        let directory = tempfile::tempdir().unwrap();
        let first = ensure_token(directory.path()).unwrap();
        let second = ensure_token(directory.path()).unwrap();
        assert!(first.made && !second.made);
        assert_eq!(first.token.expose_secret(), second.token.expose_secret());
        assert_eq!(first.token.expose_secret().len(), 47);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&first.path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(first.path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn an_empty_token_file_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("auth")).unwrap();
        fs::write(token_path(directory.path()), "\n").unwrap();
        let problem = ensure_token(directory.path()).unwrap_err().to_string();
        assert!(problem.contains("auth/token") && problem.contains("GANTRY_TOKEN"), "{problem}");
    }
}
