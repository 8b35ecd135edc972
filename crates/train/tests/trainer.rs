//! The trainer with a task of one weight: what is trained on, what is left out, what a resumed run must find again.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

use auricle_data::{Manifest, Utterance};
use auricle_nn::params::{self, NamedTensors};
use auricle_nn::weights::{self, Metadata};
use auricle_train::log::{RunLog, read_series};
use auricle_train::{
    Checkpoint, Draw, Group, Held, Inputs, Item, Metric, Outcome, Prepare, Recipe, Selection, StepOutput,
    Task, TooLong, TrainError, Trainer,
};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

#[derive(Module, Debug)]
struct Weight {
    w: Param<Tensor<1>>,
}

struct OneWeight {
    model: Held<Weight>,
    prepare: Arc<Rows>,
}

/// A batch is its numbers of rows with speech and with text.
#[derive(Default)]
struct Rows {
    text_secs: Vec<f64>,
    /// Utterances with this in their id cannot be aligned.
    unaligned: Option<&'static str>,
}

impl Prepare for Rows {
    type Batch = (usize, usize);

    fn sample_rate(&self) -> u32 {
        8_000
    }

    fn text_secs(&self) -> &[f64] {
        &self.text_secs
    }

    fn cannot_align(&self, utterance: &Utterance) -> Option<String> {
        let part = self.unaligned?;
        utterance.id.contains(part).then(|| "too many tokens".to_string())
    }

    fn prepare(&self, items: &[Item], _: f64, _: Draw) -> Result<(usize, usize), TrainError> {
        Ok((Item::speech(items).len(), Item::texts(items).len()))
    }
}

impl OneWeight {
    fn new(prepare: Rows) -> Self {
        let device = Device::flex().autodiff();
        let w = Param::from_tensor(Tensor::<1>::from_data([1.0f32, -2.0], &device));
        Self { model: Held::new(Weight { w }), prepare: Arc::new(prepare) }
    }
}

impl Task for OneWeight {
    type Model = Weight;
    type Prepare = Rows;

    fn preparer(&self) -> Arc<Rows> {
        self.prepare.clone()
    }

    fn model(&self) -> &Weight {
        self.model.get()
    }

    fn map_model(&mut self, update: &mut dyn FnMut(Weight) -> Weight) {
        self.model.map(update);
    }

    fn forward_backward(
        &mut self,
        &(speech, texts): &(usize, usize),
        _: u64,
        _: Draw,
    ) -> Result<StepOutput, TrainError> {
        let w = self.model().w.val();
        let loss = (w.clone() * w).sum() * (speech + texts) as f64;
        let mut metrics = vec![Metric { name: "train/rows", value: (speech + texts) as f64 }];
        if texts > 0 {
            metrics.push(Metric { name: "train/texts", value: texts as f64 });
        }
        let value = f64::from(loss.clone().into_scalar::<f32>());
        Ok(StepOutput { loss: value, metrics, gradients: loss.backward() })
    }

    fn group(&self, _: &str, _: u64) -> Group {
        Group { lr_scale: 1.0, weight_decay: 0.0, frozen: false }
    }

    fn validate(&mut self, _: &(usize, usize)) -> Result<(), TrainError> {
        Ok(())
    }

    fn finish_validation(&mut self) -> Vec<Metric> {
        vec![Metric { name: "validation/loss", value: 1.0 }]
    }

    fn selection(&self) -> &'static [&'static str] {
        &["validation/loss"]
    }

    fn export(&self) -> Result<(NamedTensors, Metadata), TrainError> {
        Ok((params::collect(self.model()), Metadata::new()))
    }
}

/// Six seconds of silence at 8 kHz, 16 bits.
fn silence(path: &Path) {
    let bytes = 6 * 8_000 * 2u32;
    let mut wav = Vec::from(*b"RIFF");
    wav.extend((36 + bytes).to_le_bytes());
    wav.extend(*b"WAVEfmt ");
    wav.extend([16u32, 1 | 1 << 16, 8_000, 16_000, 2 | 16 << 16].iter().flat_map(|word| word.to_le_bytes()));
    wav.extend(*b"data");
    wav.extend(bytes.to_le_bytes());
    wav.resize(wav.len() + bytes as usize, 0);
    std::fs::write(path, wav).unwrap();
}

/// Ten utterances of six seconds in `train.jsonl`, and a recipe with more of its tables.
fn project(more: &str) -> (tempfile::TempDir, Recipe) {
    let folder = tempfile::tempdir().unwrap();
    let audio = folder.path().join("x.wav");
    silence(&audio);
    let list: Vec<Utterance> = (0..10).map(|i| Utterance::new(format!("u{i}"), &audio, 6.0)).collect();
    Manifest::write(&folder.path().join("train.jsonl"), &list).unwrap();
    let text = format!("task = 'custom'\nschedule = {{ kind = 'constant' }}\n{more}");
    let mut recipe: Recipe = toml::from_str(&text).unwrap();
    recipe.data.train = vec![folder.path().join("train.jsonl")];
    (folder, recipe)
}

fn trainer(recipe: &Recipe, run: &Path, prepare: Rows) -> Result<Trainer<OneWeight>, TrainError> {
    std::fs::create_dir_all(run.join("checkpoints")).unwrap();
    let selection = Selection::read(recipe, TooLong::LeftOut)?;
    let log = RunLog::open(run, recipe.train.steps, true)?;
    Trainer::new(OneWeight::new(prepare), recipe.clone(), run, selection, log)
}

