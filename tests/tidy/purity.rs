//! Law: the pure crates read no clock, no randomness, no environment, do no IO and never await.

use crate::expect_none;
use crate::repository::{TextFile, code_lines, is_test, packages, rust_files, without_tests};

const PURE: [&str; 3] = ["shared/domain/", "shared/flow/", "shared/placement/"];

const WORDS: [&str; 22] = [
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
    "Zoned::now",
    "Utc::now",
    "std::env",
    "env::var",
    "rand::",
    "fastrand::",
    "getrandom",
    "RandomState",
    "new_v4",
    "now_v7",
    "async fn",
    "async move",
    ".await",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "tokio::",
    "futures::",
];

const CRATES: [&str; 14] = [
    "tokio",
    "tokio-util",
    "futures",
    "async-nats",
    "axum",
    "hyper",
    "hyper-util",
    "reqwest",
    "sqlx",
    "tower",
    "rand",
    "rustix",
    "tempfile",
    "metrics",
];

fn complaints(file: &TextFile) -> Vec<String> {
    let lines = code_lines(without_tests(&file.text));
    let found = lines.flat_map(|(number, line)| {
        let words = WORDS.iter().filter(move |word| line.contains(**word));
        words.map(move |word| format!("{}:{number}: {word} in a pure crate", file.path))
    });
    found.collect()
}

#[test]
fn pure_crates_read_no_clock_no_chance_no_environment_and_never_await() {
    let in_pure = |file: &TextFile| PURE.iter().any(|dir| file.path.starts_with(&format!("{dir}src/")));
    let files: Vec<TextFile> = rust_files().into_iter().filter(|file| in_pure(file) && !is_test(&file.path)).collect();
    assert!(files.len() > 5, "only {} pure files found: the walk is broken", files.len());
    expect_none(&files.iter().flat_map(complaints).collect::<Vec<_>>());
}

#[test]
fn pure_crates_depend_on_nothing_that_does_io() {
    let mut found = Vec::new();
    for package in packages().iter().filter(|package| PURE.contains(&format!("{}/", package.dir).as_str())) {
        let table = package.manifest.get("dependencies").and_then(toml::Value::as_table);
        let used = table.into_iter().flat_map(|table| table.keys()).filter(|name| CRATES.contains(&name.as_str()));
        found.extend(used.map(|name| format!("{} depends on {name}", package.dir)));
    }
    expect_none(&found);
}

#[test]
fn a_clock_is_seen_in_code_and_not_in_comments_and_tests() {
    let text = "//! Pure.\n// not Instant::now\nlet t = Instant::now();\nf().await;\n\n#[cfg(test)]\nmod tests {\nrand::x();\n}";
    let file = TextFile { path: "shared/flow/src/a.rs".to_owned(), text: text.to_owned() };
    let found = complaints(&file);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("a.rs:3:") && found[1].contains("a.rs:4:"), "{found:?}");
}
