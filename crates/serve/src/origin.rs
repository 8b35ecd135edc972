//! Which pages may connect.
//!
//! A browser lets every page open a WebSocket to every server, and says only in `Origin` which page it
//! was. Without a check any web site that a learner visits could use a server on the learner's machine.
//! Programs that are no browsers send no `Origin`; they could forge one, so they are let in.

use axum::http::{HeaderMap, header};

/// Why a page may not connect; `None` where it may.
///
/// Allowed are no `Origin`, a configured one, and the origin of the server itself: the same host and port
/// as in `Host`, by http. That `Host` is a name of this server has been [checked](crate::host) before.
pub fn refused(headers: &HeaderMap, allowed: &[String]) -> Option<String> {
    let origin = headers.get(header::ORIGIN)?;
    let origin = origin.to_str().unwrap_or("?");
    if allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)) {
        return None;
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let same = origin.strip_prefix("http://").is_some_and(|of_page| of_page.eq_ignore_ascii_case(host));
    if same {
        return None;
    }
    Some(format!("pages of {origin} may not connect; start the server with --origin {origin} to let them"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn is_refused(host: &'static str, origin: Option<&'static str>, allowed: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        }
        refused(&headers, &allowed.iter().map(ToString::to_string).collect::<Vec<_>>()).is_some()
    }

    #[test]
    fn only_the_own_page_and_configured_ones() {
        assert!(!is_refused("127.0.0.1:8765", None, &[]));
        assert!(!is_refused("127.0.0.1:8765", Some("http://127.0.0.1:8765"), &[]));
        assert!(!is_refused("localhost:8765", Some("http://localhost:8765"), &[]));
        assert!(!is_refused("[::1]:8765", Some("http://[::1]:8765"), &[]));
        for other in
            ["http://127.0.0.1:1", "http://evil.example", "null", "https://localhost:8765", "file://"]
        {
            assert!(is_refused("localhost:8765", Some(other), &[]), "{other}");
        }
        assert!(!is_refused("a.example", Some("https://a.example"), &["https://a.example"]));
    }
}
