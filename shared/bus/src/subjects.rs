//! Every subject, built and taken apart here.

use domain::control::{JobId, ServiceName};
use domain::nodes::{ContainerName, NodeId};
use domain::notices::{Notice, Outgoing};
use domain::{Plane, RunId, digest_hex, is_token};

/// The token under which a run travels in subjects. Ids that clients made up and that would break a subject are
/// hashed; no run of ours ever has such an id, so whoever reads the inbox finds no run and says so.
pub(crate) fn run_token(run: &RunId) -> String {
    if is_token(run.as_str()) { run.as_str().to_owned() } else { format!("x-{}", short(run.as_str())) }
}

/// The first 32 hexadecimal digits of a text's hash: a token for ids and keys that may hold any character.
pub(crate) fn short(text: &str) -> String {
    let mut hex = digest_hex(&[text.as_bytes()]);
    hex.truncate(32);
    hex
}

/// Which shard a run belongs to, for ever: streams of one shard hold all of a run's messages.
pub(crate) fn shard(run_token: &str, shards: u16) -> u16 {
    let hash = run_token
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    u16::try_from((hash >> 32) % u64::from(shards.max(1))).unwrap_or(0)
}

pub(crate) fn journal(shards: u16, plane: &Plane, run: &RunId) -> String {
    let token = run_token(run);
    format!("gantry.ledger.{}.{plane}.{token}", shard(&token, shards))
}

pub(crate) fn inbox(shards: u16, plane: &Plane, run: &RunId) -> String {
    let token = run_token(run);
    format!("gantry.inbox.{}.{plane}.{token}", shard(&token, shards))
}

pub(crate) fn timer(shards: u16, plane: &Plane, run: &RunId, timer: &str) -> String {
    let token = run_token(run);
    format!("gantry.timer.{}.{plane}.{token}.{timer}", shard(&token, shards))
}

pub(crate) fn command(plane: &Plane, command: &str, run: &RunId) -> String {
    format!("gantry.command.{plane}.{}.{}", short(command), run_token(run))
}

/// Matches a command by its id, whatever run it names.
pub(crate) fn command_filter(plane: &Plane, command: &str) -> String {
    format!("gantry.command.{plane}.{}.*", short(command))
}

pub(crate) fn outcome(plane: &Plane, command: &str) -> String {
    format!("gantry.outcome.{plane}.{}", short(command))
}

pub(crate) fn wait(plane: &Plane, wait_key: &str, run: &RunId) -> String {
    format!("gantry.wait.{plane}.{}.{}", short(wait_key), run_token(run))
}

pub(crate) fn wait_filter(plane: &Plane, wait_key: &str) -> String {
    format!("gantry.wait.{plane}.{}.*", short(wait_key))
}

pub(crate) fn tap(plane: &Plane, run: &RunId) -> String {
    format!("gantry.run.{plane}.{}.records", run_token(run))
}

pub(crate) const CONTROL_LOG: &str = "gantry.control.log";
pub(crate) const CONTROL_SNAPSHOT: &str = "gantry.control.snapshot";
pub(crate) const LEASE: &str = "gantry.lease.scheduler";
pub(crate) const JOB_REQUESTS: &str = "gantry.request.job.";
/// Questions to the leading scheduler: core NATS, answered or not.
pub(crate) const ASK: &str = "gantry.scheduler.ask";

/// The token of a job; ids that clients made up and that would break a subject are hashed.
fn job_token(job: &JobId) -> String {
    if is_token(job.as_str()) { job.as_str().to_owned() } else { format!("x-{}", short(job.as_str())) }
}

pub(crate) fn job_request(job: &JobId) -> String {
    format!("{JOB_REQUESTS}{}", job_token(job))
}

pub(crate) fn control_order(id: &str) -> String {
    format!("gantry.request.order.{}", short(id))
}

pub(crate) fn job_end(job: &JobId) -> String {
    format!("gantry.job.{}.end", job_token(job))
}

pub(crate) fn job_snapshot(job: &JobId) -> String {
    format!("gantry.job.{}.snapshot", job_token(job))
}

pub(crate) fn job_any(job: &JobId) -> String {
    format!("gantry.job.{}.*", job_token(job))
}

pub(crate) fn seats(holder: &str) -> String {
    format!("gantry.seat.{}", short(holder))
}

pub(crate) const PROXY_REPORTS: &str = "gantry.proxy.*";

pub(crate) fn proxy_report(proxy: &str) -> String {
    format!("gantry.proxy.{}", short(proxy))
}

pub(crate) fn offer(service: &ServiceName) -> String {
    format!("gantry.offer.{}", short(service.as_str()))
}

/// Proxies that have deferred jobs in hand say here that they live: core NATS, nothing is stored.
pub(crate) const DEFERRED_HOLDER: &str = "gantry.deferred-holder";

