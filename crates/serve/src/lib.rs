//! Pronunciation feedback while speaking, in the browser: one page and a WebSocket.
//!
//! The page sends the sound of a microphone as it is recorded; the server answers with the phones it hears,
//! the scores of each word when it has been said, and the verdict on the whole. The protocol is described
//! in this crate's README.
//!
//! Connections are served by few threads that only wait; all computing is done by a bounded number of
//! workers, in turns. The weights are shared by all sessions.

mod address;
mod client;
mod connections;
mod host;
mod http;
mod limits;
mod log;
mod origin;
mod pace;
mod pool;
mod protocol;
mod routes;
mod seats;

pub use limits::Limits;
pub use protocol::{Encoding, Event, HeardPhone, ReadyWord, Refusal, Request};

use auricle_cca_mdd::Assessor;
use auricle_text::Pronouncer;
use connections::Connections;
use host::Hosts;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use pool::Pool;
use seats::Seats;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};

/// Connections that have not become sessions, at most; who comes then takes the place of an idle one.
const MAX_REQUESTS: usize = 256;
/// How many of them one address may have.
const MAX_REQUESTS_OF_ADDRESS: usize = 64;
/// Clients who are being told that there is no place for them, at most; more get a plain answer.
const MAX_FAREWELLS: usize = 32;
/// Time for a connection's request.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Time for sessions to end in good order.
const GRACE: Duration = Duration::from_secs(3);
/// Connections that the system keeps until they are accepted.
const BACKLOG: u32 = 256;

/// Settings of a server.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 takes any.
    pub listen: SocketAddr,
    /// Further origins whose pages may connect, as `https://speak.example`.
    pub origins: Vec<String>,
    /// Further names that the server may be called by, as `speak.example`; hosts of `origins` are allowed, too.
    /// Without any they are `localhost` and addresses.
    pub hosts: Vec<String>,
    /// Addresses of proxies whose word on the client's address (`X-Forwarded-For`) is taken.
    pub proxies: Vec<IpAddr>,
    /// A phone below this score, of 0 to 100, is mispronounced. Default: 50.
    pub threshold: f64,
    /// Computations at once. Default: as many as the machine can run.
    pub workers: usize,
    /// Sentences that the page offers.
    pub prompts: Vec<String>,
    /// Limits.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8765)),
            origins: Vec::new(),
            hosts: Vec::new(),
            proxies: Vec::new(),
            threshold: 50.0,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            prompts: include_str!("../page/prompts.txt").lines().map(Into::into).collect(),
            limits: Limits::default(),
        }
    }
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A limit that cannot be kept.
    #[error("{0} = {1}: it must be {2}")]
    Limit(&'static str, String, String),
    /// A threshold that no score has.
    #[error("threshold {0}: scores are 0 to 100")]
    Threshold(f64),
    /// An origin that is none.
    #[error("origin `{0}`: write it as a browser does, like https://speak.example or http://10.0.0.2:8765")]
    Origin(String),
    /// A name that is none.
    #[error("host `{0}`: write a name or an address without a port, like speak.example")]
    Host(String),
    /// An address that is taken or not this machine's.
    #[error("cannot listen on {0}: {1}; give another port, or 0 for any")]
    Listen(SocketAddr, io::Error),
    /// No threads.
    #[error("cannot start: {0}")]
    Start(io::Error),
}

/// What all sessions share.
pub(crate) struct Shared {
    assessor: Arc<Assessor>,
    pronouncer: Pronouncer,
    prompts: Vec<String>,
    origins: Vec<String>,
    hosts: Hosts,
    proxies: Vec<IpAddr>,
    threshold: f64,
    limits: Limits,
    seats: Arc<Seats>,
    farewells: Arc<Semaphore>,
    pool: Pool,
}

/// A server that listens.
pub struct Server {
    runtime: Runtime,
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
}

/// Stops a server from another thread.
#[derive(Debug, Clone)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// Ends the server in good order: sessions are told, then closed.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Server {
    /// Listens; connections are served by [`Self::run`].
    ///
    /// # Errors
    /// Settings that cannot be kept, or an address that cannot be listened on.
    pub fn bind(config: Config, assessor: Arc<Assessor>, pronouncer: Pronouncer) -> Result<Self, ServeError> {
        let Config { listen, origins, hosts, proxies, threshold, workers, prompts, limits } = config;
        limits.validate()?;
        if !(0.0..=100.0).contains(&threshold) {
            return Err(ServeError::Threshold(threshold));
        }
        let is_origin = |origin: &&String| {
            let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['/', '*', ' ']))
        };
        if let Some(bad) = origins.iter().find(|origin| !is_origin(origin)) {
            return Err(ServeError::Origin(bad.clone()));
        }
        if let Some(bad) = hosts.iter().find(|host| !Hosts::is_name(host)) {
            return Err(ServeError::Host(bad.clone()));
        }
        let workers = workers.max(1);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(workers)
            .thread_name("auricle-serve")
            .enable_all()
            .build()
            .map_err(ServeError::Start)?;
        let refused = |error| ServeError::Listen(listen, error);
        let bound = {
            let _inside = runtime.enter();
            listener(listen, limits.send_buffer_bytes)
        };
        let listener = bound.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let shared = Arc::new(Shared {
            assessor,
            pronouncer,
            prompts,
            hosts: Hosts::new(listen.ip(), &hosts, &origins),
            origins,
            proxies,
            threshold,
            seats: Arc::new(Seats::new(&limits)),
            farewells: Arc::new(Semaphore::new(MAX_FAREWELLS)),
            pool: Pool::new(workers),
            limits,
        });
        Ok(Self { runtime, listener, address, shared, stop: watch::Sender::new(false) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What stops it.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stop.clone())
    }

    /// Serves until stopped.
    pub fn run(self) {
        let Self { runtime, listener, shared, stop, .. } = self;
        let seats = shared.seats.clone();
        let ends = stop.subscribe();
        runtime.block_on(async {
            accept(listener, shared, ends).await;
            // Every session has been told.
            let _ = tokio::time::timeout(GRACE, seats.all_ended()).await;
        });
        runtime.shutdown_timeout(GRACE);
    }
}

fn listener(listen: SocketAddr, send_buffer_bytes: u32) -> io::Result<TcpListener> {
    let socket = if listen.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A port whose last server has just ended is free; on Windows the option means something else.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    // Accepted connections inherit it: what a client does not read is not kept by the megabyte.
    socket.set_send_buffer_size(send_buffer_bytes)?;
    socket.bind(listen)?;
    socket.listen(BACKLOG)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let router = http::router(routes::Routes { shared, stop: stop.clone() });
    let connections = Arc::new(Connections::new(MAX_REQUESTS, MAX_REQUESTS_OF_ADDRESS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|&stop| stop) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let mut place = connections.enter(peer.ip().into());
                let answer = tokio::time::timeout(REQUEST_TIME, request(stream, peer.ip(), router.clone()));
                tokio::spawn(async move {
                    tokio::select! {
                        _ = answer => {}
                        () = place.taken() => {}
                    }
                });
            }
            Err(error) => {
                // Out of file descriptors, mostly; a connection that ends will free one.
                log::line(format_args!("error: cannot accept a connection: {error}"));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One request of a connection; where it becomes a WebSocket, that lives on elsewhere.
async fn request(stream: TcpStream, peer: IpAddr, router: axum::Router) {
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(http::Peer(peer));
        router.call(request)
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIME)
        .max_buf_size(16 * 1024)
        // Who has asked and says no more still gets an answer.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}
