//! A process of the program: started, killed outright, frozen, restarted; its log kept; never left behind.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test without its process has nothing to go on with")]

use crate::until::{SOON, until};
use rustix::process::{Pid, Signal};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use tokio::process::{Child, Command};

// Ends the process when the test is gone, however the test ends: the pipe closes then.
const WATCHDOG: &str = "read -r _; kill -KILL \"$1\" 2>/dev/null";
/// Lines of the log that a failed test shows.
const SHOWN: usize = 60;

/// One process of the program.
#[derive(Debug)]
pub struct Process {
    name: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    log: PathBuf,
    // Dropped before the child: a watchdog that outlived it could hit a stranger with the same number.
    watchdog: Option<Child>,
    child: Option<Child>,
    seen: usize,
}

/// The program that was built beside the tests.
pub(crate) fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let here = test.parent().expect("a test lies in a directory");
    let dir = if here.ends_with("deps") { here.parent().expect("deps lies in the build directory") } else { here };
    let path = dir.join("gantry");
    assert!(path.exists(), "{} is missing: run `cargo build -p gantry` first (`make test` does)", path.display());
    path
}

impl Process {
    /// A process that is not started yet. Its environment is what is given here and nothing else but PATH and HOME.
    pub(crate) fn new(name: &str, args: Vec<String>, env: Vec<(String, String)>, dir: &Path) -> Self {
        Self {
            name: name.to_owned(),
            args,
            env,
            log: dir.join(format!("{name}.log")),
            watchdog: None,
            child: None,
            seen: 0,
        }
    }

    /// Its variables.
    pub(crate) fn env(&self) -> &[(String, String)] {
        &self.env
    }

    /// Starts it without waiting for anything.
    pub(crate) fn spawn(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        self.seen = self.log_text().len();
        let log = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let child = Command::new(program())
            .args(&self.args)
            .env_clear()
            .envs(std::env::home_dir().map(|home| ("HOME", home)))
            .envs(path().map(|path| ("PATH", path)))
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::from(log.try_clone().unwrap()))
            .stderr(Stdio::from(log))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let pid = child.id().expect("a process just started has a number");
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog", &pid.to_string()])
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        (self.child, self.watchdog) = (Some(child), Some(watchdog));
    }

    /// Waits until its log, since the last start, has a line with this text, and answers with the line.
    pub(crate) async fn said(&mut self, text: &str) -> String {
        let (name, seen) = (self.name.clone(), self.seen);
        until(&format!("{name} to say '{text}'"), SOON, async || {
            let log = self.log_text();
            let fresh = log.get(seen..).unwrap_or_default();
            if let Some(line) = fresh.lines().find(|line| line.contains(text)) {
                return Ok(line.to_owned());
            }
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "{name} ended ({ended:?}):\n{fresh}");
            Err(format!("its log is:\n{fresh}"))
        })
        .await
    }

    /// Its number.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).unwrap_or_else(|| panic!("{} does not run", self.name))
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    async fn let_go_of_watchdog(&mut self) {
        if let Some(mut watchdog) = self.watchdog.take() {
            // Its end of the pipe must outlive it, or it would do its work now.
            let pipe = watchdog.stdin.take();
            let _ = watchdog.kill().await;
            drop(pipe);
        }
    }

    /// Kills it outright (SIGKILL) and waits until it is gone.
    pub async fn kill9(&mut self) {
        self.let_go_of_watchdog().await;
        if let Some(mut child) = self.child.take() {
            child.kill().await.unwrap();
        }
    }

    /// Asks it to end (SIGTERM) and waits for that.
    ///
    /// # Panics
    /// When it has not ended after a while.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let mut child = self.child.take().unwrap();
        let status = tokio::time::timeout(SOON, child.wait()).await;
        self.let_go_of_watchdog().await;
        status.unwrap_or_else(|_| panic!("{} did not end when told to", self.name)).unwrap()
    }

    /// Stops it in its tracks (SIGSTOP): it lives and does nothing.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Everything it has said.
    pub fn log_text(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

#[expect(clippy::disallowed_methods, reason = "the broker's program is looked for on the PATH of the test")]
fn path() -> Option<std::ffi::OsString> {
    std::env::var_os("PATH")
}

impl Drop for Process {
    #[expect(clippy::print_stderr, reason = "a failed test shows what its processes said")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log_text();
            let lines: Vec<&str> = log.lines().collect();
            let shown = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
            eprintln!("--- the end of the log of {} ---\n{shown}", self.name);
        }
        // The order of the fields would do the same were it not for the pipe inside the watchdog.
        if let Some(mut watchdog) = self.watchdog.take() {
            let pipe = watchdog.stdin.take();
            let _ = watchdog.start_kill();
            drop(watchdog);
            if let Some(mut child) = self.child.take() {
                let _ = child.start_kill();
            }
            drop(pipe);
        }
    }
}
