//! `auricle lm`.

use anyhow::{Context as _, Result, bail};
use auricle_data::Sentence;
use auricle_text::lm::{LmConfig, NgramLm, Perplexity, Unit, sentences};
use auricle_text::{Tokenizer, normalise, spoken};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Learn an n-gram model, Kneser–Ney smoothed, and write it as an ARPA file.
    #[command(after_help = "Examples:
  auricle lm train data/slurp/train-text.jsonl data/slurp/lm-text.jsonl --order 4 --out slurp.arpa
  auricle lm train corpus.txt --tokenizer unigram256.json --order 6 --prune 1 --out tokens.arpa")]
    Train(Train),
    /// How well a model foretells texts.
    #[command(after_help = "Example:\n  auricle lm perplexity slurp.arpa data/slurp/devel-text.jsonl")]
    Perplexity(Measure),
}

#[derive(clap::Args)]
pub struct Texts {
    /// Text manifests, manifests with transcripts (`.jsonl`), or plain text with a sentence a line.
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// What a text is made of.
    #[arg(long, value_enum, default_value = "words")]
    units: Units,
    /// Tokens of this tokenizer instead.
    #[arg(long, conflicts_with = "units")]
    tokenizer: Option<PathBuf>,
    /// Numbers and abbreviations as they are said; else texts are only normalised.
    #[arg(long)]
    spoken: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Units {
    /// Between white space.
    Words,
    /// One by one; the space between words is `▁`.
    Characters,
}

#[derive(clap::Args)]
pub struct Train {
    #[command(flatten)]
    texts: Texts,
    /// Longest n-gram.
    #[arg(long, default_value_t = 3)]
    order: usize,
    /// Units seen less often are unknown.
    #[arg(long, default_value_t = 1)]
    min_count: usize,
    /// Drop n-grams without which the text's log-likelihood falls by less than this many nats.
    #[arg(long, default_value_t = 0.0)]
    prune: f64,
    /// File to write.
    #[arg(long)]
    out: PathBuf,
}

#[derive(clap::Args)]
pub struct Measure {
    /// ARPA file.
    model: PathBuf,
    #[command(flatten)]
    texts: Texts,
    /// Machine-readable output, one JSON object.
    #[arg(long)]
    json: bool,
}

pub fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Train(args) => {
            let texts = args.texts.read()?;
            let count = texts.len();
            let config = LmConfig { order: args.order, min_count: args.min_count, prune_nats: args.prune };
            let lm = NgramLm::train(texts, &config)?;
            lm.save(&args.out)?;
            outln!(
                "{}: {} n-grams of {} units from {count} texts",
                args.out.display(),
                lm.ngram_count(),
                lm.units().len()
            );
        }
        Command::Perplexity(args) => {
            let lm = NgramLm::load(&args.model)?;
            let mut sums = Perplexity::default();
            for units in args.texts.read()? {
                sums += lm.sentence(&units);
            }
            if sums.units == 0 {
                bail!("no text to measure; give files with sentences");
            }
            let (all, known) = (sums.perplexity(), sums.known_perplexity());
            if args.json {
                outln!("{}", serde_json::json!({"perplexity": all, "known_perplexity": known, "sums": sums}));
                return Ok(ExitCode::SUCCESS);
            }
            let share = 100.0 * sums.unknown as f64 / sums.units as f64;
            outln!("sentences   {}", sums.sentences);
            outln!("units       {} ({} unknown, {share:.2} %)", sums.units, sums.unknown);
            outln!("perplexity  {all:.2}, without unknown units {known:.2}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Texts {
    /// The texts as lists of units.
    fn read(&self) -> Result<Vec<Vec<String>>> {
        let tokenizer = match &self.tokenizer {
            Some(path) if path.as_os_str() == "characters" => Some(Tokenizer::characters()),
            Some(path) => {
                Some(Tokenizer::load(path).with_context(|| format!("tokenizer {}", path.display()))?)
            }
            None => None,
        };
        let mut texts = Vec::new();
        for input in &self.inputs {
            for sentence in Sentence::read(Path::new(input))? {
                texts.extend(sentences(&sentence.text, |text| -> Result<_> {
                    let text = if self.spoken { spoken(text) } else { normalise(text) };
                    Ok(match &tokenizer {
                        Some(tokenizer) => tokens(tokenizer, &text)?,
                        None => match self.units {
                            Units::Words => Unit::Word.split(&text),
                            Units::Characters => Unit::Character.split(&text),
                        },
                    })
                })?);
            }
        }
        Ok(texts)
    }
}

/// The tokens of a text as units: as the tokenizer shows them, without white space.
fn tokens(tokenizer: &Tokenizer, text: &str) -> Result<Vec<String>> {
    let unit = |id: u32| tokenizer.unit(id).unwrap_or_else(|| "<unk>".to_owned());
    Ok(tokenizer.encode(text)?.into_iter().map(unit).collect())
}
