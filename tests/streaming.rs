//! Law 1 for mispronunciation detection: from samples to verdicts, a stream gives what the whole
//! recording gives, however it is cut, and no frame waits for more than the look-ahead.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_audio::{MelFrontEnd, StreamingMel, padded};
use auricle_cca_mdd::inventory::{BLANK, CLASSES};
use auricle_cca_mdd::{
    Assessor, CcaMddConfig, CcaMddModel, Event, FrameWeights, Live, Notice, Output, PhoneVerdict, Session,
    Streaming as _, Target,
};
use auricle_nn::streaming::StreamingEncoder;
use auricle_nn::{Context, Initializer};
use auricle_rng::{Key, Purpose, Stream};
use auricle_tests::server::{pronouncer, sound};
use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;
use std::sync::Arc;

const MODEL: &str = r#"
reference = { layers = 1, heads = 2, feed_forward = 48 }
coca = { heads = 2 }
decoder = { layers = 2, heads = 2, feed_forward = 48, left_context = 5 }
decoder_hidden = 24
predictor = { layers = 1, heads = 2, feed_forward = 48 }
classifier = { layers = 1, heads = 2, feed_forward = 48 }

[encoder]
bins = 80

[[encoder.stages]]
convs = [
  { channels = 24, kernel = 3, activation = true },
  { channels = 24, kernel = 3, stride = 2, activation = true },
  { channels = 20 },
]
transformer = { layers = 1, heads = 2, feed_forward = 32, alibi = true, causal = true, left_context = 9 }

[[encoder.stages]]
convs = [
  { channels = 32, kernel = 3, activation = true },
  { channels = 32, kernel = 3, stride = 2, activation = true },
  { channels = 32 },
]
transformer = { layers = 2, heads = 4, feed_forward = 48, alibi = true, causal = true, norm = { depth_scaled_sandwich = { attention = 0.283, feed_forward = 0.432 } } }
"#;

const PHONES: [u32; 7] = [3, 17, 3, 38, 0, 25, 11];

struct Fixture {
    config: CcaMddConfig,
    model: CcaMddModel,
    assessor: Arc<Assessor>,
}

fn stream(seed: u64) -> Stream {
    Key::new(seed).stream(Purpose::Test)
}

fn fixture() -> Fixture {
    fixture_with(FrameWeights::Column)
}

fn fixture_with(weights: FrameWeights) -> Fixture {
    let device: Device = auricle_tensor::device("cpu").unwrap();
    let mut config: CcaMddConfig = toml::from_str(MODEL).unwrap();
    config.coca.weights = weights;
    let model = CcaMddModel::new(&config, &mut Initializer::new(&mut stream(1), &device));
    let assessor = Arc::new(Assessor::new(config.clone(), model.clone(), &device).unwrap());
    Fixture { config, model, assessor }
}

fn noise(samples: usize, seed: u64) -> Vec<f32> {
    let mut draws = stream(seed);
    (0..samples).map(|i| (0.3 * (i as f32 * 0.05).sin()) + 0.1 * draws.normal() as f32).collect()
}

/// The whole recording at once.
fn offline(fixture: &Fixture, samples: &[f32]) -> Output {
    let mel = MelFrontEnd::new(fixture.config.front_end.clone()).unwrap();
    let mel = mel.compute(samples, samples.len(), None).unwrap();
    let (num_frames, frames) = (mel.nrows(), mel.nrows().next_multiple_of(16));
    let values = padded(mel, frames, f32::NAN);
    let input = Tensor::<3>::from_data(TensorData::new(values, [1, frames, 80]), &Device::flex());
    fixture.model.forward(input, &[num_frames], &[PHONES.to_vec()], &mut Context::eval())
}

/// In pieces, whose lengths are drawn.
fn streamed(fixture: &Fixture, samples: &[f32], longest: usize, seed: u64) -> (Session, Vec<PhoneVerdict>) {
    let mut session = Session::new(fixture.assessor.clone(), PHONES.to_vec()).unwrap();
    let mut draws = stream(seed);
    let mut left = samples;
    while !left.is_empty() {
        let (piece, rest) = left.split_at((1 + draws.below(longest)).min(left.len()));
        session.push(piece).unwrap();
        left = rest;
    }
    let verdicts = session.finish().unwrap();
    (session, verdicts)
}

