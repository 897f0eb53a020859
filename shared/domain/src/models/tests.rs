//! What may be stored, and what one change may do to the rest.

use super::*;
use crate::{Time, limits};
use std::collections::BTreeSet;

const NOW: i64 = 1_000_000;

fn now() -> Time {
    Time::from_micros(NOW)
}

fn backend(kind: &str, url: &str) -> BackendSpec {
    BackendSpec { kind: kind.to_owned(), base_url: url.to_owned(), ..BackendSpec::default() }
}

fn good() -> BackendSpec {
    backend("vllm", "http://vllm:8001/v1")
}

fn model(backends: &[&str], aliases: &[&str], fallbacks: &[&str]) -> ModelSpec {
    let texts = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
    let replica = |name: &&str| ReplicaSpec { backend: (*name).to_owned(), ..ReplicaSpec::default() };
    ModelSpec {
        aliases: texts(aliases),
        replicas: backends.iter().map(replica).collect(),
        fallbacks: texts(fallbacks),
        ..ModelSpec::default()
    }
}

fn table() -> ModelTable {
    let mut table = ModelTable::default();
    table.put_backend("a", good(), Wanted::Any, now()).unwrap();
    put(&mut table, "chat", model(&["a"], &["gpt-4o"], &[])).unwrap();
    table
}

fn put(table: &mut ModelTable, name: &str, spec: ModelSpec) -> Result<(), TableError> {
    table.put_model(name, spec, &BTreeSet::new(), Wanted::Any, now())
}

#[test]
fn what_no_proxy_could_use_is_refused_by_its_field_with_what_would_be_right() {
    let long = "x".repeat(65);
    let rule = |rule: &str| BackendSpec { on_disconnect: Some(rule.to_owned()), ..good() };
    let wrong: [(&str, BackendSpec, &str, &str); 15] = [
        ("a", rule("shrug"), "on_disconnect", "propagate, drain, abort"),
        ("a", rule("abort"), "on_disconnect", "kind 'vllm' cannot"),
        ("a b", good(), "name", "letters, digits"),
        (&long, good(), "name", "64"),
        ("a", backend("vlm", "http://a/v1"), "kind", "vllm, ollama, llamacpp"),
        ("a", backend("vllm", "ftp://a"), "base_url", "http://host:port/v1"),
        ("a", backend("vllm", "http://u:secret@a/v1"), "base_url", "api_key"),
        ("a", backend("vllm", &format!("http://{}/v1", "a".repeat(3_000))), "base_url", "2048"),
        ("a", BackendSpec { concurrency: Some(0), ..good() }, "concurrency", "from 1 to"),
        ("a", BackendSpec { capabilities: Some(vec!["fly".to_owned()]), ..good() }, "capabilities", "embeddings"),
        ("a", BackendSpec { capabilities: Some(Vec::new()), ..good() }, "capabilities", "left out"),
        ("a", BackendSpec { sleep_after_s: Some(-1.0), ..good() }, "sleep_after_s", "seconds"),
        ("a", BackendSpec { sleep_after_s: Some(1.0), ..backend("tgi", "http://a") }, "sleep_after_s", "only vllm"),
        ("a", BackendSpec { api_key: Some(UpstreamKey::new("two words")), ..good() }, "api_key", "without spaces"),
        (
            "a",
            BackendSpec { api_key: Some(UpstreamKey::new("k")), api_key_file: Some("/f".to_owned()), ..good() },
            "api_key_file",
            "one key",
        ),
    ];
    for (name, spec, field, word) in wrong {
        let fault = spec.check(name).unwrap_err();
        assert!(fault.field == field && fault.why.contains(word), "{spec:?}: {fault}");
    }
    assert_eq!(good().check("a.b-c_D9"), Ok(()));
}

