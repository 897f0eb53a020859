//! What runs inside the containers of tests. Compiled by itself into a static program; no part of the workspace.
//!
//! `sleep`: does nothing, and ignores the stop signal as every first process does that does not handle it.
//! `exit CODE MILLISECONDS`: ends by itself after a while.
//! `serve PORT [WORD=VALUE …]`: a service as the control plane expects one. It answers `/health`, `/progress`, `/stop`,
//! `/env/NAME` and `/file/PATH`, and takes everything else that is posted as a job, which does nothing and answers with
//! its own payload, the piece of work that it resumed from and how many pieces it did. How it is good or bad is told by its words, and those with a `*` by a job's payload too (`work_ms`,
//! `fail`, where the smaller names win):
//!
//! `work=MS` *: slow, each job takes so long. `fail=N` *: the first N attempts of a job fail. `memory=MB`: holds memory.
//! `health=never`: is never healthy. `health-after=MS`: is healthy late. `exit-after=MS`: ends so long after its start.
//! `deaf=yes`: goes on with a job whose caller has hung up. `stop=never`: does not answer when it is told to stop a job.
//! `lingers=MS`: is at work for so long yet on a job that it is told to stop.
//! `tally=PORT`: tells a listener of the test of each job, over a connection that lives as long as the job.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Work is done in pieces of this length; between two of them a job can be stopped.
const PIECE: Duration = Duration::from_millis(5);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["exit", code, after] => {
            std::thread::sleep(Duration::from_millis(after.parse().unwrap()));
            std::process::exit(code.parse().unwrap());
        }
        ["serve", port, words @ ..] => serve(port.parse().unwrap(), words),
        _ => loop {
            std::thread::sleep(Duration::from_secs(3_600));
        },
    }
}

#[derive(Default)]
struct Service {
    words: BTreeMap<String, String>,
    /// Jobs at work, with how many pieces of how many are done.
    active: Mutex<BTreeMap<String, Job>>,
    changed: Condvar,
}

#[derive(Clone, Default)]
struct Job {
    done: u64,
    total: u64,
    stopped: bool,
}

struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: String,
}

fn serve(port: u16, words: &[&str]) {
    let words = words.iter().filter_map(|word| word.split_once('='));
    let words = words.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let service = Arc::new(Service { words, ..Service::default() });
    let megabytes = usize::try_from(service.number("memory").unwrap_or(0)).unwrap();
    let held = vec![1_u8; megabytes * 1024 * 1024];
    if let Some(after) = service.number("exit-after") {
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(after));
            std::process::exit(1);
        });
    }
    let born = Instant::now();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    for stream in listener.incoming().flatten() {
        let service = service.clone();
        std::thread::spawn(move || service.answer(stream, born));
    }
    drop(held);
}

impl Service {
    fn number(&self, word: &str) -> Option<u64> {
        self.words.get(word).and_then(|value| value.parse().ok())
    }

    fn says(&self, word: &str, value: &str) -> bool {
        self.words.get(word).is_some_and(|said| said == value)
    }

    fn answer(&self, mut stream: TcpStream, born: Instant) {
        let Some(request) = read(&stream) else { return };
        let (status, body) = match (request.method.as_str(), request.path.as_str()) {
            (_, "/health") => self.health(born),
            ("GET", "/progress") => (200, self.progress()),
            ("POST", "/stop") => self.stop(&request.body),
            ("POST", _) => match self.work(&request, &stream) {
                Some(answer) => answer,
                None => return,
            },
            (_, path) => (200, describe(path)),
        };
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n");
        let _ = write!(stream, "{head}connection: close\r\n\r\n{body}");
    }

    fn health(&self, born: Instant) -> (u16, String) {
        let late = self.number("health-after").is_some_and(|after| born.elapsed() < Duration::from_millis(after));
        if self.says("health", "never") || late { (503, "sick".to_owned()) } else { (200, "ok".to_owned()) }
    }

