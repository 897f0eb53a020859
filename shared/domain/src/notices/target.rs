//! Which addresses the gateway may post to: public ones, and of the others those that were allowed by name.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is on the public internet. Registries: IANA's special-purpose addresses (RFC 6890 and its updates).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let benchmarking = a == 198 && (b == 18 || b == 19);
    let protocols = a == 192 && b == 0 && c == 0;
    let relays = a == 192 && b == 88 && c == 99;
    !(a == 0
        || a >= 224
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_documentation()
        || shared
        || benchmarking
        || protocols
        || relays)
}

/// Only global unicast, and of that neither documentation nor what carries an IPv4 address that is not public.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let carried = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    match segments {
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(carried(high, low)),
        [0x2002, high, low, ..] => is_public_v4(carried(high, low)),
        [0x2001, second, ..] if second < 0x0200 || second == 0x0db8 => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// Addresses that may be posted to although they are not public.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedTargets {
    all: bool,
    hosts: Vec<String>,
    networks: Vec<(IpAddr, u8)>,
}

/// An entry that is neither a host, an address nor a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no host, address or network such as build.lan, 10.0.0.7 or 10.0.0.0/8")]
pub struct AllowedTargetsError(String);

impl AllowedTargets {
    /// Reads entries: host names (exactly as URLs name them), addresses, networks as `10.0.0.0/8`, or `all`.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, AllowedTargetsError> {
        let mut allowed = Self::default();
        for entry in entries {
            let entry = entry.trim();
            match entry.split_once('/') {
                None if entry == "all" => allowed.all = true,
                None => match entry.parse::<IpAddr>() {
                    Ok(address) => allowed.networks.push((address, width(address))),
                    Err(_) if is_host(entry) => allowed.hosts.push(entry.to_ascii_lowercase()),
                    Err(_) => return Err(AllowedTargetsError(entry.to_owned())),
                },
                Some((address, bits)) => {
                    let network = address.parse::<IpAddr>().ok().zip(bits.parse::<u8>().ok());
                    let network = network.filter(|(address, bits)| *bits <= width(*address));
                    allowed.networks.push(network.ok_or_else(|| AllowedTargetsError(entry.to_owned()))?);
                }
            }
        }
        Ok(allowed)
    }

    /// Whether this host may be posted to at that address.
    pub fn permit(&self, host: &str, address: IpAddr) -> bool {
        // An IPv4 address in IPv6 clothes is the IPv4 address.
        let address = match address {
            IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
            IpAddr::V4(_) => address,
        };
        is_public(address)
            || self.all
            || self.hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
            || self.networks.iter().any(|(network, bits)| holds(*network, *bits, address))
    }
}

fn is_host(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || b == b'_')
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn holds(network: IpAddr, bits: u8, address: IpAddr) -> bool {
    let number = |address: IpAddr| match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    };
    let shift = u32::from(width(network) - bits);
    let cut = |address: IpAddr| number(address).checked_shr(shift).unwrap_or(0);
    network.is_ipv4() == address.is_ipv4() && cut(network) == cut(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for public in [
            "1.1.1.1",
            "93.184.216.34",
            "100.63.0.1",
            "172.32.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "fc00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }

    #[test]
    fn private_targets_are_permitted_by_name_address_or_network_alone() {
        let allowed = AllowedTargets::parse(["hooks.lan", "10.1.0.0/16", "127.0.0.1", "fd00::/8"]).unwrap();
        for (host, address, permitted) in [
            ("x.org", "1.1.1.1", true),
            ("x.org", "192.168.0.1", false),
            ("Hooks.LAN", "192.168.0.1", true),
            ("x.org", "10.1.255.255", true),
            ("x.org", "10.2.0.0", false),
            ("x.org", "127.0.0.1", true),
            ("x.org", "::ffff:127.0.0.1", true),
            ("x.org", "127.0.0.2", false),
            ("x.org", "fd12::1", true),
            ("x.org", "fc12::1", false),
        ] {
            assert_eq!(allowed.permit(host, address.parse().unwrap()), permitted, "{host} {address}");
        }
        assert!(AllowedTargets::parse(["all"]).unwrap().permit("x", "127.0.0.1".parse().unwrap()));
        assert!(!AllowedTargets::default().permit("x", "127.0.0.1".parse().unwrap()));
        for wrong in ["10.0.0.0/33", "a b", "x/8", ""] {
            assert!(AllowedTargets::parse([wrong]).is_err(), "{wrong}");
        }
    }
}