/// Ids of deferred jobs are tokens by their making; anything else that a client names is hashed and finds nothing.
fn deferred_token(id: &str) -> String {
    if is_token(id) { id.to_owned() } else { format!("x-{}", short(id)) }
}

pub(crate) fn deferred_job(id: &str) -> String {
    format!("gantry.deferred.job.{}", deferred_token(id))
}

pub(crate) fn deferred_body(id: &str, name: &str, part: u32) -> String {
    format!("gantry.deferred.body.{}.{name}.{part}", deferred_token(id))
}

pub(crate) fn deferred_bodies(id: &str, name: &str) -> String {
    format!("gantry.deferred.body.{}.{name}.*", deferred_token(id))
}

pub(crate) fn node_report(node: &NodeId) -> String {
    format!("gantry.node.{node}.report")
}

pub(crate) fn node_order(node: &NodeId) -> String {
    format!("gantry.node.{node}.order")
}

/// Where answers to a node's agent come, before what is made up for each.
pub(crate) fn node_inbox(node: &NodeId) -> String {
    format!("_INBOX.node.{node}")
}

pub(crate) fn node_event(node: &NodeId) -> String {
    format!("gantry.node.{node}.event")
}

/// One subject per container, so that what was last done with it can be read without the rest.
pub(crate) fn node_operation(node: &NodeId, container: &ContainerName) -> String {
    format!("gantry.node.{node}.operation.{}", short(container.as_str()))
}

/// One subject per notice, so that the same one again meets the fence; how a node is can be read without the rest.
pub(crate) fn notice(notice: &Notice) -> String {
    let (family, key) = match &notice.node {
        Some(node) if notice.kind.is_of_node() => ("node", short(node)),
        Some(_) | None => (notice.kind.as_str(), "-".to_owned()),
    };
    format!("gantry.notice.{family}.{key}.{}", short(&notice.id))
}

pub(crate) fn notices_of_node(node: &str) -> String {
    format!("gantry.notice.node.{}.*", short(node))
}

pub(crate) fn outgoing(outgoing: &Outgoing) -> String {
    format!("gantry.outgoing.{}.{}", outgoing.channel, short(&outgoing.id))
}

/// New for each attempt: a late second send then cannot disturb a newer one.
pub(crate) fn outgoing_later(outgoing: &Outgoing) -> String {
    format!("gantry.outgoing-later.{}.{}", outgoing.channel, short(&outgoing.attempt_id()))
}

pub(crate) const DEAD_LETTERS: &str = "gantry.dead-letter.*";

pub(crate) fn dead_letter(id: &str) -> String {
    format!("gantry.dead-letter.{}", short(id))
}

pub(crate) fn notifier_position(shard: u16) -> String {
    format!("gantry.notifier.position.{shard}")
}

pub(crate) const NOTIFIER_DISABLED: &str = "gantry.notifier.disabled.*";

pub(crate) fn notifier_disabled(channel: &str) -> String {
    format!("gantry.notifier.disabled.{}", short(channel))
}

/// The plane and run of `gantry.<kind>.<shard>.<tenant>.<plane>.<run>`.
pub(crate) fn parse_run(subject: &str) -> Option<(Plane, RunId)> {
    let mut tokens = subject.split('.').skip(3);
    let plane = Plane::new(tokens.next()?, tokens.next()?).ok()?;
    Some((plane, RunId::new(tokens.next()?)))
}

/// The plane and run token of `gantry.command.<tenant>.<plane>.<command>.<run>`.
pub(crate) fn parse_command(subject: &str) -> Option<(Plane, RunId)> {
    let mut tokens = subject.split('.').skip(2);
    let plane = Plane::new(tokens.next()?, tokens.next()?).ok()?;
    Some((plane, RunId::new(tokens.nth(1)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_keeps_its_shard_and_subjects_can_be_taken_apart() {
        let run = RunId::new("538d88fa-ab80-4f82-8318-6edfa2be41c4");
        let subject = inbox(4, &Plane::main(), &run);
        assert_eq!(parse_run(&subject), Some((Plane::main(), run.clone())));
        assert_eq!(subject.replace("inbox", "ledger"), journal(4, &Plane::main(), &run));
    }

    #[test]
    fn a_run_id_that_would_break_a_subject_is_hashed() {
        let subject = inbox(1, &Plane::main(), &RunId::new("a.b > *"));
        assert_eq!(subject.split('.').count(), 6);
        assert!(!subject.contains(['>', '*', ' ']));
    }

    #[test]
    fn shards_are_used_evenly() {
        let mut counts = [0_u32; 8];
        for n in 0..8_000 {
            counts[usize::from(shard(&domain::uuid_from(&[&n.to_string().into_bytes()]), 8))] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }
}
