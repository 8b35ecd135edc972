//! The `auricle` command. One file a subcommand; the work is done by the libraries.

#![allow(rustdoc::invalid_html_tags)] // doc comments are help texts here: `<corpus>` stands for a name

mod adapt;
mod data;
mod decode;
mod device;
mod encode;
mod eval;
mod eval_mdd;
mod eval_slu;
mod lasyn;
mod lexicon;
mod lm;
mod mdd;
mod mic;
mod model;
mod npu;
mod prepare;
mod quickstart;
mod replay;
mod serve;
mod shared;
mod slu;
mod synth;
mod tokenizer;
mod train;

use auricle_tensor::allocator::{Allocator, keep_pages};
use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

#[derive(Parser)]
#[command(name = "auricle", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train and evaluate every system on the built-in corpus, in minutes.
    Quickstart(quickstart::Args),
    /// Train a model by a recipe.
    Train(train::Args),
    /// Transcribe audio files, a manifest or a folder.
    Decode(decode::Args),
    /// Extract representations of an encoder.
    Encode(encode::Args),
    /// Judge pronunciation.
    #[command(subcommand)]
    Mdd(mdd::Command),
    /// Judge pronunciation in the browser, while it is spoken.
    Serve(Box<serve::Args>),
    /// Score hypotheses against references.
    #[command(subcommand)]
    Eval(eval::Command),
    /// Prepare a public corpus: manifests from its official layout.
    Prepare(prepare::Args),
    /// Check and convert data.
    #[command(subcommand)]
    Data(data::Command),
    /// Understand recordings: intents and slots.
    Slu(slu::Args),
    /// Adapt a recogniser to a new domain by text alone.
    Adapt(adapt::Args),
    /// Make pseudo-acoustic latents of text.
    Synth(synth::Args),
    /// Latents of text: banks of a recogniser's latents.
    #[command(subcommand)]
    Lasyn(lasyn::Command),
    /// Pronunciations: letter-to-sound models, phones of texts.
    #[command(subcommand)]
    Lexicon(lexicon::Command),
    /// N-gram language models.
    #[command(subcommand)]
    Lm(lm::Command),
    /// Train and inspect tokenizers.
    #[command(subcommand)]
    Tokenizer(tokenizer::Command),
    /// Inspect, import and export models.
    #[command(subcommand)]
    Model(model::Command),
    /// Reproduce a batch whose loss or gradient was not finite.
    Replay(replay::Args),
    /// Descriptions of NPUs, and what a training step would cost on one.
    #[command(subcommand)]
    Npu(npu::Command),
    /// List devices.
    Device(device::Args),
}

fn main() -> std::process::ExitCode {
    keep_pages();
    let result = match Cli::parse().command {
        Command::Quickstart(args) => quickstart::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Decode(args) => decode::run(&args),
        Command::Encode(args) => encode::run(&args),
        Command::Mdd(command) => mdd::run(&command),
        Command::Slu(args) => slu::run(&args),
        Command::Adapt(args) => adapt::run(&args),
        Command::Synth(args) => synth::run(&args),
        Command::Lasyn(command) => lasyn::run(&command),
        Command::Serve(args) => serve::run(&args),
        Command::Lexicon(command) => lexicon::run(&command),
        Command::Lm(command) => lm::run(&command),
        Command::Eval(command) => eval::run(&command),
        Command::Prepare(args) => prepare::run(&args),
        Command::Data(command) => data::run(&command),
        Command::Tokenizer(command) => tokenizer::run(&command),
        Command::Model(command) => model::run(&command),
        Command::Replay(args) => replay::run(&args),
        Command::Npu(command) => npu::run(&command),
        Command::Device(args) => device::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", in_words(&error));
            std::process::ExitCode::FAILURE
        }
    }
}

/// An error and its causes, without those that the message before has spelled out already.
fn in_words(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.as_str() {
        "" => cause,
        before if before.contains(&cause) => text,
        before => format!("{before}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn nothing_is_said_twice() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        let reason = missing.to_string();
        let error = Err::<(), _>(auricle_data::DataError::Io { path: "a.jsonl".into(), source: missing })
            .context("manifest a.jsonl")
            .unwrap_err();
        assert_eq!(in_words(&error), format!("manifest a.jsonl: a.jsonl: {reason}"));
    }
}
