//! A server for pronunciation feedback with a tiny model, and clients of it.
//!
//! A helper that cannot do its work panics: then the test has failed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use auricle_cca_mdd::{Assessor, CcaMddConfig, CcaMddModel};
use auricle_nn::Initializer;
use auricle_rng::{Key, Purpose};
use auricle_serve::{Config, Limits, Server, Stopper};
use auricle_text::{Lexicon, Pronouncer};
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

/// Nothing that is waited for takes this long, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const MODEL: &str = r#"
reference = { layers = 1, heads = 2, feed_forward = 32 }
coca = { heads = 2 }
decoder = { layers = 1, heads = 2, feed_forward = 32, left_context = 8 }
decoder_hidden = 16
predictor = { layers = 1, heads = 2, feed_forward = 32 }
classifier = { layers = 1, heads = 2, feed_forward = 32 }

[encoder]
bins = 80

[[encoder.stages]]
convs = [
  { channels = 16, kernel = 3, activation = true },
  { channels = 16, kernel = 3, stride = 2, activation = true },
  { channels = 16 },
]
transformer = { layers = 1, heads = 2, feed_forward = 32, alibi = true, causal = true, left_context = 8 }

[[encoder.stages]]
convs = [
  { channels = 16, kernel = 3, activation = true },
  { channels = 16, kernel = 3, stride = 2, activation = true },
  { channels = 16 },
]
transformer = { layers = 1, heads = 2, feed_forward = 32, alibi = true, causal = true, left_context = 8 }
"#;

/// Words of the tests; "record" has two pronunciations.
pub const LEXICON: &str =
    "we W IY1\ncall K AO1 L\nit IH1 T\nbear B EH1 R\nrecord R EH1 K ER0 D\nrecord(2) R IH0 K AO1 R D\n";

/// A model with random weights.
pub fn assessor() -> Arc<Assessor> {
    let device = auricle_tensor::device("cpu").unwrap();
    let config: CcaMddConfig = toml::from_str(MODEL).unwrap();
    let mut stream = Key::new(1).stream(Purpose::Test);
    let model = CcaMddModel::new(&config, &mut Initializer::new(&mut stream, &device));
    Arc::new(Assessor::new(config, model, &device).unwrap())
}

/// The words of [`LEXICON`], and no others.
pub fn pronouncer() -> Pronouncer {
    Pronouncer::new(Lexicon::parse(LEXICON, "tests").unwrap(), None)
}

/// A tone that changes, with noise, and not the same for any two seeds.
pub fn sound(samples: usize, rate: u32, seed: u64) -> Vec<f32> {
    let mut draws = Key::new(seed).stream(Purpose::Test);
    let sample = |i: usize| {
        let t = i as f64 / f64::from(rate);
        let tone = (1200.0 * t + 300.0 * (seed as f64 + 1.0) * (3.0 * t).sin()).sin();
        (0.3 * tone + 0.05 * draws.normal()) as f32
    };
    (0..samples).map(sample).collect()
}

/// A server that is stopped when dropped.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

/// A server on a free port.
pub fn serve(limits: Limits) -> Running {
    serve_as(Config { limits, ..Config::default() })
}

/// A server on a free port, with settings.
pub fn serve_as(config: Config) -> Running {
    let config = Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..config };
    let server = Server::bind(config, assessor(), pronouncer()).unwrap();
    let (address, stopper) = (server.address(), server.stopper());
    Running { address, stopper, thread: Some(std::thread::spawn(move || server.run())) }
}

impl Running {
    /// Stops it and waits until it has ended.
    pub fn stop(&mut self) {
        self.stopper.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    /// A client that is no browser.
    pub fn client(&self) -> Client {
        self.client_of(None).unwrap()
    }

    /// A client that says from which page it comes; the status of the answer where it is refused.
    pub fn client_of(&self, origin: Option<&str>) -> Result<Client, (u16, String)> {
        self.connect(origin.map(|origin| ("Origin", origin)))
    }

    /// A client that sends a header line; the status of the answer where it is refused.
    pub fn client_with(&self, name: &str, value: &str) -> Result<Client, (u16, String)> {
        self.connect(Some((name, value)))
    }

    fn connect(&self, line: Option<(&str, &str)>) -> Result<Client, (u16, String)> {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let mut request =
            tungstenite::ClientRequestBuilder::new(format!("ws://{}/session", self.address).parse().unwrap());
        if let Some((name, value)) = line {
            request = request.with_header(name, value);
        }
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Client { socket }),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
                let body = answer.body().as_deref().unwrap_or_default();
                Err((answer.status().as_u16(), String::from_utf8_lossy(body).into_owned()))
            }
            Err(error) => panic!("{error}"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A client.
pub struct Client {
    /// Its connection.
    pub socket: WebSocket<TcpStream>,
}

impl Client {
    /// Sends a request.
    pub fn request(&mut self, request: &Value) {
        self.socket.send(Message::text(request.to_string())).unwrap();
    }

    /// Begins an utterance of 32-bit samples.
    pub fn start(&mut self, prompt: &str, rate: u32) {
        self.request(&json!({"type": "start", "prompt": prompt, "sample_rate": rate, "encoding": "f32le"}));
    }

    /// Sends samples.
    pub fn send(&mut self, samples: &[f32]) -> Result<(), Box<tungstenite::Error>> {
        let bytes: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.socket.send(Message::binary(bytes)).map_err(Box::new)
    }

    /// The next event.
    pub fn event(&mut self) -> Value {
        loop {
            match self.socket.read().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    /// The next event of a type; those before it are left out, but an error is none of them.
    pub fn next(&mut self, kind: &str) -> Value {
        loop {
            let event = self.event();
            assert!(event["type"] == kind || event["type"] != "error", "{kind} expected: {event}");
            if event["type"] == kind {
                return event;
            }
        }
    }

    /// The error that closes the connection, and the status it is closed with.
    pub fn dismissed(&mut self) -> (Value, u16) {
        let mut error = Value::Null;
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    let event: Value = serde_json::from_str(&text).unwrap();
                    if event["type"] == "error" {
                        error = event;
                    }
                }
                Ok(Message::Close(frame)) => {
                    let status = frame.map_or(CloseCode::Status, |frame| frame.code);
                    return (error, status.into());
                }
                Ok(_) => {}
                Err(end) => panic!("ended without a close frame: {end}; {error}"),
            }
        }
    }

    /// Reads a whole utterance: sends it in pieces, then `stop`; all events up to the final one.
    pub fn read_aloud(&mut self, prompt: &str, samples: &[f32], rate: u32, piece: usize) -> Vec<Value> {
        self.start(prompt, rate);
        let mut events = vec![self.next("ready")];
        for piece in samples.chunks(piece) {
            self.send(piece).unwrap();
            self.until("partial", &mut events);
        }
        self.request(&json!({"type": "stop"}));
        self.until("final", &mut events);
        events
    }

    /// All events up to one of a type.
    fn until(&mut self, kind: &str, events: &mut Vec<Value>) {
        loop {
            let event = self.event();
            assert_ne!(event["type"], "error", "{event}");
            let last = event["type"] == kind;
            events.push(event);
            if last {
                return;
            }
        }
    }
}
