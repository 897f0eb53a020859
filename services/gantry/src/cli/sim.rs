//! `gantry sim`: the placement core over a generated load, beside plain first-in-first-out.

use super::output::{Column, List};
use super::{Exit, Session, Trouble};
use clap::Args;
use placement::sim::{Discipline, Knobs, Report, run as simulate};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What to simulate.
#[derive(Clone, Debug, Args)]
pub struct Sim {
    /// A TOML file with knobs; those that it does not set keep their defaults
    #[arg(long, value_name = "FILE")]
    pub knobs: Option<PathBuf>,
    /// What all chance comes from
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Jobs in all
    #[arg(long, value_name = "COUNT")]
    pub jobs: Option<u64>,
}

pub(super) fn run(sim: &Sim, session: &mut Session) -> Result<Exit, Trouble> {
    let mut knobs = match &sim.knobs {
        Some(path) => read(path)?,
        None => Knobs::default(),
    };
    knobs.seed = sim.seed.unwrap_or(knobs.seed);
    knobs.jobs = sim.jobs.unwrap_or(knobs.jobs);
    session.screen.remark(&format!("seed {}", knobs.seed));
    let reports = [("gantry", Discipline::Gantry), ("fifo", Discipline::Fifo)].map(|(name, discipline)| {
        let knobs = Knobs { discipline, ..knobs.clone() };
        simulate(&knobs)
            .map(|report| (name, report))
            .map_err(|broken| Trouble::new("the simulation broke a law", broken))
    });
    let mut items = Vec::new();
    for report in reports {
        let (name, report) = report?;
        items.push(item(name, &report)?);
    }
    let seconds = |title, key: &'static str| {
        Column::new(title, move |item| format!("{:.1}s", item[key].as_f64().unwrap_or_default() / 1e3))
    };
    let columns = [
        Column::text("DECIDED BY", "decided_by"),
        Column::text("COMPLETED", "completed"),
        seconds("WAIT P50", "wait_p50_ms"),
        seconds("P95", "wait_p95_ms"),
        seconds("P99", "wait_p99_ms"),
        Column::text("SWAPS", "swaps"),
        Column::text("PREEMPTIONS", "preemptions"),
        Column::new("GPU USE", |item| {
            format!("{:.1}%", item["utilisation_permille"].as_f64().unwrap_or_default() / 10.0)
        }),
        seconds("LOST WORK", "lost_work_ms"),
    ];
    session.list(&List { items, columns: &columns, name: "decided_by" })?;
    Ok(Exit::Ok)
}

fn item(name: &str, report: &Report) -> Result<Value, Trouble> {
    let mut value = serde_json::to_value(report).map_err(|error| Trouble::new("the report cannot be shown", error))?;
    if let Some(fields) = value.as_object_mut() {
        fields.shift_insert(0, "decided_by".to_owned(), name.into());
    }
    Ok(value)
}

fn read(path: &Path) -> Result<Knobs, Trouble> {
    let problem = |error: &dyn std::fmt::Display| {
        Trouble::usage(format!("cannot use the knobs in {}", path.display()), error.to_string())
            .next("gantry sim --help")
    };
    let text = std::fs::read_to_string(path).map_err(|error| problem(&error))?;
    toml::from_str(&text).map_err(|error| problem(&error))
}
