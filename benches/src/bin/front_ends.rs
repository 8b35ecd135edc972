//! Speed of the front ends on one thread: one JSON line each with the medians of both clocks.
//! `benches/vs_kaldi/run.sh` runs it side by side with kaldi-native-fbank and torchaudio.
//!
//! `cargo run --release -p auricle-benches --bin front_ends -- [seconds of audio] [repeats]`

use anyhow::Result;
use auricle_audio::{Fbank, FbankConfig, FeatureNorm, MelConfig, MelFrontEnd};
use auricle_benches::{median, noise, time};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<usize>());
    let secs = arguments.next().unwrap_or(Ok(60))?;
    let repeats = arguments.next().unwrap_or(Ok(9))?;
    let samples = noise(1, secs * 16_000, 0.1);
    let measure = |name: &str, f: &dyn Fn() -> Result<usize>| -> Result<()> {
        let frames = f()?;
        let time = median(&(0..repeats).map(|_| time(f)).collect::<Vec<_>>());
        let record = serde_json::json!({
            "system": format!("auricle {name}"),
            "frames": frames,
            "wall_ms": time.wall_ms,
            "cpu_ms": time.cpu_ms,
        });
        println!("{record}");
        Ok(())
    };
    for (name, num_bins, norm) in [
        ("log-mel 80", 80, FeatureNorm::None),
        ("log-mel 128", 128, FeatureNorm::None),
        ("log-mel 128, normalised", 128, FeatureNorm::Utterance),
    ] {
        let front = MelFrontEnd::new(MelConfig { num_bins, norm, ..MelConfig::default() })?;
        measure(name, &|| Ok(front.compute(&samples, samples.len(), None)?.nrows()))?;
    }
    let fbank = Fbank::new(&FbankConfig::default())?;
    measure("Kaldi fbank 80", &|| Ok(fbank.compute(&samples, None)?.nrows()))
}
