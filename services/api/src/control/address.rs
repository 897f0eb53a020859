//! Where a registration may lead: names, paths and addresses are checked before they are stored.

use domain::notices::http_uri;

/// The longest path.
const LONGEST: usize = 2_048;
/// Names that would hide a route.
const RESERVED: [&str; 1] = ["register"];

/// Whether a text can name a service or a type: it must fit into a path.
pub(super) fn name(text: &str) -> Result<(), &'static str> {
    let fits = (1..=64).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if !fits {
        return Err("must be 1 to 64 letters, digits, '_', '.' and '-', beginning with a letter or digit");
    }
    if RESERVED.contains(&text) { Err("is the name of a route; choose another") } else { Ok(()) }
}

/// Whether a text is a path on the service itself, and cannot lead to another host.
pub(super) fn path(text: &str) -> Result<(), &'static str> {
    let fits = text.len() <= LONGEST
        && text.starts_with('/')
        && !text.starts_with("//")
        && !text.contains("..")
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"@\\#".contains(&byte));
    if fits {
        Ok(())
    } else {
        Err("must be a path such as /health: one leading '/', no '@', '\\', '#', '..' or spaces")
    }
}

/// Whether a text is the address of a service without a container. Which hosts are allowed is the scheduler's to say.
pub(super) fn base(text: &str) -> Result<(), &'static str> {
    let wrong = "must be an address such as http://10.0.0.5:8000, without user, path, query or fragment";
    let (uri, _) = http_uri(text).ok_or(wrong)?;
    if matches!(uri.path(), "" | "/") && uri.query().is_none() { Ok(()) } else { Err(wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_lead_to_another_host() {
        for good in ["/health", "/", "/v1/health?deep=1"] {
            assert_eq!(path(good), Ok(()), "{good}");
        }
        for bad in
            ["", "health", "@evil:80/x", "//evil/x", "/a/../b", "/a b", "/\\evil", "/x#y", "http://evil/", "/\u{e9}"]
        {
            assert!(path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_fits_into_a_path_and_hides_no_route() {
        assert_eq!(name("comfy-ui_2.0"), Ok(()));
        for bad in ["", "a/b", ".x", "a b", "register", "é", &"x".repeat(65)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_base_is_an_address_without_anything_behind_it() {
        assert_eq!(base("http://10.0.0.5:8000"), Ok(()));
        for bad in ["http://a:b@example.com", "http://example.com/x", "http://example.com/?q", "ws://x", ""] {
            assert!(base(bad).is_err(), "{bad}");
        }
    }
}
