//! Counts what the test services do, wherever they run and however they end: how often each job was worked on, and how
//! many were at work on one service at the same time.

#![expect(clippy::expect_used, reason = "a test without its tally has nothing to go on with")]

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Between two looks at a silent connection.
const BETWEEN: Duration = Duration::from_millis(2);

/// One execution of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worked {
    /// The job.
    pub job: String,
    /// Which attempt.
    pub attempt: u32,
    /// How it ended: `completed`, `failed`, `stopped`, `left` (its caller hung up) or `killed`; none while it goes on.
    pub end: Option<String>,
    /// How many were at work when it began, itself included.
    pub at_once: usize,
}

#[derive(Default)]
struct Seen {
    worked: Vec<Worked>,
    /// Connections of those at work, by their place in `worked`.
    open: BTreeMap<usize, TcpStream>,
}

impl Seen {
    /// Those at work, without those whose process is gone: a closed connection may be noticed a little late.
    fn at_work(&mut self) -> usize {
        self.open.retain(|_, stream| !is_closed(stream));
        self.open.len()
    }
}

/// A listener to which one test service tells what it does.
#[derive(Clone)]
pub struct Tally {
    port: u16,
    seen: Arc<Mutex<Seen>>,
}

impl Tally {
    /// A listener on the loopback. It ends with the process of the test.
    ///
    /// # Panics
    /// When there is no port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound port").port();
        let seen = Arc::<Mutex<Seen>>::default();
        let inside = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = inside.clone();
                std::thread::spawn(move || listen(stream, &seen));
            }
        });
        Self { port, seen }
    }

    /// The argument that tells a test service about it.
    pub fn argument(&self) -> String {
        format!("tally={}", self.port)
    }

    /// Everything so far, in order of the beginnings.
    pub fn worked(&self) -> Vec<Worked> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).worked.clone()
    }

    /// The most that were at work at the same time.
    pub fn most_at_once(&self) -> usize {
        self.worked().iter().map(|one| one.at_once).max().unwrap_or(0)
    }

    /// How many are at work.
    pub fn at_work(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).at_work()
    }
}

/// Reads what one execution tells. The socket never blocks, because others look whether it is closed meanwhile.
fn listen(stream: TcpStream, seen: &Mutex<Seen>) {
    if stream.set_nonblocking(true).is_err() {
        return;
    }
    let (mut place, mut said, mut piece) = (None, Vec::new(), [0; 256]);
    loop {
        let read = (&stream).read(&mut piece);
        match read {
            Ok(0) => break,
            Ok(length) => said.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(BETWEEN),
            Err(_) => break,
        }
        while let Some(end) = said.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = said.drain(..=end).collect();
            take(String::from_utf8_lossy(&line).trim(), &stream, &mut place, seen);
            // The other side waits until it was counted.
            let _ = (&stream).write_all(b"\n");
        }
    }
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(place) = place {
        seen.open.remove(&place);
        seen.worked[place].end.get_or_insert("killed".to_owned());
    }
}

fn take(line: &str, stream: &TcpStream, place: &mut Option<usize>, seen: &Mutex<Seen>) {
    let mut words = line.split(' ').map(str::to_owned);
    let (Some(word), Some(job), Some(attempt)) = (words.next(), words.next(), words.next()) else { return };
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(place) = *place {
        seen.open.remove(&place);
        seen.worked[place].end = Some(word);
        return;
    }
    let at_once = seen.at_work() + 1;
    let number = seen.worked.len();
    *place = Some(number);
    seen.open.insert(number, stream.try_clone().expect("a socket can be cloned"));
    seen.worked.push(Worked { job, attempt: attempt.parse().unwrap_or(0), end: None, at_once });
}

/// Whether everything that the other side sent was read and it has closed.
fn is_closed(stream: &TcpStream) -> bool {
    matches!(stream.peek(&mut [0]), Ok(0))
}
