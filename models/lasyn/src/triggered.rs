//! Search with a triggered decoder while frames come in.

use auricle_decode::{BeamConfig, FrameSearch, Hypothesis, Prefix, PrefixScorer, log_softmax};
use auricle_nn::streaming::{DecoderMemory, DecoderPrefix, StreamingDecoder};
use std::convert::Infallible;
use std::sync::Arc;

/// A [`FrameSearch`] with an attention decoder of a look-ahead: the same tokens, however the frames are cut into pieces.
///
/// A frame of CTC is used as soon as the encoder's frames that its tokens may look at are there.
pub struct TriggeredSearch<'a> {
    scorer: DecoderScorer<'a>,
    search: FrameSearch<DecoderPrefix>,
    /// Log-probabilities of CTC's frames that wait.
    waiting: Vec<f32>,
    classes: usize,
}

struct DecoderScorer<'a> {
    decoder: &'a StreamingDecoder,
    memory: DecoderMemory,
    blank: u32,
    classes: usize,
    /// Encoder frames per frame of CTC.
    rate: f64,
}

impl<'a> TriggeredSearch<'a> {
    /// A search at the beginning of an utterance; `rate` are encoder frames per frame of CTC.
    pub fn new(
        decoder: &'a StreamingDecoder,
        config: BeamConfig,
        [classes, blank]: [u32; 2],
        rate: f64,
    ) -> Self {
        let memory = decoder.memory(&[]);
        let classes = classes as usize;
        let scorer = DecoderScorer { decoder, memory, blank, classes, rate };
        Self { scorer, search: FrameSearch::new(config, blank), waiting: Vec::new(), classes }
    }

    /// Takes the encoder's next frames `[n, D]` and CTC's next log-probabilities `[m, V]`.
    pub fn push(&mut self, frames: &[f32], ctc: &[f32]) {
        self.scorer.decoder.extend(&mut self.scorer.memory, frames);
        self.waiting.extend_from_slice(ctc);
        self.advance(false);
    }

    /// The best tokens so far.
    pub fn best(&self) -> &[u32] {
        self.search.best()
    }

    /// Ends the utterance: the best sequences, best first.
    pub fn finish(mut self) -> Vec<Hypothesis> {
        self.advance(true);
        let Ok(found) = self.search.finish(&mut self.scorer);
        found
    }

    /// Uses the frames that need not wait.
    fn advance(&mut self, ended: bool) {
        let mut used = 0;
        for row in self.waiting.chunks_exact(self.classes) {
            let needed = self.scorer.limit(self.search.frame());
            if !ended && needed.is_none_or(|needed| needed > self.scorer.memory.frames()) {
                break;
            }
            let Ok(()) = self.search.push(row, &mut self.scorer);
            used += row.len();
        }
        self.waiting.drain(..used);
    }
}

impl DecoderScorer<'_> {
    /// Encoder frames that tokens which begin at a frame of CTC may look at; `None`: all.
    fn limit(&self, frame: usize) -> Option<usize> {
        self.decoder.limit(frame as f64 * self.rate)
    }
}

