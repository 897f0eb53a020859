//! The whole program as a GPU host, and services that are containers of it.

use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};
use testkit::{Builder, Cleanup, Client, Engine, Gateway, free_port, llama_arguments};

/// A gateway whose containers go with it.
pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) engine: Engine,
    containers: Vec<Cleanup>,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn with(change: impl FnOnce(Builder) -> Builder) -> Self {
        let engine = Engine::shared().await;
        let builder = Gateway::builder().host(&engine).env("GANTRY_MIN_RUNTIME_MS", "0");
        let gateway = change(builder).start().await;
        Self { gateway, engine, containers: Vec::new() }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.gateway.client
    }

    /// Registers a container of the test service with these words and answers with its name.
    pub(crate) async fn service(&mut self, kind: &str, words: &[&str], more: Value) -> String {
        let (image, port) = (self.engine.with_service().await, free_port());
        let start = ["serve".to_owned(), port.to_string()];
        let arguments: Vec<String> = start.into_iter().chain(words.iter().map(|word| (*word).to_owned())).collect();
        self.image(kind, port, &image, &arguments, more).await
    }

    /// Registers a container of llama.cpp's server with the model `tiny` and answers with its name.
    pub(crate) async fn llama(&mut self, more: Value) -> String {
        let (image, port) = (self.engine.with_llama().await, free_port());
        self.image("llm", port, &image, &llama_arguments(port), more).await
    }

    async fn image(&mut self, kind: &str, port: u16, image: &str, arguments: &[String], more: Value) -> String {
        let name = name_of(kind);
        self.containers.push(self.engine.cleanup(&name));
        let mut all = json!({"type": kind, "vram_gb": 1});
        all.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        self.client().register_image(&name, port, image, arguments, &all).await;
        name
    }

    /// What a service itself says at a path, past the gateway.
    pub(crate) async fn said_by(&self, service: &str, path: &str) -> Value {
        let port = self.client().service(service).await["port"].as_u64().unwrap();
        Client::new(&format!("http://127.0.0.1:{port}"), None).get(&format!("//{path}")).await.good()
    }

    /// Whether the engine itself says that a container runs.
    pub(crate) async fn is_running(&self, name: &str) -> bool {
        self.engine.is_running(name).await
    }
}

/// A name that no other container has: other tests, also those of other checkouts, have some on the same engine.
pub(crate) fn name_of(kind: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("gantry-it-{kind}-{}-{number}", std::process::id())
}
