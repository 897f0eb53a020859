//! Where a service may be: what a person registers must not lead this process to other hosts than it says.

use domain::control::ServiceRecord;
use reqwest::Url;
use std::net::IpAddr;

/// An address that is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    /// A path that is none.
    #[error(
        "{what} '{text}' must be a path such as /health: it begins with one '/', without '@', '\\', spaces or '..'"
    )]
    Path {
        /// Which.
        what: &'static str,
        /// What it is.
        text: String,
    },
    /// A URL that is none.
    #[error("'{url}' must be an address such as http://10.0.0.5:8000, without user, path, query or fragment")]
    Url {
        /// It.
        url: String,
    },
    /// An address of this host or network.
    #[error("'{host}' is a loopback or private address; set GANTRY_SERVICE_PRIVATE_ADDRESSES=true to allow these")]
    Private {
        /// It.
        host: String,
    },
    /// Neither a container nor a URL, or both.
    #[error("a service needs either a container and a port, or a url")]
    Neither,
}

/// Checks everything of a registration that leads somewhere.
pub(crate) fn check(record: &ServiceRecord, private: bool) -> Result<(), AddressError> {
    path("health_endpoint", Some(&record.health_endpoint))?;
    path("progress_endpoint", record.progress_endpoint.as_deref())?;
    path("job_endpoint", record.more.job_endpoint.as_deref())?;
    path("stop_endpoint", record.more.stop_endpoint.as_deref())?;
    match (&record.url, &record.container, record.port) {
        (Some(url), None, _) => base(url, private).map(|_| ()),
        (None, Some(_), Some(port)) if port > 0 => Ok(()),
        (Some(_), Some(_), _) | (None, _, _) => Err(AddressError::Neither),
    }
}

fn path(what: &'static str, text: Option<&str>) -> Result<(), AddressError> {
    let Some(text) = text else { return Ok(()) };
    let plain = text.len() <= 512
        && text.starts_with('/')
        && !text.starts_with("//")
        && !text.contains(['@', '\\', '#', ' '])
        && !text.contains("..")
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    if plain { Ok(()) } else { Err(AddressError::Path { what, text: text.to_owned() }) }
}

/// The base of a service that is reached by URL.
pub(crate) fn base(text: &str, private: bool) -> Result<Url, AddressError> {
    let wrong = || AddressError::Url { url: text.to_owned() };
    let url = Url::parse(text).map_err(|_| wrong())?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && matches!(url.path(), "" | "/");
    let host = url.host_str().filter(|_| plain).ok_or_else(wrong)?.to_owned();
    if !private && is_private(&host) {
        return Err(AddressError::Private { host });
    }
    Ok(url)
}

/// Whether a host, as far as its name alone tells, is of this machine or network.
fn is_private(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => !is_public(address),
        Err(_) => {
            bare == "localhost" || bare.ends_with(".localhost") || !bare.contains('.') || bare.ends_with(".local")
        }
    }
}

/// Whether an address is one of the internet's.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && (v4.octets()[1] & 0xc0) == 64;
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_broadcast()
                || v4.is_multicast()
                || v4.octets()[0] == 0
                || shared)
        }
        IpAddr::V6(v6) => {
            let mapped = v6.to_ipv4_mapped().map(IpAddr::V4);
            let first = v6.segments()[0];
            let local = (first & 0xfe00) == 0xfc00 || (first & 0xffc0) == 0xfe80;
            mapped.is_none_or(is_public) && !(v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || local)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Time;

    #[test]
    fn an_endpoint_cannot_lead_to_another_host() {
        let mut record = ServiceRecord::of_container("a", "a", 80, "llm", Time::from_micros(0));
        assert_eq!(check(&record, false), Ok(()));
        for path in ["@evil:80/x", "//evil/x", "health", "/a/../b", "/a b", "/\\evil", "/x#y", "http://evil/"] {
            path.clone_into(&mut record.health_endpoint);
            assert!(check(&record, true).is_err(), "{path}");
        }
    }

    #[test]
    fn private_addresses_need_the_setting() {
        for url in [
            "http://127.0.0.1:1",
            "http://10.1.2.3",
            "http://[::1]:8",
            "http://169.254.169.254",
            "http://localhost",
            "http://[::ffff:127.0.0.1]",
            "http://100.64.0.1",
            "http://0.0.0.0",
            "http://2130706433",
            "http://intranet",
        ] {
            assert!(matches!(base(url, false), Err(AddressError::Private { .. })), "{url}");
            assert!(base(url, true).is_ok(), "{url}");
        }
        assert!(base("https://gpu.example.com:8443", false).is_ok());
        for url in ["http://a:b@example.com", "ftp://example.com", "http://example.com/x", "example.com", ""] {
            assert!(matches!(base(url, true), Err(AddressError::Url { .. })), "{url}");
        }
    }
}
