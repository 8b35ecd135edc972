//! Latent synthesis: a recogniser cut in two is the recogniser; text changes only what is above the cut.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_data::Manifest;
use auricle_nn::Context;
use auricle_nn::params;
use auricle_nn::weights::from_bytes;
use auricle_rng::{Key, Purpose};
use auricle_tests::cut::{TWO_STAGES, recogniser};
use auricle_tests::program::{auricle, small_corpus, workspace};
use burn::tensor::{Device, Tensor, TensorData};
use std::path::Path;

/// The topology of the streaming encoder of mispronunciation detection: causal attention with position biases.
const STREAMING: &str = r#"
head = { kind = "character", width = 16 }
[encoder]
bins = 32
stages = [
  { convs = [{ channels = 16, kernel = 3, activation = true }, { channels = 16, kernel = 3, stride = 2, activation = true }, { channels = 16 }], transformer = { layers = 2, heads = 2, feed_forward = 32, alibi = true, causal = true, left_context = 9, positional = { kernel = 5, groups = 2 } } },
  { convs = [{ channels = 24, kernel = 3, activation = true }, { channels = 24, kernel = 3, stride = 2, activation = true }, { channels = 24 }], transformer = { layers = 2, heads = 2, feed_forward = 32, alibi = true, causal = true, left_context = 16, positional = { kernel = 5, groups = 2 } } },
]
[front_end]
num_bins = 32
"#;

fn noise(rows: usize, frames: usize, valid: &[usize]) -> Tensor<3> {
    let mut stream = Key::new(4).stream(Purpose::Test);
    let mut values: Vec<f32> = (0..rows * frames * 32).map(|_| stream.normal() as f32).collect();
    for (row, &valid) in valid.iter().enumerate() {
        values[(row * frames + valid) * 32..(row + 1) * frames * 32].fill(f32::NAN);
    }
    Tensor::from_data(TensorData::new(values, [rows, frames, 32]), &Device::flex())
}

fn values(x: Tensor<3>) -> Vec<f32> {
    x.into_data().try_to_vec().unwrap()
}

/// Wherever it is cut, lower and upper part one after the other are the whole, bit for bit.
#[test]
fn the_parts_are_the_whole() {
    let valid = [64, 41];
    for (model, split) in
        [TWO_STAGES, STREAMING].into_iter().flat_map(|model| (0..=4).map(move |split| (model, split)))
    {
        let (whole, parts) = recogniser(model, Some(split), &Device::flex());
        let mel = noise(2, 64, &valid);
        let (expected, lengths) = whole.forward(mel.clone(), &valid, &mut Context::eval());
        let (z, frames) = parts.model.lower(split, mel, &valid, &mut Context::eval());
        assert_eq!(z.dims()[2], parts.width(), "cut above {split}");
        let upper = parts.model.upper(split, z, &frames, &mut Context::eval());
        assert_eq!(upper.lengths, lengths);
        let [_, padded, classes] = expected.dims();
        let (expected, found) = (values(expected), values(upper.logits));
        for (row, length) in lengths.iter().enumerate() {
            let rows = row * padded * classes..(row * padded + length) * classes;
            assert_eq!(expected[rows.clone()], found[rows], "cut above {split}, row {row}");
        }
    }
    assert!(recogniser(TWO_STAGES, None, &Device::flex()).1.split == 2);
}

/// Below and above a cut: every parameter is on one side, and the side is the one it is used on.
#[test]
fn parameters_below_the_cut_are_those_that_latents_depend_on() {
    let valid = [64];
    for split in 1..=4 {
        let (_, parts) = recogniser(TWO_STAGES, Some(split), &Device::flex());
        let mel = noise(1, 64, &valid);
        let before = values(parts.model.lower(split, mel.clone(), &valid, &mut Context::eval()).0);
        for (name, data) in params::collect(&parts.model) {
            let mut tensors = params::collect(&parts.model);
            let mut changed = data.try_to_vec::<f32>().unwrap();
            changed.iter_mut().enumerate().for_each(|(i, x)| *x += 0.1 + 0.01 * (i % 7) as f32);
            tensors.insert(name.clone(), TensorData::new(changed, tensors[&name].shape().clone()));
            let model = params::load(parts.model.clone(), "", &mut tensors).unwrap();
            let after = values(model.lower(split, mel.clone(), &valid, &mut Context::eval()).0);
            // A bias of keys is invisible to a softmax: nothing depends on it.
            let depends = before != after || name.ends_with("key.bias");
            assert!(
                depends == parts.is_lower(&name) || name.ends_with("key.bias"),
                "{name}, cut above {split}"
            );
        }
    }
}

