//! Recipes that the program brings along, so that it needs no file beside it.

/// Adaptation of a recogniser by text: `lasyn/adapt.toml`.
pub const ADAPT: &str = include_str!("lasyn/adapt.toml");
/// The quickstart's pre-training: `quickstart/spiral_pretrain.toml`.
pub const SPIRAL_PRETRAIN: &str = include_str!("quickstart/spiral_pretrain.toml");
/// The quickstart's recogniser from random weights: `quickstart/ctc_from_scratch.toml`.
pub const CTC_FROM_SCRATCH: &str = include_str!("quickstart/ctc_from_scratch.toml");
/// The quickstart's recogniser from pre-trained weights: `quickstart/ctc_from_pretrained.toml`.
pub const CTC_FROM_PRETRAINED: &str = include_str!("quickstart/ctc_from_pretrained.toml");
/// The quickstart's judge of pronunciation: `quickstart/mdd.toml`.
pub const MDD: &str = include_str!("quickstart/mdd.toml");