/// Text takes nothing of the minutes of speech, is not dropped for its length, and counts as no hours of audio.
#[test]
fn text_stands_beside_the_speech_that_is_selected() {
    let more = "data = { train = [], subset_minutes = 0.5, max_secs = 7.0 }\ntrain = { steps = 9, log_every = 9, accumulate = 9 }\nbatch = { batch_secs = 9.0 }\n";
    let (folder, recipe) = project(more);
    let run = folder.path().join("run");
    let rows = Rows { text_secs: vec![9.0; 4], ..Rows::default() };
    let mut trainer = trainer(&recipe, &run, rows).unwrap();
    assert_eq!(trainer.training_utterances().len(), 5, "half a minute of six seconds each");
    let plan = trainer.plan(0);
    let mut dealt: Vec<usize> = plan.batches.iter().flat_map(|batch| batch.indices.clone()).collect();
    dealt.sort_unstable();
    assert_eq!(dealt, (0..9).collect::<Vec<_>>(), "five utterances and four places for text");
    assert_eq!(plan.batches.len(), 9, "one row each");

    assert_eq!(trainer.run(&AtomicBool::new(false)).unwrap(), Outcome::Finished);
    assert_eq!(trainer.progress().audio_secs, 9.0 * 30.0, "nine epochs of the speech");
    let exported = std::fs::read(run.join("model.safetensors")).unwrap();
    let provenance = weights::from_bytes(&exported).unwrap().1["provenance"].clone();
    assert!(provenance.contains("0.01 h of"), "30 s, and not 66 s: {provenance}");
    // Four of nine batches have text, one row each: the mean is of those.
    let series = read_series(&run.join("log.jsonl")).unwrap();
    assert_eq!(series["train/texts"], [(1.0, 1.0), (9.0, 1.0)]);
}

#[test]
fn text_alone_is_enough_and_nothing_at_all_is_not() {
    let (folder, mut recipe) = project("data = { train = [] }\ntrain = { steps = 1 }\n");
    recipe.data.train.clear();
    let run = folder.path().join("run");
    let rows = Rows { text_secs: vec![1.0; 3], ..Rows::default() };
    assert_eq!(
        trainer(&recipe, &run, rows).unwrap().run(&AtomicBool::new(false)).unwrap(),
        Outcome::Finished
    );
    let nothing = trainer(&recipe, &run, Rows::default()).err().unwrap().to_string();
    assert!(nothing.contains("no training utterance is left"), "{nothing}");
}

#[test]
fn what_cannot_be_aligned_is_told_and_not_trained_on() {
    let (folder, recipe) = project("data = { train = [] }\ntrain = { steps = 1 }\n");
    let run = folder.path().join("run");
    let rows = Rows { unaligned: Some("u3"), ..Rows::default() };
    let trainer = trainer(&recipe, &run, rows).unwrap();
    assert!(trainer.training_utterances().iter().all(|u| u.id != "u3"));
    assert_eq!((trainer.training_utterances().len(), trainer.cannot_align().len()), (9, 1));
    let told = trainer.warnings().join("\n");
    assert!(
        told.contains("1 training utterances cannot be aligned") && told.contains("u3: too many"),
        "{told}"
    );
}

/// Law 3 is of the same data: with another, a run that went on would be neither the old one nor a new one.
#[test]
fn a_run_goes_on_with_the_data_it_began_with() {
    let (folder, mut recipe) =
        project("data = { train = [] }\ntrain = { steps = 3, checkpoint_every = 1 }\n");
    let (run, list) = (folder.path().join("run"), folder.path().join("train.jsonl"));
    let begin = |recipe: &Recipe| trainer(recipe, &run, Rows::default()).unwrap();
    begin(&recipe).run(&AtomicBool::new(false)).unwrap();
    let last = run.join("checkpoints/last.safetensors");
    recipe.train.steps = 5;
    let mut again = begin(&recipe);
    again.resume(&last).unwrap();
    assert_eq!(again.progress().step, 3);

    let all = Manifest::read(&list).unwrap();
    let changed = |change: &dyn Fn(&mut Vec<Utterance>)| {
        let mut list_now = all.clone();
        change(&mut list_now);
        Manifest::write(&list, &list_now).unwrap();
        begin(&recipe).resume(&last)
    };
    for change in [
        &(|list: &mut Vec<Utterance>| list.truncate(9)) as &dyn Fn(&mut Vec<Utterance>),
        &|list| list.push(Utterance { id: "u99".into(), ..list[0].clone() }),
        &|list| list[4].text = Some("other words".into()),
        &|list| list[4].duration_secs = 5.0,
    ] {
        let error = changed(change).unwrap_err().to_string();
        for part in ["other data", "data.train", "train.jsonl", "put back", "--run"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
    changed(&|_| ()).unwrap();

    // A checkpoint of a version that did not write this down is taken at its word.
    let mut old = Checkpoint::read(&last).unwrap();
    old.progress.inputs = Inputs::default();
    old.write(&last).unwrap();
    assert!(changed(&|list| list.truncate(9)).is_ok());
}
