//! The zip container, read with every size checked before and while it is unpacked.

use super::BundleError;
use domain::limits::{BUNDLE_BYTES, BUNDLE_FILES, BUNDLE_UNPACKED_BYTES, JSON_DEPTH};
use serde_json::Value;
use std::collections::HashSet;
use std::io::{Cursor, Read};
use zip::ZipArchive;

/// Largest single JSON document of a bundle, in bytes.
const DOCUMENT_BYTES: u64 = 16 * 1024 * 1024;

pub(super) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    left: u64,
}

impl<'a> Archive<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, BundleError> {
        if bytes.len() > BUNDLE_BYTES {
            return Err(BundleError::TooLarge { size: bytes.len() as u64, limit: BUNDLE_BYTES as u64 });
        }
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| BundleError::NotZip(error.to_string()))?;
        if zip.len() > BUNDLE_FILES {
            return Err(BundleError::TooManyFiles { count: zip.len(), limit: BUNDLE_FILES });
        }
        check_entries(&mut zip)?;
        if has_duplicates(bytes, zip.central_directory_start()) {
            return Err(BundleError::NotZip("two entries have the same name".to_owned()));
        }
        Ok(Self { zip, left: BUNDLE_UNPACKED_BYTES })
    }

    /// A JSON object of the archive.
    pub(super) fn json(&mut self, path: &str) -> Result<Value, BundleError> {
        let bytes = self.read(path)?;
        let refuse = |reason: String| BundleError::File { path: path.to_owned(), reason };
        let text = std::str::from_utf8(&bytes).map_err(|_| refuse("is not UTF-8".to_owned()))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if nests_deeper(text.as_bytes(), JSON_DEPTH) {
            return Err(refuse(format!("nests deeper than {JSON_DEPTH} levels")));
        }
        let value: Value = serde_json::from_str(text).map_err(|error| refuse(format!("is not JSON: {error}")))?;
        if !value.is_object() {
            return Err(refuse("is not a JSON object".to_owned()));
        }
        Ok(value)
    }

    fn read(&mut self, path: &str) -> Result<Vec<u8>, BundleError> {
        let missing = || BundleError::Missing { path: path.to_owned() };
        let index = self.zip.index_for_name(path).ok_or_else(missing)?;
        let file = self.zip.by_index(index).map_err(|error| BundleError::NotZip(error.to_string()))?;
        let limit = DOCUMENT_BYTES.min(self.left);
        let mut bytes = Vec::new();
        // The declared size is the sender's word; only what comes out counts.
        file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| BundleError::File {
            path: path.to_owned(),
            reason: format!("cannot be unpacked: {error}"),
        })?;
        let size = bytes.len() as u64;
        if size > self.left {
            return Err(BundleError::UnpacksTooLarge { limit: BUNDLE_UNPACKED_BYTES });
        }
        if size > limit {
            let reason = format!("has more than {DOCUMENT_BYTES} bytes");
            return Err(BundleError::File { path: path.to_owned(), reason });
        }
        self.left -= size;
        Ok(bytes)
    }
}

fn check_entries(zip: &mut ZipArchive<Cursor<&[u8]>>) -> Result<(), BundleError> {
    let mut declared: u64 = 0;
    for index in 0..zip.len() {
        let file = zip.by_index_raw(index).map_err(|error| BundleError::NotZip(error.to_string()))?;
        let path = file.name().to_owned();
        let refuse = |reason: &str| BundleError::File { path: path.clone(), reason: reason.to_owned() };
        if file.encrypted() {
            return Err(refuse("is encrypted"));
        }
        if !is_safe_path(path.trim_end_matches('/')) {
            return Err(refuse("has an unsafe path"));
        }
        declared = declared.saturating_add(file.size());
        if declared > BUNDLE_UNPACKED_BYTES {
            return Err(BundleError::UnpacksTooLarge { limit: BUNDLE_UNPACKED_BYTES });
        }
    }
    Ok(())
}

/// Whether the central directory names a file twice. The zip library keeps the last one and says nothing, so that two
/// readers of the same bytes could see different flows.
fn has_duplicates(bytes: &[u8], start: u64) -> bool {
    let mut names = HashSet::new();
    let mut rest = usize::try_from(start).ok().and_then(|start| bytes.get(start..)).unwrap_or_default();
    while rest.starts_with(b"PK\x01\x02") {
        let length =
            |at: usize| rest.get(at..at + 2).map_or(0, |pair| usize::from(u16::from_le_bytes([pair[0], pair[1]])));
        let (name, extra, comment) = (length(28), length(30), length(32));
        let Some(text) = rest.get(46..46 + name) else { break };
        if !names.insert(text) {
            return true;
        }
        rest = rest.get(46 + name + extra + comment..).unwrap_or_default();
    }
    false
}

/// Whether a path stays inside the archive: relative, without a drive, without `.` and `..`.
pub(super) fn is_safe_path(path: &str) -> bool {
    let mut segments = path.split(['/', '\\']);
    let first_is_drive = segments.clone().next().is_some_and(|segment| segment.contains(':'));
    !path.is_empty() && !first_is_drive && !path.contains('\0') && segments.all(|part| !matches!(part, "" | "." | ".."))
}

/// Whether brackets outside strings nest deeper than `limit`. Runs before the parser, so that its own limit never decides.
fn nests_deeper(text: &[u8], limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limit {
            return true;
        }
    }
    false
}
