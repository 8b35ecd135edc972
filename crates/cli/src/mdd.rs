//! `auricle mdd`.

use crate::lexicon::{LexiconArgs, pronouncer};
use crate::tasks::load_model;
use anyhow::{Context as _, Result, bail};
use auricle_cca_mdd::{Assessor, PhoneVerdict, Session, inventory};
use auricle_data::read_any;
use auricle_text::phones::{Phone, hint};
use auricle_text::{Prompt, Source};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Score the pronunciation of a read sentence: 0 to 100 per phone, word and utterance.
    #[command(after_help = "Examples:
  auricle mdd score --text \"we call it bear\" take1.wav
  auricle mdd score --text \"Wei drinks tea\" --lexicon names.dict take1.wav --json
  auricle mdd score --phones \"W IY K AO L\" --model runs/mdd take1.wav --textgrid > take1.TextGrid

Words are looked up in the lexicons given by --lexicon, then read by the letter-to-sound model.
A phone below --threshold counts as mispronounced; what was said instead is named where the model
knows it. Exit status 1: the file could not be judged.")]
    Score(Score),
}

#[derive(clap::Args)]
pub struct Score {
    /// What should be said.
    #[arg(long, required_unless_present = "phones", conflicts_with = "phones")]
    text: Option<String>,
    /// What should be said, in phones of the CMU dictionary.
    #[arg(long)]
    phones: Option<String>,
    /// Recording of one sentence.
    file: PathBuf,
    /// Model: a folder, a file, a run directory, or the name of a shipped model.
    #[arg(long, default_value = "mdd-en-small")]
    model: PathBuf,
    #[command(flatten)]
    lexicon: LexiconArgs,
    /// A phone below this score, of 0 to 100, is mispronounced.
    #[arg(long, default_value_t = 50.0)]
    threshold: f64,
    /// One JSON object.
    #[arg(long, conflicts_with_all = ["textgrid", "ctm"])]
    json: bool,
    /// A TextGrid of Praat with tiers of words, phones and scores.
    #[arg(long, conflicts_with = "ctm")]
    textgrid: bool,
    /// NIST time marks of phones, with the score as confidence.
    #[arg(long)]
    ctm: bool,
    /// Device.
    #[arg(long, default_value = "cpu")]
    device: String,
}

/// The result for an utterance.
#[derive(Debug, Clone, Serialize)]
pub struct Scored {
    id: String,
    score: f64,
    duration_secs: f64,
    words: Vec<ScoredWord>,
}

/// The result for a word.
#[derive(Debug, Clone, Serialize)]
struct ScoredWord {
    text: String,
    score: f64,
    /// Where the pronunciation comes from; `None` where phones were given.
    source: Option<Source>,
    phones: Vec<ScoredPhone>,
}

/// The result for a canonical phone.
#[derive(Debug, Clone, Serialize)]
struct ScoredPhone {
    phone: &'static str,
    score: f64,
    mispronounced: bool,
    /// What was said instead, where it is known.
    said: Option<&'static str>,
    /// What to do about it.
    hint: Option<String>,
    start_secs: f64,
    end_secs: f64,
}

pub fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Score(args) => score(args),
    }
}

