//! Docker Compose on this repository's file, with settings in a directory of the test's own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Settings as `make env-KIND` writes them.
pub(crate) struct Deployment {
    pub(crate) kind: String,
    directory: TempDir,
    engine: Option<String>,
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every kind of deployment that has settings.
pub(crate) fn kinds() -> Vec<String> {
    let files = std::fs::read_dir(root().join("compose/env")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut kinds: Vec<String> =
        files.map(|name| name.to_str().unwrap().strip_suffix(".env").unwrap().to_owned()).collect();
    kinds.sort();
    kinds
}

/// What a command says, if it succeeds.
#[track_caller]
pub(crate) fn output(command: &mut Command) -> String {
    let ended = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(ended.status.success(), "{command:?}:\n{}{}", text(&ended.stdout), text(&ended.stderr));
    text(&ended.stdout)
}

impl Deployment {
    pub(crate) fn new(kind: &str) -> Self {
        let deployment = Self { kind: kind.to_owned(), directory: tempfile::tempdir().unwrap(), engine: None };
        deployment.become_kind(kind);
        deployment
    }

    /// Writes the settings of that kind over the ones there are.
    pub(crate) fn become_kind(&self, kind: &str) {
        output(self.at_home(&mut Command::new(root().join("compose/env.sh"))).arg(kind));
    }

    /// On that engine, with these settings beside the written ones.
    pub(crate) fn on(mut self, engine: &str, settings: &[(&str, &str)]) -> Self {
        let more: String = settings.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        std::fs::write(self.file(), self.settings() + &more).unwrap();
        self.engine = Some(engine.to_owned());
        self
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("env")
    }

    pub(crate) fn settings(&self) -> String {
        std::fs::read_to_string(self.file()).unwrap()
    }

    /// The last value of a setting.
    pub(crate) fn setting(&self, name: &str) -> Option<String> {
        let settings = self.settings();
        let of = |line: &str| Some(line.strip_prefix(name)?.strip_prefix('=')?.to_owned());
        settings.lines().filter_map(of).next_back()
    }

    fn at_home<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let project = self.directory.path().file_name().unwrap().to_str().unwrap().to_lowercase().replace('.', "");
        command.env("GATEWAY_ENV_FILE", self.file()).env("COMPOSE_PROJECT_NAME", format!("gantry-test-{project}"));
        command.envs(self.engine.iter().map(|engine| ("DOCKER_HOST", engine)))
    }

    pub(crate) fn compose(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(root().join("compose/compose.sh"));
        self.at_home(&mut command).args(["--profile", &self.kind]).args(arguments);
        command
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        if self.engine.is_some() {
            // Whatever the test has found, nothing of it stays behind.
            let _ = self.compose(&["down", "--volumes", "--timeout", "5"]).output();
        }
    }
}
