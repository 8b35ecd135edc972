//! The quickstart's row of latent synthesis: words that a recogniser has never heard, learnt from text.

use super::{Args, decode, run_anew};
use crate::shared::terminal::progress;
use anyhow::{Context as _, Result};
use auricle::adapt::{Plan, Text, recipe_of};
use auricle::latents::BANK;
use auricle::{Pronunciations, models, utterances};
use auricle_data::{Manifest, Utterance, builtin};
use auricle_io::atomic_write;
use auricle_lasyn::{BankOptions, make_bank};
use auricle_nn::weights::Metadata;
use auricle_text::Scored;
use auricle_text::asr::{AsrScores, score};
use auricle_train::Recipe;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Words that no recording of the row's training has.
const UNHEARD: [&str; 6] = ["jacket", "yellow", "seven", "water", "window", "orange"];
/// Steps of adaptation, with and without text.
const STEPS: u64 = 200;

/// A recogniser on sentences with words that it has never heard.
pub struct NewWords {
    rows: Vec<(&'static str, AsrScores, f64)>,
}

impl NewWords {
    /// Head of its table.
    pub const HEAD: [&'static str; 4] =
        ["sentences with new words", "WER %", "new words recognised %", "CER %"];

    /// Trains a recogniser without the words, then adapts it with sentences as text, and without.
    pub fn of(args: &Args, corpus: &builtin::Extracted, stop: &AtomicBool) -> Result<Self> {
        let folder = args.out.join("new_words");
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let has_new = |u: &Utterance| {
            u.text.as_deref().unwrap_or_default().split(' ').any(|word| UNHEARD.contains(&word))
        };
        let all = utterances(std::slice::from_ref(&corpus.train))?;
        let (unheard, heard): (Vec<Utterance>, Vec<Utterance>) = all.into_iter().partition(has_new);
        let keep = |name: &str, utterances: &[Utterance]| -> Result<std::path::PathBuf> {
            let path = folder.join(name);
            Manifest::write(&path, utterances)?;
            Ok(path)
        };
        let train = keep("train.jsonl", &heard)?;
        let with_new = |manifest: &Path| -> Result<Vec<Utterance>> {
            Ok(utterances(&[manifest.to_path_buf()])?.into_iter().filter(has_new).collect())
        };
        let test = keep("test.jsonl", &with_new(&corpus.test)?)?;
        let dev = keep("dev.jsonl", &with_new(&corpus.dev)?)?;
        let text = folder.join("text.txt");
        let lines: String = unheard.iter().filter_map(|u| u.text.clone()).map(|line| line + "\n").collect();
        atomic_write(&text, lines.as_bytes()).with_context(|| text.display().to_string())?;

        let mut recipe = Recipe::load(&args.out.join("recipes/ctc_from_pretrained.toml"), &[])?;
        recipe.data.train = vec![train.clone()];
        recipe.data.validation = vec![dev.clone()];
        let pretrained = args.out.join("spiral_pretrain").display().to_string();
        recipe.model.insert("init_from".into(), pretrained.into());
        let base = folder.join("base");
        run_anew(&recipe, &base, args.quiet, stop)?;

        let pronunciations = Pronunciations::default();
        let bank = base.join(BANK);
        let device = auricle_tensor::device("cpu")?.without_autodiff();
        let split = models::split_recogniser(&base, None, &device)?;
        let options = BankOptions { exemplar_secs: 600.0, rounds: 12 };
        let bar = progress(heard.len(), args.quiet);
        let pronouncer = pronunciations.pronouncer()?;
        let made = make_bank(&split, &heard, &pronouncer, options, &device, &mut |_| bar.inc(1));
        bar.finish_and_clear();
        let made = made?;
        atomic_write(&bank, &made.to_bytes(&Metadata::new())?).with_context(|| bank.display().to_string())?;

        let mut rows = vec![row("before", &base, &test)?];
        for (name, label, text) in [
            ("control", "after the same steps on speech only", None),
            ("adapted", "after text of the new words", Some(Text { bank: &bank, file: &text, source: None })),
        ] {
            let recipe = recipe_of(&Plan {
                model: &base,
                text,
                audio: vec![train.clone()],
                eval: vec![dev.clone()],
                pronunciations: &pronunciations,
                steps: STEPS,
                set: &[],
            })?;
            let run = folder.join(name);
            run_anew(&recipe, &run, args.quiet, stop)?;
            rows.push(row(label, &run, &test)?);
        }
        Ok(Self { rows })
    }

    /// What it says, in words.
    pub fn sentence(&self) -> String {
        let [(_, before, none), (_, control, _), (_, after, some)] = self.rows.as_slice() else {
            return String::new();
        };
        format!(
            "LaSyn: {} words that no recording had, learnt from text alone. Sentences with them: WER {:.1} % before, {:.1} % after the text, {:.1} % after the same steps without it; new words recognised {:.0} % before, {:.0} % after.",
            UNHEARD.len(),
            100.0 * before.words.rate(),
            100.0 * after.words.rate(),
            100.0 * control.words.rate(),
            100.0 * none,
            100.0 * some
        )
    }

    /// Rows of its table.
    pub fn cells(&self) -> Vec<Vec<String>> {
        self.rows
            .iter()
            .map(|(name, scores, recall)| {
                vec![
                    (*name).to_string(),
                    format!("{:.1}", 100.0 * scores.words.rate()),
                    format!("{:.0}", 100.0 * recall),
                    format!("{:.1}", 100.0 * scores.characters.rate()),
                ]
            })
            .collect()
    }
}

fn row(name: &'static str, run: &Path, test: &Path) -> Result<(&'static str, AsrScores, f64)> {
    let read = decode(run, test)?;
    Ok((name, score(&read), recall(&read)))
}

/// Share of the new words that stand in the transcripts.
fn recall(read: &[Scored]) -> f64 {
    let (mut found, mut all) = (0usize, 0usize);
    for sentence in read {
        for word in sentence.reference.split(' ').filter(|word| UNHEARD.contains(word)) {
            all += 1;
            found += usize::from(sentence.hypothesis.split(' ').any(|read| read == word));
        }
    }
    found as f64 / all.max(1) as f64
}
