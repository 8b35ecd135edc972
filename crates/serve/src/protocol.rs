//! Messages between page and server; described in the crate's README.

use crate::Limits;
use auricle_cca_mdd::{
    MAX_PHONES, PartialPhone, PartialWord, Scored, ScoredWord, SessionError, Target, inventory,
};
use auricle_text::Source;
use auricle_text::mdd::Verdict;
use serde::{Deserialize, Serialize};

/// Rates that a recording may have, in Hz.
pub const RATES: std::ops::RangeInclusive<u32> = 8_000..=192_000;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// A recording begins.
    Start {
        /// What will be read.
        prompt: String,
        /// Samples per second.
        sample_rate: u32,
        /// How samples are written.
        encoding: Encoding,
    },
    /// The recording is over.
    Stop {},
}

/// How the samples of a binary message are written; one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Signed 16-bit integers, little-endian; 32,768 is full scale.
    S16le,
    /// 32-bit floating point, little-endian; 1 is full scale.
    F32le,
}

impl Encoding {
    /// Bytes of a sample.
    pub fn bytes(self) -> usize {
        match self {
            Self::S16le => 2,
            Self::F32le => 4,
        }
    }

    /// Samples of a message; `None` where its length is no multiple of a sample's.
    pub fn samples(self, bytes: &[u8]) -> Option<Vec<f32>> {
        match self {
            Self::S16le => {
                let (samples, rest) = bytes.as_chunks::<2>();
                rest.is_empty()
                    .then(|| samples.iter().map(|x| f32::from(i16::from_le_bytes(*x)) / 32_768.0).collect())
            }
            Self::F32le => {
                let (samples, rest) = bytes.as_chunks::<4>();
                rest.is_empty().then(|| samples.iter().map(|x| f32::from_le_bytes(*x)).collect())
            }
        }
    }
}

/// What the server says.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The recording may be sent.
    Ready {
        /// Words to be said.
        words: Vec<ReadyWord>,
        /// Most seconds of the utterance.
        max_secs: f64,
        /// A phone with a score below this is mispronounced.
        threshold: f64,
    },
    /// Sound has been heard.
    Partial {
        /// Seconds of sound taken so far.
        audio_secs: f64,
        /// How many phones of the prompt have been said.
        position: usize,
        /// The speaker seems to be at the end.
        over: bool,
        /// Phones heard since the last of these.
        heard: Vec<HeardPhone>,
        /// Canonical phones of which more is known since the last of these, in order of time.
        phones: Vec<PhoneState>,
    },
    /// A word has been said; its scores may still change.
    Verdict {
        /// Which one, from 0.
        word: usize,
        /// Its scores.
        result: ScoredWord,
    },
    /// The whole utterance.
    Final {
        /// As `auricle mdd score --json`.
        #[serde(flatten)]
        scored: Scored,
    },
    /// Something cannot be done.
    Error {
        /// What kind.
        code: &'static str,
        /// What and what to do, for people.
        message: String,
        /// Whether the connection is closed.
        closes: bool,
    },
}

/// A word to be said.
#[derive(Debug, Clone, Serialize)]
pub struct ReadyWord {
    /// As looked up.
    pub text: String,
    /// Its pronunciation was guessed from its letters.
    pub guessed: bool,
    /// Canonical phones.
    pub phones: Vec<&'static str>,
}

/// A phone that was heard.
#[derive(Debug, Clone, Serialize)]
pub struct HeardPhone {
    /// Its name.
    pub phone: &'static str,
    /// Where it begins.
    pub start_secs: f64,
}

/// What is known of a canonical phone while the learner speaks; it may still change.
#[derive(Debug, Clone, Serialize)]
pub struct PhoneState {
    /// Which one, from 0, in the whole prompt.
    pub index: usize,
    /// `right`, `other` (another was heard in its place), `missed`, or `open`: not said after all.
    pub verdict: &'static str,
    /// What was heard in its place, where that is another.
    pub said: Option<&'static str>,
    /// Where that begins; where it should begin if it was left out.
    pub start_secs: Option<f64>,
}

impl PhoneState {
    /// As the model says it.
    pub fn of(phone: &PartialPhone) -> Self {
        let (verdict, said) = match phone.verdict {
            Some(Verdict::Correct) => ("right", None),
            Some(Verdict::Substituted(said)) => ("other", Some(said)),
            Some(Verdict::Error(_)) => ("other", None),
            Some(Verdict::Deleted) => ("missed", None),
            None => ("open", None),
        };
        let start_secs = phone.verdict.is_some().then_some(phone.start_secs);
        Self { index: phone.index, verdict, said: said.map(inventory::name), start_secs }
    }
}

impl Event {
    /// A word that has been said.
    pub fn of_word(word: &PartialWord) -> Self {
        Self::Verdict { word: word.index, result: word.result.clone() }
    }
}