impl PrefixScorer for DecoderScorer<'_> {
    type State = DecoderPrefix;
    type Error = Infallible;

    fn score(
        &mut self,
        prefixes: &[(&Prefix, &DecoderPrefix)],
        frame: Option<usize>,
    ) -> Result<Vec<(Arc<[f32]>, DecoderPrefix)>, Infallible> {
        let mut states: Vec<DecoderPrefix> = prefixes.iter().map(|(_, state)| (*state).clone()).collect();
        let last = |(prefix, _): &(&Prefix, &DecoderPrefix)| {
            let start = prefix.start_frames.last().map_or(0.0, |&start| start as f64 * self.rate);
            (prefix.tokens.last().copied().unwrap_or(self.blank), start)
        };
        let (tokens, start_frames): (Vec<u32>, Vec<f64>) = prefixes.iter().map(last).unzip();
        let limit = frame.and_then(|frame| self.limit(frame)).unwrap_or(usize::MAX);
        let limits = vec![limit; prefixes.len()];
        let logits = self.decoder.step(&self.memory, &mut states, &tokens, &start_frames, &limits);
        let rows = logits.chunks_exact(self.classes).map(|row| Arc::from(log_softmax(row)));
        Ok(rows.zip(states).collect())
    }

    fn cache_key(&self, frame: usize) -> usize {
        self.limit(frame).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_nn::{AttentionDecoder, Context, DecoderConfig, Initializer};
    use auricle_rng::{Key, Purpose};
    use burn::tensor::{Device, Tensor, TensorData};
    use proptest::prelude::*;

    const WIDTH: usize = 12;
    const CLASSES: usize = 5;
    const BLANK: u32 = 4;
    /// Encoder frames; CTC has twice as many.
    const FRAMES: usize = 24;

    fn decoder(look_ahead: Option<usize>) -> AttentionDecoder {
        let config = DecoderConfig {
            layers: 2,
            heads: 3,
            feed_forward: 20,
            dropout: 0.0,
            triggered: true,
            look_ahead,
        };
        let mut stream = Key::new(1).stream(Purpose::Init);
        AttentionDecoder::new(WIDTH, CLASSES, &config, &mut Initializer::new(&mut stream, &Device::flex()))
    }

    fn random(seed: u64, count: usize, scale: f64) -> Vec<f32> {
        let mut stream = Key::new(seed).stream(Purpose::Test);
        (0..count).map(|_| (scale * stream.normal()) as f32).collect()
    }

    fn frames(seed: u64) -> Vec<f32> {
        random(seed, FRAMES * WIDTH, 1.0)
    }

    fn ctc(seed: u64) -> Vec<f32> {
        random(seed + 100, 2 * FRAMES * CLASSES, 2.0).chunks_exact(CLASSES).flat_map(log_softmax).collect()
    }

    /// Pushes encoder frames and CTC frames in pieces of given sizes.
    fn search(decoder: &StreamingDecoder, seed: u64, pieces: &[usize]) -> (Vec<Hypothesis>, Vec<Vec<u32>>) {
        let (frames, ctc) = (frames(seed), ctc(seed));
        let classes = [CLASSES as u32, BLANK];
        let mut search = TriggeredSearch::new(decoder, BeamConfig::default(), classes, 0.5);
        let (mut at, mut partial) = (0, Vec::new());
        for &piece in pieces.iter().cycle() {
            let to = (at + piece).min(FRAMES);
            search.push(&frames[at * WIDTH..to * WIDTH], &ctc[2 * at * CLASSES..2 * to * CLASSES]);
            partial.push(search.best().to_vec());
            at = to;
            if at == FRAMES {
                break;
            }
        }
        (search.finish(), partial)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        /// However the speech arrives, the same is written with the same scores.
        #[test]
        fn pieces_do_not_matter(seed in 0u64..1000, ahead in 0usize..6, pieces in prop::collection::vec(1usize..7, 1..6)) {
            let decoder = StreamingDecoder::new(&decoder(Some(ahead))).unwrap();
            let whole = search(&decoder, seed, &[FRAMES]).0;
            prop_assert!(!whole[0].tokens.is_empty());
            prop_assert_eq!(whole, search(&decoder, seed, &pieces).0);
        }
    }

    /// Something is written before the end, later with more look-ahead, and without one only at the end.
    #[test]
    fn what_is_written_waits_for_the_look_ahead() {
        let first = |look_ahead: Option<usize>| {
            let decoder = StreamingDecoder::new(&decoder(look_ahead)).unwrap();
            let partial = search(&decoder, 1, &[1]).1;
            partial.iter().position(|tokens| !tokens.is_empty()).unwrap_or(FRAMES)
        };
        let (early, late) = (first(Some(0)), first(Some(5)));
        assert!(early + 5 == late && late < FRAMES, "{early} {late}");
        assert_eq!(first(None), FRAMES);
    }

    /// The decoder's part of the score is what it gives for the whole sequence at those places in training.
    #[test]
    fn scores_are_those_of_training() {
        for look_ahead in [Some(2), None] {
            let decoder = decoder(look_ahead);
            let streaming = StreamingDecoder::new(&decoder).unwrap();
            let (frames, ctc) = (frames(3), ctc(3));
            let memory =
                Tensor::<3>::from_data(TensorData::new(frames.clone(), [1, FRAMES, WIDTH]), &Device::flex());
            // The decoder alone scores: CTC opens the sequences and has no say.
            let config = BeamConfig { ctc_weight: 0.0, ..BeamConfig::default() };
            let mut search = TriggeredSearch::new(&streaming, config, [CLASSES as u32, BLANK], 0.5);
            search.push(&frames, &ctc);
            search.advance(true);
            let kept = search.search.prefixes();
            for (prefix, score) in kept {
                let tokens: Vec<u32> = [BLANK].into_iter().chain(prefix.tokens.clone()).collect();
                let places =
                    [0.0].into_iter().chain(prefix.start_frames.iter().map(|&t| t as f64 * 0.5)).collect();
                let logits = decoder.forward(&[tokens], &[places], &memory, &[FRAMES], &mut Context::eval());
                let logits = logits.into_data().try_to_vec::<f32>().unwrap();
                let rows = logits.chunks_exact(CLASSES).zip(&prefix.tokens);
                let want: f64 = rows.map(|(row, &token)| f64::from(log_softmax(row)[token as usize])).sum();
                assert!((score - want).abs() < 1e-3, "{prefix:?}: {score} {want}");
            }
        }
    }
}