fn weights(path: &Path) -> params::NamedTensors {
    from_bytes(&std::fs::read(path).unwrap()).unwrap().0
}

/// From a recogniser and a text to an adapted recogniser, through the program.
#[test]
fn a_recogniser_is_adapted_by_text() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    small_corpus(folder);
    let recipe = workspace().join("recipes/quickstart/ctc_from_scratch.toml");
    let recipe = recipe.to_str().unwrap();
    let sets = ["--set", "data.train=['train.jsonl']", "--set", "data.validation=['dev.jsonl']"];
    let short = ["--set", "train.steps=2", "--set", "batch.batch_secs=10"];
    auricle(folder, &[&["train", recipe, "--quiet", "--run", "base"], &sets[..], &short[..]].concat())
        .succeeded();

    auricle(folder, &["adapt", "--model", "base", "--text", "text.txt", "--out", "a"])
        .failed_with(&["auricle lasyn fit --model base"]);
    auricle(folder, &["lasyn", "fit", "--model", "base", "train.jsonl", "--rounds", "2"]).succeeded();
    std::fs::write(folder.join("text.txt"), "Two large lattes, please.\n\n1 tea\n...\n".repeat(9)).unwrap();

    let synth = ["synth", "--model", "base", "--text", "two teas", "--out", "z.safetensors"];
    auricle(folder, &synth).succeeded();
    let first = std::fs::read(folder.join("z.safetensors")).unwrap();
    auricle(folder, &synth).succeeded();
    assert_eq!(first, std::fs::read(folder.join("z.safetensors")).unwrap());
    let latents = weights(&folder.join("z.safetensors"));
    assert!(latents["0"].shape()[0] > 4, "{:?}", latents["0"].shape());

    let compared =
        auricle(folder, &["lasyn", "compare", "--model", "base", "train.jsonl", "--json"]).succeeded();
    let compared = &compared.json_lines()[0];
    for name in ["auc_frames", "auc_sentences", "variance_ratio", "motion_ratio", "mean_shift"] {
        assert!(compared[name].as_f64().is_some_and(|x| x.is_finite() && x >= 0.0), "{compared}");
    }
    assert!(compared["auc_frames"].as_f64().unwrap() <= 1.0 && compared["sentences"].as_u64() >= Some(4));

    // Another upper part reads the same latents: what is below the cut stays to the bit, also where weights are averaged.
    let upper = workspace().join("recipes/mini_librispeech/upper_speech.toml");
    let averaged = ["--set", "model.base=base", "--set", "train.ema=0.9"];
    let train = ["train", upper.to_str().unwrap(), "--quiet", "--run", "upper"];
    auricle(folder, &[&train[..], &sets, &short, &averaged].concat()).succeeded();
    let compare = ["lasyn", "compare", "--model", "base", "train.jsonl", "--projection", "statistics"];
    let judged = auricle(folder, &[&compare[..], &["--judge", "upper", "--json"]].concat()).succeeded();
    let judged = &judged.json_lines()[0];
    for i in 0..2 {
        assert!(judged["character_error_rate_judge"][i].is_number(), "{judged}");
    }
    assert_ne!(judged["variance_ratio"], compared["variance_ratio"], "exemplars are no statistics");

    // A network that makes latents, and lengths of phones from their neighbours.
    let flow = workspace().join("recipes/lasyn/synthesizer_flow.toml");
    let own = [
        "model.base=base",
        "model.bank=base/bank.safetensors",
        "model.network.width=16",
        "model.network.layers=1",
        "model.network.lengths=predicted",
        "model.moments=0.1",
        "batch.batch_secs=10",
    ];
    let own: Vec<&str> = own.iter().flat_map(|set| ["--set", set]).chain(sets).collect();
    let steps =
        ["--set", "train.steps=2", "--set", "schedule.total_steps=2", "--set", "schedule.warmup_steps=1"];
    let train = ["train", flow.to_str().unwrap(), "--quiet", "--run", "flow"];
    auricle(folder, &[&train[..], &own, &steps[..]].concat()).succeeded();
    let flow = ["--synthesizer", "flow"];
    auricle(folder, &[&synth[..], &flow[..]].concat()).succeeded();
    assert!(weights(&folder.join("z.safetensors"))["0"].shape()[0] > 4);
    auricle(folder, &[&["lasyn", "compare", "--model", "base", "train.jsonl"], &flow[..]].concat())
        .succeeded();

    let adapt =
        ["adapt", "--model", "base", "--text", "text.txt", "--eval", "dev.jsonl", "--steps", "3", "--quiet"];
    for (out, audio) in [("text", &[][..]), ("both", &["--audio", "train.jsonl"][..])] {
        let run = auricle(folder, &[&adapt[..], &["--out", out], audio].concat()).succeeded();
        assert!(run.stdout.contains("recordings"), "{}", run.stdout);
        assert!(run.stderr.contains("9 lines of text"), "{}", run.stderr);
        assert!(folder.join(out).join("adaptation.html").is_file());
        // What is below the cut is as it was, what is above is not; the result decodes like any recogniser.
        let (before, after) = (
            weights(&folder.join("base/model.safetensors")),
            weights(&folder.join(out).join("model.safetensors")),
        );
        let mut moved = 0;
        for (name, old) in before {
            let Some(new) = after.get(&name) else { continue };
            let below = name.starts_with("encoder.stages.0") && !name.contains("transformer.norm");
            assert!(!below || *new == old, "{name} is below the cut");
            moved += usize::from(*new != old);
        }
        assert!(moved > 4);
        auricle(folder, &["decode", "--model", out, "dev.jsonl", "--quiet"]).succeeded();
    }
    // What it learns of the text it reads better and better.
    let longer = ["--out", "learnt", "--set", "train.log_every=1", "--set", "optimizer.lr=2e-3"];
    let learn = ["adapt", "--model", "base", "--text", "text.txt", "--steps", "30", "--quiet"];
    auricle(folder, &[&learn[..], &longer].concat()).succeeded();
    let log = std::fs::read_to_string(folder.join("learnt/log.jsonl")).unwrap();
    let losses: Vec<f64> = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter_map(|line| line["train/pseudo"].as_f64())
        .collect();
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    assert!(losses.len() == 30 && mean(&losses[25..]) < 0.8 * mean(&losses[..5]), "{losses:?}");

    // Latents of one model mean nothing to another.
    let seed = ["--set", "seed=2", "--set", "train.steps=1"];
    auricle(folder, &[&["train", recipe, "--quiet", "--run", "other"], &sets[..], &seed[..]].concat())
        .succeeded();
    let wrong =
        ["adapt", "--model", "other", "--bank", "base/bank.safetensors", "--text", "text.txt", "--out", "x"];
    auricle(folder, &wrong).failed_with(&["another model", "auricle lasyn fit"]);
    auricle(folder, &[&compare[..], &["--judge", "other"]].concat()).failed_with(&["other latents"]);
    // A trained synthesizer adapts, too.
    let steps = ["--steps", "1", "--quiet", "--out", "by_flow"];
    let by_flow = ["adapt", "--model", "base", "--text", "text.txt", "--audio", "train.jsonl"];
    auricle(folder, &[&by_flow[..], &flow, &steps].concat()).succeeded();
}

