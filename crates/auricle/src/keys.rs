//! The reference of every key of a recipe.

/// Every key that a recipe can have, with type, default and meaning, for every task, as Markdown. `cargo xtask keys` makes
/// it from the structs that recipes are read into.
pub const RECIPE_KEYS: &str = include_str!("recipe_keys.md");

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_asr::CtcConfig;
    use auricle_audio::MelConfig;
    use auricle_augment::{
        LowPassConfig, NoiseConfig, ReverbConfig, SilenceConfig, SpanMask, SpecAugmentConfig, VolumeConfig,
    };
    use auricle_cca_mdd::{CcaMddConfig, CocaConfig, ExposureConfig, LossConfig, StackConfig};
    use auricle_data::BatchConfig;
    use auricle_lasyn::{LasynConfig, NetworkConfig, SynthesisConfig, TasksConfig};
    use auricle_mmi::{MaskConfig, MmiAugment, MmiConfig};
    use auricle_nn::{
        ConvModuleConfig, DecoderConfig, EncoderConfig, MomentumSchedule, PositionalConvConfig, StageConfig,
        TdnnfConfig, TransformerConfig,
    };
    use auricle_spiral::{SpiralAugment, SpiralConfig};
    use auricle_text::phone_lm::PhoneLmConfig;
    use auricle_text::units::SilenceModel;
    use auricle_train::schedule::Schedule;
    use auricle_train::{
        AboutConfig, AdamWConfig, AugmentConfig, CurriculumConfig, DataConfig, Recipe, SelfTrainingConfig,
        TaskKind, TrainConfig,
    };
    use serde::de::DeserializeOwned;
    use std::collections::BTreeSet;

    /// The fields that serde knows of a table: it lists them where one is unknown.
    fn fields<T: DeserializeOwned>(more: &str) -> BTreeSet<String> {
        let error = toml::from_str::<T>(&format!("{more}zzz = 0\n")).err().unwrap().to_string();
        let (_, known) = error.split_once("expected ").unwrap_or_else(|| panic!("{error}"));
        known.split('`').skip(1).step_by(2).map(String::from).collect()
    }

    /// The keys of the page right below a place.
    fn keys(section: &str, place: &str) -> BTreeSet<String> {
        let (_, text) = RECIPE_KEYS.split_once(&format!("\n## {section}\n")).unwrap();
        let text = text.split("\n## ").next().unwrap();
        let prefix = if place.is_empty() { String::new() } else { format!("{place}.") };
        text.lines()
            .filter_map(|line| line.strip_prefix("- `")?.split('`').next()?.strip_prefix(&prefix))
            .filter(|key| !key.contains('.'))
            .map(String::from)
            .collect()
    }

    fn same<T: DeserializeOwned>(section: &str, place: &str) {
        assert_eq!(keys(section, place), fields::<T>(""), "{section}, {place}");
    }

    /// No key is missing, and none is made up: the page has the fields that serde has, table by table.
    #[test]
    fn the_reference_has_every_key_that_serde_reads() {
        let all = "Every task";
        same::<Recipe>(all, "");
        same::<DataConfig>(all, "data");
        same::<BatchConfig>(all, "batch");
        same::<AdamWConfig>(all, "optimizer");
        same::<TrainConfig>(all, "train");
        same::<SelfTrainingConfig>(all, "train.self_training");
        same::<CurriculumConfig>(all, "train.curriculum");
        same::<AboutConfig>(all, "about");
        let mut of_kinds = BTreeSet::from(["kind".to_string()]);
        for kind in ["cosine", "three_phase", "inverse_sqrt"] {
            of_kinds.extend(fields::<Schedule>(&format!("kind = '{kind}'\n")));
        }
        assert_eq!(keys(all, "schedule"), of_kinds);

        let encoder = |section: &str| {
            same::<EncoderConfig>(section, "model.encoder");
            same::<StageConfig>(section, "model.encoder.stages[]");
            same::<ConvModuleConfig>(section, "model.encoder.stages[].convs[]");
            same::<TransformerConfig>(section, "model.encoder.stages[].transformer");
            same::<PositionalConvConfig>(section, "model.encoder.stages[].transformer.positional");
            same::<MelConfig>(section, "model.front_end");
        };
        for task in TaskKind::ALL {
            let section = &format!("Task `{task}`");
            if task != TaskKind::Mmi {
                same::<SpecAugmentConfig>(section, "augment.spec");
                same::<SpanMask>(section, "augment.spec.time");
            }
            same::<NoiseConfig>(section, "augment.noise");
            same::<ReverbConfig>(section, "augment.reverb");
            same::<LowPassConfig>(section, "augment.low_pass");
            if task != TaskKind::Spiral {
                if task != TaskKind::Mmi {
                    same::<AugmentConfig>(section, "augment");
                }
                same::<VolumeConfig>(section, "augment.volume");
                same::<SilenceConfig>(section, "augment.silence");
            }
            match task {
                TaskKind::Spiral => {
                    same::<SpiralConfig>(section, "model");
                    same::<SpiralAugment>(section, "augment");
                    same::<MomentumSchedule>(section, "model.momentum");
                    encoder(section);
                }
                TaskKind::Ctc => {
                    same::<CtcConfig>(section, "model");
                    encoder(section);
                }
                TaskKind::CcaMdd => {
                    same::<CcaMddConfig>(section, "model");
                    same::<CocaConfig>(section, "model.coca");
                    same::<LossConfig>(section, "model.loss");
                    same::<ExposureConfig>(section, "model.exposure");
                    for stack in ["reference", "decoder", "predictor", "classifier"] {
                        same::<StackConfig>(section, &format!("model.{stack}"));
                    }
                    encoder(section);
                }
                TaskKind::Lasyn => {
                    same::<LasynConfig>(section, "model");
                    same::<TasksConfig>(section, "model.tasks");
                    same::<DecoderConfig>(section, "model.decoder");
                }
                TaskKind::LasynSynthesizer => {
                    same::<SynthesisConfig>(section, "model");
                    same::<NetworkConfig>(section, "model.network");
                }
                TaskKind::Mmi => {
                    same::<MmiConfig>(section, "model");
                    same::<MelConfig>(section, "model.front_end");
                    same::<TdnnfConfig>(section, "model.net");
                    same::<PhoneLmConfig>(section, "model.phone_lm");
                    same::<SilenceModel>(section, "model.silence");
                    same::<MmiAugment>(section, "augment");
                    same::<MaskConfig>(section, "augment.masks");
                }
                TaskKind::Custom => {}
            }
        }
    }
}
