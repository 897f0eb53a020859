//! A configuration that changes while requests run.

use crate::gateway::{Gateway, STREAM, hello};
use crate::upstream::Upstream;
use proxy::Config;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::Notify;

#[tokio::test]
async fn a_reload_drops_no_stream_and_the_next_request_sees_the_new_models() {
    let go = Arc::new(Notify::new());
    let upstream = Upstream::of_stream_in_two(hello(), &go).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    let file = |alias: &str| {
        format!(
            "[[backend]]\nname = \"one\"\nkind = \"openai\"\nbase_url = \"{}\"\n\n[[model]]\nname = \"chat\"\naliases = [\"{alias}\"]\nreplicas = [{{ backend = \"one\", model = \"m\" }}]\n",
            upstream.url()
        )
    };
    std::fs::write(&path, file("old")).unwrap();
    let gateway = Gateway::start(Config { file: Some(path.clone()), ..Config::default() }).await;
    assert_eq!(gateway.get("/v1/models").await.status, 200);
    let mut open = gateway.open("/v1/chat/completions", &STREAM.replace("\"m\"", "\"old\"")).await;
    open.until("Hel").await;

    assert!(!gateway.proxy.reload().unwrap());
    write_later(&path, &file("new"));
    assert!(gateway.proxy.reload().unwrap());
    go.notify_one();
    let reply = open.reply().await;
    assert!(reply.whole && reply.text().ends_with("data: [DONE]\n\n"));

    go.notify_one();
    assert!(gateway.chat(&STREAM.replace("\"m\"", "\"new\"")).await.whole);
    let gone = gateway.chat(&STREAM.replace("\"m\"", "\"old\"")).await;
    assert_eq!((gone.status, &gone.json()["error"]["code"]), (404, &json!("model_not_found")));

    write_later(&path, "[[backend]]\nname = 7");
    assert!(gateway.proxy.reload().unwrap_err().to_string().contains("cannot be used"));
    go.notify_one();
    assert!(gateway.chat(&STREAM.replace("\"m\"", "\"new\"")).await.whole, "the last good one stays in force");
}

/// Writes with a time stamp that differs from the one before, however coarse the file system's clock.
fn write_later(path: &std::path::Path, text: &str) {
    let before = std::fs::metadata(path).unwrap().modified().unwrap();
    std::fs::write(path, text).unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(before + std::time::Duration::from_secs(2)).unwrap();
}
