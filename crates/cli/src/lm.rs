//! `auricle lm`.

use anyhow::{Context as _, Result, bail};
use auricle_data::{DataError, Sentence};
use auricle_text::lm::{
    Corpus, CorpusConfig, CorpusReport, LmConfig, NgramLm, Perplexity, Prune, Unit, Vocabulary, sentences,
};
use auricle_text::{Tokenizer, normalise, spoken};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Learn an n-gram model, Kneser–Ney smoothed, and write it as an ARPA file. N-grams are counted on disk, so
    /// that the text may be of any size.
    #[command(after_help = "Examples:
  auricle lm train books.txt.gz --order 4 --vocab 100000 --memory 2048 --out books.arpa
  auricle lm train data/slurp/train-text.jsonl data/slurp/lm-text.jsonl --order 4 --out slurp.arpa
  auricle lm train corpus.txt --tokenizer unigram256.json --order 6 --prune 1 --out tokens.arpa")]
    Train(Train),
    /// Make a model smaller by entropy pruning: drop the n-grams that change it least.
    #[command(after_help = "Examples:
  auricle lm prune books.arpa --ngrams 1000000 --out small.arpa
  auricle lm prune books.arpa --threshold 1e-7 --out small.arpa")]
    Prune(Smaller),
    /// Pack a model: about 7 bytes an n-gram, rounded to 256 values, taken wherever an ARPA file is.
    #[command(after_help = "Example:\n  auricle lm pack small.arpa --out small.lm")]
    Pack(Pack),
    /// Perplexity of a model on texts.
    #[command(after_help = "Example:\n  auricle lm perplexity slurp.arpa data/slurp/devel-text.jsonl")]
    Perplexity(Measure),
}

