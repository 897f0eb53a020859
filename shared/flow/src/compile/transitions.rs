//! Where control goes after each node: the transition tables.

use super::document::RawNode;
use super::graph::Next;

/// An outgoing execution edge: the handle it leaves by and the node it reaches.
pub(crate) type Out = (String, usize);

/// The table of one node, given its outgoing execution edges.
pub(crate) fn transitions(node: &RawNode, outs: Vec<Out>) -> Result<Next, String> {
    match node.kind.as_str() {
        "sequence" => then(node, outs, false),
        "parallel" => then(node, outs, true),
        "loop" | "while" | "for" => around(node, outs),
        "join_exec" if outs.len() != 1 => Err(format!("node '{}' (join_exec) needs exactly one successor", node.id)),
        _ => plain(node, outs),
    }
}

fn plain(node: &RawNode, mut outs: Vec<Out>) -> Result<Next, String> {
    if outs.is_empty() {
        return Ok(Next::End);
    }
    if outs.len() == 1 && matches!(outs[0].0.as_str(), "exec-out" | "") {
        let (handle, target) = outs.remove(0);
        return Ok(Next::One { handle, target });
    }
    let all = |test: fn(&str) -> bool| outs.iter().all(|(handle, _)| test(handle));
    let branches = all(|handle| matches!(handle, "true" | "false"))
        || all(|handle| handle == "default" || handle.starts_with("case:"));
    if !branches {
        return Err(format!(
            "node '{}' has multiple outgoing edges, or one from an unknown handle; only branches may",
            node.id
        ));
    }
    if let Some((handle, _)) = repeated(&outs) {
        return Err(format!("node '{}' has two outgoing edges from '{handle}'", node.id));
    }
    Ok(Next::Branch(outs))
}

fn repeated(outs: &[Out]) -> Option<&Out> {
    outs.iter().enumerate().find(|(place, out)| outs[..*place].iter().any(|other| other.0 == out.0)).map(|(_, out)| out)
}

fn unknown(node: &RawNode, handle: &str) -> String {
    format!("node '{}' ({}) has no outgoing handle '{handle}', or has two edges from it", node.id, node.kind)
}

fn then(node: &RawNode, outs: Vec<Out>, parallel: bool) -> Result<Next, String> {
    let (mut targets, mut completed) = (Vec::new(), None);
    for (handle, target) in outs {
        let number = handle.strip_prefix("then:").and_then(|number| number.parse::<u64>().ok());
        match number {
            Some(number) if targets.iter().all(|(other, _)| *other != number) => targets.push((number, target)),
            None if parallel && handle == "completed" && completed.is_none() => completed = Some(target),
            Some(_) | None => return Err(unknown(node, &handle)),
        }
    }
    targets.sort_unstable_by_key(|(number, _)| *number);
    Ok(Next::Then { targets, completed })
}

fn around(node: &RawNode, outs: Vec<Out>) -> Result<Next, String> {
    let (mut body, mut done) = (None, None);
    for (handle, target) in outs {
        let place = match handle.as_str() {
            "loop" => &mut body,
            "done" => &mut done,
            _ => return Err(unknown(node, &handle)),
        };
        if place.replace(target).is_some() {
            return Err(unknown(node, &handle));
        }
    }
    Ok(Next::Loop { body, done })
}
