//! Asking services how they are: again and again while that is waited for, or once when somebody wants to know.

use super::{Http, Shared, Target};
use crate::drive::Input;
use crate::names::As;
use domain::control::ServiceView;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::time::{Duration, Instant};

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Asks until the answer is good, and reports it.
pub(super) async fn until_healthy(shared: &Shared, target: &Target, generation: u64) {
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(took_ms) = healthy_in(&shared.http, target).await {
            let service = target.record.name.cast();
            return shared.send(Input::Healthy { service, generation, took_ms }).await;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// How many milliseconds a good answer took; none if there is none. Anything below 400 is good.
async fn healthy_in(http: &Http, target: &Target) -> Option<f64> {
    let record = &target.record;
    let request = http.get(target, &record.health_endpoint).ok()?;
    let began = Instant::now();
    let within = Duration::from_millis(record.more.health_timeout_ms.max(1));
    let response = request.timeout(within).send().await.ok()?;
    let took_ms = began.elapsed().as_secs_f64() * 1_000.0;
    (response.status().as_u16() < 400).then_some(took_ms)
}

/// Brings the health of services up to date, all at once.
pub(crate) async fn probe_all(http: &Http, views: Vec<ServiceView>) -> Vec<ServiceView> {
    let probes: FuturesUnordered<_> = views.into_iter().map(|view| probe(http, view)).collect();
    let mut views: Vec<ServiceView> = probes.collect().await;
    views.sort_by(|a, b| a.record.name.cmp(&b.record.name));
    views
}

async fn probe(http: &Http, mut view: ServiceView) -> ServiceView {
    let target = Target { record: view.record.clone(), node: view.node.clone().unwrap_or_default() };
    let took_ms = healthy_in(http, &target).await;
    view.healthy = took_ms.is_some();
    view.response_time_ms = took_ms;
    view
}
