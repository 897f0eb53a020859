//! The catalogue and the blob store.

use crate::{connect, soon, start};
use bus::{Catalog, CatalogUpdate};
use bytes::Bytes;
use std::collections::BTreeMap;
use tokio::sync::watch;

type Seen = (BTreeMap<String, Option<Bytes>>, bool);

/// Watches as a process does; the task ends with the test.
fn watch(catalog: &Catalog) -> watch::Receiver<Seen> {
    let (sender, receiver) = watch::channel(Seen::default());
    let catalog = catalog.clone();
    #[expect(clippy::disallowed_methods, reason = "a test has no service around it")]
    tokio::spawn(async move {
        let hear = |update| {
            sender.send_modify(|seen| match update {
                CatalogUpdate::CaughtUp => seen.1 = true,
                CatalogUpdate::Changed(entry) => {
                    seen.0.insert(entry.token, entry.value);
                }
            });
        };
        catalog.watch(hear).await
    });
    receiver
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_hears_what_is_there_and_every_change_also_of_what_was_removed_unwatched() {
    let (_server, bus, plane) = start().await;
    let catalog = bus.catalog(&plane);
    let mut empty = watch(&catalog);
    soon(empty.wait_for(|seen| seen.1)).await.unwrap();
    let first = catalog.put("bundle", "a", Bytes::from_static(b"1")).await.unwrap();
    assert!(catalog.put("bundle", "a", Bytes::from_static(b"2")).await.unwrap() > first);
    catalog.put("bundle", "gone", Bytes::from_static(b"x")).await.unwrap();
    catalog.remove("bundle", "gone").await.unwrap();
    let mut late = watch(&catalog);
    let seen = soon(late.wait_for(|seen| seen.1)).await.unwrap().0.clone();
    assert_eq!(seen.get(&Catalog::token("a")), Some(&Some(Bytes::from_static(b"2"))));
    assert!(seen.get(&Catalog::token("gone")).is_none_or(Option::is_none), "{seen:?}");
    catalog.remove("bundle", "a").await.unwrap();
    for watcher in [&mut empty, &mut late] {
        soon(watcher.wait_for(|seen| seen.0.get(&Catalog::token("a")) == Some(&None))).await.unwrap();
    }
    assert_eq!(catalog.get("bundle", "a").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_created_by_one_only_and_again_after_it_was_removed() {
    let (server, bus, plane) = start().await;
    let (one, other) = (bus.catalog(&plane), connect(&server).await.catalog(&plane));
    let value = || Bytes::from_static(b"x");
    let (left, right) = tokio::join!(one.create("bundle", "a", value()), other.create("bundle", "a", value()));
    let created = [left.unwrap(), right.unwrap()];
    assert_eq!(created.iter().flatten().count(), 1, "{created:?}");
    one.remove("bundle", "a").await.unwrap();
    assert!(other.create("bundle", "a", value()).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_come_back_whole_are_replaced_by_name_and_may_be_removed_twice() {
    let (server, bus, _plane) = start().await;
    let (blobs, elsewhere) = (bus.blobs(), connect(&server).await.blobs());
    for (name, size) in [("empty", 0), ("value/a b", 10), ("state/large", 1_500_000)] {
        let bytes: Vec<u8> = (0..size).map(|place: u32| place.to_le_bytes()[0]).collect();
        blobs.put_once(name, &bytes).await.unwrap();
        assert_eq!(elsewhere.get(name).await.unwrap().unwrap(), bytes, "{name}");
    }
    blobs.put("value/a b", b"other").await.unwrap();
    assert_eq!(elsewhere.get("value/a b").await.unwrap().unwrap(), b"other".as_ref());
    for _ in 0..2 {
        blobs.remove("state/large").await.unwrap();
        assert_eq!(elsewhere.get("state/large").await.unwrap(), None);
    }
    blobs.put_once("state/large", b"again").await.unwrap();
    assert_eq!(elsewhere.get("state/large").await.unwrap().unwrap(), b"again".as_ref());
}