#[test]
fn a_key_is_stored_and_never_printed() {
    let spec = BackendSpec { api_key: Some(UpstreamKey::new("hush")), ..good() };
    assert!(!format!("{spec:?}").contains("hush"));
    let again: BackendSpec = serde_json::from_str(&serde_json::to_string(&spec).unwrap()).unwrap();
    assert_eq!(again, spec);
}

#[test]
fn a_model_is_refused_for_what_is_wrong_with_it_and_for_what_others_are_already() {
    let mut table = table();
    let text = |count: usize| (0..count).map(|n| format!("n{n}")).collect::<Vec<_>>();
    let many = ModelSpec { aliases: text(33), ..model(&["a"], &[], &[]) };
    let weight = ReplicaSpec { backend: "a".to_owned(), weight: Some(0), ..ReplicaSpec::default() };
    let timeouts = ModelTimeouts { total_s: Some(0.0), ..ModelTimeouts::default() };
    let wrong: [(&str, ModelSpec, &str, &str); 14] = [
        (" x", model(&["a"], &[], &[]), "name", "no space"),
        ("x\n", model(&["a"], &[], &[]), "name", "control"),
        ("x", model(&[], &[], &[]), "replicas", "a replica or a fallback"),
        ("x", model(&["b"], &[], &[]), "replicas", "there are: a"),
        ("x", model(&["a"], &["y", "y"], &[]), "aliases", "twice"),
        ("x", model(&["a"], &["chat"], &[]), "aliases", "taken by the model 'chat'"),
        ("x", model(&["a"], &["gpt-4o"], &[]), "aliases", "taken by the model 'chat'"),
        ("gpt-4o", model(&["a"], &[], &[]), "name", "taken by the model 'chat'"),
        ("x", model(&["a"], &[], &["x"]), "fallbacks", "the model itself"),
        ("x", model(&["a"], &[], &["1", "2", "3", "4"]), "fallbacks", "may be 3"),
        ("x", many, "aliases", "may be 32"),
        ("x", ModelSpec { replicas: vec![weight], ..ModelSpec::default() }, "replicas", "from 1 to 1000"),
        ("x", ModelSpec { queue: Some(2_000_000), ..model(&["a"], &[], &[]) }, "queue", "1000000"),
        ("x", ModelSpec { timeouts, ..model(&["a"], &[], &[]) }, "timeouts", "total_s"),
    ];
    for (name, spec, field, word) in wrong {
        let before = table.clone();
        let error = put(&mut table, name, spec.clone()).unwrap_err();
        let TableError::Invalid(fault) = error else { panic!("{spec:?}: {error}") };
        assert!(fault.field == field && fault.why.contains(word), "{spec:?}: {fault}");
        assert_eq!(table, before, "nothing has changed");
    }
    put(&mut table, "chat", model(&["a"], &["gpt-4o", "more"], &[])).unwrap();
    // A model of registered services has no replicas here.
    put(&mut table, "service", model(&[], &["gpt-5"], &[])).unwrap();
    put(&mut table, "patient", ModelSpec { queue: Some(1), ..ModelSpec::default() }).unwrap();
    let elsewhere = BTreeSet::from(["env".to_owned()]);
    table.put_model("y", model(&["env"], &[], &[]), &elsewhere, Wanted::Any, now()).unwrap();
}

#[test]
fn fallbacks_never_lead_back_not_even_over_an_alias() {
    let mut table = table();
    put(&mut table, "b", model(&["a"], &["bee"], &["chat"])).unwrap();
    put(&mut table, "c", model(&["a"], &[], &["bee"])).unwrap();
    for (fallbacks, way) in [(["c"], "chat → c → bee → chat"), (["bee"], "chat → bee → chat")] {
        let error = put(&mut table, "chat", model(&["a"], &["gpt-4o"], &fallbacks)).unwrap_err();
        assert!(error.to_string().contains(way), "{error}");
    }
    let error = put(&mut table, "chat", model(&["a"], &["new"], &["c", "elsewhere"])).unwrap_err();
    assert!(error.to_string().contains("lead back"), "{error}");
    put(&mut table, "d", model(&["a"], &[], &["c", "b", "elsewhere"])).unwrap();
}

