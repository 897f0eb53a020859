//! Where a registration or a callback may lead: names, paths and URLs are checked before they are stored.

use domain::notices::AllowedTargets;
use http::Uri;
use std::net::{IpAddr, Ipv4Addr};

/// The longest path or URL.
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

/// Whether the end of a job may be told there. Names are looked up, and checked again, when it is told.
pub(super) fn callback(text: &str, allowed: &AllowedTargets) -> Result<(), String> {
    let Some((_, host)) = http_uri(text) else {
        return Err("must be an http or https URL without user and fragment".to_owned());
    };
    if permitted(&host, allowed) {
        return Ok(());
    }
    Err(format!("leads to the private address {host}; allow it with GANTRY_NOTIFY_ALLOW_TARGETS if it is meant"))
}

fn permitted(host: &str, allowed: &AllowedTargets) -> bool {
    if let Ok(address) = host.parse::<IpAddr>() {
        return allowed.permit(host, address);
    }
    let inside = !host.contains('.')
        || [".localhost", ".local", ".internal", ".lan", ".home.arpa"].iter().any(|end| host.ends_with(end));
    !inside || allowed.permit(host, IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// An absolute http URL and its host in lower case. Hosts that other programs read as numbers are none.
fn http_uri(text: &str) -> Option<(Uri, String)> {
    if text.len() > LONGEST || !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\#".contains(&byte)) {
        return None;
    }
    let uri: Uri = text.parse().ok()?;
    let scheme = uri.scheme_str().is_some_and(|scheme| matches!(scheme, "http" | "https"));
    let authority = uri.authority()?;
    if !scheme || authority.as_str().contains('@') {
        return None;
    }
    let host =
        authority.host().trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    let last = host.rsplit('.').next().unwrap_or_default();
    let number = last.starts_with("0x") || (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()));
    let odd = number && host.parse::<Ipv4Addr>().is_err();
    (!host.is_empty() && !odd && !host.contains('%')).then_some((uri, host))
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
    fn a_callback_reaches_a_private_address_only_where_that_was_allowed() {
        let (none, some) = (AllowedTargets::default(), AllowedTargets::parse(["127.0.0.1", "hooks.lan"]).unwrap());
        for public in ["https://example.com/hook?a=1", "http://93.184.216.34:8080/"] {
            assert_eq!(callback(public, &none), Ok(()), "{public}");
        }
        for private in [
            "http://127.0.0.1/",
            "http://localhost:9/",
            "http://10.0.0.1/",
            "http://169.254.169.254/latest",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://127.1/",
            "http://intranet/",
            "http://a.internal/",
            "http://localhost./",
            "http://user@example.com/",
            "ftp://example.com/",
            "//example.com",
            "example.com",
            "http://example.com/#x",
            "http://exa mple.com/",
            "http://127.0.0.1%2f@x/",
        ] {
            assert!(callback(private, &none).is_err(), "{private}");
        }
        assert_eq!(callback("http://127.0.0.1:9/x", &some), Ok(()));
        assert_eq!(callback("http://hooks.lan/x", &some), Ok(()));
        assert!(callback("http://127.0.0.2/", &some).is_err());
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
