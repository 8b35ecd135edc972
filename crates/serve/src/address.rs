//! Whose connection it is.

use axum::http::HeaderMap;
use std::net::{IpAddr, Ipv6Addr};

/// An address as far as it tells clients apart: of IPv6 the first 64 bits, because a client has all of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(IpAddr);

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            address => address,
        })
    }
}

/// The client's address: the peer's, or what a trusted proxy says of it in the last field of `X-Forwarded-For`.
/// All before it the client may have written itself.
pub fn of_client(peer: IpAddr, headers: &HeaderMap, proxies: &[IpAddr]) -> Address {
    let peer = peer.to_canonical();
    if !proxies.iter().any(|proxy| proxy.to_canonical() == peer) {
        return peer.into();
    }
    let last = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
    let said = last.and_then(|fields| fields.rsplit(',').next()?.trim().parse::<IpAddr>().ok());
    said.unwrap_or(peer).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn client(peer: &str, forwarded: &[&'static str], proxies: &[&str]) -> Address {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_static(value));
        }
        let proxies: Vec<IpAddr> = proxies.iter().map(|proxy| proxy.parse().unwrap()).collect();
        of_client(peer.parse().unwrap(), &headers, &proxies)
    }

    fn address(text: &str) -> Address {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_its_own_word() {
        assert_eq!(client("10.0.0.9", &["1.2.3.4"], &[]), address("10.0.0.9"));
        assert_eq!(client("10.0.0.9", &["1.2.3.4"], &["10.0.0.8"]), address("10.0.0.9"));
        assert_eq!(client("10.0.0.9", &["9.9.9.9, 1.2.3.4"], &["10.0.0.9"]), address("1.2.3.4"));
        assert_eq!(client("10.0.0.9", &["9.9.9.9", "1.2.3.4"], &["10.0.0.9"]), address("1.2.3.4"));
        assert_eq!(client("::ffff:10.0.0.9", &["::1"], &["10.0.0.9"]), address("::2"));
        for bad in ["", "unknown", "1.2.3.4:5"] {
            assert_eq!(client("10.0.0.9", &[bad], &["10.0.0.9"]), address("10.0.0.9"));
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        assert_eq!(address("2001:db8:0:1::1"), address("2001:db8:0:1:ffff::2"));
        assert_ne!(address("2001:db8:0:1::1"), address("2001:db8:0:2::1"));
        assert_eq!(address("::ffff:1.2.3.4"), address("1.2.3.4"));
        assert_ne!(address("1.2.3.4"), address("1.2.3.5"));
    }
}
