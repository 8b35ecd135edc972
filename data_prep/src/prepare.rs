//! What every corpus has in common: from a layout to manifests.

use crate::durations::Durations;
use crate::record::{Record, SetRecord, file_digest};
use crate::set::Draft;
use crate::{Definition, Options, PrepError, PreparedSet, download, picovoice_coffee, sphere_to_wav};
use auricle_data::{Manifest, Sentence, Utterance};
use std::fs;
use std::path::Path;

pub(crate) fn prepare(
    corpus: &Definition,
    options: &Options,
    report: &mut dyn FnMut(&str),
) -> Result<Vec<PreparedSet>, PrepError> {
    let asks_for_more = !options.hold_out.is_empty() || options.sentences.is_some();
    if asks_for_more && corpus.name != picovoice_coffee::CORPUS.name {
        let reason =
            format!("{} has no grammar and holds out no values; leave these options out", corpus.name);
        return Err(PrepError::layout(&options.source, reason));
    }
    if options.download {
        let mirror = download::Mirror::openslr();
        fetch(corpus, options, &mirror, report)?;
    }
    // Absolute paths, so that a manifest means the same from any working directory.
    let source = fs::canonicalize(&options.source).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            let place = corpus.about.source;
            PrepError::layout(
                &options.source,
                format!("no such folder; get {} from {place} and pass its folder", corpus.name),
            )
        }
        _ => PrepError::io(&options.source)(e),
    })?;
    if !source.is_dir() {
        return Err(PrepError::layout(&options.source, "is a file; pass the folder of the unpacked corpus"));
    }
    fs::create_dir_all(&options.out).map_err(PrepError::io(&options.out))?;
    let out = fs::canonicalize(&options.out).map_err(PrepError::io(&options.out))?;
    let mut record = Record::open(&out, corpus.name, corpus.version)?;

    let drafts = (corpus.layout)(&source, options)?;
    for name in record.sets.keys().filter(|name| drafts.iter().all(|draft| draft.name != **name)) {
        report(&format!(
            "note: {name}: not among the sets of this preparation; remove {name}.jsonl if it is out of date"
        ));
    }
    let mut durations = None;
    let mut prepared = Vec::new();
    for mut draft in drafts {
        draft.sort()?;
        sphere_to_wav::convert(&mut draft, &out, report)?;
        draft.all_notes().for_each(|note| report(&note));
        let name = format!("{}.jsonl", draft.name);
        let digest = draft.digest(&out)?;
        let set = match record.current(&draft.name, &digest, &out.join(&name)) {
            Some(set) => set.clone(),
            None if draft.items.is_empty() && !draft.sentences.is_empty() => {
                let set = write_text(&draft, digest, &out.join(&name))?;
                record.sets.insert(draft.name.clone(), set.clone());
                record.save(&out)?;
                set
            }
            None => {
                let durations = match &mut durations {
                    Some(durations) => durations,
                    empty => empty.insert(Durations::open(&out)?),
                };
                let set = write(&draft, digest, &out.join(&name), durations, report)?;
                record.sets.insert(draft.name.clone(), set.clone());
                record.save(&out)?;
                set
            }
        };
        prepared.push(PreparedSet {
            manifest: options.out.join(name),
            utterances: set.utterances,
            hours: set.hours,
            has_audio: !draft.items.is_empty(),
        });
    }
    drop(durations);
    Durations::remove(&out)?;
    Ok(prepared)
}

fn fetch(
    corpus: &Definition,
    options: &Options,
    mirror: &download::Mirror,
    report: &mut dyn FnMut(&str),
) -> Result<(), PrepError> {
    if corpus.archives.is_empty() {
        let reason = format!(
            "{} is not downloaded from here; get it from {} and run without --download",
            corpus.name, corpus.about.source
        );
        return Err(PrepError::layout(&options.source, reason));
    }
    mirror.fetch_missing(corpus.archives, corpus.top, &options.source, report)
}

/// Looks up the durations and writes the manifest.
fn write(
    draft: &Draft,
    source_blake3: String,
    manifest: &Path,
    durations: &mut Durations,
    report: &mut dyn FnMut(&str),
) -> Result<SetRecord, PrepError> {
    let secs = durations.of_set(draft, report)?;
    let utterances: Vec<Utterance> = draft
        .items
        .iter()
        .zip(&secs)
        .map(|(item, &duration_secs)| Utterance {
            text: item.text.clone(),
            speaker: item.speaker.clone(),
            phones: item.labels.phones.clone(),
            perceived_phones: item.labels.perceived_phones.clone(),
            meaning: item.labels.meaning.clone(),
            extra: item.labels.extra.clone(),
            ..Utterance::new(&item.id, &item.audio.path, duration_secs)
        })
        .collect();
    Manifest::write(manifest, &utterances)?;
    Ok(SetRecord {
        utterances: utterances.len(),
        // Few enough digits to be the same number when read back.
        hours: (secs.iter().sum::<f64>() / 3600.0 * 1e6).round() / 1e6,
        manifest_blake3: file_digest(manifest).map_err(PrepError::io(manifest))?,
        source_blake3,
    })
}

/// Writes a text manifest.
fn write_text(draft: &Draft, source_blake3: String, manifest: &Path) -> Result<SetRecord, PrepError> {
    Sentence::write(manifest, &draft.sentences)?;
    Ok(SetRecord {
        utterances: draft.sentences.len(),
        hours: 0.0,
        manifest_blake3: file_digest(manifest).map_err(PrepError::io(manifest))?,
        source_blake3,
    })
}
