//! One client: a WebSocket, its utterances one after another.

use crate::Shared;
use crate::pace::Pace;
use crate::pool::Account;
use crate::protocol::{Encoding, Event, HeardPhone, PhoneState, RATES, ReadyWord, Refusal, Request};
use crate::seats::Seat;
use auricle_cca_mdd::{self as mdd, Live, Reading, SessionError, Streaming as _, Target, inventory};
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Time for what is left to be said when a client is closed.
const FAREWELL: Duration = Duration::from_secs(2);
/// Sound is worked on in pieces of this length, so that a large message does not take a long turn.
const PIECE_SECS: f64 = 0.25;
/// A message costs at least this much of the credit of sound: empty ones are work, too.
const MESSAGE_SECS: f64 = 0.001;

/// Talks to a client until it goes or is closed.
pub async fn converse(socket: WebSocket, shared: Arc<Shared>, mut seat: Seat, stop: watch::Receiver<bool>) {
    let (sink, stream) = socket.split();
    let (events, queue) = mpsc::channel(shared.limits.max_queue);
    let mut writer = tokio::spawn(write(sink, queue));
    let limits = &shared.limits;
    let pace = Pace::new(limits.max_speed, limits.burst_secs, limits.patience_secs, Instant::now());
    let account = Account::default();
    let mut client = Client { shared: shared.clone(), events, take: None, takes: 0, pace, account };
    if let Err(refusal) = client.listen(stream, &mut seat, stop).await {
        client.dismiss(&refusal);
    }
    // The writer ends when the queue's other end is gone and all is written, or when nobody reads.
    drop(client);
    if tokio::time::timeout(FAREWELL, &mut writer).await.is_err() {
        writer.abort();
    }
}

/// Tells a client for whom there is no place.
pub async fn turn_away(mut socket: WebSocket, refusal: Refusal) {
    let farewell = async {
        for message in closing(&refusal) {
            if socket.send(message).await.is_err() {
                return;
            }
        }
        // Its own close frame, so that the connection is not reset before it has read ours.
        while let Some(Ok(_)) = socket.recv().await {}
    };
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
}

async fn write(mut sink: SplitSink<WebSocket, Message>, mut queue: mpsc::Receiver<Message>) {
    while let Some(message) = queue.recv().await {
        if sink.send(message).await.is_err() {
            return;
        }
    }
    let _ = sink.close().await;
}

fn closing(refusal: &Refusal) -> [Message; 2] {
    let frame = CloseFrame { code: refusal.close_status(), reason: refusal.code().into() };
    [message(&refusal.event()), Message::Close(Some(frame))]
}

fn message(event: &Event) -> Message {
    // Strings, numbers and lists: nothing that JSON cannot say.
    Message::text(serde_json::to_string(event).unwrap_or_default())
}

struct Take {
    live: Live,
    encoding: Encoding,
    rate: u32,
}

impl Take {
    /// Takes samples; what to tell the client.
    fn hear(&mut self, samples: &[f32]) -> Result<Vec<Event>, SessionError> {
        let (mut heard, mut phones, mut words) = (Vec::new(), Vec::new(), Vec::new());
        for event in self.live.push(samples)? {
            match event {
                mdd::Event::Heard { phone, start_secs } => {
                    heard.push(HeardPhone { phone: inventory::name(*phone), start_secs: *start_secs });
                }
                mdd::Event::Phone(phone) => phones.push(PhoneState::of(phone)),
                mdd::Event::Word(word) => words.push(Event::of_word(word)),
                // Comes with the end.
                mdd::Event::Final(_) => {}
            }
        }
        let partial = Event::Partial {
            audio_secs: self.live.audio_secs(),
            position: self.live.position(),
            over: self.live.seems_over(),
            heard,
            phones,
        };
        Ok(std::iter::once(partial).chain(words).collect())
    }
}

struct Client {
    shared: Arc<Shared>,
    events: mpsc::Sender<Message>,
    /// `None` between utterances, and while a computation has it.
    take: Option<Box<Take>>,
    takes: usize,
    pace: Pace,
    account: Account,
}

