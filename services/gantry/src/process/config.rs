//! Settings of the process: the broker, the database, how it stops. The only file with the names of their variables.

use bus::Durability;
use secrecy::SecretString;
use service::config::{ConfigError, Reader};
use std::path::PathBuf;
use std::time::Duration;

/// Where the broker is and what it promises.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// Addresses of a broker that runs elsewhere; none starts one here.
    pub urls: Vec<String>,
    /// A credentials file.
    pub credentials: Option<PathBuf>,
    /// User name.
    pub user: Option<String>,
    /// Password or token.
    pub password: Option<SecretString>,
    /// Certificate authority for TLS.
    pub certificate_authority: Option<PathBuf>,
    /// What an acknowledged write survives.
    pub durability: Durability,
    /// Ledger shards; none takes those that are there.
    pub shards: Option<u16>,
    /// The nats-server program to start.
    pub program: Option<PathBuf>,
    /// Port of the broker that is started here; 0 takes a free one.
    pub port: u16,
}

/// Settings of this process beside those of its services.
#[derive(Clone, Debug)]
pub struct ProcessConfig {
    /// Everything durable lies below it.
    pub data_dir: PathBuf,
    /// The broker.
    pub broker: BrokerConfig,
    /// The read model's database.
    pub database_url: String,
    /// Whether runs are driven in this process.
    pub runner: bool,
    /// Whether jobs and services are scheduled in this process.
    pub scheduler: bool,
    /// Whether pushes, webhooks and callbacks are sent from this process.
    pub notifier: bool,
    /// Whether this host's GPUs and containers are offered by this process.
    pub gpu_monitor: bool,
    /// How long tasks get to end.
    pub shutdown: Duration,
    /// Where a runner alone answers `/livez`, `/readyz` and `/metrics`.
    pub probe_port: Option<u16>,
}

/// Variables of an existing deployment that concern only how the peer polls; here nothing polls.
const WITHOUT_MEANING: [&str; 5] = [
    "ABSTRACTGATEWAY_POLL_S",
    "ABSTRACTGATEWAY_COMMAND_BATCH_LIMIT",
    "ABSTRACTGATEWAY_TICK_MAX_STEPS",
    "ABSTRACTGATEWAY_TICK_WORKERS",
    "ABSTRACTGATEWAY_RUN_SCAN_LIMIT",
];

/// What an existing deployment may say and cannot mean otherwise here: flows come out of bundles, and runs are kept in
/// streams, whichever of its two stores it had.
fn kept_as_it_is(reader: &mut Reader) -> Result<(), ConfigError> {
    let source = reader.choice("ABSTRACTGATEWAY_WORKFLOW_SOURCE", &[("bundle", ())]);
    source.about("where flows come from; only bundles are executed").optional()?;
    let backend = reader.choice("ABSTRACTGATEWAY_STORE_BACKEND", &[("file", 1), ("sqlite", 2)]);
    backend.about("the store of an existing deployment; here runs are kept in streams").optional()?;
    Ok(())
}

impl ProcessConfig {
    /// Reads every setting of this section.
    pub fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let data_dir = reader.data_dir()?;
        for name in WITHOUT_MEANING {
            reader.known(name);
        }
        kept_as_it_is(reader)?;
        Ok(Self {
            broker: BrokerConfig::read(reader)?,
            database_url: database_url(reader, &data_dir)?,
            runner: reader
                .value("GANTRY_RUNNER")
                .alias("ABSTRACTGATEWAY_RUNNER")
                .about("whether `gantry up` drives runs itself")
                .default(true)?,
            scheduler: reader
                .value("GANTRY_SCHEDULER")
                .about("whether `gantry up` schedules jobs and services itself")
                .default(true)?,
            notifier: reader
                .value("GANTRY_NOTIFIER")
                .about("whether `gantry up` sends pushes, webhooks and callbacks itself")
                .default(true)?,
            gpu_monitor: reader
                .value("GANTRY_GPU_MONITOR")
                .about("whether `gantry up` offers this host's GPUs and containers itself")
                .default(true)?,
            shutdown: reader
                .value("GANTRY_SHUTDOWN_S")
                .about("how long tasks get to end when the process is told to stop")
                .default(Duration::from_secs(10))?,
            probe_port: reader
                .value("GANTRY_PROBE_PORT")
                .about("port of /livez, /readyz and /metrics of a runner that runs alone")
                .optional()?,
            data_dir,
        })
    }
}

