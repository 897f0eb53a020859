//! Random requests to every operation: whatever comes, the answer is no 500 and the gateway goes on.

use crate::flows::{echoed, gateway, started};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::Client;

/// Requests per operation. With about 27 operations this takes seconds.
const EACH: usize = 40;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.roll(all.len())]
    }

    fn text(&mut self) -> String {
        let odd = [
            "",
            " ",
            "x",
            "fix",
            "echo",
            "null",
            "-1",
            "0",
            "1e999",
            "99999999999999999999",
            "true",
            "../../etc/passwd",
            "fix@0.1.0:echo",
            "a:b:c@d@e",
            "\u{0}",
            "\u{1F600}",
            "%00",
            "draft.1",
            "{{",
            "\"",
            "\\",
            "2026-13-45T99:99:99Z",
            "9999999999d",
        ];
        match self.roll(12) {
            0 => "ä".repeat(self.roll(4_000)),
            _ => self.of(&odd).to_owned(),
        }
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.roll(if depth == 0 { 7 } else { 9 }) {
            0 => Value::Null,
            1 => Value::Bool(self.roll(2) == 0),
            2 => json!(i64::MIN),
            3 => json!(u64::MAX),
            4 => json!(1.5e300),
            5 | 6 => self.text().into(),
            7 => (0..self.roll(4)).map(|_| self.value(depth - 1)).collect(),
            _ => self.object(depth - 1),
        }
    }

    fn object(&mut self, depth: usize) -> Value {
        let names = [
            "model",
            "stream",
            "messages",
            "bundle_id",
            "flow_id",
            "bundle_version",
            "input_data",
            "session_id",
            "run_id",
            "command_id",
            "type",
            "payload",
            "runs",
            "after",
            "limit",
            "interval",
            "repeat_count",
            "repeat_until",
            "start_at",
            "run_lifecycle",
            "thinking",
            "reason",
            "wait_key",
            "name",
            "scope",
            "event_id",
            "dry_run",
            "run_ids",
            "retention",
            "$artifact",
            "_hidden",
        ];
        let mut object = json!({});
        for _ in 0..self.roll(6) {
            object[self.of(&names)] = self.value(depth);
        }
        // Often enough something that gets past the first checks.
        if self.roll(3) == 0 {
            let kinds = ["pause", "resume", "cancel", "emit_event", "update_schedule", "compact_memory"];
            object["bundle_id"] = "fix".into();
            object["flow_id"] = "echo".into();
            object["command_id"] = self.text().into();
            object["run_id"] = "some-run".into();
            object["type"] = self.of(&kinds).into();
        }
        object
    }

    fn body(&mut self) -> Vec<u8> {
        match self.roll(8) {
            0 => Vec::new(),
            1 => (0..self.roll(200)).map(|_| u8::try_from(self.roll(256)).unwrap()).collect(),
            2 => "[".repeat(self.roll(20_000)).into_bytes(),
            3 => {
                let mut bytes = self.object(3).to_string().into_bytes();
                bytes.truncate(self.roll(bytes.len() + 1));
                bytes
            }
            4 => self.value(3).to_string().into_bytes(),
            _ => self.object(3).to_string().into_bytes(),
        }
    }

    fn query(&mut self) -> Vec<(String, String)> {
        let names = [
            "after",
            "limit",
            "status",
            "workflow_id",
            "session_id",
            "heartbeat_s",
            "ledger_mode",
            "ledger_max_items",
            "include_session",
            "bundle_version",
            "max_bytes",
            "wait_s",
            "all_versions",
            "root_only",
            "include_metrics",
            "reload",
        ];
        (0..self.roll(4)).map(|_| (self.of(&names).to_owned(), self.text())).collect()
    }

    fn path(&mut self, template: &str, run: &str) -> String {
        let mut path = template.to_owned();
        while let (Some(from), Some(to)) = (path.find('{'), path.find('}')) {
            let text = if self.roll(2) == 0 { run.to_owned() } else { self.text() };
            let text: String = text.bytes().take(300).map(|byte| format!("%{byte:02X}")).collect();
            path.replace_range(from..=to, &text);
        }
        path
    }
}

#[tokio::test]
async fn no_request_makes_a_500_and_afterwards_everything_still_works() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let run = echoed(client, "before").await;
    let openapi = client.get("//openapi.json").await.good();
    let (mut dice, mut seen) = (Dice(20_261_121), std::collections::BTreeMap::new());
    for (path, item) in openapi["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            // Removing the bundle on the way would leave nothing to try; streams of all events never end.
            if method == "delete" || ["/queue/events", "/gpu/events"].contains(&path.as_str()) {
                continue;
            }
            for _ in 0..EACH {
                let status = shoot(client, &mut dice, method, path, &run).await;
                *seen.entry(status).or_insert(0) += 1;
            }
        }
    }
    assert!(seen.len() >= 4, "the requests are too much alike: {seen:?}");
    echoed(client, "after").await;
}

async fn shoot(client: &Client, dice: &mut Dice, method: &str, path: &str, run: &str) -> u16 {
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
    let address = format!("/{}", dice.path(path, run));
    let (query, body) = (dice.query(), dice.body());
    let mut request = client.request(method.clone(), &address).query(&query);
    if method != Method::GET {
        let kinds =
            ["application/json", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"];
        let kind = if dice.roll(3) == 0 { dice.of(&kinds) } else { kinds[0] };
        request = request.header("content-type", kind).body(body.clone());
    }
    let answer = Client::send(request).await;
    let told = || format!("{method} {address} {query:?} {:?}", String::from_utf8_lossy(&body));
    let answer = answer.unwrap_or_else(|error| panic!("{}: {error:?}", told()));
    // A model surface may say that no server can do it, or has room; a defect is a 500 there too.
    let is_model = path.starts_with("/v1/");
    assert!(answer.status < 500 || (is_model && answer.status != 500), "{}: {} {}", told(), answer.status, answer.text);
    if answer.status >= 400 {
        let member = if is_model { "error" } else { "detail" };
        assert!(answer.json().get(member).is_some(), "{}: {}", told(), answer.text);
    }
    answer.status
}
