//! Build and run: settings, broker, services, listener, wait, drain. Reads like a table of contents.

use super::broker::{self, Broker};
use super::config::ProcessConfig;
use super::usage::{self, BusSink};
use super::{files, hello, web};
use crate::serve::Mode;
use crate::settings;
use anyhow::Context;
use api::ApiConfig;
use bus::Bus;
use domain::Plane;
use ledger::Feed;
use nats_process::{Restarts, Server};
use secrecy::SecretString;
use service::config::Reader;
use service::{Health, Signals, Tasks};
use std::convert::Infallible;
use std::sync::Arc;
use store::bundles::Bundles;
use store::runs::{Projector, Runs};
use telemetry::Metrics;

/// Every setting of the process, read before anything is started.
struct Everything {
    process: ProcessConfig,
    api: ApiConfig,
    proxy: proxy::Config,
    proxy_address: std::net::SocketAddr,
    runner: runner::Config,
    scheduler: scheduler::Config,
    gpu_monitor: gpu_monitor::Config,
    notifier: notifier::Config,
    telemetry: telemetry::Settings,
}

impl Everything {
    fn read(mut reader: Reader) -> anyhow::Result<Self> {
        settings::read_all(&mut reader)?;
        let telemetry = service::logging::read(&mut reader, "gantry")?;
        let process = ProcessConfig::read(&mut reader)?;
        let api = ApiConfig::read(&mut reader)?;
        let proxy = proxy::Config::read(&mut reader)?;
        let proxy_address = proxy::read_address(&mut reader)?;
        let runner = runner::Config::read(&mut reader, &format!("http://{proxy_address}/v1"))?;
        let scheduler = scheduler::Config::read(&mut reader)?;
        let gpu_monitor = gpu_monitor::Config::read(&mut reader)?;
        let notifier = notifier::Config::read(&mut reader)?;
        reader.finish()?;
        Ok(Self { process, api, proxy, proxy_address, runner, scheduler, gpu_monitor, notifier, telemetry })
    }
}

/// Runs the services of a mode until a signal or a failure ends them.
pub async fn serve(mode: Mode, reader: Reader) -> anyhow::Result<()> {
    let everything = Everything::read(reader)?;
    // Fails only when it was installed before, which is as good. The exporter of traces needs it too.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let telemetry = telemetry::init(&everything.telemetry)?;
    files::open_many();
    let signals = Signals::listen()?;
    let (tasks, deadline) = (Tasks::new(), everything.process.shutdown);
    keep_metrics(&telemetry.metrics(), &tasks);
    let child = match mode {
        Mode::Up => Box::pin(up(everything, &tasks, telemetry.metrics())).await?,
        Mode::Api => Box::pin(api_alone(everything, &tasks, telemetry.metrics())).await?,
        Mode::Runner => Box::pin(runner_alone(everything, &tasks, telemetry.metrics())).await?,
        Mode::Proxy => proxy_alone(everything, &tasks, telemetry.metrics()).await?,
        Mode::Scheduler => Box::pin(scheduler_alone(everything, &tasks, telemetry.metrics())).await?,
        Mode::Notifier => Box::pin(notifier_alone(everything, &tasks, telemetry.metrics())).await?,
        Mode::GpuMonitor => Box::pin(gpu_monitor_alone(everything, &tasks, telemetry.metrics())).await?,
    };
    let ended = match child {
        None => tasks.run(signals, deadline).await.map(|_| ()).map_err(anyhow::Error::from),
        Some(server) => with_broker(server, signals, &tasks, deadline).await,
    };
    telemetry.flush(std::time::Duration::from_secs(2)).await;
    ended
}

/// Samples are folded together as time goes, whether or not anybody asks for them.
fn keep_metrics(metrics: &Metrics, tasks: &Tasks) {
    let (metrics, stop) = (metrics.clone(), tasks.stop_token());
    tasks.critical("metrics upkeep", async move {
        let mut beat = tokio::time::interval(std::time::Duration::from_secs(5));
        loop {
            tokio::select! {
                _ = beat.tick() => metrics.upkeep(),
                () = stop.cancelled() => return Ok::<(), Infallible>(()),
            }
        }
    });
}

