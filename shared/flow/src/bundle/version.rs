//! Versions and ids: which are safe as file names, and which version is the latest.

/// Whether a version belongs to the draft channel.
pub fn is_draft(version: &str) -> bool {
    version.get(..6).is_some_and(|head| head.eq_ignore_ascii_case("draft."))
}

/// Whether a bundle id equals its sanitised form.
pub fn is_safe_id(id: &str) -> bool {
    is_safe(id, |c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Whether a bundle version equals its sanitised form.
pub fn is_safe_version(version: &str) -> bool {
    is_safe(version, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn is_safe(text: &str, allowed: fn(char) -> bool) -> bool {
    (1..=200).contains(&text.len())
        && text.chars().all(allowed)
        && !text.contains("--")
        && !text.chars().all(|c| c == '.')
}

/// The latest of some versions, each given with the `created_at` of its manifest. Drafts count only among themselves.
pub fn latest<'a>(versions: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<&'a str> {
    let all: Vec<(&str, &str)> = versions.into_iter().collect();
    let published: Vec<(&str, &str)> = all.iter().copied().filter(|(version, _)| !is_draft(version)).collect();
    let candidates = if published.is_empty() { all } else { published };
    let numeric: Option<Vec<_>> =
        candidates.iter().map(|(version, _)| numbers(version).map(|key| (key, *version))).collect();
    match numeric {
        Some(numeric) => numeric.into_iter().max().map(|(_, version)| version),
        None => {
            candidates.into_iter().max_by_key(|(version, created)| (*created, *version)).map(|(version, _)| version)
        }
    }
}

fn numbers(version: &str) -> Option<[u64; 3]> {
    let mut key = [0; 3];
    for (place, part) in version.split('.').enumerate() {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| part.parse().unwrap_or(u64::MAX))?;
        if let Some(slot) = key.get_mut(place) {
            *slot = number;
        }
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_versions_order_by_number_and_drafts_come_last() {
        assert_eq!(latest([("1.9.0", ""), ("1.10", ""), ("Draft.z", "9999")]), Some("1.10"));
        assert_eq!(latest([("dev", "2026-01-01"), ("1.0.0", "2026-02-01")]), Some("1.0.0"));
        assert_eq!(latest([("draft.a", "1"), ("draft.b", "0")]), Some("draft.a"));
        assert_eq!(latest(std::iter::empty::<(&str, &str)>()), None);
    }

    #[test]
    fn an_id_is_safe_when_sanitising_leaves_it_alone() {
        assert!(is_safe_id("my-bundle_1") && !is_safe_id("a.b") && !is_safe_id("a--b") && !is_safe_id(""));
        assert!(is_safe_version("1.0.0-rc.1") && !is_safe_version("..") && !is_safe_version("1/2"));
    }
}