impl ReadyWord {
    /// The words of a target.
    pub fn all(target: &Target) -> Vec<Self> {
        let word = |(text, source, phones): (&str, Option<Source>, &[auricle_text::Phone])| Self {
            text: text.into(),
            guessed: source == Some(Source::LetterToSound),
            phones: phones.iter().map(|phone| inventory::name(phone.index() as u32)).collect(),
        };
        target.words().map(word).collect()
    }
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// All sessions are taken.
    #[error("all {0} sessions are in use; try again in a minute")]
    Busy(usize),
    /// All sessions of an address are taken.
    #[error(
        "this address has all {0} sessions that one may have; end one, or try again in a minute. Behind a proxy every client has the proxy's address: start the server with --proxy ADDRESS"
    )]
    BusyAddress(usize),
    /// A message that is too large.
    #[error("a message of {0} bytes; the most is {1}: send sound in smaller pieces")]
    MessageSize(usize, usize),
    /// A message that is no message of this protocol.
    #[error("{0}")]
    Protocol(String),
    /// Too long a prompt.
    #[error("the prompt has more than {0} characters; split it")]
    PromptLength(usize),
    /// A prompt that cannot be pronounced.
    #[error("{0}")]
    Prompt(String),
    /// A rate that no recording has.
    #[error("sample_rate {0}: it must be {from} to {to} Hz", from = RATES.start(), to = RATES.end())]
    Rate(u32),
    /// Sound that cannot be used.
    #[error("{0}")]
    Audio(String),
    /// Too long an utterance.
    #[error("the utterance is longer than {0} s; stop after each sentence")]
    UtteranceLength(f64),
    /// No sound for too long.
    #[error("no sound came for {0} s; connect again to go on")]
    Idle(f64),
    /// No sound for so long that another may have the place.
    #[error("no sound came for {0} s and another client needs the place; connect again to go on")]
    MadeRoom(f64),
    /// Sound comes too fast.
    #[error("sound comes faster than {0} times real time; send it as it is recorded")]
    TooFast(f64),
    /// Messages are not read.
    #[error("messages are not being read; read them while sending")]
    SlowReader,
    /// The server ends.
    #[error("the server is being stopped; connect again later")]
    Stopping,
    /// A defect.
    #[error("an internal error, which has been logged; connect again")]
    Internal,
}

impl Refusal {
    /// A short name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Busy(_) | Self::BusyAddress(_) => "busy",
            Self::MessageSize(..) => "message_size",
            Self::Protocol(_) => "protocol",
            Self::PromptLength(_) => "prompt_length",
            Self::Prompt(_) => "prompt",
            Self::Rate(_) => "sample_rate",
            Self::Audio(_) => "audio",
            Self::UtteranceLength(_) => "utterance_length",
            Self::Idle(_) | Self::MadeRoom(_) => "idle",
            Self::TooFast(_) => "too_fast",
            Self::SlowReader => "slow_reader",
            Self::Stopping => "stopping",
            Self::Internal => "internal",
        }
    }

    /// Whether the connection is closed: only what a learner can mend by another prompt or by speaking
    /// again leaves it open.
    pub fn closes(&self) -> bool {
        !matches!(self, Self::Prompt(_) | Self::PromptLength(_) | Self::Audio(_))
    }

    /// The status of the WebSocket's close frame (RFC 6455).
    pub fn close_status(&self) -> u16 {
        match self {
            Self::Busy(_) | Self::BusyAddress(_) => 1013,
            Self::MessageSize(..) => 1009,
            Self::Stopping => 1001,
            Self::Internal => 1011,
            _ => 1008,
        }
    }

    /// As a message.
    pub fn event(&self) -> Event {
        Event::Error { code: self.code(), message: self.to_string(), closes: self.closes() }
    }

    /// What a session cannot do.
    pub fn of_session(error: &SessionError, limits: &Limits) -> Self {
        match error {
            SessionError::Prompt(phones) => {
                Self::Prompt(format!("the prompt has {phones} phones; it needs 1 to {MAX_PHONES}"))
            }
            SessionError::TooLong => Self::UtteranceLength(limits.max_utterance_secs),
            SessionError::Audio(error) => Self::Audio(format!("{error}; record again")),
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_and_half_ones_refused() {
        assert_eq!(Encoding::S16le.samples(&[0, 0x80, 0, 0x40]), Some(vec![-1.0, 0.5]));
        assert_eq!(Encoding::F32le.samples(&0.25f32.to_le_bytes()), Some(vec![0.25]));
        assert_eq!(Encoding::S16le.samples(&[1]), None);
        assert_eq!(Encoding::F32le.samples(&[1; 6]), None);
    }

    #[test]
    fn requests_are_strict() {
        let read = serde_json::from_str::<Request>;
        assert_eq!(
            read(r#"{"type":"start","prompt":"a","sample_rate":48000,"encoding":"f32le"}"#).ok(),
            Some(Request::Start { prompt: "a".into(), sample_rate: 48_000, encoding: Encoding::F32le })
        );
        assert_eq!(read(r#"{"type":"stop"}"#).ok(), Some(Request::Stop {}));
        for bad in
            ["", "[]", r#"{"type":"stop","x":1}"#, r#"{"type":"go"}"#, r#"{"type":"start","prompt":"a"}"#]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
