//! Settings of the HTTP surface; the only file of this crate with the names of variables.

use crate::security::LockoutPolicy;
use domain::notices::AllowedTargets;
use secrecy::SecretString;
use service::config::{ConfigError, Reader};
use service::targets;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of the api service.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Everything durable lies below it.
    pub data_dir: PathBuf,
    /// Bundles that are installed by being there.
    pub flows_dir: PathBuf,
    /// The address to listen on.
    pub host: String,
    /// The port to listen on; 0 takes a free one.
    pub port: u16,
    /// Bearer tokens, from whichever variable.
    pub tokens: Vec<SecretString>,
    /// The security layer.
    pub security: SecurityConfig,
    /// The audit log.
    pub audit: AuditConfig,
    /// Bytes of an uploaded bundle.
    pub max_bundle_bytes: usize,
    /// How long an ephemeral draft run is kept.
    pub draft_ttl: Duration,
    /// How long a start waits for the listeners of its flow.
    pub listener_patience: Duration,
    /// How long the GPU control plane's scheduler may take to answer: longer than another takes to lead.
    pub scheduler_patience: Duration,
    /// Addresses that callbacks may go to although they are not public.
    pub callback_targets: AllowedTargets,
}

/// Settings of the security layer.
#[derive(Debug, Clone, PartialEq)]
pub struct SecurityConfig {
    /// Whether there is any.
    pub enabled: bool,
    /// Whether reads need a token.
    pub protect_read: bool,
    /// Whether writes need a token.
    pub protect_write: bool,
    /// Whether reads from the same machine need none.
    pub dev_read_no_auth: bool,
    /// Patterns of allowed origins.
    pub allowed_origins: Vec<String>,
    /// Bytes of a body.
    pub max_body_bytes: usize,
    /// Bytes of an upload's body; 0 leaves it to the endpoint.
    pub max_upload_body_bytes: usize,
    /// Bytes of an uploaded attachment.
    pub max_attachment_bytes: usize,
    /// Bytes of an uploaded bundle.
    pub max_bundle_bytes: usize,
    /// Requests at once, streams aside.
    pub max_concurrency: usize,
    /// Streams at once.
    pub max_sse: usize,
    /// Lockout of addresses.
    pub lockout: LockoutPolicy,
    /// Whether `X-Forwarded-For` names the client.
    pub trust_proxy: bool,
    /// The session cookie's name.
    pub session_cookie: String,
    /// The session header's name.
    pub session_header: String,
}

/// Settings of the audit log.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditConfig {
    /// Whether writes are logged.
    pub enabled: bool,
    /// The size at which the file is rotated.
    pub max_bytes: u64,
    /// Rotated files kept.
    pub rotations: usize,
    /// Request headers that are logged.
    pub headers: Vec<String>,
}

impl ApiConfig {
    /// Reads every setting of the surface.
    pub fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        reader.section("api");
        let data_dir = reader.data_dir()?;
        let max_bundle_bytes = bundle_bytes(reader)?;
        Ok(Self {
            flows_dir: flows_dir(reader, &data_dir)?,
            data_dir,
            host: reader.value("GANTRY_HOST").about("address to listen on").default("127.0.0.1".to_owned())?,
            port: reader.value("GANTRY_PORT").about("port to listen on").default(8080)?,
            tokens: tokens(reader),
            security: SecurityConfig::read(reader)?,
            audit: AuditConfig::read(reader)?,
            max_bundle_bytes,
            draft_ttl: reader
                .value("GANTRY_DRAFT_RUN_TTL_S")
                .alias("ABSTRACTGATEWAY_DRAFT_RUN_TTL_S")
                .alias("ABSTRACTGATEWAY_DRAFT_RUN_RETENTION_TTL_S")
                .about("how long an ephemeral draft run is kept")
                .default(Duration::from_secs(604_800))?,
            listener_patience: reader
                .value("GANTRY_LISTENER_WAIT_S")
                .about("how long a start waits for the flow's event listeners")
                .default(Duration::from_secs(5))?,
            scheduler_patience: reader
                .value("GANTRY_SCHEDULER_WAIT_S")
                .about("how long a request waits for the scheduler's answer")
                .default(Duration::from_secs(5))?,
            callback_targets: targets::read(reader)?,
        })
    }

    /// The defaults below a data directory, for tests and tools.
    pub fn below(data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        Self {
            flows_dir: data_dir.join("flows"),
            data_dir,
            host: "127.0.0.1".to_owned(),
            port: 0,
            tokens: Vec::new(),
            security: SecurityConfig::default(),
            audit: AuditConfig::default(),
            max_bundle_bytes: domain::limits::BUNDLE_BYTES,
            draft_ttl: Duration::from_secs(604_800),
            listener_patience: Duration::from_secs(5),
            scheduler_patience: Duration::from_secs(5),
            callback_targets: AllowedTargets::default(),
        }
    }
}

