//! The repository's files, as the laws see them.

use std::path::{Path, PathBuf};

const NOT_OURS: [&str; 7] = [".git", "data", "target", ".gantry", ".cache", "node_modules", ".venv"];

/// One text file.
pub(crate) struct TextFile {
    /// Its path from the repository's root, with forward slashes.
    pub(crate) path: String,
    /// Its content.
    pub(crate) text: String,
}

/// One crate of the workspace.
pub(crate) struct Package {
    /// Its directory from the repository's root.
    pub(crate) dir: String,
    /// Its manifest.
    pub(crate) manifest: toml::Table,
}

impl Package {
    pub(crate) fn name(&self) -> &str {
        self.manifest["package"]["name"].as_str().unwrap()
    }
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every text file that belongs to the repository.
pub(crate) fn text_files() -> Vec<TextFile> {
    let mut found = Vec::new();
    collect(&root(), &mut found);
    assert!(found.len() > 50, "only {} files found: the walk is broken", found.len());
    found
}

/// Every Rust source file.
pub(crate) fn rust_files() -> Vec<TextFile> {
    text_files().into_iter().filter(|file| file.path.ends_with(".rs")).collect()
}

fn collect(dir: &Path, found: &mut Vec<TextFile>) {
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let kind = entry.file_type().unwrap();
        // A second work tree has a file of that name instead of the directory.
        if NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        if kind.is_dir() {
            collect(&path, found);
        } else if kind.is_file()
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            let path = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
            found.push(TextFile { path, text });
        }
    }
}

/// Every crate, found as the workspace finds it.
pub(crate) fn packages() -> Vec<Package> {
    let manifests = text_files().into_iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    let found: Vec<Package> = manifests
        .map(|file| {
            let manifest = file.text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.path));
            Package { dir: file.path.trim_end_matches("/Cargo.toml").to_owned(), manifest }
        })
        .collect();
    assert!(found.len() >= 10, "only {} crates found: the walk is broken", found.len());
    found
}

/// The part of a source file before its inline test module.
pub(crate) fn without_tests(text: &str) -> &str {
    text.split_once("\n#[cfg(test)]\nmod tests {").map_or(text, |(code, _)| code)
}

/// Whether a file holds nothing but tests.
pub(crate) fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("_tests.rs")
}

/// Code without its line comments, line by line with numbers from 1.
pub(crate) fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| {
        let comment = line.match_indices("//").find(|(at, _)| line[..*at].matches('"').count() % 2 == 0);
        (index + 1, comment.map_or(line, |(at, _)| &line[..at]))
    })
}

#[test]
fn comments_are_cut_off_and_addresses_in_strings_are_not() {
    let lines: Vec<&str> = code_lines("let a = \"http://x\"; // why\n//! doc").map(|(_, line)| line).collect();
    assert_eq!(lines, ["let a = \"http://x\"; ", ""]);
}
