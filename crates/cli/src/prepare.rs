//! `auricle prepare`.

use anyhow::{Context as _, Result};
use auricle_data_prep::{Corpus, Options};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  auricle prepare --list
  auricle prepare mini-librispeech corpora/LibriSpeech --out data/mini_librispeech
  auricle prepare musan corpora --out data/musan --download
  auricle prepare tree recordings --out data/recordings
  auricle prepare speechocean762 corpora --out data/speechocean762 --download
  auricle prepare l2arctic corpora/l2arctic_release_v5.0 --out data/l2arctic
  auricle prepare timit corpora/TIMIT --out data/timit
  auricle prepare slurp corpora/slurp --out data/slurp
  auricle prepare picovoice-coffee corpora/speech-to-intent-benchmark --hold-out-value coffeeDrink=mocha

A set that has not changed since is left alone; a preparation that was stopped goes on where it was.")]
pub struct Args {
    /// Corpus; --list shows all.
    #[arg(required_unless_present = "list")]
    corpus: Option<String>,
    /// Its folder in the official layout (with --download: where to put it).
    #[arg(required_unless_present = "list")]
    source: Option<PathBuf>,
    /// Folder for the manifests. Default: data/<corpus>.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Fetch what the folder does not hold yet.
    #[arg(long)]
    download: bool,
    /// A slot's value that goes into a set of its own, `heldout.jsonl`; may be given several times. For
    /// picovoice-coffee.
    #[arg(long = "hold-out-value", value_name = "SLOT=VALUE", value_parser = slot_value)]
    hold_out: Vec<(String, String)>,
    /// Sentences to make of the corpus' grammar. For picovoice-coffee; default: 5000.
    #[arg(long)]
    sentences: Option<usize>,
    /// List the corpora with their content, licence and source.
    #[arg(long)]
    list: bool,
    /// Machine-readable output: one JSON object a set.
    #[arg(long)]
    json: bool,
}

fn slot_value(text: &str) -> Result<(String, String), String> {
    let (slot, value) = text.split_once('=').ok_or("write it as SLOT=VALUE, such as coffeeDrink=mocha")?;
    Ok((slot.trim().to_owned(), value.trim().to_owned()))
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let (Some(name), Some(source), false) = (&args.corpus, &args.source, args.list) else {
        for corpus in Corpus::all() {
            let about = corpus.about();
            outln!("{:18} {}\n{:18} {}; {}", corpus.name(), about.what, "", about.licence, about.source);
        }
        return Ok(ExitCode::SUCCESS);
    };
    let corpus = Corpus::from_name(name)?;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("data").join(corpus.name().replace('-', "_")));
    let options = Options {
        source: source.clone(),
        out,
        download: args.download,
        hold_out: args.hold_out.clone(),
        sentences: args.sentences,
    };
    let sets = corpus.prepare(&options, &mut |line| errln!("{line}"))?;
    for set in sets {
        let manifest = set.manifest.display();
        if args.json {
            let line = serde_json::json!({
                "manifest": manifest.to_string(), "utterances": set.utterances, "hours": set.hours,
                "has_audio": set.has_audio,
            });
            outln!("{}", serde_json::to_string(&line).context("output")?);
        } else if !set.has_audio {
            outln!("{manifest}: {} sentences", set.utterances);
        } else {
            outln!("{manifest}: {} utterances, {:.2} h", set.utterances, set.hours);
        }
    }
    Ok(ExitCode::SUCCESS)
}
