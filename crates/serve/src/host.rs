//! By which names the server may be called.
//!
//! A stranger's web site can let a name of its own point at this machine (DNS rebinding); its pages are then of the
//! same origin as this server, and could read everything. The browser still says in `Host` by which name it came.

use crate::routes::Routes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::net::IpAddr;

/// Names that are allowed besides `localhost` and addresses.
#[derive(Debug, Clone)]
pub struct Hosts {
    listen: IpAddr,
    names: Vec<String>,
}

/// Why a request is refused by its name.
#[derive(Debug, PartialEq, Eq)]
enum BadHost {
    Missing,
    Several,
    Unreadable,
    Unknown(String),
}

impl Hosts {
    /// What a server that listens on `listen` may be called; hosts of allowed origins are allowed, too.
    pub fn new(listen: IpAddr, hosts: &[String], origins: &[String]) -> Self {
        let of_origin = |origin: &String| Some(name(origin.split_once("://")?.1)?.to_ascii_lowercase());
        let names = hosts.iter().map(|host| host.to_ascii_lowercase());
        Self { listen, names: names.chain(origins.iter().filter_map(of_origin)).collect() }
    }

    /// Whether a text can be the name of a host, without a port.
    pub fn is_name(host: &str) -> bool {
        name(host) == Some(host.trim_matches(['[', ']']))
    }

    fn allow(&self, name: &str) -> bool {
        if name.eq_ignore_ascii_case("localhost") || self.names.iter().any(|n| n.eq_ignore_ascii_case(name)) {
            return true;
        }
        // An address cannot be made to point elsewhere. Who listens on this machine only is called by its address.
        name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback() || !self.listen.is_loopback())
    }

    fn check(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), BadHost> {
        let mut lines = headers.get_all(header::HOST).iter();
        let host = lines.next().ok_or(BadHost::Missing)?;
        if lines.next().is_some() {
            return Err(BadHost::Several);
        }
        let host = host.to_str().map_err(|_| BadHost::Unreadable)?;
        let other = uri.authority().map(|authority| authority.as_str());
        for host in std::iter::once(host).chain(other) {
            let name = name(host).ok_or(BadHost::Unreadable)?;
            if !self.allow(name) {
                return Err(BadHost::Unknown(name.into()));
            }
        }
        Ok(())
    }
}

/// The name of `name`, `name:port` or `[address]:port`; `None` of everything else.
fn name(host: &str) -> Option<&str> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').filter(|(address, _)| address.contains(':'))?,
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(|p| p.parse::<u16>().is_ok());
    let of_name = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    (is_port && !name.is_empty() && name.chars().all(of_name)).then_some(name)
}

/// Lets requests through that name this server.
pub async fn check(State(routes): State<Routes>, request: Request, next: Next) -> Response {
    let (status, text) = match routes.shared.hosts.check(request.headers(), request.uri()) {
        Ok(()) => return next.run(request).await,
        Err(BadHost::Missing) => (StatusCode::BAD_REQUEST, "no `Host` line: send one".into()),
        Err(BadHost::Several) => (StatusCode::BAD_REQUEST, "several `Host` lines: send one".into()),
        Err(BadHost::Unreadable) => (StatusCode::BAD_REQUEST, "`Host` is no name and no address".into()),
        Err(BadHost::Unknown(name)) => (
            StatusCode::MISDIRECTED_REQUEST,
            format!("this server does not answer to `{name}`; start it with --allow-host {name} to let it"),
        ),
    };
    (status, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn check(listen: &str, hosts: &[&'static str], uri: &str) -> Result<(), BadHost> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_static(host));
        }
        let allowed = Hosts::new(
            listen.parse().unwrap(),
            &["Own.example".into()],
            &["https://speak.example".into(), "http://10.0.0.2:80".into()],
        );
        allowed.check(&headers, &uri.parse().unwrap())
    }

    #[test]
    fn a_server_answers_to_its_own_names_only() {
        for own in [
            "localhost",
            "LOCALHOST:8765",
            "127.0.0.1:8765",
            "[::1]:8765",
            "own.example:1",
            "speak.example",
            "10.0.0.2",
        ] {
            assert_eq!(check("127.0.0.1", &[own], "/"), Ok(()), "{own}");
        }
        for strange in ["evil.example", "evil.example:8765", "localhost.evil.example", "10.0.0.3"] {
            assert!(matches!(check("127.0.0.1", &[strange], "/"), Err(BadHost::Unknown(_))), "{strange}");
        }
        // Who is reached from elsewhere may be called by any address, and by no other name.
        assert_eq!(check("0.0.0.0", &["10.0.0.3:8765"], "/"), Ok(()));
        assert!(check("0.0.0.0", &["evil.example"], "/").is_err());
        for bad in ["", ":8765", "localhost:x", "localhost:99999", "a@localhost", "[localhost]", "local host"]
        {
            assert_eq!(check("0.0.0.0", &[bad], "/"), Err(BadHost::Unreadable), "{bad}");
        }
        assert_eq!(check("0.0.0.0", &[], "/"), Err(BadHost::Missing));
        assert_eq!(check("0.0.0.0", &["localhost", "localhost"], "/"), Err(BadHost::Several));
        // The whole address in the first line of the request counts, too.
        assert!(check("0.0.0.0", &["localhost"], "http://evil.example/").is_err());
        assert_eq!(check("0.0.0.0", &["localhost"], "http://localhost/"), Ok(()));
    }

    #[test]
    fn names_are_names() {
        assert!(Hosts::is_name("speak.example") && Hosts::is_name("10.0.0.2") && Hosts::is_name("[::1]"));
        for bad in ["", "*", "a:80", "https://a", "a/b"] {
            assert!(!Hosts::is_name(bad), "{bad}");
        }
    }
}