/// The broker is watched while the services run and ends after them: what drains still needs it.
async fn with_broker(
    mut server: Server,
    signals: Signals,
    tasks: &Tasks,
    deadline: std::time::Duration,
) -> anyhow::Result<()> {
    let ended = tokio::select! {
        ended = tasks.run(signals, deadline) => ended.map(|_| ()).map_err(anyhow::Error::from),
        gave_up = server.watch(Restarts::default(), |event| tracing::warn!(?event, "the broker")) => {
            tasks.stop(deadline).await;
            Err(anyhow::anyhow!("the broker could not be kept running: {gave_up:?}"))
        }
    };
    server.stop().await;
    ended
}

/// Everything on one port.
async fn up(mut all: Everything, tasks: &Tasks, metrics: Metrics) -> anyhow::Result<Option<Server>> {
    let token = web::token(&mut all.api)?;
    let listener = web::bind(&all.api.host, all.api.port).await?;
    let address = listener.local_addr().context("reading the port")?;
    let Broker { bus, child } = broker::start(&all.process.broker, &all.process.data_dir, "gantry-up", tasks).await?;
    let bundles = Bundles::new(&bus, &Plane::main());
    let parts = parts(&all.process, &bus, &bundles, tasks, &metrics).await?;
    let runs = parts.runs.clone();
    let api = api::Service::start(all.api, parts, tasks);
    let key = in_process_key(&mut all.proxy);
    let proxy = proxy::Proxy::new(all.proxy)?.with_sink(BusSink::start(&bus, tasks));
    let proxy = Arc::new(proxy.with_bus(&bus).await?);
    proxy.say_who_may_call();
    let sums = usage::routes(&bus, &runs, &api, Some(proxy.clone()), tasks).await?;
    let measured = Arc::downgrade(&proxy);
    metrics.before_rendering(move || measured.upgrade().iter().for_each(|proxy| proxy.write_gauges()));
    let control = bus.clone();
    if all.process.runner {
        all.runner.model.base_url = format!("http://{}/v1", web::own_address(address));
        all.runner.model.api_key = Some(key);
        runner::spawn(runner::Parts { bus, bundles: bundles.clone(), config: all.runner }, tasks)?;
    }
    if all.process.scheduler {
        scheduler::spawn(scheduler::Parts { bus: control.clone(), config: all.scheduler, check: None }, tasks);
    }
    if all.process.notifier {
        notifier::spawn(notifier::Parts { bus: control.clone(), config: all.notifier }, tasks)?;
    }
    if all.process.gpu_monitor {
        let health = api.api.parts.health.clone();
        gpu_monitor::spawn(gpu_monitor::Parts { bus: control, config: all.gpu_monitor, health }, tasks);
    }
    install_hello(&bundles, tasks);
    web::watch_proxy(&proxy, tasks);
    let routes = api.routes(|document| {
        proxy::describe(document);
        usage::describe(document);
    });
    let router = api.port([routes, sums, proxy::router(proxy.clone())]);
    web::spawn_with_models(listener, router, proxy, web::grace(all.process.shutdown), tasks);
    web::announce(address, &token);
    Ok(child)
}

/// The HTTP surface alone.
async fn api_alone(mut all: Everything, tasks: &Tasks, metrics: Metrics) -> anyhow::Result<Option<Server>> {
    let token = web::token(&mut all.api)?;
    let listener = web::bind(&all.api.host, all.api.port).await?;
    let address = listener.local_addr().context("reading the port")?;
    let bus = broker::join(&all.process.broker, &all.process.data_dir, "gantry-api", tasks).await?;
    let bundles = Bundles::new(&bus, &Plane::main());
    let parts = parts(&all.process, &bus, &bundles, tasks, &metrics).await?;
    let runs = parts.runs.clone();
    let api = api::Service::start(all.api, parts, tasks);
    let sums = usage::routes(&bus, &runs, &api, None, tasks).await?;
    install_hello(&bundles, tasks);
    web::spawn(listener, api.port([api.routes(usage::describe), sums]), tasks);
    web::announce(address, &token);
    Ok(None)
}

/// A driver of runs alone.
async fn runner_alone(all: Everything, tasks: &Tasks, metrics: Metrics) -> anyhow::Result<Option<Server>> {
    let bus = broker::join(&all.process.broker, &all.process.data_dir, "gantry-runner", tasks).await?;
    let bundles = Bundles::new(&bus, &Plane::main());
    let (watched, stop) = (bundles.clone(), tasks.stop_token());
    tasks.critical("bundle catalogue", async move {
        tokio::select! {
            () = watched.keep_watching() => {}
            () = stop.cancelled() => {}
        }
        Ok::<(), Infallible>(())
    });
    probes(all.process.probe_port, &bus, metrics, tasks).await?;
    runner::spawn(runner::Parts { bus, bundles, config: all.runner }, tasks)?;
    tracing::info!("the runner takes runs");
    Ok(None)
}

