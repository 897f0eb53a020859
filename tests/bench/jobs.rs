//! The queue: jobs submitted, done through a real service that does nothing, and given way to.

use crate::gateway::Gateway;
use crate::runs::percentile;
use crate::worker::Worker;
use anyhow::{Context, Result, bail};
use http::Method;
use serde_json::{Value, json};
use std::fmt;
use std::time::{Duration, Instant};

/// How long anything is waited for before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a load has shown. Times in seconds.
pub(crate) struct Load {
    count: usize,
    time: f64,
    p50: f64,
    p99: f64,
}

impl Load {
    fn of(mut times: Vec<f64>, began: Instant) -> Self {
        times.sort_by(f64::total_cmp);
        let time = began.elapsed().as_secs_f64();
        Self { count: times.len(), time, p50: percentile(&times, 0.5), p99: percentile(&times, 0.99) }
    }

    pub(crate) fn rate(&self) -> f64 {
        self.count as f64 / self.time
    }

    /// The slowest in a hundred.
    pub(crate) fn p99(&self) -> f64 {
        self.p99
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6.0} /s, p50 {:>6.1} ms, p99 {:>6.1} ms", self.rate(), self.p50 * 1e3, self.p99 * 1e3)
    }
}

/// A client of the queue.
#[derive(Clone)]
pub(crate) struct Queue {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Queue {
    pub(crate) fn new(gateway: &Gateway) -> Result<Self> {
        let http = reqwest::Client::builder().pool_max_idle_per_host(256).tcp_nodelay(true).build()?;
        Ok(Self { http, url: gateway.url.clone(), token: gateway.token.clone() })
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let (status, text) = (response.status(), response.text().await?);
        if !status.is_success() {
            bail!("{path} answered {status}: {text}");
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// Registers the worker under a name that is its type too.
    pub(crate) async fn register(&self, name: &str, worker: &Worker, more: Value) -> Result<()> {
        let mut body = json!({"name": name, "type": name, "url": worker.url});
        for (key, value) in more.as_object().context("not an object")? {
            body[key] = value.clone();
        }
        self.ask(Method::POST, "/services/register", Some(&body)).await.map(|_| ())
    }

    async fn submit(&self, service_type: &str, priority: i32, payload: Value) -> Result<String> {
        let body = json!({"service_type": service_type, "priority": priority, "payload": payload});
        let answer = self.ask(Method::POST, "/queue/submit", Some(&body)).await?;
        Ok(answer["job_id"].as_str().context("no job id")?.to_owned())
    }

    async fn ended(&self, job: &str) -> Result<String> {
        let answer = self.ask(Method::GET, &format!("/queue/{job}?wait_s=50"), None).await?;
        Ok(answer["status"].as_str().unwrap_or_default().to_owned())
    }

    /// When the job of that mark begins, which is the next one to do so.
    async fn begun(&self, worker: &mut Worker, mark: u64, job: &str) -> Result<Instant> {
        let Ok(begun) = tokio::time::timeout(PATIENCE, worker.begun.recv()).await else {
            bail!("job {job} does not begin: {}", self.ask(Method::GET, &format!("/queue/{job}/explain"), None).await?);
        };
        match begun.context("the service is gone")? {
            (seen, at) if seen == mark => Ok(at),
            (seen, _) => bail!("the job marked {seen} began instead of {mark}"),
        }
    }

    async fn complete(&self, job: &str) -> Result<()> {
        match self.ended(job).await?.as_str() {
            "completed" => Ok(()),
            other => bail!("job {job} is {other}"),
        }
    }
}

/// Which part of a job's life is timed.
#[derive(Clone, Copy)]
pub(crate) enum Timed {
    /// Its submission alone.
    Submit,
    /// From its submission to its result, in two requests.
    Whole,
}

/// So many clients for so long, each with one job at a time.
pub(crate) async fn load(
    queue: &Queue,
    service_type: &'static str,
    timed: Timed,
    clients: usize,
    time: Duration,
) -> Result<Load> {
    let began = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..clients {
        let queue = queue.clone();
        tasks.push(tokio::spawn(async move {
            let mut times = Vec::new();
            while began.elapsed() < time {
                let from = Instant::now();
                let job = queue.submit(service_type, 3, json!({"n": 1})).await?;
                if matches!(timed, Timed::Whole) {
                    queue.complete(&job).await?;
                }
                times.push(from.elapsed().as_secs_f64());
            }
            anyhow::Ok(times)
        }));
    }
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    Ok(Load::of(times, began))
}

/// Jobs per second from the first batch's submission to the last job's end, 500 a batch.
pub(crate) async fn batches(queue: &Queue, service_type: &str, count: usize) -> Result<f64> {
    let began = Instant::now();
    let mut last = Vec::new();
    for _ in 0..count / 500 {
        let jobs: Vec<Value> = (0..500).map(|_| json!({"service_type": service_type, "payload": {"n": 1}})).collect();
        let answer = queue.ask(Method::POST, "/queue/batch", Some(&json!({"jobs": jobs}))).await?;
        let ids = answer["jobs"].as_array().context("no jobs")?;
        last.extend(ids.iter().filter_map(|job| job["job_id"].as_str().map(str::to_owned)));
    }
    // They begin in their order, so few of them are left when the last one has ended.
    for job in last.iter().rev().take(64) {
        queue.complete(job).await?;
    }
    loop {
        let stats = queue.ask(Method::GET, "/queue/stats", None).await?;
        if stats["by_type"][service_type].is_null() && stats["total_running"] == 0 {
            return Ok(count as f64 / began.elapsed().as_secs_f64());
        }
        if began.elapsed() > PATIENCE {
            bail!("{count} jobs have not ended in time: {stats}");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// From an urgent job's submission to its beginning, while a job that stops as soon as it is told holds the only slot.
pub(crate) async fn urgent(queue: &Queue, worker: &mut Worker, service_type: &str, rounds: u64) -> Result<Load> {
    let (began, mut times) = (Instant::now(), Vec::new());
    for round in 0..rounds {
        let held = 2 * round;
        let victim = queue.submit(service_type, 5, json!({"hold": true, "mark": held})).await?;
        queue.begun(worker, held, &victim).await?;
        let from = Instant::now();
        let urgent = queue.submit(service_type, 1, json!({"mark": held + 1})).await?;
        times.push(queue.begun(worker, held + 1, &urgent).await?.duration_since(from).as_secs_f64());
        queue.complete(&urgent).await?;
        // The victim resumes, and is not needed any more.
        queue.begun(worker, held, &victim).await?;
        queue.ask(Method::DELETE, &format!("/queue/{victim}?running=true"), None).await?;
        queue.ended(&victim).await?;
    }
    Ok(Load::of(times, began))
}
