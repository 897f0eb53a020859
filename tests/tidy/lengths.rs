//! Law: no source file above 450 lines, and every module says in its first line what it is. (Function length is clippy's.)

use crate::expect_none;
use crate::repository::{TextFile, is_test, rust_files, without_tests};

const MOST_LINES: usize = 450;

fn complaints(file: &TextFile) -> Vec<String> {
    let mut found = Vec::new();
    let lines = without_tests(&file.text).lines().count();
    if lines > MOST_LINES && !is_test(&file.path) {
        found.push(format!("{}: {lines} lines, at most {MOST_LINES}", file.path));
    }
    if !file.text.starts_with("//!") {
        found.push(format!("{}: does not open with a `//!` sentence", file.path));
    }
    found
}

#[test]
fn source_files_are_short_and_open_with_a_sentence() {
    expect_none(&rust_files().iter().flat_map(complaints).collect::<Vec<_>>());
}

#[test]
fn a_long_file_and_a_silent_one_are_refused() {
    let file = |path: &str, text: String| TextFile { path: path.to_owned(), text };
    let long = format!("//! Long.\n{}", "let x = 1;\n".repeat(MOST_LINES));
    assert_eq!(complaints(&file("shared/x/src/a.rs", long.clone())).len(), 1);
    assert_eq!(complaints(&file("shared/x/tests/a.rs", long)), Vec::<String>::new());
    assert_eq!(complaints(&file("shared/x/src/b.rs", "use a;\n".to_owned())).len(), 1);
    let tested = format!("//! Short.\n\n#[cfg(test)]\nmod tests {{\n{}}}\n", "let x = 1;\n".repeat(MOST_LINES));
    assert_eq!(complaints(&file("shared/x/src/c.rs", tested)), Vec::<String>::new());
}
