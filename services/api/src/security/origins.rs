//! Which `Origin` headers are allowed: exact texts, `*`, or shell globs over the whole text.

/// The list of allowed patterns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    patterns: Vec<String>,
}

impl Origins {
    /// From patterns; blank ones are dropped.
    pub fn new(patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let patterns = patterns.into_iter().map(|pattern| pattern.as_ref().trim().to_owned());
        Self { patterns: patterns.filter(|pattern| !pattern.is_empty()).collect() }
    }

    /// Whether a page of that origin may call the gateway.
    pub fn allow(&self, origin: &str) -> bool {
        let origin: Vec<char> = origin.trim().chars().take(2_048).collect();
        self.patterns.iter().any(|pattern| glob(&pattern.chars().collect::<Vec<_>>(), &origin))
    }
}

/// Shell glob (`*`, `?`, `[a-z]`, `[!a-z]`), case-sensitive, over the whole text.
///
/// Remembers only the last star, so it takes at most pattern × text steps.
fn glob(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, t));
            p += 1;
        } else if let Some(width) = one(&pattern[p..], text[t]) {
            p += width;
            t += 1;
        } else if let Some((star_p, star_t)) = star {
            star = Some((star_p, star_t + 1));
            p = star_p + 1;
            t = star_t + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|rest| *rest == '*')
}

/// How many characters of the pattern the one character takes, if it matches.
fn one(pattern: &[char], character: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => match set_end(pattern) {
            Some(end) => in_set(&pattern[1..end], character).then_some(end + 1),
            None => (character == '[').then_some(1),
        },
        literal => (*literal == character).then_some(1),
    }
}

/// Where the `]` of a set stands; one directly after the opening (or `!`) is part of the set.
fn set_end(pattern: &[char]) -> Option<usize> {
    let first = if pattern.get(1) == Some(&'!') { 3 } else { 2 };
    (first..pattern.len()).find(|at| pattern[*at] == ']')
}

fn in_set(set: &[char], character: char) -> bool {
    let (negated, mut set) = if set.first() == Some(&'!') { (true, &set[1..]) } else { (false, set) };
    let mut found = false;
    while let [low, rest @ ..] = set {
        if let ['-', high, rest @ ..] = rest {
            found |= (*low..=*high).contains(&character);
            set = rest;
        } else {
            found |= *low == character;
            set = rest;
        }
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_the_whole_origin() {
        let default = Origins::new(["http://localhost:*", "http://127.0.0.1:*"]);
        assert!(default.allow("http://localhost:5173"));
        assert!(!default.allow("http://localhost"));
        assert!(!default.allow("https://localhost:1"));
        assert!(!default.allow("http://evil.example/http://localhost:1"));
        assert!(Origins::new(["*"]).allow("null"));
        assert!(!Origins::new([" "]).allow("http://a"));
        let sets = Origins::new(["https://app[0-9].example.??", "https://[!a]x", "[]]"]);
        assert!(sets.allow("https://app7.example.io"));
        assert!(!sets.allow("https://appX.example.io"));
        assert!(!sets.allow("HTTPS://app7.example.io"));
        assert!(sets.allow("https://bx") && !sets.allow("https://ax"));
        assert!(sets.allow("]"));
    }

    #[test]
    fn many_stars_do_not_make_matching_slow() {
        let slow = Origins::new(["*a".repeat(200)]);
        assert!(!slow.allow(&"a".repeat(199)));
        assert!(slow.allow(&"a".repeat(2_000)));
    }
}
