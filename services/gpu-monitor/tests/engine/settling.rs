//! After a container has changed, readings are told although nothing moves: that is what others wait for.

use crate::engine::{Cleanup, shared};
use crate::host::{Host, SOON, config, done, start};
use bus::{Bus, NodeUpdate};
use domain::nodes::{NodeReport, Reading};
use gpu_monitor::devices::Choice;
use serde_json::json;
use std::io::Write;

/// A GPU whose figures never move.
fn still() -> tempfile::NamedTempFile {
    let nobody: Vec<u32> = Vec::new();
    let device = json!({
        "id": "GPU-1", "index": 0, "name": "X", "processes": Reading::measured(nobody),
        "total_mb": Reading::measured(24_564), "used_mb": Reading::measured(0), "free_mb": Reading::measured(24_564),
        "utilisation_percent": Reading::measured(0), "temperature_c": Reading::measured(40),
        "power_w": Reading::measured(25.0),
    });
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "{}", json!({"at_ms": 0, "devices": [device]})).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_that_is_quiet_after_a_start_is_told_twice_before_the_next_sign_of_life() {
    let (address, _docker) = shared().await;
    let recording = still();
    let mut settings = config(&address);
    settings.source = Choice::Recorded(recording.path().to_owned());
    let mut host = Host::start(settings).await;
    let _cleanup = Cleanup { address, container: "gantry-test-settling".to_owned() };
    let mut watch = host.bus.nodes().watch();
    done(host.carry_out("o-1", "gantry-test-settling", Some(1), start(&["sleep"])).await);
    let runs = |report: &NodeReport| {
        let mut containers = report.engine.containers().iter();
        containers.any(|one| one.name.as_str() == "gantry-test-settling" && one.state.is_up())
    };
    let soon_again = async {
        let mut before: Option<NodeReport> = None;
        loop {
            let NodeUpdate::Report(report) = watch.next().await else { continue };
            let report = *report;
            if let Some(before) = before.replace(report.clone()).filter(runs) {
                let apart = report.at.as_micros() - before.at.as_micros();
                if before.engine == report.engine && apart < i64::try_from(Bus::NODE_HEARTBEAT.as_micros()).unwrap() / 2
                {
                    return;
                }
            }
        }
    };
    tokio::time::timeout(SOON, soon_again).await.expect("a reading that says the same is told soon after the first");
}