fn flows_dir(reader: &mut Reader, data_dir: &std::path::Path) -> Result<PathBuf, ConfigError> {
    reader
        .value("GANTRY_FLOWS_DIR")
        .alias("ABSTRACTGATEWAY_FLOWS_DIR")
        .alias("ABSTRACTFLOW_FLOWS_DIR")
        .alias("ABSTRACTFRAMEWORK_WORKFLOWS_DIR")
        .about("directory of .flow bundles, or one such file")
        .default(data_dir.join("flows"))
}

fn bundle_bytes(reader: &mut Reader) -> Result<usize, ConfigError> {
    reader
        .value("GANTRY_MAX_BUNDLE_BYTES")
        .alias("ABSTRACTGATEWAY_MAX_BUNDLE_BYTES")
        .about("bytes of an uploaded bundle")
        .within(1..=domain::limits::BUNDLE_BYTES)
        .default(domain::limits::BUNDLE_BYTES)
}

/// One product, one set of tokens: every name that any of its parts ever had is honoured.
fn tokens(reader: &mut Reader) -> Vec<SecretString> {
    reader
        .secrets("GANTRY_TOKEN")
        .alias("ABSTRACTGATEWAY_AUTH_TOKEN")
        .alias("ABSTRACTGATEWAY_AUTH_TOKENS")
        .alias("GATEWAY_API_TOKEN")
        .about("accepted bearer tokens")
        .all()
}

impl Default for SecurityConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            protect_read: true,
            protect_write: true,
            dev_read_no_auth: false,
            allowed_origins: ["http://localhost:*", "http://127.0.0.1:*"].map(str::to_owned).to_vec(),
            max_body_bytes: 256_000,
            max_upload_body_bytes: 0,
            max_attachment_bytes: 26_214_400,
            max_bundle_bytes: domain::limits::BUNDLE_BYTES,
            max_concurrency: 64,
            max_sse: 32,
            lockout: LockoutPolicy { after: 5, base: Duration::from_secs(1), max: Duration::from_secs(60) },
            trust_proxy: false,
            session_cookie: "abstractgateway_session".to_owned(),
            session_header: "x-abstractgateway-session".to_owned(),
        }
    }
}

impl SecurityConfig {
    /// The setting that leaves the gateway open, if one does.
    pub fn open_by(&self) -> Option<&'static str> {
        [
            (self.enabled, "GANTRY_SECURITY=0"),
            (self.protect_write, "GANTRY_PROTECT_WRITE=0"),
            (self.protect_read, "GANTRY_PROTECT_READ=0"),
        ]
        .into_iter()
        .find(|(protects, _)| !protects)
        .map(|(_, setting)| setting)
    }

    fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let default = Self::default();
        let mut both = Both(reader);
        Ok(Self {
            enabled: both.value("SECURITY", "whether the API is protected at all", default.enabled)?,
            protect_read: both.value("PROTECT_READ", "whether reads need a token", default.protect_read)?,
            protect_write: both.value("PROTECT_WRITE", "whether writes need a token", default.protect_write)?,
            dev_read_no_auth: both.value(
                "DEV_READ_NO_AUTH",
                "whether reads from this machine need no token",
                default.dev_read_no_auth,
            )?,
            allowed_origins: both.value("ALLOWED_ORIGINS", "origins of allowed web pages", default.allowed_origins)?,
            max_body_bytes: both.value("MAX_BODY_BYTES", "bytes of a request body", default.max_body_bytes)?,
            max_upload_body_bytes: both.value(
                "MAX_UPLOAD_BODY_BYTES",
                "bytes of an upload's body; 0: as the endpoint takes",
                default.max_upload_body_bytes,
            )?,
            max_attachment_bytes: both.value(
                "MAX_ATTACHMENT_BYTES",
                "bytes of an attachment",
                default.max_attachment_bytes,
            )?,
            max_bundle_bytes: bundle_bytes(both.0)?,
            max_concurrency: both.at_least_one("MAX_CONCURRENCY", "requests at once", default.max_concurrency)?,
            max_sse: both.at_least_one("MAX_SSE", "ledger streams at once", default.max_sse)?,
            lockout: LockoutPolicy {
                after: both.value("LOCKOUT_AFTER", "wrong tokens in a row that lock out", default.lockout.after)?,
                base: both.value("LOCKOUT_BASE_S", "the first lockout", default.lockout.base)?,
                max: both.value("LOCKOUT_MAX_S", "the longest lockout", default.lockout.max)?,
            },
            trust_proxy: both.value("TRUST_PROXY", "whether X-Forwarded-For is believed", default.trust_proxy)?,
            session_cookie: both.value("SESSION_COOKIE", "name of the session cookie", default.session_cookie)?,
            session_header: both.value("SESSION_HEADER", "name of the session header", default.session_header)?,
        })
    }
}

