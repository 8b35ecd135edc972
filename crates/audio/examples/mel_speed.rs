//! Speed of the SPIRAL front end on one core, in audio hours per second.
//!
//! `cargo run --release -p auricle-audio --example mel_speed [bins] [seconds of audio] [repeats]`
//! prints one line for each repeat; `tools/golden/mel_speed.py` runs it side by side with kaldi-native-fbank.

use std::time::Instant;

use auricle_audio::{FeatureNorm, MelConfig, MelFrontEnd};
use auricle_rng::{Key, Purpose};

fn main() -> Result<(), auricle_audio::AudioError> {
    let mut arguments = std::env::args().skip(1).map_while(|a| a.parse::<usize>().ok());
    let num_bins = arguments.next().unwrap_or(128);
    let secs = arguments.next().unwrap_or(60);
    let repeats = arguments.next().unwrap_or(5);

    let mut stream = Key::new(1).stream(Purpose::Test);
    let samples: Vec<f32> = (0..secs * 16_000).map(|_| 0.1 * stream.normal() as f32).collect();
    for norm in [FeatureNorm::None, FeatureNorm::Utterance] {
        let front = MelFrontEnd::new(MelConfig { num_bins, norm: norm.clone(), ..MelConfig::default() })?;
        for _ in 0..repeats {
            let start = Instant::now();
            let features = front.compute(&samples, samples.len(), None)?;
            let elapsed_secs = start.elapsed().as_secs_f64();
            println!(
                "norm={norm:?} bins={num_bins} frames={} x_real_time={:.0} audio_hours_per_second={:.3}",
                features.num_frames,
                secs as f64 / elapsed_secs,
                secs as f64 / elapsed_secs / 3600.0
            );
        }
    }
    Ok(())
}
