//! A stream that is running allocates nothing.

use crate::{allocations, alone};
use auricle_cca_mdd::{
    Assessor, CcaMddConfig, CcaMddModel, Event, FrameWeights, Live, Session, Streaming as _, Target,
};
use auricle_nn::Initializer;
use auricle_rng::{Key, Purpose};
use auricle_tests::server::sound;
use std::sync::Arc;

/// Everything that a shipped model has, with a bounded left context everywhere.
const MODEL: &str = r#"
gop = true
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
transformer = { layers = 2, heads = 2, feed_forward = 32, alibi = true, causal = true, left_context = 16, norm = { depth_scaled_sandwich = { attention = 0.283, feed_forward = 0.432 } } }
"#;

fn assessor(weights: FrameWeights) -> Arc<Assessor> {
    let device = auricle_tensor::device("cpu").unwrap();
    let mut config: CcaMddConfig = toml::from_str(MODEL).unwrap();
    config.coca.weights = weights;
    let mut stream = Key::new(1).stream(Purpose::Test);
    let model = CcaMddModel::new(&config, &mut Initializer::new(&mut stream, &device));
    Arc::new(Assessor::new(config, model, &device).unwrap())
}

#[test]
fn a_session_allocates_nothing_once_it_runs() {
    let _alone = alone();
    for weights in [FrameWeights::Column, FrameWeights::Softmax { temperature: 1.0 }, FrameWeights::Logits] {
        let mut session = Session::new(assessor(weights), vec![3, 17, 3, 38, 0, 25, 11]).unwrap();
        let samples = sound(16_000 * 100, 16_000, 1);
        let (warm_up, rest) = samples.split_at(16_000);
        let (at_first, ()) = allocations(|| warm_up.chunks(640).for_each(|piece| drop(session.push(piece))));
        assert!(at_first > 0, "the allocator does not count");
        // 99 s, over which everything that grows with the recording has grown.
        for (i, piece) in rest.chunks(640).enumerate() {
            let (count, frames) = allocations(|| session.push(piece).unwrap());
            assert_eq!((count, frames), (0, 1), "{weights:?}: piece {i}");
        }
        assert!(session.heard().len() > 100, "little was heard: {}", session.heard().len());
    }
}

#[test]
fn a_live_frame_without_an_event_allocates_nothing() {
    let _alone = alone();
    for rate in [16_000, 48_000] {
        let target = Target::of_phones("AO IY AO ZH AA OY ER").unwrap();
        let mut live = Live::new("a", assessor(FrameWeights::Column), target, rate, 50.0).unwrap();
        // Stretches of sound and silence, so that the decoder has something to tell.
        let mut samples = sound(20 * rate as usize, rate, 1);
        let stretch = rate as usize / 3;
        samples.chunks_mut(stretch).step_by(2).for_each(|silent| silent.fill(0.0));
        let (mut quiet, mut eventful) = (0, 0);
        for (i, piece) in samples.chunks(rate as usize / 25).enumerate() {
            let (count, events) = allocations(|| live.push(piece).unwrap().len());
            if i < 25 {
                continue;
            }
            if events > 0 {
                eventful += 1;
            } else {
                quiet += 1;
                assert_eq!(count, 0, "piece {i} at {rate} Hz");
            }
        }
        assert!(
            quiet > 100 && eventful > 10,
            "{quiet} pieces without and {eventful} with events at {rate} Hz"
        );
        assert!(matches!(live.finish().unwrap().last(), Some(Event::Final(_))));
    }
}
