//! The page, its parts, and the headers that keep it alone.

use crate::routes::Routes;
use crate::{Shared, address, client, host, origin};
use auricle_cca_mdd::inventory;
use auricle_text::Phone;
use axum::extract::{State, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

/// Bytes that are read from a socket at once; the default of 128 KiB would be most of a session's memory.
const READ_BYTES: usize = 8192;

/// Whose connection a request came on.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// All routes.
pub fn router(routes: Routes) -> Router {
    Router::new()
        .route("/", get(|| file("text/html; charset=utf-8", include_str!("../page/index.html"))))
        .route("/page.css", get(|| file("text/css; charset=utf-8", include_str!("../page/page.css"))))
        .route("/page.js", get(|| file("text/javascript; charset=utf-8", include_str!("../page/page.js"))))
        .route(
            "/record.js",
            get(|| file("text/javascript; charset=utf-8", include_str!("../page/record.js"))),
        )
        .route(
            "/capture.js",
            get(|| file("text/javascript; charset=utf-8", include_str!("../page/capture.js"))),
        )
        .route("/icon.svg", get(|| file("image/svg+xml", include_str!("../page/icon.svg"))))
        .route("/prompts.json", get(async |State(routes): State<Routes>| json(&routes.shared.prompts)))
        .route("/phones.json", get(phones))
        .route("/healthz", get(healthz))
        .route("/session", get(session))
        .layer(from_fn_with_state(routes.clone(), host::check))
        .layer(map_response(async |mut response: Response| {
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                // One request a connection: none is kept open by who has nothing to ask.
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            protect(response.headers_mut());
            response
        }))
        .with_state(routes)
}

async fn file(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// A word for every phone.
async fn phones() -> Response {
    let name = |phone: Phone| inventory::name(phone.index() as u32);
    json(&Phone::ALL.iter().map(|&phone| (name(phone), phone.example())).collect::<BTreeMap<_, _>>())
}

async fn healthz(State(routes): State<Routes>) -> Response {
    let Shared { limits, seats, .. } = &*routes.shared;
    let (sessions, max_sessions) = (seats.taken(), limits.max_sessions);
    json(&serde_json::json!({ "status": "ok", "sessions": sessions, "max_sessions": max_sessions }))
}

fn json(value: &impl serde::Serialize) -> Response {
    let text = serde_json::to_string(value).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn session(
    State(Routes { shared, stop }): State<Routes>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if let Some(why) = origin::refused(&headers, &shared.origins) {
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    let hard_limit = shared.limits.max_message_bytes.saturating_mul(4);
    let upgrade = upgrade
        .max_message_size(hard_limit)
        .max_frame_size(hard_limit)
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0);
    let address = address::of_client(peer, &headers, &shared.proxies);
    // Browsers do not show pages the answer to a refused upgrade, so a full server says it over the socket.
    let refusal = match shared.seats.take(address, Instant::now()) {
        Ok(seat) => return upgrade.on_upgrade(move |socket| client::converse(socket, shared, seat, stop)),
        Err(refusal) => refusal,
    };
    match shared.farewells.clone().try_acquire_owned() {
        Ok(place) => upgrade.on_upgrade(async move |socket| {
            client::turn_away(socket, refusal).await;
            drop(place);
        }),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, refusal.to_string()).into_response(),
    }
}

/// Only what comes with the page may run or be shown, nobody may frame it, and it may use the microphone.
fn protect(headers: &mut HeaderMap) {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
        (
            header::HeaderName::from_static("permissions-policy"),
            "microphone=(self), camera=(), geolocation=()",
        ),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