/// The online form, the paper's literal one, sharper, and that of the logits.
const WEIGHTS: [FrameWeights; 4] = [
    FrameWeights::Column,
    FrameWeights::Softmax { temperature: 1.0 },
    FrameWeights::Softmax { temperature: 0.01 },
    FrameWeights::Logits,
];

fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_to_vec().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_stream_gives_what_the_recording_gives(
        samples in 3_000usize..30_000, longest in 1usize..4_000, seed in 0u64..1_000,
        weights in prop::sample::select(&WEIGHTS[..]),
    ) {
        let fixture = fixture_with(weights);
        let sound = noise(samples, seed);
        let whole = offline(&fixture, &sound);
        let (session, verdicts) = streamed(&fixture, &sound, longest.max(50), seed + 1);
        prop_assert_eq!(session.frames(), whole.frames[0]);

        let decoded = values(whole.decoder);
        let tokens = auricle_decode::greedy(
            auricle_decode::by_frame(&decoded[..whole.frames[0] * CLASSES], CLASSES),
            BLANK,
        );
        let said: Vec<_> = tokens.iter().map(|t| (t.id, t.start_frame, t.end_frame)).collect();
        let heard: Vec<_> = session.heard().iter().map(|h| (h.phone, h.start_frame, h.end_frame)).collect();
        prop_assert_eq!(said, heard);

        let state = values(whole.state);
        prop_assert_eq!(verdicts.len(), PHONES.len());
        for (verdict, state) in verdicts.iter().zip(state) {
            let goodness = 1.0 / (1.0 + state.exp());
            prop_assert!((verdict.goodness - goodness).abs() < 2e-5, "{} {goodness}", verdict.goodness);
        }
        // However it is cut: the same bits.
        let (_, again) = streamed(&fixture, &sound, 777, seed + 2);
        prop_assert_eq!(verdicts, again);
    }
}

/// Rates of telephones, models, discs and microphones.
const RATES: [u32; 4] = [8_000, 16_000, 44_100, 48_000];

fn live(fixture: &Fixture, rate: u32) -> Live {
    let target = Target::of_prompt(pronouncer().prompt("we call it record").unwrap());
    Live::new("take", fixture.assessor.clone(), target, rate, 50.0).unwrap()
}