#[derive(clap::Args)]
pub struct Texts {
    /// Text manifests, manifests with transcripts (`.jsonl`), or plain text with a sentence a line.
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Units of the model.
    #[arg(long, value_enum, default_value = "words")]
    units: Units,
    /// Use the tokens of this tokenizer as units.
    #[arg(long, conflicts_with = "units")]
    tokenizer: Option<PathBuf>,
    /// Write out numbers and abbreviations as they are spoken; without it texts are only normalised.
    #[arg(long)]
    spoken: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Units {
    /// Words, separated by white space.
    Words,
    /// Characters; the space between words is `▁`.
    Characters,
}

#[derive(clap::Args)]
pub struct Train {
    #[command(flatten)]
    texts: Texts,
    /// Order: length of the longest n-grams.
    #[arg(long, default_value_t = 3)]
    order: usize,
    /// Treat units that occur less often than this as unknown.
    #[arg(long, default_value_t = 1)]
    min_count: usize,
    /// Vocabulary: the N most frequent units, or the units of a file, one a line.
    #[arg(long, value_name = "N|FILE", conflicts_with = "min_count")]
    vocab: Option<String>,
    /// MiB of memory for counting; what does not fit is sorted on disk. The vocabulary comes on top.
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    memory: usize,
    /// Folder for sorting: up to about 60 bytes for each of the longest n-grams. Default: the folder of the model.
    #[arg(long, value_name = "FOLDER")]
    temporary: Option<PathBuf>,
    /// Drop n-grams whose removal lowers the training text's log-likelihood by less than this many nats. Counts in memory.
    #[arg(long, default_value_t = 0.0, conflicts_with_all = ["vocab", "memory", "temporary"])]
    prune: f64,
    /// File to write.
    #[arg(long)]
    out: PathBuf,
}

#[derive(clap::Args)]
pub struct Smaller {
    /// ARPA file.
    model: PathBuf,
    /// An n-gram goes if the model's perplexity grows by less than this share without it.
    #[arg(long, required_unless_present = "ngrams", conflicts_with = "ngrams")]
    threshold: Option<f64>,
    /// So many n-grams of all lengths stay.
    #[arg(long)]
    ngrams: Option<usize>,
    /// File to write.
    #[arg(long)]
    out: PathBuf,
}

#[derive(clap::Args)]
pub struct Pack {
    /// ARPA file.
    model: PathBuf,
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
        Command::Train(args) => args.run()?,
        Command::Prune(args) => args.run()?,
        Command::Pack(args) => {
            let lm = NgramLm::load(&args.model)?;
            lm.save_packed(&args.out)?;
            let size = std::fs::metadata(&args.out)?.len() as f64;
            let (out, count) = (args.out.display(), lm.ngram_count());
            outln!("{out}: {count} n-grams, {:.2} MB, {:.2} bytes each", size / 1e6, size / count as f64);
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

impl Train {
    fn run(&self) -> Result<()> {
        // What an n-gram is worth to the text is known only with all counts at hand.
        if self.prune != 0.0 {
            let texts = self.texts.read()?;
            let count = texts.len();
            let config = LmConfig { order: self.order, min_count: self.min_count, prune_nats: self.prune };
            let lm = NgramLm::train(texts, &config)?;
            lm.save(&self.out)?;
            let (out, ngrams, units) = (self.out.display(), lm.ngram_count(), lm.units().len());
            outln!("{out}: {ngrams} n-grams of {units} units from {count} texts");
            return Ok(());
        }
        let memory = self.memory.checked_mul(1 << 20).context("--memory is more than this system has")?;
        let config =
            CorpusConfig { order: self.order, vocabulary: self.vocabulary()?, memory, folder: self.folder() };
        let mut corpus = Corpus::new(config)?;
        self.texts.for_each(|units| Ok(corpus.push(&units)?))?;
        let CorpusReport { sentences, units, unknown, types, vocabulary, ngrams } =
            corpus.write_arpa(&self.out)?;
        let all: u64 = ngrams.iter().sum();
        let lengths: Vec<String> = ngrams.iter().map(u64::to_string).collect();
        outln!("{}: {all} n-grams ({}) from {sentences} texts", self.out.display(), lengths.join(" + "));
        let share = 100.0 * unknown as f64 / units as f64;
        outln!(
            "{vocabulary} units known; of the text {units}, {types} different, {unknown} unknown ({share:.2} %)"
        );
        Ok(())
    }

    /// Where n-grams are sorted. The system's temporary folder is often in memory, so that of the model is taken.
    fn folder(&self) -> PathBuf {
        if let Some(folder) = &self.temporary {
            return folder.clone();
        }
        let is_device = std::fs::metadata(&self.out).is_ok_and(|found| !found.is_file());
        match self.out.parent() {
            _ if is_device => std::env::temp_dir(),
            Some(folder) if !folder.as_os_str().is_empty() => folder.into(),
            _ => PathBuf::from("."),
        }
    }

    fn vocabulary(&self) -> Result<Vocabulary> {
        let Some(vocab) = &self.vocab else { return Ok(Vocabulary::MinCount(self.min_count as u64)) };
        if let Ok(size) = vocab.parse() {
            return Ok(Vocabulary::MostFrequent(size));
        }
        let mut units = Vec::new();
        Sentence::for_each(Path::new(vocab), |line| {
            units.push(line.text);
            Ok(())
        })
        .context("--vocab is neither a number nor a file with a unit a line")?;
        Ok(Vocabulary::Listed(units))
    }
}

impl Smaller {
    fn run(&self) -> Result<()> {
        let how = match (self.threshold, self.ngrams) {
            (Some(share), None) => Prune::Threshold(share),
            (None, Some(count)) => Prune::Ngrams(count),
            _ => bail!("either --threshold or --ngrams says how far to prune"),
        };
        let pruned = NgramLm::load(&self.model)?.pruned(how)?;
        pruned.lm.save(&self.out)?;
        let (out, stay, removed) = (self.out.display(), pruned.lm.ngram_count(), pruned.removed);
        outln!("{out}: {stay} n-grams stay, {removed} went; their losses sum to {:.4} nats", pruned.nats);
        Ok(())
    }
}

impl Texts {
    /// The texts as lists of units.
    fn read(&self) -> Result<Vec<Vec<String>>> {
        let mut texts = Vec::new();
        self.for_each(|units| {
            texts.push(units);
            Ok(())
        })?;
        Ok(texts)
    }

    /// Calls `each` with one text after the other.
    fn for_each(&self, mut each: impl FnMut(Vec<String>) -> Result<()>) -> Result<()> {
        let tokenizer = match &self.tokenizer {
            Some(path) if path.as_os_str() == "characters" => Some(Tokenizer::characters()),
            Some(path) => {
                Some(Tokenizer::load(path).with_context(|| format!("tokenizer {}", path.display()))?)
            }
            None => None,
        };
        for input in &self.inputs {
            let mut fault = None;
            let read = Sentence::for_each(Path::new(input), |sentence| {
                let units = |text: &str| -> Result<_> {
                    let text = if self.spoken { spoken(text) } else { normalise(text) };
                    Ok(match &tokenizer {
                        Some(tokenizer) => tokens(tokenizer, &text)?,
                        None => match self.units {
                            Units::Words => Unit::Word.split(&text),
                            Units::Characters => Unit::Character.split(&text),
                        },
                    })
                };
                let done =
                    sentences(&sentence.text, units).and_then(|all| all.into_iter().try_for_each(&mut each));
                done.map_err(|error| {
                    fault = Some(error);
                    DataError::Layout { path: input.clone(), reason: String::new() }
                })
            });
            match fault {
                Some(error) => return Err(error),
                None => read?,
            }
        }
        Ok(())
    }
}

/// The tokens of a text as units: as the tokenizer shows them, without white space.
fn tokens(tokenizer: &Tokenizer, text: &str) -> Result<Vec<String>> {
    let unit = |id: u32| tokenizer.unit(id).unwrap_or_else(|| "<unk>".to_owned());
    Ok(tokenizer.encode(text)?.into_iter().map(unit).collect())
}
