//! Law: the documents name every crate, their links lead somewhere, and no file speaks of one machine's paths.

use std::path::Path;

use crate::expect_none;
use crate::repository::{TextFile, packages, root, text_files};

fn dead_links(file: &TextFile, exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let dir = Path::new(&file.path).parent().unwrap_or(Path::new(""));
    let targets = file.text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let local = targets.filter(|target| !target.contains("://") && !target.starts_with(['#', '<']));
    let paths = local.map(|target| target.split('#').next().unwrap_or_default());
    let dead = paths.filter(|target| !target.is_empty() && !exists(&dir.join(target)));
    dead.map(|target| format!("{}: the link to {target} leads nowhere", file.path)).collect()
}

// Written in two halves, so that this file does not find itself.
const MACHINE_PATHS: [&str; 4] = [
    concat!("/wo", "rk/main"),
    concat!("/wo", "rk/shared"),
    concat!("../sha", "red/guide"),
    concat!("../sha", "red/spec"),
];

fn machine_paths(file: &TextFile) -> Vec<String> {
    let lines = file.text.lines().enumerate();
    let found = lines.flat_map(|(index, line)| {
        let paths = MACHINE_PATHS.iter().filter(move |path| line.contains(**path));
        paths.map(move |path| format!("{}:{}: {path} is a path of one machine", file.path, index + 1))
    });
    found.collect()
}

#[test]
fn the_architecture_names_every_crate() {
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let unnamed = |name: &str| !map.contains(&format!("`{name}`"));
    let missing: Vec<String> =
        packages().iter().map(|package| package.name().to_owned()).filter(|name| unnamed(name)).collect();
    assert_eq!(missing, Vec::<String>::new(), "not named in ARCHITECTURE.md");
    assert!(unnamed("helpers"), "the check accepts any name");
}

#[test]
fn links_in_documents_lead_somewhere() {
    let documents: Vec<TextFile> = text_files().into_iter().filter(|file| file.path.ends_with(".md")).collect();
    assert!(documents.len() >= 4, "documents are missing");
    let exists = |path: &Path| root().join(path).exists();
    expect_none(&documents.iter().flat_map(|file| dead_links(file, exists)).collect::<Vec<_>>());
}

#[test]
fn no_file_holds_a_path_of_one_machine() {
    expect_none(&text_files().iter().flat_map(machine_paths).collect::<Vec<_>>());
}

#[test]
fn a_dead_link_and_a_machine_path_are_seen() {
    let text = format!("[a](b.md) [c](d.md#e) [f](https://g.h) [i](#j)\nsee {}", MACHINE_PATHS[0]);
    let file = TextFile { path: "docs/x.md".to_owned(), text };
    assert_eq!(dead_links(&file, |path| path == Path::new("docs/d.md")), ["docs/x.md: the link to b.md leads nowhere"]);
    assert_eq!(machine_paths(&file).len(), 1);
}
