//! What runs inside the containers of tests. Compiled by itself into a static program; no part of the workspace.
//!
//! `sleep`: does nothing, and ignores the stop signal as every first process does that does not handle it.
//! `exit CODE MILLISECONDS`: ends by itself after a while.
//! `serve PORT`: answers `/health`, `/env/NAME` and `/file/PATH`.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["exit", code, after] => {
            std::thread::sleep(Duration::from_millis(after.parse().unwrap()));
            std::process::exit(code.parse().unwrap());
        }
        ["serve", port] => {
            let listener = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
            for stream in listener.incoming() {
                answer(stream.unwrap());
            }
        }
        _ => loop {
            std::thread::sleep(Duration::from_secs(3_600));
        },
    }
}

fn answer(mut stream: TcpStream) {
    let mut first = String::new();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    lines.read_line(&mut first).unwrap();
    let path = first.split(' ').nth(1).unwrap_or("/").to_owned();
    let mut line = String::from("-");
    while !line.trim().is_empty() {
        line.clear();
        lines.read_line(&mut line).unwrap();
    }
    let body = match path.split_at(path[1..].find('/').map_or(path.len(), |at| at + 2)) {
        ("/env/", name) => std::env::var(name).unwrap_or_default(),
        ("/file/", file) => std::fs::read_to_string(format!("/{file}")).unwrap_or_default(),
        _ => "ok".to_owned(),
    };
    let length = body.len();
    let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
}
