//! Every limit of the server has its answer, and a client that breaks one harms no other.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_serve::{Config, Limits, Server};
use auricle_tests::server::{Client, Running, assessor, pronouncer, serve, serve_as, sound};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tungstenite::Message;

/// Another client's utterance, which nothing that happens beside it may change or hold up.
fn unharmed(server: &Running) -> Value {
    let samples = sound(32_000, 16_000, 9);
    let events = server.client().read_aloud("we call it bear", &samples, 16_000, 640);
    let mut last = events.into_iter().next_back().unwrap();
    last.as_object_mut().unwrap().remove("id");
    last
}

fn dismissed(client: &mut Client, code: &str, status: u16, expected: &str) {
    let (error, closed) = client.dismissed();
    assert_eq!((&error["code"], &error["closes"], closed), (&json!(code), &json!(true), status), "{error}");
    assert!(error["message"].as_str().unwrap().contains(expected), "{error}");
}

#[test]
fn a_full_server_says_so_and_has_room_again() {
    let server = serve(Limits { max_sessions: 2, ..Limits::default() });
    let (first, _second) = (server.client(), server.client());
    dismissed(&mut server.client(), "busy", 1013, "all 2 sessions are in use; try again");
    drop(first);
    // The place is free as soon as the server has seen the end of the connection.
    let mut client = auricle_tests::program::wait_for("a place", || {
        let mut client = server.client();
        client.start("call it", 16_000);
        (client.event()["type"] == "ready").then_some(client)
    });
    client.request(&json!({"type": "stop"}));
    assert_eq!(client.event()["code"], "audio");
}

#[test]
fn rubbish_is_answered_and_harms_nobody() {
    let server = serve(Limits { max_message_bytes: 4_096, max_utterance_secs: 2.0, ..Limits::default() });
    let alone = unharmed(&server);
    let mut client = server.client();
    client.socket.send(Message::text("{\"type\":\"go\"}")).unwrap();
    dismissed(&mut client, "protocol", 1008, "not a request");
    let mut client = server.client();
    client.send(&[0.0; 10]).unwrap();
    dismissed(&mut client, "protocol", 1008, "sound before `start`");
    let mut client = server.client();
    client.request(&json!({"type": "stop"}));
    dismissed(&mut client, "protocol", 1008, "send `start` first");
    let started = || {
        let mut client = server.client();
        client.start("call it", 16_000);
        client.next("ready");
        client
    };
    let mut client = started();
    client.start("call it", 16_000);
    dismissed(&mut client, "protocol", 1008, "send `stop` first");
    let mut client = started();
    client.socket.send(Message::binary(vec![0; 7])).unwrap();
    dismissed(&mut client, "protocol", 1008, "whole samples");
    let mut client = started();
    client.send(&[0.1; 1_025]).unwrap();
    dismissed(&mut client, "message_size", 1009, "4100 bytes; the most is 4096");
    // Four times too much is not even read.
    let mut client = started();
    let _ = client.send(&[0.1; 5_000]);
    dismissed(&mut client, "protocol", 1008, "at most 4096 bytes");
    for rate in [0, 7_999, 1_000_000] {
        let mut client = server.client();
        client.start("call it", rate);
        dismissed(&mut client, "sample_rate", 1008, "8000 to 192000 Hz");
    }
    let mut client = started();
    for _ in 0..32 {
        client.send(&[0.1; 1_024]).unwrap();
    }
    dismissed(&mut client, "utterance_length", 1008, "longer than 2 s");
    // No WebSocket at all, and frames that are none.
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(&[0xff; 512]).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    let mut client = started();
    client.socket.get_mut().write_all(&[0xff; 64]).unwrap();
    let (error, _) = client.dismissed();
    assert_eq!(error["code"], "protocol");
    assert_eq!(unharmed(&server), alone);
}

#[test]
fn who_says_nothing_is_closed() {
    let server = serve(Limits { idle_secs: 0.3, ..Limits::default() });
    let alone = unharmed(&server);
    // Connected and silent; silent in the middle of an utterance; a connection without a request.
    let mut silent = server.client();
    let mut stalled = server.client();
    stalled.start("call it", 16_000);
    stalled.next("ready");
    let mut connections: Vec<TcpStream> =
        (0..50).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    connections[0].write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
    assert_eq!(unharmed(&server), alone);
    dismissed(&mut silent, "idle", 1008, "no sound came for 0.3 s");
    dismissed(&mut stalled, "idle", 1008, "connect again");
}

/// More connections than the server keeps, none of which asks for anything.
#[test]
fn idle_connections_end_no_service() {
    let server = serve(Limits::default());
    let alone = unharmed(&server);
    let mut connections: Vec<TcpStream> =
        (0..400).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    assert_eq!(unharmed(&server), alone);
    // The first of them have been closed for those that came later.
    for connection in &mut connections[..300] {
        connection.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let ended = connection.read(&mut [0]);
        assert!(matches!(&ended, Ok(0)) || ended.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset));
    }
}

