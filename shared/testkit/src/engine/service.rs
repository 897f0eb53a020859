//! The image of the small service in `parts/service.rs`, a static program and nothing else.

use super::{Engine, archive, tag_of};
use std::path::Path;
use tokio::process::Command;

const SOURCE: &str = include_str!("../../parts/service.rs");

/// The name of the image that [`Engine::with_service`] sees to. What its arguments mean stands in `parts/service.rs`.
pub fn service_image() -> String {
    format!("gantry-test-service:{}", tag_of(SOURCE))
}

pub(super) async fn make(engine: &Engine, name: &str) {
    let dir = tempfile::tempdir().unwrap();
    let compiled = Command::new("rustc")
        .args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-o"])
        .arg(dir.path().join("service"))
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("parts/service.rs"))
        .status();
    assert!(compiled.await.unwrap().success(), "the test service does not compile");
    let files = archive(&["--directory".to_owned(), dir.path().display().to_string(), "service".to_owned()]).await;
    engine.import(name, files, vec!["ENTRYPOINT [\"/service\"]".to_owned()]).await;
}