impl Default for AuditConfig {
    fn default() -> Self {
        let headers = ["x-client-id", "x-client-version", "x-forwarded-for"];
        Self { enabled: true, max_bytes: 52_428_800, rotations: 10, headers: headers.map(str::to_owned).to_vec() }
    }
}

impl AuditConfig {
    fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let default = Self::default();
        let mut both = Both(reader);
        Ok(Self {
            enabled: both.value("AUDIT_LOG", "whether writes are logged", default.enabled)?,
            max_bytes: both.value("AUDIT_LOG_MAX_BYTES", "size at which the log is rotated", default.max_bytes)?,
            rotations: both.value("AUDIT_LOG_ROTATIONS", "rotated logs kept", default.rotations)?,
            headers: both.value("AUDIT_LOG_HEADERS", "request headers that are logged", default.headers)?,
        })
    }
}

/// Reads a setting under our prefix and under the one of existing deployments.
struct Both<'r>(&'r mut Reader);

impl Both<'_> {
    fn value<T: service::config::Setting>(
        &mut self,
        name: &str,
        about: &'static str,
        default: T,
    ) -> Result<T, ConfigError> {
        let (own, twin) = (format!("GANTRY_{name}"), format!("ABSTRACTGATEWAY_{name}"));
        self.0.value(&own).alias(&twin).about(about).default(default)
    }

    fn at_least_one(&mut self, name: &str, about: &'static str, default: usize) -> Result<usize, ConfigError> {
        let (own, twin) = (format!("GANTRY_{name}"), format!("ABSTRACTGATEWAY_{name}"));
        self.0.value(&own).alias(&twin).about(about).within(1..=65_536).default(default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;
    use service::config::{Environment, Flags};

    fn read(pairs: &[(&str, &str)]) -> Result<ApiConfig, ConfigError> {
        let environment = Environment::from_pairs(pairs.iter().copied());
        let mut reader = Reader::new(Flags::default(), environment, service::config::File::default());
        let config = ApiConfig::read(&mut reader)?;
        reader.finish().map(|_| config)
    }

    #[test]
    fn an_existing_deployments_environment_works_and_native_names_win() {
        let config = read(&[
            ("ABSTRACTGATEWAY_AUTH_TOKEN", "one,two"),
            ("GATEWAY_API_TOKEN", "three"),
            ("GANTRY_TOKEN", "four"),
            ("ABSTRACTGATEWAY_LOCKOUT_BASE_S", "2.5"),
            ("ABSTRACTGATEWAY_MAX_SSE", "7"),
            ("GANTRY_MAX_SSE", "8"),
            ("ABSTRACTGATEWAY_PROTECT_READ", "off"),
            ("ABSTRACTGATEWAY_DATA_DIR", "/srv/data"),
        ])
        .unwrap();
        let tokens: Vec<&str> = config.tokens.iter().map(|token| token.expose_secret()).collect();
        assert_eq!(tokens, ["four", "one", "two", "three"]);
        assert_eq!(config.security.lockout.base, Duration::from_millis(2_500));
        assert_eq!((config.security.max_sse, config.security.protect_read), (8, false));
        assert_eq!(config.flows_dir, PathBuf::from("/srv/data/flows"));
        assert_eq!(config.security.open_by(), Some("GANTRY_PROTECT_READ=0"));
    }

    #[test]
    fn an_unusable_value_names_its_variable() {
        let refused = read(&[("ABSTRACTGATEWAY_MAX_BODY_BYTES", "many")]).unwrap_err().to_string();
        assert!(refused.contains("MAX_BODY_BYTES") && refused.contains("many"), "{refused}");
        assert!(read(&[("GANTRY_MAX_CONCURRENCY", "0")]).is_err());
    }
}