/// What a client is told that sends nothing but pings or prompts until it is closed, or until the test ends.
fn keep_busy(mut client: Client, prompts: bool, ended: &AtomicBool) -> String {
    client.socket.get_mut().set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let start =
        json!({"type": "start", "prompt": "", "sample_rate": 16_000, "encoding": "f32le"}).to_string();
    let mut said = String::new();
    while !ended.load(Ordering::Relaxed) {
        let message = if prompts { Message::text(start.clone()) } else { Message::Ping(Vec::new().into()) };
        let _ = client.socket.send(message);
        match client.socket.read() {
            Ok(Message::Text(text)) if text.contains(r#""closes":true"#) => said = text.to_string(),
            Ok(_) => {}
            Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    said
}

/// Set when the test ends, however it does.
struct Ended<'t>(&'t AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Pings and prompts keep no place: whoever speaks gets it.
#[test]
fn who_only_pings_or_prompts_makes_room() {
    let server = serve(Limits { max_sessions: 4, yield_secs: 0.2, ..Limits::default() });
    let alone = unharmed(&serve(Limits::default()));
    let ended = AtomicBool::new(false);
    let clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
    std::thread::scope(|scope| {
        let end = Ended(&ended);
        let ended = &ended;
        let threads: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(number, client)| scope.spawn(move || keep_busy(client, number % 2 == 1, ended)))
            .collect();
        let mut speaking = auricle_tests::program::wait_for("a place", || {
            let mut client = server.client();
            client.start("call it", 16_000);
            (client.event()["type"] == "ready").then_some(client)
        });
        // By now the others have been silent for long enough, too.
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(unharmed(&server), alone);
        // Who came later than those keeps the place.
        speaking.send(&sound(1_600, 16_000, 1)).unwrap();
        speaking.next("partial");
        drop(end);
        let said: Vec<String> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(said.iter().any(|text| text.contains("another client needs the place")), "{said:?}");
    });
}

#[test]
fn pings_do_not_put_off_the_end_of_an_idle_session() {
    let server = serve(Limits { idle_secs: 0.3, ..Limits::default() });
    let mut client = server.client();
    client.socket.get_mut().set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let said = auricle_tests::program::wait_for("the end", || {
        let _ = client.socket.send(Message::Ping(Vec::new().into()));
        match client.socket.read() {
            Ok(Message::Text(text)) => Some(text.to_string()),
            _ => None,
        }
    });
    assert!(said.contains("no sound came for 0.3 s"), "{said}");
}

#[test]
fn an_address_has_its_share_of_the_sessions() {
    let server = serve(Limits { max_sessions: 8, max_sessions_per_address: 2, ..Limits::default() });
    let _inside = (server.client(), server.client());
    dismissed(&mut server.client(), "busy", 1013, "--proxy");
    // Behind a proxy that is known each client has its own.
    let config = Config {
        proxies: vec![[127, 0, 0, 1].into()],
        limits: Limits { max_sessions: 8, max_sessions_per_address: 1, ..Limits::default() },
        ..Config::default()
    };
    let server = serve_as(config);
    let client = |address| server.client_with("X-Forwarded-For", address).unwrap();
    let mut inside = (client("10.0.0.1"), client("10.0.0.2"));
    dismissed(&mut client("10.0.0.1"), "busy", 1013, "this address has all 1 sessions");
    for client in [&mut inside.0, &mut inside.1] {
        client.start("call it", 16_000);
        client.next("ready");
    }
}

/// The whole answer to a request.
fn answer(server: &Running, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    // Who has said all may say so.
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn only_own_names_are_answered_and_half_closed_clients_are() {
    let config = Config { hosts: vec!["speak.example".into()], ..Config::default() };
    let server = serve_as(config);
    let asked = |path: &str, lines: &str| answer(&server, &format!("GET {path} HTTP/1.1\r\n{lines}\r\n"));
    for host in ["localhost", "127.0.0.1:1", "[::1]", "Speak.Example:443"] {
        assert!(asked("/", &format!("Host: {host}\r\n")).starts_with("HTTP/1.1 200"), "{host}");
    }
    for path in ["/", "/prompts.json", "/healthz", "/session", "/nowhere"] {
        let refused = asked(path, "Host: evil.example\r\n");
        assert!(refused.starts_with("HTTP/1.1 421") && refused.contains("--allow-host"), "{refused}");
    }
    for bad in ["", "Host: localhost\r\nHost: localhost\r\n", "Host: localhost\r\nHost: evil.example\r\n"] {
        assert!(asked("/", bad).starts_with("HTTP/1.1 400"), "{bad}");
    }
    assert!(asked("http://evil.example/", "Host: localhost\r\n").starts_with("HTTP/1.1 421"));
}

#[test]
fn a_flood_is_held_back_then_closed() {
    let limits = Limits { max_speed: 4.0, burst_secs: 3.0, patience_secs: 0.5, ..Limits::default() };
    let server = serve(limits.clone());
    let alone = unharmed(&server);
    std::thread::scope(|scope| {
        let flooding = scope.spawn(|| {
            let mut client = server.client();
            client.start("call it", 16_000);
            client.next("ready");
            let started = Instant::now();
            let samples = sound(4_000, 16_000, 1);
            // The server stops reading, so sending blocks; then it closes the connection.
            while started.elapsed() < Duration::from_secs(60) && client.send(&samples).is_ok() {}
            (client, started.elapsed())
        });
        assert_eq!(unharmed(&server), alone);
        let (mut client, took) = flooding.join().unwrap();
        assert!(took >= Duration::from_secs_f64(0.3), "{took:?}");
        // What the server said before it closed, as far as the broken connection still holds it.
        let mut heard_secs: f64 = 0.0;
        let mut error = Value::Null;
        while let Ok(message) = client.socket.read() {
            let Message::Text(text) = message else { continue };
            let event: Value = serde_json::from_str(&text).unwrap();
            heard_secs = heard_secs.max(event["audio_secs"].as_f64().unwrap_or(0.0));
            if event["type"] == "error" {
                error = event;
            }
        }
        assert!(error.is_null() || error["code"] == "too_fast", "{error}");
        let most = limits.burst_secs + limits.max_speed * (took.as_secs_f64() + 1.0);
        assert!(heard_secs <= most, "{heard_secs} s of sound were taken in {took:?}");
    });
    // Empty messages cost something, too.
    let mut client = server.client();
    for _ in 0..200_000 {
        if client.socket.send(Message::binary(vec![])).is_err() {
            break;
        }
    }
    assert_eq!(unharmed(&server), alone);
}

#[test]
fn a_flood_that_waits_for_its_answer_is_told_why() {
    let server = serve(Limits { burst_secs: 1.0, patience_secs: 0.1, ..Limits::default() });
    let mut client = server.client();
    client.start("call it", 16_000);
    client.next("ready");
    // Two seconds at once are one too many: a wait of a quarter of a second, longer than the patience.
    client.send(&vec![0.1; 16_000]).unwrap();
    client.send(&vec![0.1; 16_000]).unwrap();
    dismissed(&mut client, "too_fast", 1008, "faster than 4 times real time");
}

#[test]
fn who_does_not_read_is_closed() {
    let limits = Limits {
        max_queue: 4,
        send_buffer_bytes: 4_096,
        max_speed: 1e6,
        burst_secs: 120.0,
        ..Limits::default()
    };
    let server = serve(limits);
    let alone = unharmed(&server);
    let mut client = server.client();
    client.start("call it", 192_000);
    client.next("ready");
    // Each of these is answered; the answers fill the buffers of both sides, then the queue.
    let began = Instant::now();
    let mut rounds = 0;
    while client.send(&[0.1; 8]).is_ok() {
        rounds += 1;
        assert!(began.elapsed() < Duration::from_secs(120), "still served after {rounds} unread answers");
    }
    assert!(rounds > 4, "the queue alone holds four");
    assert_eq!(unharmed(&server), alone);
    let answer = auricle_tests::program::wait_for("the place", || {
        let mut stream = TcpStream::connect(server.address).unwrap();
        write!(stream, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.contains(r#""sessions":0"#).then_some(answer)
    });
    assert!(answer.contains("\"status\":\"ok\""));
}

#[test]
fn the_end_is_said() {
    let mut server = serve(Limits::default());
    let mut client = server.client();
    client.start("call it", 16_000);
    client.next("ready");
    let began = Instant::now();
    let waiting = std::thread::spawn(move || {
        dismissed(&mut client, "stopping", 1001, "connect again later");
    });
    server.stop();
    waiting.join().unwrap();
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn settings_that_cannot_be_kept_are_refused() {
    let bind = |config| Server::bind(config, assessor(), pronouncer()).map(|_| ()).unwrap_err().to_string();
    let local = Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..Config::default() };
    assert!(bind(Config { threshold: 101.0, ..local.clone() }).contains("scores are 0 to 100"));
    for origin in ["*", "speak.example", "https://speak.example/", "http://"] {
        let error = bind(Config { origins: vec![origin.into()], ..local.clone() });
        assert!(error.contains("write it as a browser does"), "{error}");
    }
    for host in ["*", "a:80", "https://a", ""] {
        let error = bind(Config { hosts: vec![host.into()], ..local.clone() });
        assert!(error.contains("without a port"), "{error}");
    }
    let limits = Limits { max_sessions: 0, ..Limits::default() };
    assert!(bind(Config { limits, ..local.clone() }).contains("max_sessions"));
    let taken = serve(Limits::default());
    assert!(bind(Config { listen: taken.address, ..local }).contains("cannot listen"));
}
