//! `gantry gpu-monitor record`: writes down what this host's GPUs show, to be played back elsewhere.

use super::{Exit, Session, Trouble};
use crate::serve;
use ::gpu_monitor::devices::{Frame, Recorder, SourceError, open, simulated};
use clap::{Args, Subcommand};
use serde_json::json;
use service::config::{Reader, Setting};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Commands on recorded telemetry.
#[derive(Clone, Debug, Subcommand)]
pub enum RecordCommand {
    /// Record this host's GPUs into a file, one JSON object a line
    Record(Record),
    /// Write a recording of GPUs that do not exist, for a demonstration
    Simulate(Simulate),
}

/// What is recorded.
#[derive(Clone, Debug, Args)]
pub struct Record {
    /// Where it is written; must not exist
    file: PathBuf,
    /// How long; Ctrl-C ends it earlier
    #[arg(long = "for", value_name = "DURATION", default_value = "1m", value_parser = duration)]
    length: Duration,
    /// How often
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    every: Duration,
    /// Write over a file that exists
    #[arg(long)]
    force: bool,
}

/// What is made up.
#[derive(Clone, Debug, Args)]
pub struct Simulate {
    /// Where it is written; must not exist
    file: PathBuf,
    /// So many GPUs
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    gpus: u32,
    /// So many seconds, one frame each
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Write over a file that exists
    #[arg(long)]
    force: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    Duration::parse(text).ok_or_else(<Duration as Setting>::accepted)
}

/// Carries out a command.
pub(super) async fn run(command: RecordCommand, session: &mut Session) -> Result<Exit, Trouble> {
    match command {
        RecordCommand::Record(record) => Box::pin(recorded(record, session)).await,
        RecordCommand::Simulate(simulate) => made_up(&simulate, session),
    }
}

async fn recorded(record: Record, session: &mut Session) -> Result<Exit, Trouble> {
    let what = "cannot record";
    let flags = serve::flags(&session.global);
    let mut reader = Reader::open(flags, session.environment.clone())
        .map_err(|error| Trouble::usage(what, error).next("gantry config show"))?;
    let config = ::gpu_monitor::Config::read(&mut reader)
        .map_err(|error| Trouble::usage(what, error).next("gantry config show"))?;
    let source = open(config.source, config.nvidia_smi).await.map_err(|error| no_gpu(&error))?;
    session.screen.remark(&format!(
        "recording {} every {:?} for {:?}; Ctrl-C ends it earlier",
        source.kind().as_str(),
        record.every,
        record.length
    ));
    let mut out = Counted { file: create(&record.file, record.force)?, lines: 0 };
    let mut recorder = Recorder::new(source, config.proc);
    // A line is written as a whole, so whatever is there when it ends can be played.
    let written = tokio::select! {
        written = recorder.record(&mut out, record.every, record.length) => written.map(|_| ()),
        stopped = tokio::signal::ctrl_c() => stopped.map_err(Into::into),
    };
    let frames = out.lines;
    if let Err(error) = written {
        let kept = if frames > 0 { format!(" after {frames} frames, which are kept") } else { String::new() };
        return Err(Trouble::new(what, format!("{error}{kept}")).next("gantry gpu"));
    }
    finished(&record.file, frames, session)
}

fn made_up(simulate: &Simulate, session: &mut Session) -> Result<Exit, Trouble> {
    let mut file = create(&simulate.file, simulate.force)?;
    let frames = simulated(simulate.gpus, simulate.seconds);
    let line = |frame: &Frame| serde_json::to_string(frame).map(|line| line + "\n");
    let text: Result<String, _> = frames.iter().map(line).collect();
    let text = text.map_err(|error| Trouble::new("cannot simulate", error))?;
    file.write_all(text.as_bytes()).map_err(|error| unwritable(&simulate.file, &error))?;
    finished(&simulate.file, frames.len(), session)
}

fn finished(file: &Path, frames: usize, session: &mut Session) -> Result<Exit, Trouble> {
    let name = file.display().to_string();
    session.one(json!({"file": name, "frames": frames}), &name, vec![format!("{frames} frames in {name}")])?;
    session.screen.remark(&format!(
        "play it: GANTRY_GPU_SOURCE=recorded GANTRY_GPU_RECORDING={name} gantry up (or gantry gpu-monitor)"
    ));
    Ok(Exit::Ok)
}

fn create(path: &Path, force: bool) -> Result<File, Trouble> {
    let mut options = File::options();
    let options = if force { options.create(true).truncate(true) } else { options.create_new(true) };
    options.write(true).open(path).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Trouble {
    let trouble = Trouble::usage("cannot write the recording", format!("{}: {error}", path.display()));
    if error.kind() == std::io::ErrorKind::AlreadyExists {
        trouble.next("name another file, or write over it with --force")
    } else {
        trouble
    }
}

fn no_gpu(error: &SourceError) -> Trouble {
    Trouble::new("cannot record", error).next("gantry gpu-monitor simulate FILE, for a demonstration without a GPU")
}

/// A file that counts the lines written to it.
struct Counted {
    file: File,
    lines: usize,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.lines += bytes[..written].iter().filter(|byte| **byte == b'\n').count();
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}
