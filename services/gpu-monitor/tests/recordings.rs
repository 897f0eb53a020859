//! Recordings are played back as they were made.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use async_trait::async_trait;
use domain::nodes::{Owner, ProcessKind, Reading, SourceKind};
use gpu_monitor::devices::{
    Frame, RawProcess, Recorded, Recorder, Sample, Source, SourceError, read_frames, simulated,
};
use std::time::Duration;

fn used(sample: &Sample) -> u64 {
    *sample.devices[0].used_mb.value().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_recording_is_played_in_its_own_time_round_and_round() {
    let frames = simulated(2, 60);
    let expected: Vec<u64> = frames.iter().map(|frame| used(&frame.sample)).collect();
    let mut source = Recorded::play(frames);
    assert_eq!(source.kind(), SourceKind::Recorded);
    for (second, expected) in expected.iter().chain(&expected).enumerate() {
        assert_eq!(used(&source.read().await.unwrap()), *expected, "second {second}");
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}

#[test]
fn a_recording_survives_writing_and_reading_and_a_broken_one_names_its_line() {
    let frames = simulated(1, 5);
    let text: String = frames.iter().map(|frame| serde_json::to_string(frame).unwrap() + "\n").collect();
    assert_eq!(read_frames(&text).unwrap(), frames);
    assert!(read_frames(&format!("{text}{{}}")).unwrap_err().starts_with("line 6:"));
    let backwards = format!("{text}{}", text.lines().next().unwrap());
    assert!(read_frames(&backwards).unwrap_err().contains("line 6: its time lies before"));
    assert!(read_frames("\n").is_err());
}

/// This very process as the one that uses the GPU.
struct Own;

#[async_trait]
impl Source for Own {
    fn kind(&self) -> SourceKind {
        SourceKind::Recorded
    }

    fn least_interval(&self) -> Duration {
        Duration::ZERO
    }

    async fn read(&mut self) -> Result<Sample, SourceError> {
        let mut sample = simulated(1, 1).remove(0).sample;
        let process = |pid| RawProcess {
            pid,
            name: None,
            kind: ProcessKind::Compute,
            memory_mb: Reading::measured(1),
            owner: None,
        };
        sample.devices[0].processes = Reading::measured(vec![process(std::process::id()), process(u32::MAX)]);
        Ok(sample)
    }
}

#[tokio::test]
async fn a_recorder_writes_down_what_cannot_be_found_out_later() {
    let mut file = Vec::new();
    let mut recorder = Recorder::new(Box::new(Own), "/proc");
    let written = recorder.record(&mut file, Duration::from_millis(10), Duration::from_secs(1)).await.unwrap();
    let frames: Vec<Frame> = read_frames(&String::from_utf8(file).unwrap()).unwrap();
    assert!(written >= 2 && frames.len() == written, "{written} frames");
    let sample = &frames[0].sample;
    assert!(sample.system.as_ref().unwrap().total_mb.value().is_some_and(|mb| *mb > 0));
    let processes = sample.devices[0].processes.value().unwrap();
    assert!(matches!(processes[0].owner.as_ref().unwrap().value(), Some(Owner::Host | Owner::Container { .. })));
    assert!(processes[0].name.is_some());
    assert!(matches!(processes[1].owner, Some(Reading::Unavailable { .. })), "there is no such process");
}
