//! The broker of this process: one that runs elsewhere, or a child with its store below the data directory.

use super::config::BrokerConfig;
use anyhow::Context;
use bus::{Bus, BusOptions, Connection, Durability, TAPS};
use domain::nodes::NodeId;
use nats_process::{Search, Server, SyncInterval};
use secrecy::{ExposeSecret, SecretString};
use service::Tasks;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The user that the services are at a broker of our own.
const USER: &str = "gantry";

/// A connected broker.
pub(super) struct Broker {
    /// The connection.
    pub(super) bus: Bus,
    /// The child, when there is one.
    pub(super) child: Option<Server>,
}

/// Connects to the broker that is configured, else to the child of a `gantry up` on the same data directory.
pub(super) async fn join(config: &BrokerConfig, data_dir: &Path, name: &str, tasks: &Tasks) -> anyhow::Result<Bus> {
    connect(config, &found(config, data_dir, name)?, tasks).await
}

/// The same for the agent of a GPU host, whose user may have rights to that node's subjects alone.
pub(super) async fn attach(config: &BrokerConfig, data_dir: &Path, name: &str, node: &NodeId) -> anyhow::Result<Bus> {
    Ok(bus::attach(&found(config, data_dir, name)?, node).await?)
}

fn found(config: &BrokerConfig, data_dir: &Path, name: &str) -> anyhow::Result<Connection> {
    let mut connection = remote(config, name);
    if connection.urls.is_empty() {
        let address = std::fs::read_to_string(address_path(data_dir)).with_context(|| {
            format!(
                "no broker: set GANTRY_NATS_URL, or start `gantry up` on the same data directory ({})",
                data_dir.display()
            )
        })?;
        connection.urls = vec![address.trim().to_owned()];
        connection.user = Some(USER.to_owned());
        connection.password = Some(password(data_dir, USER)?);
    }
    Ok(connection)
}

/// Connects to the broker that is configured, else starts one.
pub(super) async fn start(config: &BrokerConfig, data_dir: &Path, name: &str, tasks: &Tasks) -> anyhow::Result<Broker> {
    if !config.urls.is_empty() {
        return Ok(Broker { bus: connect(config, &remote(config, name), tasks).await?, child: None });
    }
    if config.durability == Durability::Cluster {
        anyhow::bail!(
            "GANTRY_DURABILITY is cluster, which needs three servers: set GANTRY_NATS_URL to their addresses \
             (nats/cluster.conf is a configuration to begin with), or use safe or fast"
        );
    }
    let own = password(data_dir, USER)?;
    let server = start_child(config, data_dir, &own).await?;
    write_private(&address_path(data_dir), &server.url())?;
    let connection = Connection {
        urls: vec![server.url()],
        user: Some(USER.to_owned()),
        password: Some(own),
        name: name.to_owned(),
        ..Default::default()
    };
    let bus = connect(config, &connection, tasks).await?;
    sync_directories(&store_dir(data_dir));
    Ok(Broker { bus, child: Some(server) })
}

async fn start_child(config: &BrokerConfig, data_dir: &Path, own: &SecretString) -> anyhow::Result<Server> {
    let tap = password(data_dir, "tap")?;
    let interval = match config.durability {
        Durability::Safe => SyncInterval::Always,
        Durability::Fast | Durability::Cluster => SyncInterval::Every(Duration::from_secs(1)),
    };
    let search = Search { explicit: config.program.clone(), ..Search::default() };
    Server::builder()
        .store_dir(store_dir(data_dir))
        .durability(interval)
        .port(config.port)
        .search(search)
        .accounts(accounts(own.expose_secret(), tap.expose_secret()))
        .start()
        .await
        .context("the broker could not be started")
}

/// The services own every stream; the tap may listen to stored records and nothing else (see nats/README.md).
fn accounts(own: &str, tap: &str) -> String {
    format!(
        "authorization {{ timeout: 2, users: [\n\
           {{ user: {USER}, password: \"{own}\" }}\n\
           {{ user: tap, password: \"{tap}\", permissions: {{\n\
             subscribe: {{ allow: [\"{TAPS}\"] }}, publish: {{ deny: [\">\"] }} }} }}\n\
         ] }}\n"
    )
}

fn remote(config: &BrokerConfig, name: &str) -> Connection {
    Connection {
        urls: config.urls.clone(),
        credentials: config.credentials.clone(),
        user: config.user.clone(),
        password: config.password.clone(),
        certificate_authority: config.certificate_authority.clone(),
        name: name.to_owned(),
    }
}

async fn connect(config: &BrokerConfig, connection: &Connection, tasks: &Tasks) -> anyhow::Result<Bus> {
    let replicas = if config.durability == Durability::Cluster { 3 } else { 1 };
    let bus = bus::connect(connection, BusOptions { shards: config.shards, replicas }).await?;
    let (kept, stop) = (bus.clone(), tasks.stop_token());
    tasks.critical("broker memory", async move {
        tokio::select! {
            () = kept.keep_memory() => {}
            () = stop.cancelled() => {}
        }
        Ok::<(), Infallible>(())
    });
    Ok(bus)
}

fn store_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("nats")
}

fn address_path(data_dir: &Path) -> PathBuf {
    data_dir.join("auth").join("nats.url")
}

/// The password of a user of our own broker, made at the first start and readable by the owner alone.
fn password(data_dir: &Path, user: &str) -> anyhow::Result<SecretString> {
    let path = data_dir.join("auth").join(format!("nats-{user}"));
    if let Ok(text) = std::fs::read_to_string(&path) {
        return Ok(text.trim().to_owned().into());
    }
    let fresh = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    write_private(&path, &fresh)?;
    Ok(fresh.into())
}

fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let problem = || format!("cannot write {}", path.display());
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).with_context(problem)?;
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(problem)?;
    file.write_all(text.as_bytes()).with_context(problem)
}

/// The broker does not sync the directories of new streams; without this a power cut soon after the first start could
/// lose whole streams.
fn sync_directories(directory: &Path) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        sync_directories(&entry.path());
    }
    if let Err(error) = std::fs::File::open(directory).and_then(|file| file.sync_all()) {
        tracing::debug!(%error, directory = %directory.display(), "a directory was not synced");
    }
}
