//! Building and running the service: which tasks, of which kind, and the router that a listener serves.

use crate::auth::{Credentials, StoredKeys};
use crate::bundles::scan::{is_transient, scan};
use crate::routes::bundles::report;
use crate::security::{AuditLog, Guard, Security, audit_path, write_entries};
use crate::{Api, ApiConfig, Parts, layers, routes};
use axum::Router;
use service::Tasks;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use store::runs::RunsError;

/// A failed scan of the flows directory is tried again after this long, while the broker is away.
const SCAN_AGAIN: Duration = Duration::from_secs(2);
/// How long one wait for the ledger readers takes before it is begun anew.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The surface, ready to be served.
pub struct Service {
    /// What every route works with.
    pub api: Api,
    /// The guard around every router of the port.
    pub security: Arc<Security>,
    /// The accepted tokens, for other routers of the port.
    pub credentials: Credentials,
    /// Keys of model traffic that were made over the API, for the same.
    pub stored_keys: StoredKeys,
}

impl Service {
    /// Puts the surface together and spawns its tasks.
    pub fn start(config: ApiConfig, parts: Parts, tasks: &Tasks) -> Self {
        let credentials = Credentials::new(&config.tokens);
        let stored_keys = StoredKeys::default();
        let guard = Guard::new(config.security.clone(), credentials.clone()).with_stored_keys(stored_keys.clone());
        let (audit, entries) = AuditLog::new(&config.audit);
        if let Some(mut entries) = entries {
            let (path, settings) = (audit_path(&config.data_dir), config.audit.clone());
            let stop = tasks.stop_token();
            tasks.critical("audit log", async move { write_entries(path, settings, &mut entries, stop).await });
        }
        let api = Api::new(config, parts);
        follow_ledgers(&api, tasks);
        tell_when_live(&api, tasks);
        install_bundles(&api, tasks);
        follow_keys(&api, stored_keys.clone(), tasks);
        Self { api, security: Arc::new(Security::new(guard, audit)), credentials, stored_keys }
    }

    /// The routes of the surface, to be merged with others of the same port, which `describe` adds to the OpenAPI document.
    pub fn routes(&self, describe: impl FnOnce(&mut serde_json::Value)) -> Router {
        routes::router(describe).with_state(self.api.clone())
    }

    /// The whole port: these routers, the answers for what is not there, and the layers around everything.
    pub fn port(&self, routers: impl IntoIterator<Item = Router>) -> Router {
        let merged = routers.into_iter().fold(Router::new(), Router::merge);
        layers(crate::fallbacks(merged), self.security.clone())
    }
}

/// Hears of keys that were made over the API. Not ready before they are known: a key that works would be refused.
fn follow_keys(api: &Api, stored_keys: StoredKeys, tasks: &Tasks) {
    let (bus, stop) = (api.parts.bus.clone(), tasks.stop_token());
    let check = api.parts.health.check("keys");
    tasks.critical("stored keys", async move {
        tokio::select! {
            () = stored_keys.keep_following(&bus, || check.well()) => {}
            () = stop.cancelled() => {}
        }
        Ok::<(), Infallible>(())
    });
}

/// Streams read the ledger by themselves until the readers have come to its end: after a rebuild of the list they
/// first pass through everything that ever happened.
fn tell_when_live(api: &Api, tasks: &Tasks) {
    let (api, stop) = (api.clone(), tasks.stop_token());
    tasks.supervised("ledger end", move || {
        let (api, stop) = (api.clone(), stop.clone());
        async move {
            let reached = async {
                while !api.parts.projector.reach_end(LOOK_AGAIN).await? {}
                api.live.send_replace(true);
                Ok::<(), bus::BusError>(())
            };
            tokio::select! {
                reached = reached => reached,
                () = stop.cancelled() => Ok(()),
            }
        }
    });
}

/// One reader per shard feeds every stream of the process, and the list of runs.
fn follow_ledgers(api: &Api, tasks: &Tasks) {
    let stop = tasks.stop_token();
    for shard in 0..api.parts.bus.layout().shards {
        let (projector, stop) = (api.parts.projector.clone(), stop.clone());
        tasks.critical(format!("ledger reader {shard}"), async move {
            tokio::select! {
                followed = projector.follow(shard) => followed,
                () = stop.cancelled() => Ok(()),
            }
        });
    }
    let (projector, check) = (api.parts.projector.clone(), api.parts.health.check("run list"));
    tasks.critical("run list", async move {
        check.well();
        tokio::select! {
            written = projector.write() => written,
            () = stop.cancelled() => Ok::<(), RunsError>(()),
        }
    });
}

/// Hears of installed bundles, and installs those of the flows directory. Ready once both are done.
fn install_bundles(api: &Api, tasks: &Tasks) {
    let (bundles, stop) = (api.parts.bundles.clone(), tasks.stop_token());
    tasks.critical("bundle catalogue", async move {
        tokio::select! {
            () = bundles.keep_watching() => {}
            () = stop.cancelled() => {}
        }
        Ok::<(), Infallible>(())
    });
    let (bundles, path, stop) = (api.parts.bundles.clone(), api.config.flows_dir.clone(), tasks.stop_token());
    let check = api.parts.health.check("bundles");
    tasks.request("flows directory", async move {
        let scanned = async {
            bundles.ready().await;
            loop {
                let scanned = scan(&bundles, &path).await;
                report(&scanned);
                match scanned {
                    Err(error) if is_transient(&error) => tokio::time::sleep(SCAN_AGAIN).await,
                    Ok(_) | Err(_) => break,
                }
            }
        };
        tokio::select! {
            () = scanned => check.well(),
            () = stop.cancelled() => {}
        }
        // A check that is dropped counts as stopped, so it is kept until the service stops.
        stop.cancelled().await;
        Ok::<(), Infallible>(())
    });
}
