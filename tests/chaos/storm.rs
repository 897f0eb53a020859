//! Many clients at once that start runs, answer their questions and follow their ledgers, whatever happens meanwhile.

use crate::laws;
use futures::future::{join, join_all};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use testkit::{Client, SOON, until};

/// Questions of each run.
pub(crate) const QUESTIONS: usize = 3;
/// Answers that are sent at once for each question; one of them is right, the others come too late or early.
const RIVALS: usize = 2;

/// How far the clients have come.
#[derive(Clone, Default)]
pub(crate) struct Progress(Arc<AtomicUsize>);

impl Progress {
    fn one_more(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until so many acknowledgements have come.
    pub(crate) async fn reaches(&self, count: usize) {
        until(&format!("{count} acknowledgements"), 2 * SOON, async || match self.0.load(Ordering::Relaxed) {
            now if now >= count => Ok(()),
            now => Err(now.to_string()),
        })
        .await;
    }
}

/// What one client did, and the ledger that came of it.
pub(crate) struct Told {
    pub(crate) run: String,
    pub(crate) records: Vec<Value>,
    pub(crate) connections: usize,
    /// Number and outcome of each acknowledged command, by its id.
    commands: HashMap<String, (u64, Value)>,
}

/// Lets so many clients work until all of their runs have ended, and checks every law of it.
pub(crate) async fn rage(client: &Client, clients: usize, progress: &Progress) -> Vec<Told> {
    let told = join_all((0..clients).map(|number| one(client, number, progress))).await;
    numbers_have_no_gaps(&told);
    nothing_more_was_started(client, &told).await;
    told
}

async fn one(client: &Client, number: usize, progress: &Progress) -> Told {
    let body = json!({"bundle_id": "chaos", "flow_id": "talk", "session_id": format!("s-{number}"),
        "input_data": {"items": (0..QUESTIONS).collect::<Vec<_>>()}});
    let run = client.insist_on_start(&format!("start-{number}"), &body).await;
    progress.one_more();
    let (commands, followed) = join(answer_all(client, number, &run, progress), client.follow(&run)).await;
    assert_eq!(client.until_ended(&run).await["status"], "completed");
    let records = client.ledger(&run).await;
    assert_eq!(followed.records, records, "the stream of {run} differs from its ledger");
    laws::of_a_ledger(&run, &records);
    commands_are_where_they_say(&commands, &records);
    // A retry of the start, however late, is the same run.
    assert_eq!(client.insist_on_start(&format!("start-{number}"), &body).await, run);
    Told { run, records, connections: followed.connections, commands }
}

/// Answers every question. Rivals answer the same question at the same time, each command twice over.
async fn answer_all(client: &Client, number: usize, run: &str, progress: &Progress) -> HashMap<String, (u64, Value)> {
    let mut commands = HashMap::new();
    for question in 0..QUESTIONS {
        asked(client, run, question + 1).await;
        let sent = (0..RIVALS).map(async |rival| {
            let id = format!("{number}.{question}.{rival}");
            let payload = json!({"wait_key": format!("user:{run}:ask"), "payload": {"response": id}});
            let twice = join(
                client.insist_on_command(&id, run, "resume", &payload),
                client.insist_on_command(&id, run, "resume", &payload),
            );
            let (seq, again) = twice.await;
            assert_eq!(seq, again, "the command {id} has two numbers");
            progress.one_more();
            (id.clone(), (seq, client.outcome(&id).await))
        });
        commands.extend(join_all(sent).await);
    }
    commands
}

/// Waits until the run has asked so often, or has gone on to its end because a rival's answer fitted the next question.
async fn asked(client: &Client, run: &str, times: usize) {
    until(&format!("question {times} of {run}"), 2 * SOON, async || {
        let records = client.ledger(run).await;
        let asked = records.iter().filter(|record| record["status"] == "waiting").count();
        let ended = records.iter().any(|record| record["result"]["completed"] == true);
        if asked >= times || ended { Ok(()) } else { Err(format!("it asked {asked} times")) }
    })
    .await;
}

/// Every applied command woke the run once, at the place that its outcome names, in the order of the numbers; no refused
/// one did.
fn commands_are_where_they_say(commands: &HashMap<String, (u64, Value)>, records: &[Value]) {
    let answers = laws::answers(records);
    assert_eq!(answers.len(), QUESTIONS, "one answer for each question: {answers:?}");
    let numbers: Vec<u64> = answers.iter().map(|answer| commands[answer].0).collect();
    assert!(
        numbers.is_sorted_by(|one, next| one < next),
        "commands were applied out of order: {answers:?} {numbers:?}"
    );
    for (id, (seq, outcome)) in commands {
        assert_eq!(outcome["seq"], *seq, "{outcome}");
        let applied = answers.iter().filter(|answer| *answer == id).count();
        assert_eq!(
            (outcome["status"] == "applied", outcome["status"] == "refused"),
            (applied == 1, applied == 0),
            "{outcome}"
        );
        if applied == 1 {
            let cursor = usize::try_from(outcome["cursor"].as_u64().unwrap()).unwrap();
            assert!(laws::answers(&records[..cursor]).contains(id), "{outcome}");
        } else {
            assert!(outcome["reason"].is_string(), "{outcome}");
        }
    }
}

fn numbers_have_no_gaps(told: &[Told]) {
    let mut numbers: Vec<u64> = told.iter().flat_map(|one| one.commands.values().map(|(seq, _)| *seq)).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "numbers of commands have gaps or doubles");
}

/// The list shows each acknowledged run once and no other.
async fn nothing_more_was_started(client: &Client, told: &[Told]) {
    let expected: HashSet<&str> = told.iter().map(|one| one.run.as_str()).collect();
    assert_eq!(expected.len(), told.len(), "two starts became one run");
    until("the list to be complete", SOON, async || {
        let answer = client.get("/runs?limit=500&workflow_id=chaos@1.0.0:talk").await.good();
        let items = answer["items"].as_array().unwrap();
        let listed: HashSet<&str> = items.iter().filter_map(|row| row["run_id"].as_str()).collect();
        assert!(listed.is_subset(&expected), "a run that nobody started");
        let completed = items.iter().all(|row| row["status"] == "completed");
        if listed == expected && completed { Ok(()) } else { Err(format!("{} of {}", listed.len(), expected.len())) }
    })
    .await;
}
