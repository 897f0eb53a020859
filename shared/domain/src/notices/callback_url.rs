//! Where the end of a job may be told: the URL is checked before it is stored, and its address again when it is told.

use super::AllowedTargets;
use core::net::{IpAddr, Ipv4Addr};
use http::Uri;

/// The longest URL.
const LONGEST: usize = 2_048;

/// Whether the end of a job may be told there. Names are looked up, and checked again, when it is told.
pub fn check_callback(text: &str, allowed: &AllowedTargets) -> Result<(), String> {
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
pub fn http_uri(text: &str) -> Option<(Uri, String)> {
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
    fn a_callback_reaches_a_private_address_only_where_that_was_allowed() {
        let (none, some) = (AllowedTargets::default(), AllowedTargets::parse(["127.0.0.1", "hooks.lan"]).unwrap());
        for public in ["https://example.com/hook?a=1", "http://93.184.216.34:8080/"] {
            assert_eq!(check_callback(public, &none), Ok(()), "{public}");
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
            assert!(check_callback(private, &none).is_err(), "{private}");
        }
        assert_eq!(check_callback("http://127.0.0.1:9/x", &some), Ok(()));
        assert_eq!(check_callback("http://hooks.lan/x", &some), Ok(()));
        assert!(check_callback("http://127.0.0.2/", &some).is_err());
    }
}
