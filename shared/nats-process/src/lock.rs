//! One gateway per store directory, and no server left over from a gateway that crashed.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::time::Duration;

use rustix::process::Signal;

use crate::config::Files;
use crate::error::StartError;
use crate::process;

const END_WITHIN: Duration = Duration::from_secs(10);
/// A lock that was let go is held for a moment longer by a program that this process is just starting: between its fork and
/// its exec that one has all our files.
const LET_GO_WITHIN: Duration = Duration::from_millis(500);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Held as long as the store directory is ours; the system lets go of it when this process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    pub(crate) async fn take(files: &Files) -> Result<Self, StartError> {
        let path = files.lock();
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(StartError::file("open", &path))?;
        let deadline = tokio::time::Instant::now() + LET_GO_WITHIN;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    file.read_to_string(&mut holder).map_err(StartError::file("read", &path))?;
                    return Err(StartError::Locked { dir: files.dir().into(), holder: holder.trim().to_owned() });
                }
                Err(TryLockError::Error(source)) => return Err(StartError::file("lock", &path)(source)),
            }
        }
        let note = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        note(&mut file).map_err(StartError::file("write", &path))?;
        Ok(Self { _file: file })
    }
}

/// Ends a server that still runs on this store. Call only with the lock held: then nobody owns that server.
///
/// A process is taken for such a server only if its command line names our configuration file, so a pid that was
/// given to another program since is left alone.
pub(crate) async fn end_left_over(files: &Files) -> Result<(), StartError> {
    let Some(pid) = left_over(files) else { return Ok(()) };
    tracing::warn!(pid, dir = %files.dir().display(), "ending a nats-server that a crashed gateway left behind");
    process::signal(pid, Signal::TERM);
    if gone(files, END_WITHIN).await {
        return Ok(());
    }
    process::signal(pid, Signal::KILL);
    if gone(files, END_WITHIN).await { Ok(()) } else { Err(StartError::Stuck { pid, dir: files.dir().into() }) }
}

fn left_over(files: &Files) -> Option<u32> {
    let pid: u32 = std::fs::read_to_string(files.pid()).ok()?.trim().parse().ok()?;
    process::command_line(pid)?.contains(files.config().to_str()?).then_some(pid)
}

async fn gone(files: &Files, within: Duration) -> bool {
    let wait = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while left_over(files).is_some() {
            tick.tick().await;
        }
    };
    tokio::time::timeout(within, wait).await.is_ok()
}
