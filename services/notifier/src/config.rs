//! Settings of the notifier; the only file with the names of its variables.

use crate::rules::routes::Routes;
use domain::notices::AllowedTargets;
use secrecy::SecretString;
use service::config::{ConfigError, Reader, Setting};
use service::targets;
use std::time::Duration;

/// Who is told, and how.
#[derive(Clone, Debug)]
pub struct Config {
    /// Pushes through an ntfy server.
    pub ntfy: Option<NtfyConfig>,
    /// Webhooks for notices.
    pub webhooks: Option<WebhookConfig>,
    /// Secrets that callbacks are signed with, the newest first; none leaves them unsigned.
    pub callback_secrets: Vec<SecretString>,
    /// Webhooks and callbacks go to public addresses, and to these.
    pub allowed_targets: AllowedTargets,
    /// Which channels are told of what.
    pub routes: Routes,
    /// How long a notice waits for others to go with.
    pub group_window: Duration,
    /// Notices of older events are dropped.
    pub most_age: Duration,
    /// Waits between attempts to deliver.
    pub retry: Vec<Duration>,
    /// How long one webhook or callback may take.
    pub timeout: Duration,
    /// Where a notice leads.
    pub links: Links,
}

/// How an ntfy server is spoken to.
#[derive(Clone, Debug)]
pub struct NtfyConfig {
    /// Its root.
    pub url: String,
    /// The topic.
    pub topic: String,
    /// An access token.
    pub token: Option<SecretString>,
    /// A user and a password, instead.
    pub login: Option<(String, SecretString)>,
    /// Requests that may be sent at once.
    pub burst: u32,
    /// How long until one more may be sent.
    pub refill: Duration,
}

/// Where notices are posted.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// The addresses.
    pub urls: Vec<String>,
    /// Secrets that they are signed with, the newest first; none leaves them unsigned.
    pub secrets: Vec<SecretString>,
}

/// What opens when a notice is tapped; `{run}` or `{job}` stands for the id.
#[derive(Clone, Debug, Default)]
pub struct Links {
    /// Of a run.
    pub run: Option<String>,
    /// Of a job.
    pub job: Option<String>,
}

impl Config {
    /// Reads the settings.
    pub fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        reader.section("notifier");
        let ntfy = NtfyConfig::read(reader)?;
        let webhooks = WebhookConfig::read(reader)?;
        let callback_secrets = reader
            .secrets("GANTRY_NOTIFY_CALLBACK_SECRETS")
            .about("secrets (whsec_…) that callbacks are signed with; while one rotates, name both")
            .all();
        let allowed_targets = targets::read(reader)?;
        let routes = list(
            reader,
            "GANTRY_NOTIFY_RULES",
            "which channels are told of what; the first rule that fits decides",
            "a list of rules such as job_*>=4:ntfy+webhook,run_completed:none",
            |list| Routes::parse(list.iter().map(String::as_str)).ok(),
        )?;
        let group_window = reader
            .value("GANTRY_NOTIFY_GROUP_WINDOW")
            .about("how long a notice waits for others of its kind to go with; 0 sends each at once")
            .check("at most 60s", |window: &Duration| *window <= Duration::from_secs(60))
            .default(Duration::from_secs(2))?;
        let most_age = reader
            .value("GANTRY_NOTIFY_MOST_AGE")
            .about("notices of what happened longer ago are dropped, such as after a long outage")
            .default(Duration::from_secs(24 * 3_600))?;
        let retry = reader
            .value::<Vec<String>>("GANTRY_NOTIFY_RETRY")
            .about("waits between attempts to deliver; after the last one a message becomes a dead letter")
            .check("1 to 32 durations such as 5s,30s,2m,1h", |list| (1..=32).contains(&waits(list).len()))
            .default(["5s", "30s", "2m", "10m", "30m", "1h", "2h", "4h", "8h"].map(str::to_owned).to_vec())?;
        let timeout = reader
            .value("GANTRY_NOTIFY_TIMEOUT")
            .about("how long one webhook or callback may take")
            .check("from 100ms to 60s", |t: &Duration| {
                (Duration::from_millis(100)..=Duration::from_secs(60)).contains(t)
            })
            .default(Duration::from_secs(10))?;
        let links = Links::read(reader)?;
        let retry = waits(&retry);
        Ok(Self {
            ntfy,
            webhooks,
            callback_secrets,
            allowed_targets,
            routes,
            group_window,
            most_age,
            retry,
            timeout,
            links,
        })
    }
}

/// What deployments push to that set nothing but that they push.
const PUBLIC_SERVER: &str = "https://ntfy.sh";
const KNOWN_TOPIC: &str = "gateway";

impl NtfyConfig {
    /// Whether everybody can read along: on the public server, under the topic that everybody has who chose none.
    pub fn is_read_by_all(&self) -> bool {
        let guarded = self.token.is_some() || self.login.is_some();
        self.url.trim_end_matches('/') == PUBLIC_SERVER && self.topic == KNOWN_TOPIC && !guarded
    }

