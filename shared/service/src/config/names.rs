//! Names of settings: their keys in the file, their older twins, and the known name closest to an unknown one.

/// Our own prefix. A variable that has it and that nothing reads is an error.
pub(super) const PREFIX: &str = "GANTRY_";
const PEER: &str = "ABSTRACTGATEWAY_";
const PEER_TWIN: &str = "ABSTRACTFLOW_GATEWAY_";

/// A variable of other gateways that names a database file; what it says here is the directory of everything durable.
pub const QUEUE_DB_PATH: &str = "QUEUE_DB_PATH";

/// What a variable's text means for the setting that it stands for.
pub(super) fn meaning(name: &str, text: &str) -> String {
    if name != QUEUE_DB_PATH {
        return text.to_owned();
    }
    let directory = std::path::Path::new(text).parent().filter(|parent| !parent.as_os_str().is_empty());
    directory.map_or(".".to_owned(), |directory| directory.display().to_string())
}

/// The key of a setting in the file: `GANTRY_NATS_URL` is `nats_url`, or `url` in the table `nats`.
pub(super) fn file_key(name: &str) -> String {
    name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase()
}

/// The name that older deployments use for a variable of the peer.
pub(super) fn legacy_twin(name: &str) -> Option<String> {
    name.strip_prefix(PEER).map(|rest| format!("{PEER_TWIN}{rest}"))
}

/// Whether deployments of the peer may set it although nothing here reads it.
pub(super) fn is_peer(name: &str) -> bool {
    name.starts_with(PEER) || name.starts_with(PEER_TWIN)
}

/// Kubernetes puts such variables into every container next to a service called `gantry`.
pub(super) fn is_service_link(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else {
        return false;
    };
    rest == "SERVICE_HOST"
        || rest.starts_with("SERVICE_PORT")
        || rest.strip_prefix("PORT_").is_some_and(|port| port.starts_with(|c: char| c.is_ascii_digit()))
}

/// The known name that looks most like the unknown one, if any looks like it at all.
pub(super) fn closest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|name| (strsim::normalized_damerau_levenshtein(unknown, name), name))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name.to_owned())
}
