//! A reading while it happens: sound of any rate in, what is known so far out.

use crate::stream::{Event, PartialPhone, PartialWord, Streaming};
use crate::{Assessor, Reading, Scored, Session, SessionError, Target};
use auricle_audio::StreamingResampler;
use auricle_text::mdd::{Verdict, Verdicts};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Encoder frames without a new phone after which the last word counts as said.
const PAUSE_FRAMES: usize = 8;
/// Quiet after the last phone that ends a recording.
const PAUSE_SECS: f64 = 1.2;
/// Quiet that ends a recording wherever it is: the last phones may not have been heard.
const LONG_PAUSE_SECS: f64 = 2.5;

/// One utterance of a learner who is being recorded: the [stream](Streaming) from samples at the rate of the
/// recording to [events](Event).
///
/// A frame of 40 ms that brings no event allocates nothing.
pub struct Live {
    id: String,
    target: Target,
    spans: Vec<Range<usize>>,
    session: Session,
    resampler: StreamingResampler,
    resampled: Vec<f32>,
    rate: u32,
    samples: usize,
    threshold: f64,
    is_over: bool,
    /// Phones heard that events have told of.
    heard: usize,
    /// The decoder's verdicts on the phones that have been reached, and the frames where they begin.
    reached: Vec<(Verdict<u32>, usize)>,
    /// Words that have been said.
    words: usize,
    events: Vec<Event>,
}

impl Live {
    /// An utterance recorded at `rate` samples per second, with the name that its result will have. Phones below
    /// `threshold` (0 to 100) are mispronounced.
    ///
    /// # Errors
    /// A prompt or a rate that cannot be used.
    pub fn new(
        id: impl Into<String>,
        assessor: Arc<Assessor>,
        target: Target,
        rate: u32,
        threshold: f64,
    ) -> Result<Self, SessionError> {
        let resampler = StreamingResampler::new(rate, assessor.sample_rate())?;
        let session = Session::new(assessor, target.classes())?;
        Ok(Self {
            id: id.into(),
            spans: target.spans(),
            target,
            session,
            resampler,
            resampled: Vec::new(),
            rate,
            samples: 0,
            threshold,
            is_over: false,
            heard: 0,
            reached: Vec::new(),
            words: 0,
            events: Vec::new(),
        })
    }

    /// What is to be said.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The same at the model's rate.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// What the last piece has decided.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Seconds of sound so far.
    pub fn audio_secs(&self) -> f64 {
        self.samples as f64 / f64::from(self.rate)
    }

    /// How many phones of the prompt have been said so far, by the decoder; it can go back.
    pub fn position(&self) -> usize {
        self.reached.len()
    }

    /// Whether the speaker seems to have come to the end of the prompt: a pause after its last phone, or a long
    /// one anywhere.
    pub fn seems_over(&self) -> bool {
        let quiet = self.session.quiet_secs();
        let is_said = self.position() >= self.session.canonical().len();
        quiet > LONG_PAUSE_SECS || (is_said && quiet > PAUSE_SECS)
    }

    /// Ends the recording, like [`finish`](Streaming::finish) in steps that others need not wait for: the
    /// reading can be [improved](Self::improve), then [scored](Self::scored).
    ///
    /// # Errors
    /// A recording that is too short, or is over.
    pub fn close(&mut self) -> Result<Reading, SessionError> {
        self.begin()?;
        self.is_over = true;
        self.resampler.finish(&mut self.resampled);
        self.session.feed(&self.resampled)?;
        self.session.flush()?;
        self.listen()?;
        Ok(Reading::new(self.target.clone(), self.session.verdicts()?))
    }

    /// Tries one more pronunciation of one word on a recording that is over; false where all have been tried.
    ///
    /// # Errors
    /// A device that fails.
    pub fn improve(&self, reading: &mut Reading) -> Result<bool, SessionError> {
        reading.improve(&self.session)
    }

    /// The result.
    pub fn scored(&self, reading: &Reading) -> Scored {
        reading.scored(&self.session, &self.id, self.threshold, self.audio_secs())
    }

    fn begin(&mut self) -> Result<(), SessionError> {
        self.events.clear();
        self.resampled.clear();
        if self.is_over { Err(SessionError::Over) } else { Ok(()) }
    }

