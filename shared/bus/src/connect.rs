//! Connecting, and refusing a broker that would not keep our promises.

use crate::streams::Layout;
use crate::{Bus, BusError, Inner, provision};
use async_nats::{ConnectOptions, Event, ServerAddr, jetstream};
use secrecy::{ExposeSecret, SecretString};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OnceCell, watch};

/// API level of nats-server 2.14.
const API_LEVEL: u64 = 4;

/// How to get into the broker.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// Addresses, tried in random order: `nats://host:4222`, `tls://…`.
    pub urls: Vec<String>,
    /// A credentials file (`.creds`).
    pub credentials: Option<PathBuf>,
    /// User name, with `password`.
    pub user: Option<String>,
    /// Password or, without a user, token.
    pub password: Option<SecretString>,
    /// A certificate authority for TLS.
    pub certificate_authority: Option<PathBuf>,
    /// What the server's connection list shows.
    pub name: String,
}

/// What is wanted of the streams.
#[derive(Clone, Copy, Debug)]
pub struct BusOptions {
    /// Shards; none takes what is there, or the default for a new broker.
    pub shards: Option<u16>,
    /// Copies of each stream.
    pub replicas: usize,
}

/// How long a start waits for a broker that answers and is not ready: a cluster that was just started, or that lost a
/// member, has no leaders for a while.
const PROVISIONING: Duration = Duration::from_secs(30);

/// How long one answer is waited for: shorter at first, because an answer that a forming cluster has lost never comes,
/// and asking again is harmless and quick.
const FIRST_ANSWER: Duration = Duration::from_secs(1);
pub(crate) const ANSWER: Duration = Duration::from_secs(5);

/// Ledger shards of a new broker; chosen by measurement (see ARCHITECTURE.md).
pub(crate) const DEFAULT_SHARDS: u16 = 4;

/// Connects, checks the server, provisions the streams and checks what the server made of them.
pub async fn connect(connection: &Connection, options: BusOptions) -> Result<Bus, BusError> {
    let until = tokio::time::Instant::now() + PROVISIONING;
    let (mut pause, mut answer) = (Duration::from_millis(100), FIRST_ANSWER);
    loop {
        let (connects, watcher) = watch::channel(0_u64);
        let client = open(connection, None, connects).await?;
        match provisioned(&client, &context(&client, answer), connection, options).await {
            Ok(layout) => {
                let js = context(&client, ANSWER);
                return Ok(Bus {
                    inner: Arc::new(Inner { client, js, layout, blobs: OnceCell::new(), connects: watcher }),
                });
            }
            Err(error) if !error.is_transient() || tokio::time::Instant::now() > until => return Err(error),
            // Over a connection of its own: while a cluster forms, a member may forget where answers are to go.
            Err(error) => tracing::warn!(%error, "the broker is not ready; it is asked again"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
        answer = (answer * 2).min(ANSWER);
    }
}

/// The broker's interface to streams.
pub(crate) fn context(client: &async_nats::Client, answer: Duration) -> jetstream::Context {
    jetstream::ContextBuilder::new().timeout(answer).build(client.clone())
}

async fn provisioned(
    client: &async_nats::Client,
    js: &jetstream::Context,
    connection: &Connection,
    options: BusOptions,
) -> Result<Layout, BusError> {
    check_version(client, js, connection).await?;
    let shards = provision::shards(js, options.shards, DEFAULT_SHARDS).await?;
    let layout = Layout { shards, replicas: options.replicas };
    provision::streams(js, layout).await.map(|()| layout)
}

pub(crate) async fn open(
    connection: &Connection,
    inbox: Option<String>,
    connects: watch::Sender<u64>,
) -> Result<async_nats::Client, BusError> {
    let shown = connection.urls.iter().map(|url| without_credentials(url)).collect::<Vec<_>>().join(",");
    let unreachable = |cause: String| BusError::Unreachable { url: shown.clone(), cause };
    let addresses = connection
        .urls
        .iter()
        .map(|url| url.trim().parse::<ServerAddr>())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreachable(format!("'{shown}' is not a list of addresses: {error}")))?;
    let options = sign_in(connection)
        .map_err(&unreachable)?
        .name(&connection.name)
        .request_timeout(Some(Duration::from_secs(3)))
        .connection_timeout(Duration::from_secs(3))
        .subscription_capacity(65_536)
        .reconnect_delay_callback(|attempt| Duration::from_millis((attempt as u64 * 20).min(500)))
        .event_callback(move |event| {
            match &event {
                Event::Connected => connects.send_modify(|count| *count += 1),
                Event::Disconnected => tracing::warn!("the broker connection is down; reconnecting"),
                Event::SlowConsumer(_) => tracing::warn!(%event, "a subscription lost messages; it will re-read them"),
                Event::LameDuckMode | Event::Draining | Event::Closed => tracing::info!(%event, "broker"),
                Event::ServerError(_) | Event::ClientError(_) => tracing::debug!(%event, "broker"),
            }
            std::future::ready(())
        });
    let options = match inbox {
        Some(prefix) => options.custom_inbox_prefix(prefix),
        None => options,
    };
    options.connect(addresses).await.map_err(|error| unreachable(error.to_string()))
}

fn sign_in(connection: &Connection) -> Result<ConnectOptions, String> {
    let mut options = ConnectOptions::new();
    if let Some(path) = &connection.credentials {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        options = options.credentials(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if let Some(password) = &connection.password {
        let password = password.expose_secret().to_owned();
        options = match &connection.user {
            Some(user) => options.user_and_password(user.clone(), password),
            None => options.token(password),
        };
    }
    if let Some(path) = &connection.certificate_authority {
        options = options.add_root_certificates(path.clone());
    }
    Ok(options)
}

/// An old server accepts everything we ask and honours nothing, so its word is not enough: version and level must fit.
pub(crate) async fn check_version(
    client: &async_nats::Client,
    js: &jetstream::Context,
    connection: &Connection,
) -> Result<(), BusError> {
    let version = client.server_info().version;
    let account: serde_json::Value = js.request("INFO", &()).await.map_err(|error| BusError::NoJetStream {
        url: connection.urls.iter().map(|url| without_credentials(url)).collect::<Vec<_>>().join(","),
        cause: error.to_string(),
    })?;
    let level = account.pointer("/api/level").and_then(serde_json::Value::as_u64).unwrap_or(0);
    if !client.is_server_compatible(2, 14, 0) || level < API_LEVEL {
        return Err(BusError::TooOld { version, level });
    }
    Ok(())
}

fn without_credentials(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}://{}", &url[..scheme], &url[at + 1..]),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_never_show_a_password() {
        assert_eq!(without_credentials("nats://me:secret@host:4222"), "nats://host:4222");
        assert_eq!(without_credentials("nats://host:4222"), "nats://host:4222");
    }
}