/// When a decision fell: the end of the frame that brought it.
fn decided_secs(event: &Event) -> f64 {
    match event {
        Event::Heard { start_secs, .. } => start_secs + 0.04,
        Event::Phone(phone) => phone.at_secs,
        Event::Word(word) => word.at_secs,
        Event::Final(_) => f64::INFINITY,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// From the samples of a microphone to every decision on the way and at the end.
    #[test]
    fn however_a_recording_is_cut_the_events_are_the_same(
        rate in prop::sample::select(&RATES[..]), secs in 0.5f64..3.0, longest in 1usize..6_000, seed in 0u64..1_000,
        weights in prop::sample::select(&WEIGHTS[..]),
    ) {
        let fixture = fixture_with(weights);
        let samples = sound((secs * f64::from(rate)) as usize, rate, seed);
        let mut whole = live(&fixture, rate);
        let mut expected = whole.push(&samples).unwrap().to_vec();
        expected.extend_from_slice(whole.finish().unwrap());

        let mut pieces = live(&fixture, rate);
        let mut events = Vec::new();
        let mut draws = stream(seed + 1);
        let mut left = samples.as_slice();
        while !left.is_empty() {
            let (piece, rest) = left.split_at((1 + draws.below(longest.max(50))).min(left.len()));
            events.extend_from_slice(pieces.push(piece).unwrap());
            left = rest;
        }
        events.extend_from_slice(pieces.finish().unwrap());
        prop_assert_eq!(&events, &expected);
        for kind in [
            |event: &Event| matches!(event, Event::Heard { .. }),
            |event: &Event| matches!(event, Event::Phone(_)),
            |event: &Event| matches!(event, Event::Final(_)),
        ] {
            prop_assert!(events.iter().any(kind), "{events:?}");
        }
        // What the events leave out.
        let (ours, theirs) = (pieces.session(), whole.session());
        prop_assert_eq!(ours.heard(), theirs.heard());
        prop_assert_eq!(ours.frames(), theirs.frames());
        prop_assert_eq!(ours.verdicts().unwrap(), theirs.verdicts().unwrap());
        prop_assert_eq!(pieces.audio_secs(), whole.audio_secs());
        prop_assert!(pieces.push(&samples).is_err() && pieces.finish().is_err(), "it goes on after its end");
    }

    /// Samples beyond a frame's end and the look-ahead of 60 ms and half a window change nothing of it.
    #[test]
    fn what_comes_after_the_look_ahead_changes_no_decision(cut in 4_000usize..24_000, seed in 0u64..1_000) {
        let fixture = fixture();
        let lookahead_ms = fixture.assessor.lookahead_ms();
        prop_assert_eq!(lookahead_ms, 60.0 + 10.0);
        let before = noise(cut, seed);
        let complete = ((cut as f64 / 16.0 - lookahead_ms) / 40.0) as usize;
        let heard = |after: &[f32]| {
            let mut session = Session::new(fixture.assessor.clone(), PHONES.to_vec()).unwrap();
            session.push(&before).unwrap();
            // What is complete is out: the look-ahead is all that a frame waits for.
            let out = session.frames();
            session.push(after).unwrap();
            let verdicts = session.finish().unwrap();
            let early = session.heard().iter().filter(|heard| heard.start_frame < complete);
            let early: Vec<_> =
                early.map(|h| (h.phone, h.start_frame, h.end_frame.min(complete))).collect();
            (out, early, verdicts)
        };
        let (out, early, verdicts) = heard(&noise(8_000, seed + 1));
        let loud: Vec<f32> = noise(8_000, seed + 2).iter().map(|x| 3.0 * x).collect();
        let (_, other_early, other_verdicts) = heard(&loud);
        prop_assert!(complete <= out && out <= complete + 1, "{out} frames are out, {complete} complete");
        prop_assert!(!early.is_empty());
        prop_assert_eq!(early, other_early);
        prop_assert_ne!(verdicts, other_verdicts);
    }

    /// The same for the chain at the rate of the recording, by its own word.
    #[test]
    fn the_chain_keeps_its_look_ahead(
        rate in prop::sample::select(&RATES[..]), secs in 1.0f64..2.5, seed in 0u64..1_000,
    ) {
        let fixture = fixture();
        let cut = (secs * f64::from(rate)) as usize;
        let before = sound(cut, rate, seed);
        let limit = cut as f64 / f64::from(rate) - live(&fixture, rate).lookahead().as_secs_f64();
        let decided = |after: &[f32]| {
            let mut live = live(&fixture, rate);
            let mut events = live.push(&before).unwrap().to_vec();
            let given = events.len();
            events.extend_from_slice(live.push(after).unwrap());
            let early = events.iter().take_while(|event| decided_secs(event) <= limit).count();
            assert!(early <= given, "a decision came later than the look-ahead allows");
            events.truncate(early);
            (events, live.session().verdicts().unwrap())
        };
        let (events, verdicts) = decided(&sound(rate as usize, rate, seed + 1));
        let (other_events, other_verdicts) = decided(&vec![0.0; rate as usize]);
        prop_assert!(!events.is_empty());
        prop_assert_eq!(events, other_events);
        prop_assert_ne!(verdicts, other_verdicts);
    }
}

/// All events of a recording in pieces of a length.
fn events_of(live: &mut Live, samples: &[f32], piece: usize) -> Vec<Event> {
    let mut events = Vec::new();
    for piece in samples.chunks(piece) {
        events.extend_from_slice(live.push(piece).unwrap());
    }
    events.extend_from_slice(live.finish().unwrap());
    events
}

#[test]
fn nothing_is_heard_in_silence() {
    let fixture = fixture();
    // Digital silence, and a hum that is 54 dB below full scale.
    let hum = (0..48_000).map(|i| 0.002 * (i as f32 * 0.05).sin()).collect();
    for silence in [vec![0.0; 48_000], hum] {
        let mut live = live(&fixture, 16_000);
        let events = events_of(&mut live, &silence, 640);
        let [Event::Final(scored)] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((scored.score, scored.notice), (0.0, Some(Notice::Silence)));
        let phones = scored.words.iter().flat_map(|word| &word.phones);
        assert!(phones.clone().count() > 0 && phones.clone().all(|phone| phone.mispronounced));
        assert!(live.session().heard().is_empty() && live.position() == 0);
        assert_eq!(live.session().frames(), 75);
    }
}

/// Two seconds of nothing on either side: what is heard, and where, is inside; and however it is cut, it is the same.
#[test]
fn times_leave_out_the_silence_around_speech() {
    let fixture = fixture();
    let speech = sound(32_000, 16_000, 4);
    let silence = vec![0.0; 32_000];
    let padded = [silence.as_slice(), &speech, &silence].concat();
    let mut whole = live(&fixture, 16_000);
    let events = events_of(&mut whole, &padded, padded.len());
    for piece in [1_600, 777, 640] {
        let mut pieces = live(&fixture, 16_000);
        assert_eq!(events_of(&mut pieces, &padded, piece), events, "pieces of {piece}");
    }
    // Speech is frames 50 to 99; two frames before it are listened to.
    let heard = whole.session().heard();
    assert!(!heard.is_empty() && heard.iter().all(|heard| heard.start_frame >= 48), "{heard:?}");
    let verdicts = whole.session().verdicts().unwrap();
    for verdict in &verdicts {
        let std::ops::Range { start, end } = verdict.frames;
        assert!(50 <= start && start < end && end <= 101, "{start}..{end}");
    }
    // A pause within the speech belongs to no phone.
    let paused = [&speech[..16_000], &silence, &speech[16_000..]].concat();
    let mut session = Session::new(fixture.assessor.clone(), PHONES.to_vec()).unwrap();
    session.push(&paused).unwrap();
    for verdict in session.finish().unwrap() {
        let pause = 26..75;
        assert!(!pause.contains(&verdict.frames.start) && !pause.contains(&(verdict.frames.end - 1)));
    }
}

#[test]
fn frames_wait_for_the_look_ahead_and_no_longer() {
    let fixture = fixture();
    let mut encoder = StreamingEncoder::new(&fixture.model.encoder).unwrap();
    // 10 + 10 + 20 + 20 ms at 10 ms a frame.
    assert_eq!(encoder.lookahead(), 6);
    let mut mel = StreamingMel::new(fixture.config.front_end.clone()).unwrap();
    let mut features = Vec::new();
    mel.push(&noise(20_000, 3), &mut features).unwrap();
    let mut out = Vec::new();
    for (i, frame) in features.chunks_exact(80).enumerate() {
        encoder.push(frame, &mut out);
        // Frame t covers inputs 4t..4t+4 and waits for six more.
        let complete = (i + 1).saturating_sub(6) / 4;
        assert_eq!(out.len() / 32, complete, "after {} feature frames", i + 1);
    }
    // What comes later changes nothing that is out, not even NaN.
    let mut other = StreamingEncoder::new(&fixture.model.encoder).unwrap();
    let mut early = Vec::new();
    let cut = 40 * 80;
    other.push(&features[..cut], &mut early);
    other.push(&vec![f32::NAN; 80 * 20], &mut Vec::new());
    assert_eq!(early[..], out[..early.len()]);
    assert!(early.len() / 32 == (40 - 6) / 4);
}

#[test]
fn a_session_refuses_what_it_cannot_judge() {
    let fixture = fixture();
    let new = |phones: Vec<u32>| Session::new(fixture.assessor.clone(), phones).map(|_| ());
    assert!(new(vec![]).unwrap_err().to_string().contains("0 phones"));
    assert!(new(vec![1; 2_000]).unwrap_err().to_string().contains("2000 phones"));
    let mut session = Session::new(fixture.assessor.clone(), PHONES.to_vec()).unwrap();
    assert!(session.push(&[f32::NAN]).is_err());
    assert!(session.push(&vec![0.0; 16_000 * 121]).unwrap_err().to_string().contains("longer than 120 s"));
    // Still usable; but too short to be judged.
    session.push(&[0.0; 100]).unwrap();
    assert!(session.finish().is_err());
}
