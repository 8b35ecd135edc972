//! Padding.

use burn::tensor::{Bool, Device, Tensor, TensorData};

/// Replaces everything at and beyond each row's length by zero.
///
/// A replacement, not a product: padding may hold NaN.
///
/// # Shapes
/// - input `[B, T, C]`, `lengths` one per row
/// - output `[B, T, C]`
pub fn zero_beyond(x: Tensor<3>, lengths: &[usize]) -> Tensor<3> {
    let [batch, frames, channels] = x.dims();
    if lengths.iter().all(|&length| length >= frames) {
        return x;
    }
    let mask = padding_mask(lengths, batch, frames, &x.device());
    x.mask_fill(mask.unsqueeze_dim::<3>(2).expand([batch, frames, channels]), 0.0)
}

/// True where a frame is padding. Shape `[B, T]`.
pub(crate) fn padding_mask(
    lengths: &[usize],
    batch: usize,
    frames: usize,
    device: &Device,
) -> Tensor<2, Bool> {
    let values: Vec<bool> = (0..batch)
        .flat_map(|b| (0..frames).map(move |t| t >= lengths.get(b).copied().unwrap_or(0)))
        .collect();
    Tensor::from_data(TensorData::new(values, [batch, frames]), device)
}