fn score(args: &Score) -> Result<ExitCode> {
    if !(0.0..=100.0).contains(&args.threshold) {
        bail!("--threshold {}: scores are 0 to 100", args.threshold);
    }
    let device = auricle_tensor::device(&args.device)?;
    let (tensors, metadata) = load_model(&args.model)?;
    let assessor = Assessor::from_weights(tensors, &metadata, &device)
        .with_context(|| format!("model {}", args.model.display()))?;
    let assessor = Arc::new(assessor);
    let found = read_any(&args.file)?;
    let [utterance] = found.as_slice() else {
        bail!(
            "{}: {} recordings; give one, or use `auricle eval mdd` for a manifest",
            args.file.display(),
            found.len()
        );
    };
    let samples = utterance.samples(assessor.sample_rate())?;
    let prompt = match (&args.text, &args.phones) {
        (Some(text), _) => Target::of_prompt(pronouncer(&args.lexicon)?.prompt(text)?),
        (None, Some(phones)) => Target::of_phones(phones)?,
        (None, None) => bail!("give --text or --phones"),
    };
    let (target, verdicts) = prompt.best(|phones| {
        let mut session = Session::new(assessor.clone(), phones)?;
        session.push(&samples)?;
        session.finish().with_context(|| format!("utterance {}", utterance.id))
    })?;
    let frame_secs = assessor.config().frame_secs();
    let scored = target.scored(&utterance.id, &verdicts, args.threshold, frame_secs, utterance.duration_secs);
    let text = match (args.json, args.textgrid, args.ctm) {
        (true, ..) => serde_json::to_string(&scored)?,
        (_, true, _) => scored.textgrid(),
        (_, _, true) => scored.ctm(),
        _ => scored.table(),
    };
    println!("{}", text.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// What is to be said, word by word, with the pronunciation that is tried.
#[derive(Clone)]
struct Target {
    words: Vec<TargetWord>,
}

#[derive(Clone)]
struct TargetWord {
    text: String,
    source: Option<Source>,
    pronunciations: Vec<Vec<Phone>>,
    chosen: usize,
}

impl Target {
    fn of_prompt(prompt: Prompt) -> Self {
        let word = |word: auricle_text::PromptWord| TargetWord {
            text: word.text,
            source: Some(word.source),
            pronunciations: word.pronunciations,
            chosen: 0,
        };
        Self { words: prompt.words.into_iter().map(word).collect() }
    }

    fn of_phones(text: &str) -> Result<Self> {
        let parse = |name: &str| {
            Phone::parse(name)
                .with_context(|| format!("`{name}` is no phone of the CMU dictionary (AA … ZH)"))
        };
        let phones = text.split_whitespace().map(parse).collect::<Result<Vec<_>>>()?;
        if phones.is_empty() {
            bail!("--phones is empty; write what should be said");
        }
        Ok(Self {
            words: vec![TargetWord {
                text: text.into(),
                source: None,
                pronunciations: vec![phones],
                chosen: 0,
            }],
        })
    }

    fn phones(&self) -> Vec<u32> {
        let chosen = self.words.iter().filter_map(|word| word.pronunciations.get(word.chosen));
        chosen.flatten().map(|phone| phone.index() as u32).collect()
    }

    /// Mean goodness of every word.
    fn word_scores(&self, verdicts: &[PhoneVerdict]) -> Vec<f32> {
        let mut rest = verdicts;
        let mean = |word: &TargetWord| {
            let count = word.pronunciations.get(word.chosen).map_or(0, Vec::len).min(rest.len());
            let (own, others) = rest.split_at(count);
            rest = others;
            own.iter().map(|verdict| verdict.goodness).sum::<f32>() / count.max(1) as f32
        };
        self.words.iter().map(mean).collect()
    }

    /// Judges the usual pronunciations, then every other one of a word alone, and keeps what the
    /// word is said best as: each pronunciation that a lexicon has is right.
    fn best(
        mut self,
        judge: impl Fn(Vec<u32>) -> Result<Vec<PhoneVerdict>>,
    ) -> Result<(Self, Vec<PhoneVerdict>)> {
        let mut verdicts = judge(self.phones())?;
        for w in 0..self.words.len() {
            for choice in 1..self.words[w].pronunciations.len() {
                let mut other = self.clone();
                other.words[w].chosen = choice;
                let judged = judge(other.phones())?;
                if other.word_scores(&judged).get(w) > self.word_scores(&verdicts).get(w) {
                    (self, verdicts) = (other, judged);
                }
            }
        }
        Ok((self, verdicts))
    }

    fn scored(
        &self,
        id: &str,
        verdicts: &[PhoneVerdict],
        threshold: f64,
        frame_secs: f64,
        duration_secs: f64,
    ) -> Scored {
        let mut verdicts = verdicts.iter();
        let round = |x: f64, digits: f64| (x * digits).round() / digits;
        let phone = |verdict: &PhoneVerdict| {
            let score = round(100.0 * f64::from(verdict.goodness), 10.0);
            let mispronounced = score < threshold;
            let said = verdict.diagnosis().filter(|_| mispronounced);
            let canonical = inventory::phone(verdict.canonical);
            let advice = canonical
                .zip(said)
                .map(|(canonical, said)| hint(canonical, inventory::phone(said)))
                .filter(|advice| !advice.is_empty());
            let at = |frame: usize| round((frame as f64 * frame_secs).min(duration_secs), 1000.0);
            ScoredPhone {
                phone: inventory::name(verdict.canonical),
                score,
                mispronounced,
                said: said.map(inventory::name),
                hint: advice,
                start_secs: at(verdict.frames.start),
                end_secs: at(verdict.frames.end),
            }
        };
        let mean = |scores: &mut dyn Iterator<Item = f64>| {
            let (sum, count) = scores.fold((0.0, 0), |(sum, count), score| (sum + score, count + 1));
            round(sum / f64::from(count.max(1)), 10.0)
        };
        let words: Vec<ScoredWord> = self
            .words
            .iter()
            .map(|word| {
                let count = word.pronunciations.get(word.chosen).map_or(0, Vec::len);
                let phones: Vec<ScoredPhone> = verdicts.by_ref().take(count).map(phone).collect();
                let score = mean(&mut phones.iter().map(|phone| phone.score));
                ScoredWord { text: word.text.clone(), score, source: word.source, phones }
            })
            .collect();
        let score = mean(&mut words.iter().flat_map(|word| &word.phones).map(|phone| phone.score));
        Scored { id: id.into(), score, duration_secs, words }
    }
}

impl Scored {
    fn table(&self) -> String {
        let mut text = format!("{:5.1}  {}\n", self.score, self.id);
        for word in &self.words {
            let guessed =
                if word.source == Some(Source::LetterToSound) { "  (pronunciation guessed)" } else { "" };
            text += &format!("{:5.1}    {}{guessed}\n", word.score, word.text);
            for phone in &word.phones {
                let verdict = match (phone.mispronounced, phone.said, &phone.hint) {
                    (false, ..) => String::new(),
                    (true, Some(said), Some(hint)) => format!("  wrong: sounds like {said}; {hint}"),
                    (true, Some(said), None) => format!("  wrong: sounds like {said}"),
                    (true, None, _) => "  wrong".into(),
                };
                text += &format!(
                    "{:5.1}      {:3} {:6.2}–{:.2} s{verdict}\n",
                    phone.score, phone.phone, phone.start_secs, phone.end_secs
                );
            }
        }
        text
    }

    fn ctm(&self) -> String {
        let id = self.id.replace(char::is_whitespace, "_");
        let line = |p: &ScoredPhone| {
            let length = p.end_secs - p.start_secs;
            format!("{id} 1 {:.3} {length:.3} {} {:.3}\n", p.start_secs, p.phone, p.score / 100.0)
        };
        self.words.iter().flat_map(|word| &word.phones).map(line).collect()
    }

    fn textgrid(&self) -> String {
        let quote = |text: &str| text.replace('"', "\"\"");
        let phones: Vec<&ScoredPhone> = self.words.iter().flat_map(|word| &word.phones).collect();
        let words: Vec<(f64, f64, String)> = self
            .words
            .iter()
            .filter_map(|word| {
                let (first, last) = (word.phones.first()?, word.phones.last()?);
                Some((first.start_secs, last.end_secs, quote(&word.text)))
            })
            .collect();
        let tier_of = |label: &dyn Fn(&ScoredPhone) -> String| -> Vec<(f64, f64, String)> {
            phones.iter().map(|phone| (phone.start_secs, phone.end_secs, label(phone))).collect()
        };
        let said = |phone: &ScoredPhone| match (phone.mispronounced, phone.said) {
            (false, _) => phone.phone.to_string(),
            (true, said) => format!("{},{},s", phone.phone, said.unwrap_or("err")),
        };
        let tiers = [
            ("words", words),
            ("phones", tier_of(&said)),
            ("scores", tier_of(&|phone| format!("{:.1}", phone.score))),
        ];
        let end = self.duration_secs;
        let mut text = format!(
            "File type = \"ooTextFile\"\nObject class = \"TextGrid\"\n\nxmin = 0\nxmax = {end}\ntiers? <exists>\nsize = {}\nitem []:\n",
            tiers.len()
        );
        for (i, (name, intervals)) in tiers.iter().enumerate() {
            text += &format!(
                "    item [{}]:\n        class = \"IntervalTier\"\n        name = \"{name}\"\n        xmin = 0\n        xmax = {end}\n        intervals: size = {}\n",
                i + 1,
                intervals.len()
            );
            for (j, (from, to, label)) in intervals.iter().enumerate() {
                text += &format!(
                    "        intervals [{}]:\n            xmin = {from}\n            xmax = {to}\n            text = \"{label}\"\n",
                    j + 1
                );
            }
        }
        text
    }
}