/// An attention decoder through the program: trained on few labels and other texts, decoded with a language
/// model of its tokens.
#[test]
fn an_attention_decoder_is_trained_and_fused_with_a_language_model() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    small_corpus(folder);
    let subset =
        ["data", "subset", "train.jsonl", "--minutes", "0.2", "--out", "few.jsonl", "--rest", "rest.jsonl"];
    auricle(folder, &subset).succeeded();
    let ids = |name: &str| -> Vec<String> {
        Manifest::read(&folder.join(name)).unwrap().into_iter().map(|u| u.id).collect()
    };
    let (few, rest) = (ids("few.jsonl"), ids("rest.jsonl"));
    let mut both = [few.clone(), rest.clone()].concat();
    both.sort();
    assert_eq!(both, ids("train.jsonl"), "every utterance is in one of the two");
    assert!(!few.is_empty() && !rest.is_empty());
    let secs: f64 = Manifest::read(&folder.join("few.jsonl")).unwrap().iter().map(|u| u.duration_secs).sum();
    assert!(secs <= 12.0, "{secs}");

    let recipe = |name: &str| workspace().join("recipes").join(name).display().to_string();
    let ctc = recipe("quickstart/ctc_from_scratch.toml");
    let sets = ["--set", "data.train=['few.jsonl']", "--set", "data.validation=['dev.jsonl']"];
    let short = ["--set", "train.steps=2", "--set", "batch.batch_secs=10", "--quiet", "--run"];
    auricle(folder, &[&["train", &ctc], &sets[..], &short[..], &["base"]].concat()).succeeded();
    auricle(folder, &["lasyn", "fit", "--model", "base", "few.jsonl", "--rounds", "2"]).succeeded();
    let attention = recipe("mini_librispeech/attention_text.toml");
    let own = ["model.base=base", "model.bank=base/bank.safetensors", "model.text=['rest.jsonl']"];
    let own: Vec<&str> = own.iter().flat_map(|set| ["--set", set]).chain(sets).collect();
    auricle(folder, &[&["train", &attention], &own[..], &short[..], &["att"]].concat()).succeeded();

    // Text on the first step, and the other three on speech alone, also where a batch is of text alone.
    let late = ["model.anneal_steps=3", "train.log_every=1", "model.pseudo_share=0.8"];
    let late: Vec<&str> = late.iter().flat_map(|set| ["--set", set]).collect();
    let four = ["--set", "train.steps=4", "--set", "batch.batch_secs=6", "--quiet", "--run", "late"];
    auricle(folder, &[&["train", &attention], &own[..], &late, &four].concat()).succeeded();
    let log = std::fs::read_to_string(folder.join("late/log.jsonl")).unwrap();
    let steps: Vec<&str> = log.lines().filter(|line| line.contains("train/loss")).collect();
    let text: Vec<bool> = steps.iter().map(|line| line.contains("train/pseudo")).collect();
    assert_eq!(text, [true, false, false, false], "{log}");
    assert!(steps[1..].iter().all(|line| line.contains("train/real")), "{log}");

    // Without a decoder it is a recogniser like any other, with times and a language model of words.
    let plain = recipe("lasyn/adapt.toml");
    auricle(folder, &[&["train", &plain], &own[..], &short[..], &["plain"]].concat()).succeeded();

    let lm = ["lm", "train", "train.jsonl", "--order", "4", "--out"];
    auricle(folder, &[&lm[..], &["tokens.arpa", "--tokenizer", "characters"]].concat()).succeeded();
    auricle(folder, &[&lm[..], &["words.arpa"]].concat()).succeeded();
    let ctc = ["decode", "--model", "plain", "dev.jsonl", "--json", "--quiet", "--lm", "words.arpa"];
    assert!(auricle(folder, &ctc).succeeded().json_lines().iter().all(|line| line["words"].is_array()));
    let decode = ["decode", "--model", "att", "dev.jsonl", "--json", "--beam", "2", "--quiet"];
    let texts = |more: &[&str]| -> Vec<String> {
        let run = auricle(folder, &[&decode[..], more].concat()).succeeded();
        run.json_lines().iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect()
    };
    let alone = texts(&[]);
    assert_eq!(alone.len(), Manifest::read(&folder.join("dev.jsonl")).unwrap().len());
    let by_label = texts(&["--search", "labels"]);
    assert_eq!(by_label, texts(&["--lm", "tokens.arpa", "--lm-weight", "0"]));
    assert_ne!(by_label, texts(&["--lm", "tokens.arpa", "--lm-weight", "3"]), "the language model decides");
    assert_eq!(alone, texts(&["--search", "frames", "--length-bonus", "0.5"]), "the defaults");
    let both = ["--lm", "tokens.arpa", "--search", "frames"];
    auricle(folder, &[&decode[..], &both].concat()).failed_with(&["label-synchronous"]);
    auricle(folder, &[&decode[..], &["--lm", "words.arpa"]].concat()).failed_with(&["lm train --tokenizer"]);

    // With a look-ahead it is searched frame by frame.
    let ahead = ["--set", "model.decoder.look_ahead=4"];
    auricle(folder, &[&["train", &attention], &own[..], &ahead, &short[..], &["ahead"]].concat()).succeeded();
    let decode = ["decode", "--model", "ahead", "dev.jsonl", "--json", "--beam", "2", "--quiet"];
    assert_eq!(auricle(folder, &decode).succeeded().json_lines().len(), alone.len());
    auricle(folder, &[&decode[..], &["--lm", "tokens.arpa"]].concat()).failed_with(&["look-ahead"]);
}