    /// Frame by frame, so that events do not depend on how many of them came at once.
    fn listen(&mut self) -> Result<(), SessionError> {
        while self.session.listen() {
            let heard = self.session.heard();
            if let Some(new) = heard.get(self.heard) {
                let start_secs = self.secs(new.start_frame);
                self.events.push(Event::Heard { phone: new.phone, start_secs });
                self.heard = heard.len();
                self.align();
            }
            self.say_words()?;
        }
        Ok(())
    }

    fn secs(&self, frame: usize) -> f64 {
        // To a millisecond: 3 frames of 0.04 s are not 0.12000000000000001 s.
        (frame as f64 * self.session.frame_secs() * 1000.0).round() / 1000.0
    }

    /// Aligns the phones heard with the beginning of the prompt; tells what has changed.
    fn align(&mut self) {
        let heard = self.session.heard();
        let said: Vec<u32> = heard.iter().map(|heard| heard.phone).collect();
        let verdicts = Verdicts::from_partial_hypothesis(self.session.canonical(), &said);
        let mut insertions = verdicts.insertions.iter().peekable();
        let mut next = 0;
        let mut reached = Vec::with_capacity(verdicts.phones.len());
        for (index, verdict) in verdicts.phones.into_iter().enumerate() {
            while insertions.next_if(|insertion| insertion.before <= index).is_some() {
                next += 1;
            }
            let start_frame = heard.get(next).map_or(self.session.frames(), |heard| heard.start_frame);
            next += usize::from(verdict != Verdict::Deleted);
            reached.push((verdict, start_frame));
        }
        let before = std::mem::replace(&mut self.reached, reached);
        let at_secs = self.secs(self.session.frames());
        for index in 0..before.len().max(self.reached.len()) {
            let now = self.reached.get(index);
            if now != before.get(index) {
                let start_frame = now.or(before.get(index)).map_or(0, |(_, start_frame)| *start_frame);
                let (verdict, start_secs) = (now.map(|(verdict, _)| verdict.clone()), self.secs(start_frame));
                self.events.push(Event::Phone(PartialPhone { index, verdict, start_secs, at_secs }));
            }
        }
    }

    /// Judges the words that have been said since the last frame.
    fn say_words(&mut self) -> Result<(), SessionError> {
        let frames = self.session.frames();
        let heard = self.session.heard();
        let pause = heard.last().is_some_and(|last| last.end_frame + PAUSE_FRAMES <= frames);
        let position = self.position();
        let is_said = |span: &&Range<usize>| span.end < position || (span.end == position && pause);
        let said = self.words + self.spans[self.words..].iter().take_while(is_said).count();
        if said == self.words {
            return Ok(());
        }
        let verdicts = self.session.verdicts()?;
        let frame_secs = self.session.frame_secs();
        let scored = self.target.words_scored(&verdicts, self.threshold, frame_secs, f64::INFINITY);
        let at_secs = self.secs(frames);
        let new = scored.into_iter().enumerate().take(said).skip(self.words);
        self.events.extend(new.map(|(index, result)| Event::Word(PartialWord { index, result, at_secs })));
        self.words = said;
        Ok(())
    }
}

impl Streaming for Live {
    type Event = Event;
    type Error = SessionError;

    /// That of encoder and front end, and of the resampler where the recording has another rate than the model.
    fn lookahead(&self) -> Duration {
        let resampler = self.resampler.lookahead_samples() as f64 / f64::from(self.rate);
        Duration::from_secs_f64(self.session.lookahead_ms() / 1000.0 + resampler)
    }

    /// # Errors
    /// Samples that are not finite, too many of them, or a recording that is over.
    fn push(&mut self, samples: &[f32]) -> Result<&[Event], SessionError> {
        self.begin()?;
        self.resampler.push(samples, &mut self.resampled);
        self.session.feed(&self.resampled)?;
        self.samples += samples.len();
        self.listen()?;
        Ok(&self.events)
    }

    /// The last event is [`Event::Final`], of the pronunciations that were said best.
    ///
    /// # Errors
    /// A recording that is too short, or is over.
    fn finish(&mut self) -> Result<&[Event], SessionError> {
        let mut reading = self.close()?;
        while self.improve(&mut reading)? {}
        let scored = self.scored(&reading);
        self.events.push(Event::Final(scored));
        Ok(&self.events)
    }
}
