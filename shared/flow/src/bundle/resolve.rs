//! Which flow a client means: `flow`, `bundle:flow`, `bundle@version:flow`, with or without a bundle id and version.

use super::Bundle;

/// What a client asked to start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartRequest<'a> {
    /// `flow`, `bundle:flow` or `bundle@version:flow`.
    pub flow_id: Option<&'a str>,
    /// `id` or `id@version`.
    pub bundle_id: Option<&'a str>,
    /// A version.
    pub bundle_version: Option<&'a str>,
}

/// What it names. Missing parts are the registry's to fill: the only bundle, the latest version, the default flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The bundle's id.
    pub bundle_id: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The flow's id inside the bundle.
    pub flow: Option<String>,
}

/// A request that contradicts itself or leaves too much open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Neither a flow nor a bundle.
    #[error("flow_id is required (or provide bundle_id to start a bundle entrypoint)")]
    Nothing,
    /// Two parts of the request name different bundles.
    #[error("bundle_id '{first}' conflicts with '{second}'")]
    BundleConflict {
        /// One name.
        first: String,
        /// The other.
        second: String,
    },
    /// Two parts of the request name different versions.
    #[error("bundle_version '{first}' conflicts with '{second}'")]
    VersionConflict {
        /// One name.
        first: String,
        /// The other.
        second: String,
    },
    /// Several entrypoints and no default.
    #[error("bundle '{bundle}' has several entrypoints and no default_entrypoint; name a flow_id")]
    Ambiguous {
        /// The bundle.
        bundle: String,
    },
}

/// Splits `id@version` into its parts.
pub fn split_reference(text: &str) -> (&str, Option<&str>) {
    match text.split_once('@') {
        Some((id, version)) => (id.trim(), Some(version.trim()).filter(|version| !version.is_empty())),
        None => (text.trim(), None),
    }
}

/// Brings the parts of a request together.
pub fn start_target(request: &StartRequest<'_>) -> Result<Target, ResolveError> {
    let given = |text: Option<&'_ str>| text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let (flow_id, bundle, version) = (given(request.flow_id), given(request.bundle_id), given(request.bundle_version));
    if flow_id.is_none() && bundle.is_none() {
        return Err(ResolveError::Nothing);
    }
    let (prefix, flow) = match flow_id.as_deref().map(|text| text.split_once(':').ok_or(text)) {
        Some(Ok((prefix, flow))) => (given(Some(prefix)), given(Some(flow))),
        Some(Err(flow)) => (None, Some(flow.to_owned())),
        None => (None, None),
    };
    let named = |text: &Option<String>| -> (Option<String>, Option<String>) {
        text.as_deref().map_or((None, None), |text| {
            let (id, version) = split_reference(text);
            (Some(id.to_owned()), version.map(str::to_owned))
        })
    };
    let ((prefix_id, prefix_version), (bundle_id, bundle_version)) = (named(&prefix), named(&bundle));
    let conflict = |first: String, second: String| ResolveError::BundleConflict { first, second };
    let bundle_id = agree(prefix_id, bundle_id, conflict)?;
    let conflict = |first: String, second: String| ResolveError::VersionConflict { first, second };
    let version = agree(agree(prefix_version, version, conflict)?, bundle_version, conflict)?;
    Ok(Target { bundle_id, version, flow })
}

fn agree(
    first: Option<String>,
    second: Option<String>,
    conflict: fn(String, String) -> ResolveError,
) -> Result<Option<String>, ResolveError> {
    match (first, second) {
        (Some(first), Some(second)) if first != second => Err(conflict(first, second)),
        (first, second) => Ok(first.or(second)),
    }
}

/// The flow that starts, when the client may have named none. Whether it exists is for the caller to check.
pub fn resolve_flow<'a>(bundle: &'a Bundle, flow: Option<&'a str>) -> Result<&'a str, ResolveError> {
    let ambiguous = || ResolveError::Ambiguous { bundle: bundle.reference().to_string() };
    flow.or_else(|| bundle.manifest.default_flow()).ok_or_else(ambiguous)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(flow: &str, bundle: &str, version: &str) -> Result<(String, String, String), ResolveError> {
        let request = StartRequest { flow_id: Some(flow), bundle_id: Some(bundle), bundle_version: Some(version) };
        start_target(&request).map(|target| {
            let text = |part: Option<String>| part.unwrap_or_default();
            (text(target.bundle_id), text(target.version), text(target.flow))
        })
    }

    #[test]
    fn a_flow_may_carry_its_bundle_and_version() {
        let expected = Ok(("b".to_owned(), "1".to_owned(), "f".to_owned()));
        assert_eq!(target("b@1:f", "", ""), expected);
        assert_eq!(target("b:f", "", "1"), expected);
        assert_eq!(target("f", "b@1", ""), expected);
        assert_eq!(target("b@1:f", "b@1", "1"), expected);
    }

    #[test]
    fn parts_that_contradict_each_other_are_refused() {
        assert!(matches!(target("a:f", "b", ""), Err(ResolveError::BundleConflict { .. })));
        assert!(matches!(target("b@1:f", "", "2"), Err(ResolveError::VersionConflict { .. })));
        assert!(matches!(target("f", "b@1", "2"), Err(ResolveError::VersionConflict { .. })));
        assert_eq!(target("", "", "2"), Err(ResolveError::Nothing));
    }
}