#[test]
fn a_backend_stays_while_models_name_it() {
    let mut table = table();
    put(&mut table, "other", model(&["a"], &[], &[])).unwrap();
    let error = table.remove_backend("a", Wanted::Any).unwrap_err();
    assert!(error.to_string().contains("chat, other"), "{error}");
    table.remove_model("chat", Wanted::Any).unwrap();
    table.remove_model("other", Wanted::Any).unwrap();
    table.remove_backend("a", Wanted::Any).unwrap();
    assert!(matches!(table.remove_backend("a", Wanted::Any), Err(TableError::Missing { .. })));
    assert_eq!(table.revision, 6);
}

#[test]
fn whoever_says_what_he_saw_overwrites_nobody() {
    let mut table = table();
    let seen = table.backends["a"].entry().unwrap().revision;
    table.put_backend("a", backend("tgi", "http://a"), Wanted::Revision(seen), now()).unwrap();
    for wanted in [Wanted::Revision(seen), Wanted::Nothing] {
        assert!(table.put_backend("a", good(), wanted, now()).is_err());
        assert!(table.remove_backend("a", Wanted::Revision(seen)).is_err());
    }
    let later = Time::from_micros(2 * NOW);
    table.put_backend("a", good(), Wanted::Any, later).unwrap();
    let entry = table.backends["a"].entry().unwrap();
    assert_eq!((entry.created_at, entry.updated_at, entry.revision), (now(), later, table.revision));
    assert!(matches!(table.put_backend("z", good(), Wanted::Revision(1), now()), Err(TableError::Missing { .. })));
}

#[test]
fn an_entry_that_cannot_be_read_is_kept_and_stands_in_nobodys_way() {
    let mut text: serde_json::Value = serde_json::to_value(table()).unwrap();
    text["backends"]["b"] = serde_json::json!({"revision": 9, "colour": "red"});
    text["models"]["m"] = serde_json::json!(7);
    let mut table: ModelTable = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(serde_json::to_value(&table).unwrap(), text);
    assert!(matches!(&table.backends["b"], Stored::Unread { why, .. } if why.contains("created_at")));
    put(&mut table, "new", model(&["a"], &[], &[])).unwrap();
    assert!(put(&mut table, "other", model(&["a"], &["m"], &[])).is_err(), "its name is taken all the same");
    table.remove_backend("b", Wanted::Any).unwrap();
    put(&mut table, "m", model(&["a"], &[], &[])).unwrap();
}

#[test]
fn counts_and_bytes_are_bounded_and_a_change_that_is_too_large_leaves_nothing_behind() {
    let mut full = ModelTable::default();
    for n in 0..limits::BACKENDS {
        full.put_backend(&format!("b{n}"), good(), Wanted::Any, now()).unwrap();
    }
    assert!(matches!(full.put_backend("one-more", good(), Wanted::Any, now()), Err(TableError::Full(_))));
    full.put_backend("b0", backend("tgi", "http://a"), Wanted::Any, now()).unwrap();

    let mut heavy = table();
    let aliases = |n: usize| (0..32).map(|at| format!("{n}-{at}-{}", "x".repeat(200))).collect::<Vec<_>>();
    let refused = (0..limits::MODELS).find_map(|n| {
        let before = heavy.clone();
        let spec = ModelSpec { aliases: aliases(n), ..model(&["a"], &[], &[]) };
        put(&mut heavy, &format!("m{n}"), spec).err().map(|error| (before, error))
    });
    let (before, error) = refused.unwrap();
    assert!(error.to_string().contains("1048576 bytes"), "{error}");
    assert_eq!((&before.backends, &before.models), (&heavy.backends, &heavy.models));
}
