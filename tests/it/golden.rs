//! The golden cases over HTTP, against the whole program.

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use testkit::golden::differences;
use testkit::{Client, FakeModel, Gateway};
use tokio::time::Instant;

/// What a case gets to reach a checkpoint.
const PATIENCE: Duration = Duration::from_secs(15);
/// Tries of a case whose own delays are shorter than the pauses of a busy machine.
const TRIES: usize = 4;

fn json_file(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

struct Case {
    name: String,
    input: Value,
    expected: Value,
    bundle: Vec<u8>,
}

impl Case {
    fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/cases");
        let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Self {
        Self {
            name: path.file_name().unwrap().to_string_lossy().into_owned(),
            input: json_file(&path.join("input.json")),
            expected: json_file(&path.join("expected.json")),
            bundle: fs::read(path.join("bundle.flow")).unwrap(),
        }
    }

    fn script(&self) -> &[Value] {
        self.input["llm_script"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    fn steps(&self) -> &[Value] {
        self.input["steps"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    fn tries(&self) -> usize {
        if self.steps().iter().any(|step| step["action"] == "sleep_ms") { TRIES } else { 1 }
    }
}

/// A case under way. Its session is its own, since all cases share a gateway.
struct Played<'a> {
    client: &'a Client,
    expected: Value,
    session: String,
    root: String,
    tag: String,
}

impl<'a> Played<'a> {
    async fn start(client: &'a Client, case: &Case, turn: usize) -> Self {
        let tag = format!("{}-{turn}", case.name);
        let session = format!("session-of-{tag}");
        let own = case.input["session_id"].as_str().unwrap();
        let expected = case.expected.to_string().replace(own, &session);
        let (bundle, _) = case.input["bundle_ref"].as_str().unwrap().split_once('@').unwrap();
        let mut body = json!({"bundle_id": bundle, "session_id": session, "input_data": case.input["input_data"]});
        match case.input.pointer("/start/flow_id") {
            // A qualified id says the bundle as well.
            Some(flow) => {
                body["flow_id"] = flow.clone();
                body.as_object_mut().unwrap().remove("bundle_id");
            }
            None => body["flow_id"] = case.input["flow_id"].clone(),
        }
        Self {
            root: client.start(&body).await,
            expected: serde_json::from_str(&expected).unwrap(),
            client,
            session,
            tag,
        }
    }

    /// The runs of the session in the order of their creation, as the comparison wants them.
    async fn runs(&self) -> Vec<Value> {
        let listed = self.client.get(&format!("/runs?session_id={}&limit=500", self.session)).await.good();
        let mut ids: Vec<(String, String)> = Vec::new();
        for item in listed["items"].as_array().unwrap() {
            ids.push((item["created_at"].as_str().unwrap().to_owned(), item["run_id"].as_str().unwrap().to_owned()));
        }
        ids.sort_by_key(|(created, id)| (*id != self.root, created.clone()));
        let mut runs = Vec::new();
        for (_, id) in ids {
            let mut run = self.client.run(&id).await;
            run["run"] = id.into();
            run["parent"] = run["parent_run_id"].clone();
            runs.push(run);
        }
        runs
    }

    /// Everything that is to be seen of the runs, with their ledgers and outputs.
    async fn observed(&self, checkpoints: &Value) -> Value {
        let mut runs = self.runs().await;
        for run in &mut runs {
            let ledger = self.client.ledger(run["run"].as_str().unwrap()).await;
            let output = ledger
                .iter()
                .find_map(|record| (record["result"]["completed"] == true).then(|| record["result"]["output"].clone()));
            if let Some(output) = output {
                run["output"] = output;
            }
            run["ledger"] = ledger.into();
        }
        json!({"runs": runs, "checkpoints": checkpoints})
    }

    /// Waits until a checkpoint is reached and answers with what was seen. One that only waits for time may have been
    /// passed between two looks; the ledger tells of the wait all the same.
    async fn checkpoint(&self, place: usize) -> Value {
        let expected = json!({"checkpoints": [self.expected["checkpoints"][place]]});
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = json!({"runs": self.runs().await});
            let found = differences(&expected, &json!({"runs": seen["runs"], "checkpoints": [seen]}))
                .into_iter()
                .filter(|line| line.starts_with("checkpoints"))
                .count();
            if found == 0 || Instant::now() > deadline {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Compares until nothing differs any more, or the time is over.
    async fn differences(&self, checkpoints: &Value) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = differences(&self.expected, &self.observed(checkpoints).await);
            if found.is_empty() || Instant::now() > deadline {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn act(&self, place: usize, step: &Value) {
        let (kind, run, payload) = match step["action"].as_str().unwrap() {
            "resume" => {
                let waits = |run: &&Value| run["status"] == "waiting" && run["waiting"]["reason"] == step["reason"];
                let runs = self.runs().await;
                let run = runs.iter().find(waits).expect("a run waits for that reason");
                ("resume", run["run"].as_str().unwrap().to_owned(), json!({"payload": step["payload"]}))
            }
            "emit_event" => {
                let mut payload = step.clone();
                payload["session_id"] = json!(self.session);
                ("emit_event", self.root.clone(), payload)
            }
            "pause" => ("pause", self.root.clone(), json!({"reason": step["reason"]})),
            "resume_run" => ("resume", self.root.clone(), json!({})),
            "cancel" => ("cancel", self.root.clone(), json!({})),
            "sleep_ms" => {
                // The case itself is about time that passes.
                tokio::time::sleep(Duration::from_millis(step["ms"].as_u64().unwrap())).await;
                return;
            }
            other => panic!("unknown step '{other}'"),
        };
        let id = format!("{}-{place}", self.tag);
        self.client.command(&id, &run, kind, payload).await.good();
        let outcome = self.client.outcome(&id).await;
        assert_eq!(outcome["status"], "applied", "{}: {outcome}", self.tag);
    }
}

async fn play<'a>(client: &'a Client, model: &FakeModel, case: &Case, turn: usize) -> (Played<'a>, Value, Vec<String>) {
    model.script(case.script());
    let played = Played::start(client, case, turn).await;
    let mut checkpoints = Vec::new();
    if !case.steps().is_empty() {
        checkpoints.push(played.checkpoint(0).await);
        for (place, step) in case.steps().iter().enumerate() {
            played.act(place, step).await;
            checkpoints.push(played.checkpoint(place + 1).await);
        }
    }
    let checkpoints = Value::from(checkpoints);
    let found = played.differences(&checkpoints).await;
    (played, checkpoints, found)
}

#[tokio::test]
async fn every_golden_case_runs_as_expected_over_http() {
    let model = FakeModel::start(&[]).await;
    let gateway = Gateway::builder().model(&model).start().await;
    let (client, cases) = (&gateway.client, Case::all());
    assert_eq!(cases.len(), 27, "the README of the golden cases counts them");
    let (mut ended, mut failed) = (Vec::new(), Vec::new());
    for case in &cases {
        let installed = client.upload(case.bundle.clone()).await;
        if case.expected["load_error"] == true {
            assert_eq!(installed.status, 400, "{}: {}", case.name, installed.text);
            continue;
        }
        installed.good();
        let mut last = Vec::new();
        for turn in 0..case.tries() {
            let (played, checkpoints, found) = play(client, &model, case, turn).await;
            last = found;
            if last.is_empty() {
                ended.push((played, checkpoints));
                break;
            }
        }
        failed.extend(last.into_iter().map(|line| format!("{}: {line}", case.name)));
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
    assert_eq!(ended.len(), 26);
    for (played, checkpoints) in &ended {
        let found = differences(&played.expected, &played.observed(checkpoints).await);
        assert!(found.is_empty(), "{} changed afterwards: {found:#?}", played.tag);
    }
}
