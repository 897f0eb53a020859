//! Who may call while no key is configured: programs on this machine, which is more than a connection from it says.
//!
//! A browser here sends what pages from anywhere tell it to, and a reverse proxy here speaks for the whole world. Neither
//! is somebody on this machine.

use crate::error::ProxyError;
use http::header::{FORWARDED, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Uri};
use std::net::IpAddr;

/// What reverse proxies add.
const SPEAKS_FOR_OTHERS: [HeaderName; 3] =
    [FORWARDED, HeaderName::from_static("x-forwarded-for"), HeaderName::from_static("x-real-ip")];

/// Lets a caller in that has no key: one on this machine, and no page unless it is of this machine or of an origin that is
/// allowed.
pub(super) fn check(headers: &HeaderMap, address: Option<IpAddr>, origins: &[String]) -> Result<(), ProxyError> {
    let forwarded = SPEAKS_FOR_OTHERS.iter().any(|name| headers.contains_key(name));
    if forwarded || !address.is_some_and(|address| address.is_loopback()) || !is_called_by_a_name_of_ours(headers) {
        return Err(ProxyError::LoopbackOnly);
    }
    let Some(origin) = headers.get(ORIGIN).map(|origin| String::from_utf8_lossy(origin.as_bytes())) else {
        return Ok(());
    };
    let is_here = origin.parse::<Uri>().is_ok_and(|origin| origin.host().is_some_and(is_this_machine));
    if is_here || origins.iter().any(|allowed| allowed == "*" || *allowed == origin) {
        return Ok(());
    }
    Err(ProxyError::ForeignPage { origin: origin.chars().take(200).collect() })
}

/// Whether the host that was asked for may be this machine. A page whose own name was made to lead here has no origin
/// to tell it by, but that name.
fn is_called_by_a_name_of_ours(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else { return true };
    let Some(host) = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()) else { return false };
    let name = host.host();
    // Names without a dot and these endings are nobody's on the internet.
    is_this_machine(name)
        || (name.parse::<IpAddr>().is_err() && !name.contains(['.', ':']))
        || [".local", ".internal"].iter().any(|end| name.ends_with(end))
}

fn is_this_machine(name: &str) -> bool {
    let name = name.trim_start_matches('[').trim_end_matches(']');
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn asked(address: &str, headers: &[(&'static str, &'static str)]) -> Result<(), ProxyError> {
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let allowed = ["https://chat.example".to_owned()];
        check(&headers.collect(), Some(address.parse().unwrap()), &allowed)
    }

    #[test]
    fn a_program_on_this_machine_may_call_by_any_name_that_is_nobodys_on_the_internet() {
        for host in ["127.0.0.1:8080", "[::1]:8000", "localhost:8080", "a.localhost", "mybox", "host.docker.internal:1"]
        {
            assert_eq!(asked("127.0.0.1", &[("host", host)]), Ok(()), "{host}");
            assert_eq!(asked("::1", &[("host", host)]), Ok(()), "{host}");
        }
        assert_eq!(asked("127.0.0.1", &[]), Ok(()));
    }

    #[test]
    fn neither_another_machine_nor_who_comes_through_a_reverse_proxy_or_a_name_that_was_made_to_lead_here_may() {
        assert_eq!(asked("10.0.0.7", &[("host", "127.0.0.1")]), Err(ProxyError::LoopbackOnly));
        for (name, value) in [
            ("x-forwarded-for", "10.0.0.7"),
            ("x-real-ip", "10.0.0.7"),
            ("forwarded", "for=10.0.0.7"),
            ("host", "evil.example"),
            ("host", "10.0.0.5:8080"),
            ("host", "[2001:db8::1]"),
            ("host", ""),
        ] {
            assert_eq!(asked("127.0.0.1", &[(name, value)]), Err(ProxyError::LoopbackOnly), "{name}: {value}");
        }
    }

    #[test]
    fn a_page_may_only_if_it_is_of_this_machine_or_was_allowed() {
        for origin in ["http://localhost:3000", "http://127.0.0.1:8080", "https://[::1]", "https://chat.example"] {
            assert_eq!(asked("127.0.0.1", &[("origin", origin)]), Ok(()), "{origin}");
        }
        for origin in ["https://evil.example", "http://localhost.evil.example", "null", "http://mybox", ""] {
            let refused = asked("127.0.0.1", &[("origin", origin)]);
            assert_eq!(refused, Err(ProxyError::ForeignPage { origin: origin.to_owned() }), "{origin}");
        }
    }
}
