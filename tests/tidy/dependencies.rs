//! Law: dependencies point down, a service never depends on a service, and only the bus speaks to the broker.

use crate::expect_none;
use crate::repository::{Package, packages};

const SHARED: [&str; 9] =
    ["domain", "telemetry", "nats-process", "flow", "placement", "bus", "ledger", "store", "service"];
const SERVICES: [&str; 6] = ["api", "runner", "scheduler", "gpu-monitor", "proxy", "notifier"];

/// The crates of ours that a crate may use; none for a crate that the table does not know.
fn allowed(name: &str) -> Option<Vec<&'static str>> {
    let above_domain = |more: &[&'static str]| [&["domain"], more].concat();
    Some(match name {
        "domain" | "telemetry" | "nats-process" => vec![],
        "flow" | "placement" | "bus" => vec!["domain"],
        "service" => above_domain(&["telemetry"]),
        "ledger" => above_domain(&["flow", "bus"]),
        "store" => above_domain(&["flow", "bus", "ledger"]),
        "api" | "runner" => above_domain(&["flow", "bus", "ledger", "store", "service", "telemetry"]),
        "scheduler" | "gpu-monitor" => above_domain(&["placement", "bus", "ledger", "store", "service", "telemetry"]),
        "proxy" | "notifier" => above_domain(&["bus", "ledger", "store", "service", "telemetry"]),
        "testkit" => SHARED.to_vec(),
        "gantry" => [&SHARED[..], &SERVICES[..]].concat(),
        "tests" => [&SHARED[..], &SERVICES[..], &["gantry", "testkit"]].concat(),
        _ => return None,
    })
}

fn is_ours(name: &str) -> bool {
    allowed(name).is_some()
}

fn names_in(manifest: &toml::Table, section: &str) -> Vec<String> {
    manifest
        .get(section)
        .and_then(toml::Value::as_table)
        .map(|table| table.keys().cloned().collect())
        .unwrap_or_default()
}

fn complaints(package: &Package) -> Vec<String> {
    let name = package.name();
    let Some(allowed) = allowed(name) else {
        return vec![format!("{name}: not in the table of tests/tidy/dependencies.rs")];
    };
    let mut found = Vec::new();
    for section in ["dependencies", "build-dependencies"] {
        let upward = names_in(&package.manifest, section).into_iter().filter(|used| is_ours(used));
        found.extend(
            upward
                .filter(|used| !allowed.contains(&used.as_str()))
                .map(|used| format!("{name} must not depend on {used}: it may use {allowed:?}")),
        );
    }
    if name != "bus" && names_in(&package.manifest, "dependencies").iter().any(|used| used == "async-nats") {
        found.push(format!("{name} must not depend on async-nats: only the bus speaks to the broker"));
    }
    // Tests may reach for any shared crate, but a service whose tests need another cannot be deleted alone.
    let tests = names_in(&package.manifest, "dev-dependencies").into_iter().filter(|used| is_ours(used));
    let own_kind = |used: &str| SHARED.contains(&used) || used == "testkit" || allowed.contains(&used);
    found.extend(tests.filter(|used| !own_kind(used)).map(|used| format!("{name}'s tests must not depend on {used}")));
    found
}

#[test]
fn dependencies_point_down_and_no_service_depends_on_a_service() {
    expect_none(&packages().iter().flat_map(complaints).collect::<Vec<_>>());
}

#[test]
fn an_upward_a_sideward_and_an_unknown_crate_are_refused() {
    let package = |text: &str| Package { dir: "x".to_owned(), manifest: text.parse().unwrap() };
    let upward = package("[package]\nname = 'domain'\n[dependencies]\nbus = { workspace = true }\nserde = '1'");
    assert_eq!(complaints(&upward).len(), 1);
    let sideward = package("[package]\nname = 'api'\n[dependencies]\nrunner.workspace = true\ndomain.workspace = true");
    assert_eq!(complaints(&sideward).len(), 1);
    let tested_sideward = package("[package]\nname = 'proxy'\n[dev-dependencies]\napi.workspace = true\nbus = '1'");
    assert_eq!(complaints(&tested_sideward).len(), 1);
    let around_the_bus = package("[package]\nname = 'api'\n[dependencies]\nasync-nats.workspace = true");
    assert_eq!(complaints(&around_the_bus).len(), 1);
    assert_eq!(complaints(&package("[package]\nname = 'helpers'")).len(), 1);
}
