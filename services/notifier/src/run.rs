//! Build and run: which tasks, of which kind.

use crate::channels::Channel;
use crate::channels::callback::Callbacks;
use crate::channels::limit::Limit;
use crate::channels::ntfy::Ntfy;
use crate::channels::post::Poster;
use crate::channels::signature::Signer;
use crate::channels::webhook::Webhook;
use crate::config::Config;
use crate::deliver::{Desk, post_all, push_all};
use crate::drive::Router;
use crate::error::NotifierError;
use crate::rules::retry::Schedule;
use crate::sources::control::Control;
use crate::sources::runs::Runs;
use bus::Bus;
use domain::notices::NoticeKind;
use secrecy::SecretString;
use service::Tasks;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::time::Instant;

/// What a notifier is made of.
pub struct Parts {
    /// The broker.
    pub bus: Bus,
    /// Settings.
    pub config: Config,
}

/// Spawns a notifier's tasks: callbacks and what they come from always, the rest where somebody is to be told.
pub fn spawn(parts: Parts, tasks: &Tasks) -> Result<(), NotifierError> {
    let Parts { bus, config } = parts;
    let desk = Arc::new(Desk { notices: bus.notices(), retry: Schedule::new(config.retry.clone()) });
    let allowed = Arc::new(config.allowed_targets.clone());
    let poster =
        |name: &str, secrets: &[SecretString]| Poster::new(name, &allowed, Signer::new(secrets)?, config.timeout);
    post("callbacks", Arc::new(Callbacks::new(poster("callbacks", &config.callback_secrets)?)), &desk, tasks);
    let mut channels = Vec::new();
    if let Some(settings) = &config.ntfy {
        channels.push(Ntfy::NAME.to_owned());
        push(Arc::new(Ntfy::new(settings.clone())?), settings.burst, settings.refill, &desk, tasks);
    }
    if let Some(settings) = &config.webhooks {
        for url in &settings.urls {
            let name = Webhook::name_of(url);
            let webhook = Webhook::new(url, poster(&name, &settings.secrets)?);
            channels.push(name.clone());
            post(&name, Arc::new(webhook), &desk, tasks);
        }
    }
    control(&bus, &config, !channels.is_empty(), tasks);
    if channels.is_empty() {
        tracing::info!("nobody is told of anything: set NTFY_ENABLED or GANTRY_NOTIFY_WEBHOOKS");
        return Ok(());
    }
    tracing::info!(channels = channels.join(", "), "the notifier tells of runs, jobs and services");
    runs(&bus, &config, &channels, tasks);
    let router = Arc::new(Router::new(bus.notices(), &config, channels));
    let stop = tasks.stop_token();
    tasks.supervised("notices", move || {
        let (router, stop) = (router.clone(), stop.clone());
        async move { router.route(stop).await }
    });
    Ok(())
}

fn control(bus: &Bus, config: &Config, telling: bool, tasks: &Tasks) {
    let (notices, links) = (bus.notices(), config.links.clone());
    let control = Arc::new(Control { bus: bus.clone(), notices, links, telling });
    let stop = tasks.stop_token();
    tasks.supervised("notices-of-jobs", move || {
        let (control, stop) = (control.clone(), stop.clone());
        async move { control.follow(stop).await }
    });
}

fn runs(bus: &Bus, config: &Config, channels: &[String], tasks: &Tasks) {
    let completed = config.routes.want(NoticeKind::RunCompleted, channels);
    let wanted = [NoticeKind::RunWaiting, NoticeKind::RunFailed].iter().any(|kind| config.routes.want(*kind, channels));
    if !(completed || wanted) {
        return;
    }
    let runs = Arc::new(Runs { bus: bus.clone(), notices: bus.notices(), links: config.links.clone(), completed });
    for shard in 0..bus.layout().shards {
        let (runs, stop) = (runs.clone(), tasks.stop_token());
        tasks.supervised(format!("notices-of-runs-{shard}"), move || {
            let (runs, stop) = (runs.clone(), stop.clone());
            async move { runs.follow(shard, stop).await }
        });
    }
}

fn post(name: &str, channel: Arc<dyn Channel>, desk: &Arc<Desk>, tasks: &Tasks) {
    let (desk, inner) = (desk.clone(), tasks.clone());
    tasks.supervised(name, move || post_all(channel.clone(), desk.clone(), inner.clone()));
}

fn push(ntfy: Arc<Ntfy>, burst: u32, refill: std::time::Duration, desk: &Arc<Desk>, tasks: &Tasks) {
    let (desk, stop) = (desk.clone(), tasks.stop_token());
    tasks.supervised(Ntfy::NAME, move || {
        let limit = Limit::new(burst, refill, Instant::now());
        let (ntfy, desk, stop) = (ntfy.clone(), desk.clone(), stop.clone());
        async move { push_all(ntfy, limit, desk, stop).await as Result<(), Infallible> }
    });
}