/// Recordings with meanings become a model of intents and slots, through the program: tokens, training on speech and
/// on text with other tasks, reading, scores.
#[test]
fn a_model_of_meanings_is_trained_read_and_scored() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    small_corpus(folder);
    let mut texts = String::new();
    for name in ["train.jsonl", "dev.jsonl"] {
        let mut utterances = Manifest::read(&folder.join(name)).unwrap();
        for utterance in &mut utterances {
            let text = utterance.text.clone().unwrap();
            let meaning = format!("<int:say> <slot:words> {text} </slot>");
            let line = serde_json::json!({"id": utterance.id, "text": text, "meaning": meaning});
            texts += &format!("{line}\n");
            utterance.meaning = Some(meaning);
        }
        Manifest::write(&folder.join(name), &utterances).unwrap();
    }
    std::fs::write(folder.join("text.jsonl"), texts).unwrap();
    let recipe = |name: &str| workspace().join("recipes").join(name).display().to_string();
    let sets = ["--set", "data.train=['train.jsonl']", "--set", "data.validation=['dev.jsonl']"];
    let short = ["--set", "train.steps=2", "--set", "batch.batch_secs=10", "--quiet", "--run"];
    let ctc = recipe("quickstart/ctc_from_scratch.toml");
    auricle(folder, &[&["train", &ctc], &sets[..], &short[..], &["base"]].concat()).succeeded();
    auricle(folder, &["lasyn", "fit", "--model", "base", "train.jsonl", "--rounds", "2"]).succeeded();
    let tokens = ["tokenizer", "train", "text.jsonl", "--meanings", "--tasks", "--vocab-size", "44"];
    auricle(folder, &[&tokens[..], &["--out", "meanings.json"]].concat()).succeeded();
    let own = [
        "model.base=base",
        "model.bank=base/bank.safetensors",
        "model.text=['text.jsonl']",
        "model.exclude=[]",
        "model.tokenizer=meanings.json",
        "model.head={kind=\"subword\",width=16}",
        "model.decoder={layers=1,heads=4,feed_forward=32}",
        "model.anneal_steps=0",
        "model.beam=2",
        "train.validate_every=2",
    ];
    let own: Vec<&str> = own.iter().flat_map(|set| ["--set", set]).chain(sets).collect();
    let slurp = recipe("slurp/slu_lasyn.toml");
    auricle(folder, &[&["train", &slurp], &own[..], &short[..], &["slu"]].concat()).succeeded();

    let read = ["slu", "--model", "slu", "dev.jsonl", "--beam", "2", "--quiet"];
    auricle(folder, &[&read[..], &["--out", "hyp.jsonl"]].concat()).succeeded();
    let printed = auricle(folder, &read).succeeded();
    let lines = printed.json_lines();
    let ids: Vec<String> =
        Manifest::read(&folder.join("dev.jsonl")).unwrap().into_iter().map(|u| u.id).collect();
    assert_eq!(lines.iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>(), ids);
    assert!(lines.iter().all(|line| line["meaning"].is_string()), "{lines:?}");
    let eval = ["eval", "slu", "--ref", "dev.jsonl", "--hyp", "hyp.jsonl", "--json"];
    let scores = &auricle(folder, &eval).succeeded().json_lines()[0]["scores"];
    let accuracy = scores["frame_accuracy"]["value"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&accuracy), "{scores}");
    // What either model finds hard, for a curriculum.
    for model in ["slu", "base"] {
        let hard = ["data", "difficulty", "--model", model, "dev.jsonl", "--out", "errors.jsonl", "--quiet"];
        auricle(folder, &hard).succeeded();
        let known = std::fs::read_to_string(folder.join("errors.jsonl")).unwrap();
        assert_eq!(known.lines().count(), ids.len(), "{model}: {known}");
    }
    // A recogniser has no meanings to tell.
    auricle(folder, &["slu", "--model", "base", "dev.jsonl"]).failed_with(&["meaning"]);
    std::fs::write(folder.join("noise.wav"), "no sound").unwrap();
    auricle(folder, &["slu", "--model", "slu", "noise.wav"]).failed_with(&["noise.wav"]);
}
