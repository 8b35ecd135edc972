//! Parts that are not trained keep nothing of a step: bytes in use.

use crate::{alone, live};
use auricle_asr::{CtcBatch, CtcConfig, CtcTask};
use auricle_augment::Libraries;
use auricle_lasyn::{LasynBatch, LasynTask};
use auricle_rng::{Key, Purpose};
use auricle_tests::cut::{TWO_STAGES, recogniser};
use auricle_text::Tokenizer;
use auricle_train::{AugmentConfig, Draw, FeatureBatch, Recipe, Task};

const BINS: usize = 32;
const FRAMES: usize = 256;
const ROWS: usize = 4;

fn features() -> Vec<f32> {
    let mut stream = Key::new(4).stream(Purpose::Test);
    (0..ROWS * FRAMES * BINS).map(|_| stream.normal() as f32).collect()
}

fn recipe(task: &str) -> Recipe {
    let recipe = "data = { train = [] }\nschedule = { kind = 'constant' }\ntrain = { steps = 100 }\n";
    toml::from_str(&format!("task = '{task}'\n{recipe}")).unwrap()
}

/// Bytes by which further steps grow what is in use, per step.
fn growth<T: Task>(task: &mut T, batch: &<T::Prepare as auricle_train::Prepare>::Batch) -> isize {
    const STEPS: u64 = 10;
    let mut run = |steps: std::ops::Range<u64>| {
        for step in steps {
            drop(task.forward_backward(batch, step, Draw::Train { epoch: Key::new(1), batch: 0 }).unwrap());
        }
        live()
    };
    let warm = run(0..5);
    (run(5..5 + STEPS) - warm) / STEPS.cast_signed() as isize
}

/// A hundredth of the batch's features: a tenth of what the smallest activation takes.
const ALLOWED: isize = (ROWS * FRAMES * BINS * 4 / 100) as isize;

#[test]
fn a_frozen_encoder_keeps_nothing_of_a_step() {
    let _alone = alone();
    let device = auricle_tensor::device("cpu").unwrap().autodiff();
    for frozen in [100, 0] {
        let mut config: CtcConfig = toml::from_str(TWO_STAGES).unwrap();
        config.freeze_encoder_steps = frozen;
        let tokenizer = Tokenizer::characters();
        let none = Libraries::default;
        let augment = AugmentConfig::default();
        let mut task =
            CtcTask::new(&recipe("ctc"), config, augment, tokenizer, None, none(), &device).unwrap();
        let batch = CtcBatch {
            ids: vec!["a".into(); ROWS],
            features: features(),
            lengths: vec![FRAMES; ROWS],
            frames: FRAMES,
            targets: vec![vec![1, 2, 3]; ROWS],
            texts: vec!["abc".into(); ROWS],
        };
        let growth = growth(&mut task, &batch);
        assert!(growth < ALLOWED, "{growth} bytes a step stay, frozen for {frozen} steps");
    }
}

#[test]
fn a_latent_encoder_keeps_nothing_of_a_step() {
    let _alone = alone();
    let device = auricle_tensor::device("cpu").unwrap().autodiff();
    for (train_lower, noise) in [(false, 0.1), (true, 0.1)] {
        let (_, base) = recogniser(TWO_STAGES, None, &device);
        let width = base.width();
        let config = format!("base = 'none'\ntrain_lower = {train_lower}\nnoise = {noise}\n");
        let mut task = LasynTask::new(
            &recipe("lasyn"),
            toml::from_str(&config).unwrap(),
            AugmentConfig::default(),
            base,
            None,
            None,
            None,
            Libraries::default(),
            &device,
        )
        .unwrap();
        let batch = LasynBatch {
            ids: vec!["a".into(); ROWS + 1],
            features: FeatureBatch { values: features(), lengths: vec![FRAMES; ROWS], frames: FRAMES },
            pseudo: vec![vec![0.1; 50 * width]],
            targets: vec![vec![1, 2, 3]; ROWS + 1],
            tasks: vec![None; ROWS + 1],
            texts: vec!["abc".into(); ROWS + 1],
        };
        let growth = growth(&mut task, &batch);
        assert!(growth < ALLOWED, "{growth} bytes a step stay, lower part trained: {train_lower}");
    }
}
