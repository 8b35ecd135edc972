//! `auricle prepare`.

use anyhow::Result;
use auricle_data_prep::{Corpus, Options};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  auricle prepare mini-librispeech corpora/LibriSpeech --out data/mini_librispeech
  auricle prepare librispeech corpora/LibriSpeech --download --out data/librispeech
  auricle prepare tree recordings/ --out data/mine
  auricle prepare --list")]
pub struct Args {
    /// Which corpus.
    #[arg(required_unless_present = "list")]
    corpus: Option<String>,
    /// The corpus folder, in its official layout.
    #[arg(required_unless_present = "list")]
    source: Option<PathBuf>,
    /// Folder for the manifests. Default: data/<corpus>.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Download into the corpus folder what is not there yet.
    #[arg(long)]
    download: bool,
    /// List the corpora with source and licence.
    #[arg(long)]
    list: bool,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    if let (false, Some(name), Some(source)) = (args.list, &args.corpus, &args.source) {
        let corpus = Corpus::from_name(name)?;
        let out = args.out.clone().unwrap_or_else(|| PathBuf::from("data").join(name.replace('-', "_")));
        let options = Options { source: source.clone(), out, download: args.download };
        for set in corpus.prepare(&options, &mut |line| eprintln!("{line}"))? {
            println!("{}: {} utterances, {:.2} h", set.manifest.display(), set.utterances, set.hours);
        }
    } else {
        for corpus in Corpus::all() {
            let about = corpus.about();
            println!(
                "{:18} {}\n{:18} licence: {}\n{:18} {}",
                corpus.name(),
                about.what,
                "",
                about.licence,
                "",
                about.source
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}