impl Client {
    async fn listen(
        &mut self,
        mut stream: SplitStream<WebSocket>,
        seat: &mut Seat,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), Refusal> {
        let (idle_secs, yield_secs) = (self.shared.limits.idle_secs, self.shared.limits.yield_secs);
        let idle = Duration::from_secs_f64(idle_secs);
        // Only sound counts: pings and prompts would keep a place for nothing.
        let mut idle_from = tokio::time::Instant::now();
        loop {
            let received = tokio::select! {
                // In this order, so that a flood of messages holds up neither of them.
                biased;
                _ = stop.wait_for(|&stop| stop) => return Err(Refusal::Stopping),
                () = seat.wanted() => return Err(Refusal::MadeRoom(yield_secs)),
                () = tokio::time::sleep_until(idle_from + idle) => return Err(Refusal::Idle(idle_secs)),
                received = stream.next() => received,
            };
            let received = match received {
                None | Some(Ok(Message::Close(_))) => return Ok(()),
                Some(Err(error)) => return self.unreadable(&error),
                Some(Ok(received)) => received,
            };
            let secs = self.check(&received)?;
            let limits = &self.shared.limits;
            let wait = self
                .pace
                .take(secs.max(MESSAGE_SECS), Instant::now())
                .map_err(|_| Refusal::TooFast(limits.max_speed))?;
            if !wait.is_zero() {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    _ = stop.wait_for(|&stop| stop) => return Err(Refusal::Stopping),
                    () = seat.wanted() => return Err(Refusal::MadeRoom(yield_secs)),
                }
            }
            let is_sound = secs > 0.0;
            let done = match received {
                Message::Text(text) => self.request(text.as_str()).await,
                Message::Binary(bytes) => self.sound(&bytes).await,
                _ => Ok(()),
            };
            match done {
                Err(refusal) if !refusal.closes() => {
                    self.take = None;
                    self.say(&refusal.event())?;
                }
                done => done?,
            }
            if is_sound {
                idle_from = tokio::time::Instant::now();
                seat.heard(idle_from.into_std());
            }
        }
    }

    /// What could not be read: nothing if the client is gone, else its mistake.
    fn unreadable(&self, error: &axum::Error) -> Result<(), Refusal> {
        let text = error.to_string();
        if ["reset", "closed", "roken pipe"].iter().any(|gone| text.contains(gone)) {
            return Ok(());
        }
        let most = self.shared.limits.max_message_bytes;
        Err(Refusal::Protocol(format!("{text}; messages are WebSocket frames of at most {most} bytes")))
    }

    /// Seconds of sound of a message.
    fn check(&self, message: &Message) -> Result<f64, Refusal> {
        let (size, secs) = match (message, &self.take) {
            (Message::Binary(bytes), Some(take)) => {
                (bytes.len(), (bytes.len() / take.encoding.bytes()) as f64 / f64::from(take.rate))
            }
            (Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes), _) => (bytes.len(), 0.0),
            (Message::Text(text), _) => (text.len(), 0.0),
            (Message::Close(_), _) => (0, 0.0),
        };
        let most = self.shared.limits.max_message_bytes;
        if size > most { Err(Refusal::MessageSize(size, most)) } else { Ok(secs) }
    }

    fn say(&self, event: &Event) -> Result<(), Refusal> {
        // A full queue is a client that does not read; a closed one a client that is gone.
        self.events.try_send(message(event)).map_err(|_| Refusal::SlowReader)
    }

    fn dismiss(&self, refusal: &Refusal) {
        for message in closing(refusal) {
            let _ = self.events.try_send(message);
        }
    }

    async fn request(&mut self, text: &str) -> Result<(), Refusal> {
        let request = serde_json::from_str(text).map_err(|error| {
            Refusal::Protocol(format!(
                "not a request ({error}); send {{\"type\":\"start\",…}} or {{\"type\":\"stop\"}}"
            ))
        })?;
        match request {
            Request::Start { .. } if self.take.is_some() => {
                Err(Refusal::Protocol("an utterance is being recorded; send `stop` first".into()))
            }
            Request::Start { prompt, sample_rate, encoding } => {
                self.start(prompt, sample_rate, encoding).await
            }
            Request::Stop {} => self.stop().await,
        }
    }

    async fn start(&mut self, prompt: String, rate: u32, encoding: Encoding) -> Result<(), Refusal> {
        let shared = self.shared.clone();
        if prompt.chars().nth(shared.limits.max_prompt_chars).is_some() {
            return Err(Refusal::PromptLength(shared.limits.max_prompt_chars));
        }
        if !RATES.contains(&rate) {
            return Err(Refusal::Rate(rate));
        }
        let id = format!("take {}", self.takes + 1);
        let begin = move || {
            let prompt = shared.pronouncer.prompt(&prompt).map_err(|e| Refusal::Prompt(e.to_string()))?;
            let target = Target::of_prompt(prompt);
            let words = ReadyWord::all(&target);
            let live = Live::new(id, shared.assessor.clone(), target, rate, shared.threshold)
                .map_err(|error| Refusal::of_session(&error, &shared.limits))?;
            Ok((Box::new(Take { live, encoding, rate }), words))
        };
        let done = self.shared.pool.run(&mut self.account, begin).await?;
        self.pace.charge(done.took);
        let (take, words) = done.value?;
        self.take = Some(take);
        self.takes += 1;
        let (max_secs, threshold) = (self.shared.limits.max_utterance_secs, self.shared.threshold);
        self.say(&Event::Ready { words, max_secs, threshold })
    }

    async fn sound(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let Some(take) = &self.take else {
            return Err(Refusal::Protocol("sound before `start`; wait for `ready`".into()));
        };
        let (rate, encoding) = (take.rate, take.encoding);
        let samples = encoding.samples(bytes).ok_or_else(|| {
            let size = encoding.bytes();
            Refusal::Protocol(format!(
                "{} bytes of sound; a sample has {size}: send whole samples",
                bytes.len()
            ))
        })?;
        for piece in samples.chunks(((f64::from(rate) * PIECE_SECS) as usize).max(1)) {
            self.piece(piece.to_vec()).await?;
        }
        Ok(())
    }

    async fn piece(&mut self, samples: Vec<f32>) -> Result<(), Refusal> {
        let Some(mut take) = self.take.take() else { return Err(Refusal::Internal) };
        let shared = self.shared.clone();
        let hear = move || {
            let longest = shared.limits.max_utterance_secs;
            if take.live.audio_secs() + samples.len() as f64 / f64::from(take.rate) > longest {
                return Err(Refusal::UtteranceLength(longest));
            }
            let said = take.hear(&samples).map_err(|error| Refusal::of_session(&error, &shared.limits))?;
            Ok((take, said))
        };
        let (take, said) = self.shared.pool.run(&mut self.account, hear).await?.value?;
        self.take = Some(take);
        said.iter().try_for_each(|event| self.say(event))
    }

    async fn stop(&mut self) -> Result<(), Refusal> {
        let Some(mut take) = self.take.take() else {
            return Err(Refusal::Protocol("no utterance is being recorded; send `start` first".into()));
        };
        let shared = self.shared.clone();
        let refusal = move |error| Refusal::of_session(&error, &shared.limits);
        let close = move || (take.live.close(), take);
        let done = self.shared.pool.run(&mut self.account, close).await?;
        self.pace.charge(done.took);
        let (reading, mut take) = done.value;
        let mut reading: Reading = reading.map_err(&refusal)?;
        // Every pronunciation is a turn of its own: others need not wait for all of them.
        loop {
            let improve = move || (take.live.improve(&mut reading), take, reading);
            let done = self.shared.pool.run(&mut self.account, improve).await?;
            self.pace.charge(done.took);
            let improved;
            (improved, take, reading) = done.value;
            if !improved.map_err(&refusal)? {
                break;
            }
        }
        self.say(&Event::Final { scored: take.live.scored(&reading) })
    }
}
