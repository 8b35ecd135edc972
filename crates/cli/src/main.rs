//! The `auricle` command. One file a subcommand; the work is done by the libraries.

// One writer for all commands, which ends in good order where nobody reads: see `shared::out`.
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![allow(rustdoc::invalid_html_tags)] // doc comments are help texts here: `<corpus>` stands for a name

#[macro_use]
mod shared;

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
mod report;
mod serve;
mod slu;
mod synth;
mod tokenizer;
mod train;

use auricle_tensor::allocator::{Allocator, keep_pages};
use clap::{Parser, Subcommand};
use shared::out;

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
    /// Train and evaluate every kind of model on the built-in corpus, in minutes.
    Quickstart(quickstart::Args),
    /// Train a model from a recipe.
    Train(train::Args),
    /// Transcribe audio files, a manifest or a folder.
    Decode(decode::Args),
    /// Write an encoder's representations of recordings to a file.
    Encode(encode::Args),
    /// Score pronunciation.
    #[command(subcommand)]
    Mdd(mdd::Command),
    /// Score pronunciation in the browser, while the learner speaks.
    Serve(Box<serve::Args>),
    /// Score hypotheses against references.
    #[command(subcommand)]
    Eval(eval::Command),
    /// Make manifests of a published corpus, as it was unpacked.
    Prepare(prepare::Args),
    /// Check and convert data.
    #[command(subcommand)]
    Data(data::Command),
    /// Recognise intents and slots in recordings (spoken language understanding).
    Slu(slu::Args),
    /// Adapt a recogniser to a new domain with text alone.
    Adapt(adapt::Args),
    /// Synthesise latents of a recogniser from text.
    Synth(synth::Args),
    /// Make banks of a recogniser's latents, for `adapt` and `synth`; measure synthesised latents.
    #[command(subcommand)]
    Lasyn(lasyn::Command),
    /// Pronunciations: phones of texts, letter-to-sound models.
    #[command(subcommand)]
    Lexicon(lexicon::Command),
    /// Train and measure n-gram language models.
    #[command(subcommand)]
    Lm(lm::Command),
    /// Train and inspect tokenizers.
    #[command(subcommand)]
    Tokenizer(tokenizer::Command),
    /// Inspect, import, export, average and verify models.
    #[command(subcommand)]
    Model(model::Command),
    /// Repeat a training batch whose loss or gradient was not finite.
    Replay(replay::Args),
    /// Compare training runs in one page.
    #[command(subcommand)]
    Report(report::Command),
    /// Describe NPUs and model the cost of a training step on one.
    #[command(subcommand)]
    Npu(npu::Command),
    /// List the devices that models can run on.
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
        Command::Report(command) => report::run(&command),
        Command::Npu(command) => npu::run(&command),
        Command::Device(args) => device::run(&args),
    };
    // What the standard output has to say comes first: work that it stopped has no error of its own.
    let ended = match (out::finish(), result) {
        (Ok(Some(status)), Ok(_)) => Ok(status.into()),
        (Ok(Some(status)), Err(error)) if error.is::<out::Stopped>() => Ok(status.into()),
        (Err(full), Ok(_)) => Err(full),
        (Err(full), Err(error)) if error.is::<out::Stopped>() => Err(full),
        (_, result) => result,
    };
    ended.unwrap_or_else(|error| {
        errln!("error: {}", in_words(&error));
        std::process::ExitCode::FAILURE
    })
}

/// An error and its causes, without what a neighbour has spelled out already.
fn in_words(error: &anyhow::Error) -> String {
    let mut said: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        match said.last_mut() {
            Some(before) if before.contains(&cause) => {}
            Some(before) if cause.contains(before.as_str()) => *before = cause,
            _ => said.push(cause),
        }
    }
    said.join(": ")
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
        // Nor a path that the cause begins with.
        let error = Err::<(), _>(std::io::Error::other("out/x: no space")).context("out/x").unwrap_err();
        assert_eq!(in_words(&error), "out/x: no space");
    }
}