    fn progress(&self) -> String {
        let active = self.active.lock().unwrap();
        let job = active.values().next().cloned().unwrap_or_default();
        format!(r#"{{"step":{},"total":{}}}"#, job.done, job.total)
    }

    /// Stops a job, waits until it has stopped, and leaves what it would resume from.
    fn stop(&self, body: &str) -> (u16, String) {
        let job = text_in(body, "job_id").unwrap_or_default();
        if self.says("stop", "never") {
            std::thread::sleep(Duration::from_secs(3_600));
        }
        let mut done = None;
        let mut active = self.active.lock().unwrap();
        while let Some(known) = active.get_mut(&job) {
            (known.stopped, done) = (true, Some(known.done));
            active = self.changed.wait(active).unwrap();
        }
        (200, done.map_or("{}".to_owned(), |done| format!(r#"{{"snapshot":{{"done":{done}}}}}"#)))
    }

    /// Does a job. There is no answer if nobody waits for one.
    fn work(&self, request: &Request, stream: &TcpStream) -> Option<(u16, String)> {
        let header = |name: &str| request.headers.get(name).cloned().unwrap_or_default();
        let (job, attempt) = (header("gantry-job-id"), header("gantry-attempt"));
        let tally = self.number("tally").and_then(|port| TcpStream::connect(("127.0.0.1", port as u16)).ok());
        let tell = |word: &str| {
            if let Some(mut tally) = tally.as_ref() {
                let _ = writeln!(tally, "{word} {job} {attempt}");
                // What comes next must not be counted before this is.
                let _ = tally.set_read_timeout(Some(Duration::from_secs(5)));
                let _ = tally.read(&mut [0]);
            }
        };
        tell("begin");
        let work = number_in(&request.body, "work_ms").or(self.number("work")).unwrap_or(0);
        let total = work / PIECE.as_millis() as u64;
        let done = number_in(&header("gantry-resume-snapshot"), "done").unwrap_or(0);
        self.active.lock().unwrap().insert(job.clone(), Job { done, total, stopped: false });
        let (end, pieces) = self.pieces(&job, stream);
        if end == "stopped" {
            std::thread::sleep(Duration::from_millis(self.number("lingers").unwrap_or(0)));
        }
        let fails = number_in(&request.body, "fail").or(self.number("fail")).unwrap_or(0);
        let fell = end == "completed" && attempt.parse::<u64>().is_ok_and(|attempt| attempt <= fails);
        tell(if fell { "failed" } else { end });
        self.active.lock().unwrap().remove(&job);
        self.changed.notify_all();
        match end {
            "left" => None,
            "stopped" => Some((409, r#"{"error":"stopped"}"#.to_owned())),
            _ if fell => Some((500, r#"{"error":"as it was told"}"#.to_owned())),
            _ => {
                let echo = if request.body.is_empty() { "null" } else { &request.body };
                // A model request is no job and has no attempt.
                let attempt = if attempt.is_empty() { "null" } else { &attempt };
                Some((200, format!(r#"{{"echo":{echo},"attempt":{attempt},"resumed_from":{done},"pieces":{pieces}}}"#)))
            }
        }
    }

    /// Works until there is an end to it; how it ended and how many pieces were done.
    fn pieces(&self, job: &str, stream: &TcpStream) -> (&'static str, u64) {
        let mut pieces = 0;
        loop {
            {
                let mut active = self.active.lock().unwrap();
                let Some(known) = active.get_mut(job) else { return ("stopped", pieces) };
                if known.stopped {
                    return ("stopped", pieces);
                }
                if known.done >= known.total {
                    return ("completed", pieces);
                }
                known.done += 1;
            }
            if !self.says("deaf", "yes") && hung_up(stream) {
                return ("left", pieces);
            }
            std::thread::sleep(PIECE);
            pieces += 1;
        }
    }
}

/// Whether the other side has closed the connection.
fn hung_up(stream: &TcpStream) -> bool {
    let _ = stream.set_nonblocking(true);
    let gone = match stream.peek(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    };
    let _ = stream.set_nonblocking(false);
    gone
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    lines.read_line(&mut line).ok()?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length: usize = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    lines.read_exact(&mut body).ok()?;
    Some(Request { method, path, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

fn describe(path: &str) -> String {
    match path.split_at(path[1..].find('/').map_or(path.len(), |at| at + 2)) {
        ("/env/", name) => std::env::var(name).unwrap_or_default(),
        ("/file/", file) => std::fs::read_to_string(format!("/{file}")).unwrap_or_default(),
        _ => "ok".to_owned(),
    }
}

/// What stands behind `"name":` in a flat JSON text.
fn behind<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = json.split_once(&format!("\"{name}\""))?;
    Some(rest.trim_start().strip_prefix(':')?.trim_start())
}

fn number_in(json: &str, name: &str) -> Option<u64> {
    let rest = behind(json, name)?;
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

fn text_in(json: &str, name: &str) -> Option<String> {
    Some(behind(json, name)?.strip_prefix('"')?.split_once('"')?.0.to_owned())
}
