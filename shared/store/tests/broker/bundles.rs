//! Installing, replacing, removing and marking bundles, seen by two processes.

use crate::connect;
use bus::Bus;
use domain::{Plane, Time};
use nats_process::Server;
use std::time::Duration;
use store::bundles::{Bundles, Deprecation, InstallError, Origin, Snapshot};

fn bundle(case: &str) -> Vec<u8> {
    let root = env!("CARGO_MANIFEST_DIR");
    std::fs::read(format!("{root}/../../tests/golden/cases/{case}/bundle.flow")).unwrap()
}

fn now() -> Time {
    Time::from(jiff::Timestamp::now())
}

async fn watched(bus: &Bus) -> Bundles {
    let bundles = Bundles::new(bus, &Plane::main());
    let watching = bundles.clone();
    #[expect(clippy::disallowed_methods, reason = "a test has no service around it")]
    tokio::spawn(async move { watching.keep_watching().await });
    bundles.ready().await;
    bundles
}

async fn until(bundles: &Bundles, holds: impl Fn(&Snapshot) -> bool) {
    let wait = async {
        while !holds(&bundles.snapshot()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.expect("the other process hears of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_installs_marks_or_removes_every_other_sees() {
    let server = Server::builder().start().await.unwrap();
    let (one, other) = (watched(&connect(&server).await).await, watched(&connect(&server).await).await);
    let bytes = bundle("01-echo-answer-user");
    let installed = one.install(&bytes, Origin::Upload, false, now()).await.unwrap();
    let (id, version) = (installed.reference.id.clone(), installed.reference.version.clone());
    assert!(one.contains(&installed.reference), "one's own change is seen at once");
    until(&other, |snapshot| snapshot.bundle(&id, &version).is_some()).await;
    assert_eq!(other.load(&installed.sha256).await.unwrap().bundle.sha256, installed.sha256);
    let again = other.install(&bytes, Origin::Upload, false, now()).await;
    assert!(matches!(again, Err(InstallError::Exists(_))));
    other.install(&bytes, Origin::Builtin, true, now()).await.unwrap();
    until(&one, |now| now.bundle(&id, &version).is_some_and(|bundle| bundle.origin == Origin::Builtin)).await;
    let mark = Deprecation { bundle_id: id.clone(), flow_id: "*".to_owned(), deprecated_at: now(), reason: None };
    one.deprecate(&mark).await.unwrap();
    until(&other, |now| now.deprecation(&id, "main").is_some()).await;
    assert!(other.undeprecate(&id, "*").await.unwrap());
    assert!(!other.undeprecate(&id, "*").await.unwrap());
    until(&one, |now| now.deprecation(&id, "main").is_none()).await;
    one.remove(&installed.reference).await.unwrap();
    assert!(!one.contains(&installed.reference));
    until(&other, |now| now.bundle(&id, &version).is_none()).await;
    assert!(watched(&connect(&server).await).await.find(&id, None).is_none(), "nor does one that comes later");
    let bytes_stay = Bundles::new(&connect(&server).await, &Plane::main());
    assert!(bytes_stay.load(&installed.sha256).await.is_ok(), "runs that began with it go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_install_the_same_version_at_once_one_is_told_that_it_is_there() {
    let server = Server::builder().start().await.unwrap();
    let (one, other) = (watched(&connect(&server).await).await, watched(&connect(&server).await).await);
    let bytes = bundle("01-echo-answer-user");
    let (left, right) = tokio::join!(
        one.install(&bytes, Origin::Upload, false, now()),
        other.install(&bytes, Origin::Upload, false, now())
    );
    assert_eq!([&left, &right].iter().filter(|done| done.is_ok()).count(), 1, "{left:?} {right:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_made_while_a_watcher_was_cut_off_is_seen_after_it_is_back() {
    let mut server = Server::builder().start().await.unwrap();
    let bundles = watched(&connect(&server).await).await;
    let kept = bundles.install(&bundle("01-echo-answer-user"), Origin::Upload, false, now()).await.unwrap();
    let gone = bundles.install(&bundle("13-ask-user"), Origin::Upload, false, now()).await.unwrap();
    server.kill9().await;
    server.restart().await.unwrap();
    let late = watched(&connect(&server).await).await;
    late.remove(&gone.reference).await.unwrap();
    until(&bundles, |now| now.bundle(&gone.reference.id, &gone.reference.version).is_none()).await;
    assert!(bundles.contains(&kept.reference));
}
