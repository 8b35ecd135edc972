//! WAV files of a set's NIST SPHERE files.

use crate::PrepError;
use crate::listing::SourceFile;
use crate::set::{Draft, counted};
use auricle_audio::{Audio, write_wav};
use std::fs;
use std::path::Path;

/// The folder for WAV files, beside the manifests.
const FOLDER: &str = "wav";

/// Makes WAV files in `out` of a set's SPHERE files, but for those that are there already, and puts
/// them in their place.
pub(crate) fn convert(draft: &mut Draft, out: &Path, report: &mut dyn FnMut(&str)) -> Result<(), PrepError> {
    let folder = out.join(FOLDER);
    let mut written = 0;
    for item in &mut draft.items {
        let Some(sphere) = item.sphere.take() else { continue };
        let wav = folder.join(format!("{}.wav", item.id));
        let bytes = sphere.wav_bytes();
        if !fs::metadata(&wav).is_ok_and(|found| found.is_file() && found.len() == bytes) {
            fs::create_dir_all(&folder).map_err(PrepError::io(&folder))?;
            let samples = sphere.read(&item.audio.path)?;
            // Whole or not there, whenever this is stopped.
            let part = folder.join(format!(".{}.{}.part", item.id, std::process::id()));
            let audio = Audio::new(samples, sphere.sample_rate);
            let failed = |e: std::io::Error| PrepError::io(&wav)(e);
            let result = write_wav(&part, &audio).map_err(std::io::Error::other);
            if let Err(e) = result.and_then(|()| fs::rename(&part, &wav)) {
                fs::remove_file(&part).ok();
                return Err(failed(e));
            }
            written += 1;
        }
        item.audio = SourceFile { path: wav, bytes };
    }
    if written > 0 {
        let files = counted(written, "SPHERE file");
        report(&format!("{}: {files} written as WAV to {}", draft.name, folder.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::Item;
    use crate::sphere::Sphere;

    #[test]
    fn samples_of_either_byte_order_become_the_same_wav() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let fields = "channel_count -i 1\nsample_count -i 3\nsample_rate -i 16000\nsample_n_bytes -i 2\n\
                      sample_byte_format -s2 01\n";
        let values = [i16::MIN, -2, 257];
        for big in [false, true] {
            let fields = if big { fields.replace("s2 01", "s2 10") } else { fields.to_owned() };
            let mut content = format!("NIST_1A\n   1024\n{fields}end_head\n").into_bytes();
            content.resize(1024, b' ');
            content.extend(values.iter().flat_map(|v| if big { v.to_be_bytes() } else { v.to_le_bytes() }));
            let path = folder.path().join("SA1.WAV");
            fs::write(&path, &content).unwrap();
            let file = SourceFile { path, bytes: content.len() as u64 };
            let sphere = Sphere::open(&file).unwrap();
            assert_eq!(sphere.unwrap().sample_rate, 16_000);
            let item = Item { sphere, ..Item::new(format!("{big}"), file, None, None) };
            let mut draft = Draft { items: vec![item], ..Draft::new("set") };
            let mut lines = Vec::new();
            convert(&mut draft, &out, &mut |line| lines.push(line.to_owned())).unwrap();
            assert!(lines[0].starts_with("set: 1 SPHERE file"), "{lines:?}");
            let wav = &draft.items[0].audio;
            assert_eq!(fs::metadata(&wav.path).unwrap().len(), wav.bytes);
            let audio = auricle_audio::read(&wav.path, &auricle_audio::Limits::default()).unwrap();
            assert_eq!(audio.samples, values.map(|v| f32::from(v) / 32_768.0));
        }
        let names = fs::read_dir(out.join("wav")).unwrap().count();
        assert_eq!(names, 2, "nothing half-written stays");
    }
}
