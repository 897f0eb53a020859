//! Which source is used, and what is said when there is none.

use super::{NvidiaSmi, Nvml, Recorded, Sample, Source, SourceError};
use domain::nodes::SourceKind;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

/// A host without a GPU is looked at again this often: a driver may be installed while the agent runs.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// A source that failed is opened anew this often: a driver may be exchanged.
const OPEN_AGAIN: Duration = Duration::from_secs(5);

/// What the settings say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The library, else the program, else nothing.
    Auto,
    /// Only the library.
    Nvml,
    /// Only the program.
    NvidiaSmi,
    /// This recording.
    Recorded(PathBuf),
    /// Nothing.
    None,
}

/// What a look at the GPUs gave.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Look {
    Seen { source: SourceKind, sample: Sample },
    Absent { because: String },
    Failing { source: SourceKind, because: String },
}

/// Looks at the GPUs, by what there is.
pub(crate) struct Chooser {
    choice: Choice,
    program: PathBuf,
    source: Option<Box<dyn Source>>,
}

impl Chooser {
    /// `program` is the name or path of `nvidia-smi`.
    pub(crate) fn new(choice: Choice, program: PathBuf) -> Self {
        Self { choice, program, source: None }
    }

    /// Looks once, and says when to look again if every `wanted` is wanted.
    pub(crate) async fn look(&mut self, wanted: Duration) -> (Look, Instant) {
        let began = Instant::now();
        let look = self.look_once().await;
        let pause = match (&look, &self.source) {
            (Look::Seen { .. }, Some(source)) => wanted.max(source.least_interval()),
            (Look::Absent { .. }, _) => LOOK_AGAIN,
            (Look::Seen { .. } | Look::Failing { .. }, _) => OPEN_AGAIN,
        };
        (look, began + pause)
    }

    /// How soon after a look another one may follow.
    pub(crate) fn least_interval(&self) -> Duration {
        self.source.as_ref().map_or(OPEN_AGAIN, |source| source.least_interval())
    }

    async fn look_once(&mut self) -> Look {
        let mut source = match self.source.take() {
            Some(source) => source,
            None => match self.open().await {
                Ok(source) => source,
                Err(look) => return look,
            },
        };
        let kind = source.kind();
        let read = source.read().await;
        match read {
            Ok(sample) if sample.devices.is_empty() => {
                Look::Absent { because: format!("{} finds no GPU", kind.as_str()) }
            }
            Ok(sample) => {
                self.source = Some(source);
                Look::Seen { source: kind, sample }
            }
            Err(error @ SourceError::Hung { .. }) => {
                // Kept, so that a call that hangs is waited for and not made again.
                self.source = Some(source);
                Look::Failing { source: kind, because: error.to_string() }
            }
            Err(SourceError::NotInstalled { what, cause }) if self.choice == Choice::Auto => {
                Look::Absent { because: format!("no NVIDIA driver: {what} is not installed ({cause})") }
            }
            Err(error) => Look::Failing { source: kind, because: error.to_string() },
        }
    }

    async fn open(&self) -> Result<Box<dyn Source>, Look> {
        let failing =
            |source: SourceKind| move |error: SourceError| Look::Failing { source, because: error.to_string() };
        match &self.choice {
            Choice::None => Err(Look::Absent { because: "GANTRY_GPU_SOURCE is none".to_owned() }),
            Choice::Recorded(path) => {
                let opened = Recorded::open(path).map_err(failing(SourceKind::Recorded))?;
                Ok(Box::new(opened))
            }
            Choice::NvidiaSmi => Ok(Box::new(NvidiaSmi::new(&self.program))),
            Choice::Nvml => Ok(Box::new(Nvml::open().await.map_err(failing(SourceKind::Nvml))?)),
            Choice::Auto => match Nvml::open().await {
                Ok(library) => Ok(Box::new(library)),
                Err(error) => {
                    tracing::debug!(%error, "nvidia-smi is tried instead");
                    Ok(Box::new(NvidiaSmi::new(&self.program)))
                }
            },
        }
    }
}

/// Opens what is chosen, for whoever reads this host's GPUs without being its agent; `program` is the name or path of
/// `nvidia-smi`. Fails where the agent would say that there is none.
pub async fn open(choice: Choice, program: PathBuf) -> Result<Box<dyn Source>, SourceError> {
    let mut chooser = Chooser::new(choice, program);
    let (look, _) = chooser.look(Duration::ZERO).await;
    let failed = |cause: String| SourceError::Failed { what: "reading GPUs", cause };
    match look {
        Look::Absent { because } | Look::Failing { because, .. } => Err(failed(because)),
        Look::Seen { .. } => chooser.source.ok_or_else(|| failed("the source is gone again".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn look(choice: Choice, program: &str) -> Look {
        Chooser::new(choice, PathBuf::from(program)).look(Duration::ZERO).await.0
    }

    #[tokio::test]
    async fn a_host_without_a_driver_has_no_gpu_and_says_how_that_is_known() {
        // Needs a machine without a driver, or says what it has: both are honest.
        match look(Choice::Auto, "/nowhere/nvidia-smi").await {
            Look::Absent { because } => assert!(because.contains("no NVIDIA driver"), "{because}"),
            Look::Seen { source, sample } => {
                assert_eq!(source, SourceKind::Nvml);
                assert!(!sample.devices.is_empty());
            }
            Look::Failing { source, because } => panic!("{source:?}: {because}"),
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_cannot_be_opened_and_says_why() {
        let nowhere = || PathBuf::from("/nowhere/nvidia-smi");
        let error = open(Choice::NvidiaSmi, nowhere()).await.err().unwrap();
        assert!(error.to_string().contains("nvidia-smi"), "{error}");
        let error = open(Choice::None, nowhere()).await.err().unwrap();
        assert!(error.to_string().contains("GANTRY_GPU_SOURCE is none"), "{error}");
    }

    #[tokio::test]
    async fn a_source_that_was_asked_for_by_name_fails_rather_than_being_absent() {
        let Look::Failing { source, because } = look(Choice::NvidiaSmi, "/nowhere/nvidia-smi").await else {
            panic!("a program that is not there")
        };
        assert_eq!(source, SourceKind::NvidiaSmi);
        assert!(because.contains("not installed"), "{because}");
        let recording = Choice::Recorded(PathBuf::from("/nowhere/recording.jsonl"));
        assert!(matches!(look(recording, "").await, Look::Failing { source: SourceKind::Recorded, .. }));
        assert!(matches!(look(Choice::None, "").await, Look::Absent { .. }));
    }
}
