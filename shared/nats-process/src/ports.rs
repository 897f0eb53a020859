//! Choosing free ports on this machine.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::TcpListener;

// Below the range from which systems take the ports of outgoing connections. A port of that range is unsafe for a
// server that restarts: a client that retries against the closed port may be given that very port as its own source,
// connect to itself, and so keep the server from binding again.
const FIRST: u16 = 12_000;
const COUNT: u16 = 18_000;
const TRIES: u16 = 200;

/// A port of 127.0.0.1 that nobody listens on at this moment, and that the system gives to no outgoing connection: a server
/// that restarts there finds it free. The error is the last try's, when hundreds of ports are taken.
pub fn free() -> std::io::Result<u16> {
    let start = u16::try_from(RandomState::new().build_hasher().finish() % u64::from(COUNT)).unwrap_or(0);
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrInUse);
    for step in 0..TRIES {
        let port = FIRST + (start + step) % COUNT;
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_listener) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(last)
}
