//! Law: lints, edition and versions live in the workspace, and every crate inherits them.

use crate::expect_none;
use crate::repository::{Package, packages};

fn inherits(value: Option<&toml::Value>) -> bool {
    value.and_then(|value| value.get("workspace")).and_then(toml::Value::as_bool) == Some(true)
}

fn complaints(package: &Package) -> Vec<String> {
    let mut found = Vec::new();
    if !inherits(package.manifest.get("lints")) {
        found.push(format!("{}: say `[lints] workspace = true`", package.dir));
    }
    for key in ["version", "edition", "rust-version", "license", "publish"] {
        if !inherits(package.manifest["package"].get(key)) {
            found.push(format!("{}: say `{key}.workspace = true`", package.dir));
        }
    }
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let table = package.manifest.get(section).and_then(toml::Value::as_table);
        let loose = table.into_iter().flatten().filter(|(_, value)| !inherits(Some(value)));
        found.extend(
            loose.map(|(name, _)| format!("{}: {name} has its version here, not in the workspace", package.dir)),
        );
    }
    found
}

#[test]
fn every_crate_inherits_lints_and_versions() {
    expect_none(&packages().iter().flat_map(complaints).collect::<Vec<_>>());
}

#[test]
fn a_crate_with_its_own_edition_and_versions_is_refused() {
    let text = "[package]\nname = 'x'\nedition = '2021'\n[dependencies]\nserde = '1'";
    let package = Package { dir: "x".to_owned(), manifest: text.parse().unwrap() };
    assert_eq!(complaints(&package).len(), 7);
}
