//! Law: no subject, stream or bucket name outside `shared/bus`.

use crate::expect_none;
use crate::repository::{TextFile, code_lines, is_test, rust_files};

/// How literals begin that only the bus may hold: the server's own subjects, and our streams and buckets.
const STARTS: [&str; 9] =
    ["$JS", "$KV", "$O.", "$SYS", "$SRV", "GANTRY_LEDGER_{", "GANTRY_LEDGER_0", "GANTRY_INBOX_{", "GANTRY_COMMANDS_{"];
const NAMES: [&str; 4] = ["GANTRY_WAITS", "GANTRY_OUTCOMES", "GANTRY_CATALOG", "GANTRY_BLOBS"];

/// A subject of ours has at least two dots: `gantry.<kind>.…`; a file name such as `gantry.toml` has one.
fn is_subject(literal: &str) -> bool {
    let ours = literal.strip_prefix("gantry.").is_some_and(|rest| {
        let word = rest.split(['.', ' ']).next().unwrap_or_default();
        rest.starts_with(['*', '>', '{']) || (!word.is_empty() && rest[word.len()..].starts_with('.'))
    });
    ours || STARTS.iter().any(|start| literal.starts_with(start)) || NAMES.contains(&literal)
}

fn complaints(file: &TextFile) -> Vec<String> {
    let lines = code_lines(&file.text);
    let found = lines.flat_map(|(number, line)| {
        let literals = line.split('"').skip(1).step_by(2).filter(|literal| is_subject(literal));
        literals.map(move |literal| format!("{}:{number}: \"{literal}\" belongs into shared/bus", file.path))
    });
    found.collect()
}

#[test]
fn subjects_streams_and_buckets_are_named_in_the_bus_alone() {
    let files = rust_files().into_iter().filter(|file| !file.path.starts_with("shared/bus/") && !is_test(&file.path));
    expect_none(&files.flat_map(|file| complaints(&file)).collect::<Vec<_>>());
}

#[test]
fn a_subject_is_seen_and_a_file_or_variable_name_is_not() {
    let file = |text: &str| TextFile { path: "services/api/src/a.rs".to_owned(), text: text.to_owned() };
    for bad in
        ["gantry.ledger.0.>", "gantry.>", "gantry.{kind}", "$JS.API.INFO", "GANTRY_INBOX_{shard}", "GANTRY_BLOBS"]
    {
        assert_eq!(complaints(&file(&format!("let s = f(\"{bad}\");"))).len(), 1, "{bad}");
    }
    for good in ["gantry.toml", "gantry up", "GANTRY_LEDGER_SHARDS", "gantry. It ends", "price in $"] {
        assert_eq!(complaints(&file(&format!("let s = f(\"{good}\");"))), Vec::<String>::new(), "{good}");
    }
}

#[test]
fn the_law_knows_how_the_bus_names_things() {
    let bus: Vec<TextFile> = rust_files().into_iter().filter(|file| file.path.starts_with("shared/bus/src/")).collect();
    let seen: Vec<String> = bus.iter().flat_map(complaints).collect();
    for name in
        ["gantry.ledger.", "gantry.inbox.", "GANTRY_LEDGER_{", "GANTRY_INBOX_{", "GANTRY_COMMANDS_{", "GANTRY_WAITS"]
    {
        assert!(
            seen.iter().any(|complaint| complaint.contains(name)),
            "{name} is not seen in shared/bus: names changed?"
        );
    }
}
