//! The run list in PostgreSQL, in a database cluster of the test's own.

use crate::flows;
use serde_json::json;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;
use testkit::{SOON, until};

/// A database server that ends with the value.
struct Postgres {
    programs: PathBuf,
    directory: TempDir,
    port: u16,
}

impl Postgres {
    fn start() -> Self {
        let port = testkit::free_port();
        let directory = tempfile::Builder::new().prefix("gantry-postgres").tempdir().unwrap();
        let server = Self { programs: programs(), directory, port };
        server.hand_over();
        server.run("initdb", &["-D", &server.data(), "-A", "trust", "-U", "gantry", "--no-sync"]);
        let options = format!("-p {port} -h 127.0.0.1 -k {}", server.directory.path().display());
        let log = server.directory.path().join("log").display().to_string();
        server.run("pg_ctl", &["-D", &server.data(), "-o", &options, "-l", &log, "-w", "start"]);
        server
    }

    fn data(&self) -> String {
        self.directory.path().join("data").display().to_string()
    }

    fn url(&self) -> String {
        format!("postgres://gantry@127.0.0.1:{}/postgres", self.port)
    }

    /// PostgreSQL refuses to run as root, so root lends it the name of nobody.
    fn hand_over(&self) {
        if is_root() {
            good(Command::new("chown").arg("nobody").arg(self.directory.path()).output());
        }
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "nobody", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        good(command.args(arguments).current_dir(self.directory.path()).output());
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "stop"]);
    }
}

fn is_root() -> bool {
    good(Command::new("id").arg("-u").output()).trim() == "0"
}

fn good(output: std::io::Result<Output>) -> String {
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Debian keeps them off the PATH, one folder a version.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        versions.map(|version| version.path().join("bin")).filter(|path| path.join("initdb").exists()).collect();
    found.sort();
    found.pop().unwrap_or_else(|| panic!("PostgreSQL is missing; install it with: sudo apt-get install postgresql"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_run_list_is_the_same_in_postgres_and_is_filled_again_when_its_tables_are_lost() {
    let database = Postgres::start();
    let mut gateway = flows::started(flows::gateway().env("GANTRY_DATABASE_URL", &database.url())).await;
    let parent = flows::start(&gateway.client, "parent", json!({})).await;
    let echoed = flows::echoed(&gateway.client, "hi").await;
    let listed = async |query: &str| gateway.client.get(&format!("/runs?{query}")).await.good()["items"].clone();
    let waiting = until("the parent and its child to be listed as waiting", SOON, async || {
        let items = listed("status=waiting").await;
        if items.as_array().is_some_and(|items| items.len() == 2) { Ok(items) } else { Err(items.to_string()) }
    });
    assert!(waiting.await.as_array().is_some_and(|items| items.iter().any(|item| item["run_id"] == parent.as_str())));
    until("the echo to be listed with all its records", SOON, async || {
        let done = listed("status=completed").await[0].clone();
        if done["run_id"] == echoed.as_str() && done["ledger_len"] == 2 { Ok(()) } else { Err(done.to_string()) }
    })
    .await;

    gateway.api.kill9().await;
    let drop = "DROP TABLE gantry_runs; DROP TABLE gantry_positions; DROP TABLE gantry_schema;";
    database
        .run("psql", &["-h", "127.0.0.1", "-p", &database.port.to_string(), "-U", "gantry", "postgres", "-c", drop]);
    gateway.restart_api().await;
    let again = until("the list to be filled again", SOON, async || {
        let items = gateway.client.get("/runs?limit=10").await.good()["items"].clone();
        if items.as_array().is_some_and(|items| items.len() == 3) { Ok(items) } else { Err(items.to_string()) }
    });
    again.await;
}
