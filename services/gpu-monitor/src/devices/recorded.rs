//! Recorded telemetry: what one host's GPUs showed, to be played back on another, for demonstrations and tests.

mod simulate;

pub use simulate::simulated;

use super::{Describer, Reserves, Sample, Source, SourceError, System};
use async_trait::async_trait;
use domain::nodes::{DeviceReport, Reading, SourceKind};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

const WHAT: &str = "the recording";
/// Frames of a recording: an hour at four a second.
const MOST_FRAMES: usize = 14_400;

/// One line of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// Milliseconds since the recording began.
    pub at_ms: u64,
    /// What was read then.
    #[serde(flatten)]
    pub sample: Sample,
}

/// Plays a recording, round and round.
#[derive(Debug)]
pub struct Recorded {
    frames: Vec<Frame>,
    began: Instant,
}

impl Recorded {
    /// Plays these frames from now on.
    pub fn play(frames: Vec<Frame>) -> Self {
        Self { frames, began: Instant::now() }
    }

    /// Reads a file and plays it from now on.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let named = |cause: String| SourceError::Failed { what: WHAT, cause: format!("{}: {cause}", path.display()) };
        let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
        read_frames(&text).map(Self::play).map_err(named)
    }

    /// The frame at a time since the beginning. The last one lasts as long as the one before it.
    fn at(&self, elapsed: Duration) -> Option<&Frame> {
        let last = self.frames.last()?.at_ms;
        let before = self.frames.iter().rev().nth(1).map_or(0, |frame| frame.at_ms);
        let length = last + last.saturating_sub(before).max(1);
        let now = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX) % length;
        self.frames.iter().rev().find(|frame| frame.at_ms <= now).or(self.frames.first())
    }
}

#[async_trait]
impl Source for Recorded {
    fn kind(&self) -> SourceKind {
        SourceKind::Recorded
    }

    fn least_interval(&self) -> Duration {
        Duration::ZERO
    }

    async fn read(&mut self) -> Result<Sample, SourceError> {
        let frame = self.at(self.began.elapsed());
        let empty = || SourceError::Failed { what: WHAT, cause: "it holds nothing".to_owned() };
        frame.map(|frame| frame.sample.clone()).ok_or_else(empty)
    }
}

/// The frames of a recording: one JSON object per line, in order of time. The error names the line.
pub fn read_frames(text: &str) -> Result<Vec<Frame>, String> {
    let mut frames: Vec<Frame> = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |cause: String| format!("line {}: {cause}", index + 1);
        let frame: Frame = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        if frames.last().is_some_and(|last| last.at_ms > frame.at_ms) {
            return Err(wrong("its time lies before the line above".to_owned()));
        }
        if frames.len() == MOST_FRAMES {
            return Err(wrong(format!("a recording holds {MOST_FRAMES} lines at most")));
        }
        frames.push(frame);
    }
    if frames.is_empty() { Err("it holds no line".to_owned()) } else { Ok(frames) }
}

/// Records this host's GPUs.
pub struct Recorder {
    source: Box<dyn Source>,
    proc: PathBuf,
}

impl Recorder {
    /// Records what a source reads; `proc` is where the host's `/proc` is.
    pub fn new(source: Box<dyn Source>, proc: impl Into<PathBuf>) -> Self {
        Self { source, proc: proc.into() }
    }

    /// Writes frames to `out` for a time, and says how many. To whom processes belong and the host's memory are written
    /// down too, because neither can be found out later.
    pub async fn record(
        &mut self,
        out: &mut (dyn Write + Send),
        every: Duration,
        duration: Duration,
    ) -> Result<usize, RecordError> {
        let began = Instant::now();
        let every = every.max(self.source.least_interval());
        let mut ticks = tokio::time::interval(every.max(Duration::from_millis(10)));
        let mut written = 0;
        while written < MOST_FRAMES {
            ticks.tick().await;
            let elapsed = began.elapsed();
            if written > 0 && elapsed > duration {
                break;
            }
            let read = self.source.read().await?;
            let at_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            let frame = Frame { at_ms, sample: self.complete(read) };
            let mut line = serde_json::to_vec(&frame).map_err(std::io::Error::from)?;
            line.push(b'\n');
            out.write_all(&line)?;
            written += 1;
        }
        out.flush()?;
        Ok(written)
    }

    fn complete(&self, mut sample: Sample) -> Sample {
        let system = sample.system.get_or_insert_with(|| System::read(&self.proc)).clone();
        let describer = Describer { proc: self.proc.clone(), reserves: Reserves { own_mb: 0, unified_mb: 0 } };
        for device in &mut sample.devices {
            let described: DeviceReport = describer.describe(device.clone(), &system, &|_| None);
            let (Reading::Measured { value } | Reading::Derived { value, .. }) = &mut device.processes else {
                continue;
            };
            for (raw, known) in value.iter_mut().zip(described.processes.value().into_iter().flatten()) {
                raw.owner = Some(known.owner.clone());
                raw.name = known.name.value().cloned();
            }
        }
        sample
    }
}

/// Why a recording was not made.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// There was nothing to record.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It could not be written.
    #[error("the recording cannot be written: {0}")]
    Write(#[from] std::io::Error),
}
