//! Starting child runs.

use crate::RunnerError;
use crate::clock::now;
use crate::flows::Flows;
use crate::run::Runner;
use bus::Delivery;
use domain::{ChildEnd, InboxMessage, Object, RunId, RunStatus, SessionId, StartRun, WorkflowId};
use ledger::Head;

/// A child as the step asked for it.
pub(crate) struct Start<'a> {
    pub(crate) child: &'a RunId,
    pub(crate) workflow_id: &'a WorkflowId,
    pub(crate) vars: &'a Object,
    pub(crate) session_id: &'a str,
    pub(crate) report: bool,
}

/// Sends the start to the child's inbox. A child whose flow is gone is reported to the parent as failed, so that the
/// parent does not wait for ever.
pub(crate) async fn start(
    runner: &Runner,
    bell: &Delivery,
    flows: &Result<Flows, String>,
    head: &Head,
    start: Start<'_>,
) -> Result<(), RunnerError> {
    let source = flows.as_ref().ok().and_then(|flows| flows.source_of(&head.state, start.workflow_id));
    let Some(source) = source else {
        let end = ChildEnd {
            child: start.child.clone(),
            status: RunStatus::Failed,
            output: None,
            error: Some(format!("Workflow '{}' not found", start.workflow_id)),
        };
        let message = InboxMessage::ChildEnded(end);
        return runner.send(&bell.plane, &bell.run, &format!("end-{}", start.child), &message, &bell.trace).await;
    };
    let message = InboxMessage::Start(Box::new(StartRun {
        run_id: start.child.clone(),
        workflow_id: start.workflow_id.clone(),
        source,
        vars: start.vars.clone(),
        session_id: SessionId::new(start.session_id),
        actor_id: head.state.actor_id.clone(),
        parent_run_id: Some(head.state.run_id.clone()),
        report_to_parent: start.report,
        created_at: now(),
        request_digest: None,
    }));
    runner.send(&bell.plane, start.child, &format!("start-{}", start.child), &message, &bell.trace).await
}