fn database_url(reader: &mut Reader, data_dir: &std::path::Path) -> Result<String, ConfigError> {
    let inside = data_dir.to_owned();
    let path: PathBuf = reader
        .value("GANTRY_DATABASE_PATH")
        .alias("ABSTRACTGATEWAY_DB_PATH")
        .about("file of the run list's SQLite database, inside the data directory")
        .check("a file inside the data directory", move |path: &PathBuf| {
            let absolute = |path: &std::path::Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            absolute(path).starts_with(absolute(&inside)) && !path.components().any(|part| part.as_os_str() == "..")
        })
        .default(data_dir.join("gateway.sqlite3"))?;
    reader
        .value("GANTRY_DATABASE_URL")
        .about("database of the run list: sqlite://FILE or postgres://…")
        .check("sqlite://FILE or postgres://USER@HOST/NAME", |url: &String| {
            url.starts_with("sqlite://") || url.starts_with("postgres://") || url.starts_with("postgresql://")
        })
        .default(format!("sqlite://{}", path.display()))
}

impl BrokerConfig {
    fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let words = [("safe", Durability::Safe), ("fast", Durability::Fast), ("cluster", Durability::Cluster)];
        Ok(Self {
            urls: reader
                .value("GANTRY_NATS_URL")
                .about("addresses of the broker, separated by commas; not set, `gantry up` starts one")
                .default(Vec::new())?,
            credentials: reader.value("GANTRY_NATS_CREDENTIALS").about("credentials file of the broker").optional()?,
            user: reader.value("GANTRY_NATS_USER").about("user at the broker").optional()?,
            password: reader.value("GANTRY_NATS_PASSWORD").about("password or token at the broker").optional()?,
            certificate_authority: reader
                .value("GANTRY_NATS_CA")
                .about("certificate authority of the broker")
                .optional()?,
            durability: reader
                .choice("GANTRY_DURABILITY", &words)
                .about("what an acknowledged write survives: safe a power cut, fast a crash, cluster a lost machine")
                .default(Durability::Safe)?,
            shards: reader
                .value("GANTRY_LEDGER_SHARDS")
                .about("streams that runs are spread over; fixed when a store is made")
                .within(1..=64)
                .optional()?,
            program: reader.value("GANTRY_NATS_SERVER").about("the nats-server program to start").optional()?,
            port: reader
                .value("GANTRY_NATS_PORT")
                .about("port of the broker that `gantry up` starts; 0 takes a free one")
                .default(0)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use service::config::{Environment, File, Flags};

    fn read(pairs: &[(&str, &str)]) -> Result<ProcessConfig, ConfigError> {
        let environment = Environment::from_pairs(pairs.iter().copied());
        let mut reader = Reader::new(Flags::default(), environment, File::default());
        let config = ProcessConfig::read(&mut reader)?;
        reader.finish().map(|_| config)
    }

    #[test]
    fn an_existing_deployments_environment_is_taken_unless_it_asks_for_what_is_not_there() {
        let peer = [
            ("ABSTRACTGATEWAY_RUNNER", "0"),
            ("ABSTRACTGATEWAY_POLL_S", "0.25"),
            ("ABSTRACTGATEWAY_STORE_BACKEND", "sqlite"),
            ("ABSTRACTGATEWAY_WORKFLOW_SOURCE", "bundle"),
            ("ABSTRACTGATEWAY_DATA_DIR", "/srv/data"),
            ("ABSTRACTGATEWAY_DB_PATH", "/srv/data/runs.db"),
        ];
        let config = read(&peer).unwrap();
        assert_eq!((config.runner, config.database_url.as_str()), (false, "sqlite:///srv/data/runs.db"));
        for (name, value) in [
            ("ABSTRACTGATEWAY_WORKFLOW_SOURCE", "visualflow"),
            ("ABSTRACTGATEWAY_STORE_BACKEND", "redis"),
            ("ABSTRACTGATEWAY_DB_PATH", "/elsewhere/runs.db"),
            ("ABSTRACTGATEWAY_RUNNER", "perhaps"),
        ] {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }
}