    fn read(reader: &mut Reader) -> Result<Option<Self>, ConfigError> {
        let enabled = reader
            .value("GANTRY_NOTIFY_NTFY")
            .alias("NTFY_ENABLED")
            .about("whether notices are pushed through an ntfy server")
            .default(false)?;
        let url = reader
            .value::<String>("GANTRY_NOTIFY_NTFY_URL")
            .alias("NTFY_URL")
            .about("root of the ntfy server")
            .check("a URL such as https://ntfy.example.org", |url| is_http(url))
            .default(PUBLIC_SERVER.to_owned())?;
        let topic = reader
            .value::<String>("GANTRY_NOTIFY_NTFY_TOPIC")
            .alias("NTFY_TOPIC")
            .about("the ntfy topic; on a public server everybody who knows it can read along")
            .check("1 to 64 characters of A-Z, a-z, 0-9, '_' and '-'", |topic| {
                topic.len() <= 64 && domain::is_token(topic)
            })
            .default(KNOWN_TOPIC.to_owned())?;
        let token = reader
            .value::<SecretString>("GANTRY_NOTIFY_NTFY_TOKEN")
            .alias("NTFY_TOKEN")
            .about("access token for the ntfy server")
            .optional()?;
        let user = reader
            .value::<String>("GANTRY_NOTIFY_NTFY_USER")
            .alias("NTFY_USER")
            .about("user of the ntfy server, instead of a token")
            .optional()?;
        let password = reader
            .value::<SecretString>("GANTRY_NOTIFY_NTFY_PASSWORD")
            .alias("NTFY_PASSWORD")
            .about("password of that user")
            .optional()?;
        let burst = reader
            .value("GANTRY_NOTIFY_NTFY_BURST")
            .about("requests that the ntfy server takes at once")
            .within(1..=10_000)
            .default(60_u32)?;
        let refill = reader
            .value("GANTRY_NOTIFY_NTFY_REFILL")
            .about("how long until the ntfy server takes one more")
            .default(Duration::from_secs(5))?;
        let login = user.zip(password);
        Ok(enabled.then_some(Self { url, topic, token, login, burst, refill }))
    }
}

impl WebhookConfig {
    fn read(reader: &mut Reader) -> Result<Option<Self>, ConfigError> {
        let urls = reader
            .value::<Vec<String>>("GANTRY_NOTIFY_WEBHOOKS")
            .about("addresses that notices are posted to")
            .check("a list of at most 16 URLs", |urls| urls.len() <= 16 && urls.iter().all(|url| is_http(url)))
            .optional()?;
        let secrets = reader
            .secrets("GANTRY_NOTIFY_WEBHOOK_SECRETS")
            .about("secrets (whsec_…) that webhooks are signed with; while one rotates, name both")
            .all();
        Ok(urls.filter(|urls| !urls.is_empty()).map(|urls| Self { urls, secrets }))
    }
}

impl Links {
    fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut link =
            |name: &str, about| reader.value::<String>(name).about(about).check("a URL", |url| is_http(url)).optional();
        Ok(Self {
            run: link("GANTRY_NOTIFY_RUN_LINK", "what a notice of a run opens; {run} stands for its id")?,
            job: link("GANTRY_NOTIFY_JOB_LINK", "what a notice of a job opens; {job} stands for its id")?,
        })
    }
}

fn is_http(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// The durations; none at all if one of them is none.
fn waits(list: &[String]) -> Vec<Duration> {
    list.iter().map(|text| Duration::parse(text)).collect::<Option<_>>().unwrap_or_default()
}

/// A list that becomes something else; not set, it is the something's default.
fn list<T: Default + 'static>(
    reader: &mut Reader,
    name: &str,
    about: &'static str,
    accepted: &str,
    parse: fn(&[String]) -> Option<T>,
) -> Result<T, ConfigError> {
    let value = reader.value::<Vec<String>>(name).about(about).check(accepted, move |list| parse(list).is_some());
    Ok(value.optional()?.and_then(|list| parse(&list)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use service::config::{Environment, File, Flags};

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let environment = Environment::from_pairs(pairs.iter().copied());
        Config::read(&mut Reader::new(Flags::default(), environment, File::default()))
    }

    #[test]
    fn nothing_is_on_unless_it_is_configured() {
        let config = read(&[("NTFY_URL", "https://ntfy.example.org")]).unwrap();
        assert!(config.ntfy.is_none() && config.webhooks.is_none() && config.callback_secrets.is_empty());
        assert_eq!(config.allowed_targets, AllowedTargets::default());
        assert_eq!(config.retry.len(), 9);
    }

    #[test]
    fn the_variables_of_an_existing_deployment_are_taken() {
        let config = read(&[("NTFY_ENABLED", "Yes"), ("NTFY_TOPIC", "lab")]).unwrap().ntfy.unwrap();
        assert_eq!((&*config.url, &*config.topic), ("https://ntfy.sh", "lab"));
        assert!(read(&[("NTFY_ENABLED", "false")]).unwrap().ntfy.is_none());
    }

    #[test]
    fn pushes_that_everybody_can_read_are_known_as_that() {
        let read_by_all = |more: &[(&str, &str)]| {
            let config = read(&[&[("NTFY_ENABLED", "true")], more].concat()).unwrap();
            config.ntfy.unwrap().is_read_by_all()
        };
        assert!(read_by_all(&[]) && read_by_all(&[("NTFY_URL", "https://ntfy.sh/")]));
        for more in [("NTFY_TOPIC", "k3j5h7"), ("NTFY_URL", "https://ntfy.example.org"), ("NTFY_TOKEN", "tk_1")] {
            assert!(!read_by_all(&[more]), "{more:?}");
        }
    }

    #[test]
    fn a_setting_that_cannot_be_used_is_refused_by_its_name() {
        for (name, text) in [
            ("GANTRY_NOTIFY_RULES", "job_failed:pager"),
            ("GANTRY_NOTIFY_ALLOW_TARGETS", "10.0.0.0/99"),
            ("GANTRY_NOTIFY_RETRY", "soon"),
            ("GANTRY_NOTIFY_WEBHOOKS", "ftp://x"),
            ("NTFY_TOPIC", "a/b"),
        ] {
            let error = read(&[(name, text)]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
