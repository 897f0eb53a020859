//! The flows directory: what lies there is installed, and what it held and lost is removed.

use crate::api::now;
use bus::BusError;
use domain::BundleRef;
use flow::Bundle;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use store::bundles::{Bundles, InstallError, Origin};
use tokio::fs;

/// Files looked at in one directory.
const FILES: usize = 10_000;

/// What a scan found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// Bundles installed or replaced.
    pub installed: Vec<BundleRef>,
    /// Bundles removed because their file is gone.
    pub removed: Vec<BundleRef>,
    /// Files whose flows do not compile, each with the reason.
    pub broken: Vec<String>,
}

struct Found {
    bytes: Vec<u8>,
    sha256: String,
}

/// Brings the catalogue in line with a directory of `.flow` files, or with one such file. No directory is no files.
pub async fn scan(bundles: &Bundles, path: &Path) -> Result<Report, InstallError> {
    let found = read_all(&files(path).await).await;
    let mut report = Report::default();
    for (reference, file) in &found {
        let known = bundles.snapshot().bundle(&reference.id, &reference.version).map(|bundle| bundle.sha256.clone());
        if known.as_deref() == Some(&file.sha256) {
            continue;
        }
        match bundles.install(&file.bytes, Origin::Directory, true, now()).await {
            Ok(_) => report.installed.push(reference.clone()),
            Err(InstallError::Bus(error)) => return Err(error.into()),
            Err(error) => report.broken.push(format!("{reference}: {error}")),
        }
    }
    let gone: Vec<BundleRef> = bundles
        .snapshot()
        .bundles()
        .filter(|bundle| bundle.origin == Origin::Directory && !found.contains_key(&bundle.reference))
        .map(|bundle| bundle.reference.clone())
        .collect();
    for reference in gone {
        bundles.remove(&reference).await?;
        report.removed.push(reference);
    }
    Ok(report)
}

/// Removes the files of a directory that hold this bundle; says which could not be removed.
pub async fn remove_files(path: &Path, reference: &BundleRef) -> Option<String> {
    for file in files(path).await {
        let held = fs::read(&file).await.ok().and_then(|bytes| Bundle::read(&bytes).ok());
        if held.is_none_or(|bundle| bundle.reference() != *reference) {
            continue;
        }
        if let Err(problem) = fs::remove_file(&file).await {
            return Some(format!("{} stays and will be installed again: {problem}", file.display()));
        }
    }
    None
}

/// The first file of a bundle wins; one that cannot be read is skipped.
async fn read_all(files: &[PathBuf]) -> BTreeMap<BundleRef, Found> {
    let mut found = BTreeMap::new();
    for file in files {
        let bytes = match fs::read(file).await {
            Ok(bytes) => bytes,
            Err(problem) => {
                tracing::warn!(file = %file.display(), %problem, "a bundle file was skipped");
                continue;
            }
        };
        match Bundle::read(&bytes) {
            Ok(bundle) => {
                let sha256 = bundle.sha256.clone();
                found.entry(bundle.reference()).or_insert(Found { bytes, sha256 });
            }
            Err(problem) => tracing::warn!(file = %file.display(), %problem, "a bundle file was skipped"),
        }
    }
    found
}

/// The `.flow` files of a directory in the order of their names, or the file itself.
async fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let mut files = Vec::new();
    let Ok(mut listing) = fs::read_dir(path).await else {
        return files;
    };
    while let Ok(Some(entry)) = listing.next_entry().await {
        let file = entry.path();
        let is_bundle = file.extension().is_some_and(|extension| extension == "flow") && file.is_file();
        if is_bundle && files.len() < FILES {
            files.push(file);
        }
    }
    files.sort();
    files
}

/// What keeps a scan from being complete, for `gateway_reload_error`.
pub fn reload_error(scanned: &Result<Report, InstallError>) -> Option<String> {
    match scanned {
        Ok(report) if report.broken.is_empty() => None,
        Ok(report) => Some(report.broken.join("; ")),
        Err(error) => Some(error.to_string()),
    }
}

/// Whether a failed scan may succeed later.
pub fn is_transient(error: &InstallError) -> bool {
    matches!(error, InstallError::Bus(error) if BusError::is_transient(error))
}
