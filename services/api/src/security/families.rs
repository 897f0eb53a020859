//! Route families that only an admin principal may use.

/// The class of a path under `/api/gateway` (given without that prefix), if only admins may use it.
pub fn admin_class(rest: &str, write: bool) -> Option<&'static str> {
    const PREFIXES: &[(&str, &str)] = &[
        ("/admin", "admin"),
        ("/keys", "keys"),
        ("/backends", "backends"),
        ("/models", "models"),
        ("/audit", "audit"),
        ("/processes", "processes"),
        ("/backlog", "backlog"),
        ("/triage", "triage"),
        ("/reports", "reports"),
        ("/email", "email"),
        ("/notices", "notices"),
        ("/host", "host"),
        ("/files", "workspace"),
    ];
    let family = PREFIXES.iter().find(|(prefix, _)| under(rest, prefix)).map(|(_, class)| *class);
    let exact = matches!(rest, "/artifacts/import" | "/attachments/ingest") || is_export(rest);
    family.or_else(|| exact.then_some("workspace")).or_else(|| {
        let writes = [("/blocs", "blocs"), ("/prompt_cache", "prompt_cache")];
        writes.into_iter().find(|(prefix, _)| write && under(rest, prefix)).map(|(_, class)| class)
    })
}

/// Whether API keys of model traffic with the scope `admin` open that path, given as above.
pub(super) fn takes_admin_keys(rest: &str) -> bool {
    ["/backends", "/models"].iter().any(|family| under(rest, family))
}

/// Whether a path belongs to the GPU control plane, which lies at the root.
pub(super) fn is_control(path: &str) -> bool {
    ["/gpu", "/vram", "/services", "/queue", "/preempt", "/available"].iter().any(|family| under(path, family))
}

fn under(rest: &str, prefix: &str) -> bool {
    rest.strip_prefix(prefix).is_some_and(|tail| tail.is_empty() || tail.starts_with('/'))
}

/// `/runs/{id}/artifacts/{id}/export`
fn is_export(rest: &str) -> bool {
    let parts: Vec<&str> = rest.split('/').collect();
    matches!(parts.as_slice(), ["", "runs", _, "artifacts", _, "export"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_families_are_recognised_by_whole_path_segments() {
        assert_eq!(admin_class("/audit/tail", false), Some("audit"));
        assert_eq!(admin_class("/files/list", false), Some("workspace"));
        assert_eq!(admin_class("/runs/r/artifacts/a/export", true), Some("workspace"));
        assert_eq!(admin_class("/prompt_cache/set", true), Some("prompt_cache"));
        assert_eq!(admin_class("/prompt_cache/stats", false), None);
        assert_eq!(admin_class("/models/loaded", false), Some("models"));
        assert_eq!(admin_class("/backends/a", false), Some("backends"));
        assert_eq!(admin_class("/modelsx", true), None);
        assert_eq!(admin_class("/auditors", false), None);
        assert_eq!(admin_class("/runs/start", true), None);
    }
}