/// The scheduler alone.
async fn scheduler_alone(all: Everything, tasks: &Tasks, metrics: Metrics) -> anyhow::Result<Option<Server>> {
    let bus = broker::join(&all.process.broker, &all.process.data_dir, "gantry-scheduler", tasks).await?;
    probes(all.process.probe_port, &bus, metrics, tasks).await?;
    scheduler::spawn(scheduler::Parts { bus, config: all.scheduler, check: None }, tasks);
    tracing::info!("the scheduler stands by");
    Ok(None)
}

/// The notifier alone.
async fn notifier_alone(all: Everything, tasks: &Tasks, metrics: Metrics) -> anyhow::Result<Option<Server>> {
    let bus = broker::join(&all.process.broker, &all.process.data_dir, "gantry-notifier", tasks).await?;
    probes(all.process.probe_port, &bus, metrics, tasks).await?;
    notifier::spawn(notifier::Parts { bus, config: all.notifier }, tasks)?;
    tracing::info!("the notifier listens");
    Ok(None)
}

/// The agent of a GPU host alone.
async fn gpu_monitor_alone(all: Everything, tasks: &Tasks, metrics: Metrics) -> anyhow::Result<Option<Server>> {
    let (process, node) = (&all.process, &all.gpu_monitor.node);
    let bus = broker::attach(&process.broker, &process.data_dir, "gantry-gpu-monitor", node).await?;
    probes(all.process.probe_port, &bus, metrics, tasks).await?;
    gpu_monitor::spawn(gpu_monitor::Parts { bus, config: all.gpu_monitor, health: Health::new() }, tasks);
    tracing::info!("the agent offers this host");
    Ok(None)
}

/// `/livez`, `/readyz` and `/metrics` of a service that has no other port, where a port for them is named.
async fn probes(port: Option<u16>, bus: &Bus, metrics: Metrics, tasks: &Tasks) -> anyhow::Result<()> {
    if let Some(port) = port {
        web::spawn(web::bind("127.0.0.1", port).await?, web::probes(bus.clone(), metrics), tasks);
    }
    Ok(())
}

/// Model traffic alone. Accounts are kept when there is a broker to keep them.
async fn proxy_alone(all: Everything, tasks: &Tasks, metrics: Metrics) -> anyhow::Result<Option<Server>> {
    let (config, address, stop) = (all.proxy, all.proxy_address, tasks.stop_token());
    let bus = match broker::join(&all.process.broker, &all.process.data_dir, "gantry-proxy", tasks).await {
        Ok(bus) => Some(bus),
        Err(error) if all.process.broker.urls.is_empty() => {
            tracing::info!(%error, "no accounts are kept, and only keys of the settings and the proxy's file are known");
            None
        }
        Err(error) => return Err(error),
    };
    let (sink, grace) = (bus.as_ref().map(|bus| BusSink::start(bus, tasks)), web::grace(all.process.shutdown));
    tasks.critical("proxy", async move {
        let prepare = |proxy: proxy::Proxy| {
            let proxy = proxy.with_metrics(move || metrics.render());
            match sink {
                Some(sink) => proxy.with_sink(sink),
                None => proxy,
            }
        };
        Box::pin(proxy::run(config, address, stop, grace, bus, prepare)).await
    });
    Ok(None)
}

/// What the HTTP surface is made of.
async fn parts(
    process: &ProcessConfig,
    bus: &Bus,
    bundles: &Bundles,
    tasks: &Tasks,
    metrics: &Metrics,
) -> anyhow::Result<api::Parts> {
    let (runs, feed) = (Runs::open(&process.database_url).await?, Feed::default());
    Ok(api::Parts {
        projector: Projector::new(bus, &runs, &feed),
        bus: bus.clone(),
        runs,
        feed,
        bundles: bundles.clone(),
        health: Health::new(),
        metrics: metrics.clone(),
        stop: tasks.stop_token(),
    })
}

/// A runner beside a proxy has a key of its own, which nobody else ever sees: keys may be made at any time.
fn in_process_key(config: &mut proxy::Config) -> SecretString {
    let key: SecretString = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple()).into();
    config.own_keys.push(key.clone());
    key
}

fn install_hello(bundles: &Bundles, tasks: &Tasks) {
    let bundles = bundles.clone();
    tasks.request("bundle hello", async move { hello::install(&bundles).await });
}
