//! The program's command line in front of a gateway, as a person or a script uses it.

#![expect(clippy::expect_used, reason = "a test without its command has nothing to go on with")]

use crate::gateway::{Gateway, TOKEN};
use crate::process::program;
use std::process::Stdio;
use tokio::process::Command;

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// What it wrote as data.
    pub data: String,
    /// What it remarked.
    pub remarks: String,
}

impl Ran {
    /// The data of a command that succeeded.
    ///
    /// # Panics
    /// When it did not.
    pub fn good(&self) -> &str {
        assert_eq!(self.code, 0, "{self:?}");
        self.data.trim_end()
    }

    /// The same as JSON.
    ///
    /// # Panics
    /// When it did not succeed, or wrote something else.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.good()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Gateway {
    /// Runs the program with these arguments against this gateway, in its own directory, without a terminal.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn cli(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().await.expect("the program runs");
        Ran {
            code: output.status.code().unwrap_or(-1),
            data: String::from_utf8_lossy(&output.stdout).into_owned(),
            remarks: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The same, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(arguments)
            .env_clear()
            .env("GATEWAY_URL", self.client.url())
            .env("GATEWAY_API_TOKEN", TOKEN)
            .env("XDG_CONFIG_HOME", self.data_dir())
            .current_dir(self.data_dir())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }
}
