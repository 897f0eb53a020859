//! The compiled flow of a run, and which other workflows it may start.

use crate::RunnerError;
use domain::{Source, WorkflowId};
use flow::{Library, State, Workflows};
use std::sync::Arc;
use store::bundles::{Bundles, InstallError, Snapshot};

/// What a step sees of the installed workflows.
pub(crate) struct Flows {
    /// Those of the run's own bundle, as it was when the run began.
    pub(crate) library: Arc<Library>,
    installed: Arc<Snapshot>,
}

impl Flows {
    pub(crate) async fn of(bundles: &Bundles, source: &Source, workflow: &WorkflowId) -> Result<Self, RunnerError> {
        let library = match source {
            Source::Bundle { sha256 } => bundles.load(sha256).await?.library.clone(),
            Source::Inline { document } => {
                Arc::new(Library::from_document(workflow, document).map_err(InstallError::from)?)
            }
        };
        Ok(Self { library, installed: bundles.snapshot() })
    }

    /// Where the flow of a child is kept: in the run's own bundle, or in one that is installed now.
    pub(crate) fn source_of(&self, parent: &State, workflow: &WorkflowId) -> Option<Source> {
        if self.library.get(workflow).is_some() {
            return Some(parent.source.clone());
        }
        self.installed.holder(workflow).map(|bundle| Source::Bundle { sha256: bundle.sha256.clone() })
    }

    fn is_deprecated(&self, workflow: &WorkflowId) -> bool {
        let Some(bundle) = self.installed.holder(workflow) else { return false };
        let flow = workflow.as_str().rsplit(':').next().unwrap_or_default();
        self.installed.deprecation(&bundle.reference.id, flow).is_some()
    }
}

impl Workflows for Flows {
    fn contains(&self, id: &WorkflowId) -> bool {
        self.library.get(id).is_some() || (self.installed.holder(id).is_some() && !self.is_deprecated(id))
    }
}
