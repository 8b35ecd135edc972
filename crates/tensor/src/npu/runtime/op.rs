//! Operations, independent of the device that runs them.

use crate::npu::kernels::KernelError;
use crate::npu::kernels::attention::{Attention, attention};
use crate::npu::kernels::attention_backward::attention_backward;
use crate::npu::kernels::contrastive::{Contrastive, contrastive};
use crate::npu::kernels::conv::{self, Conv};
use crate::npu::kernels::ctc::{Ctc, ctc};
use crate::npu::kernels::dropout;
use crate::npu::kernels::matmul::{Matmul, matmul};
use crate::npu::kernels::rows::{self, Rows};
use crate::npu::kernels::updates::{self, ADAMW_SCALARS, EMA_SCALARS};
use crate::npu::spec::DeviceSpec;
use crate::npu::tile::{Elem, Program, Role};

/// An operation with its sizes. The kernel of the same name says what its tensors are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OpDesc {
    /// [`matmul`]
    Matmul(Matmul),
    /// [`rows::column_sums`]
    ColumnSums(Rows),
    /// [`rows::softmax`]
    Softmax {
        /// Sizes.
        rows: Rows,
        /// Whether its logarithm is wanted.
        logarithm: bool,
    },
    /// [`rows::softmax_backward`]
    SoftmaxBackward {
        /// Sizes.
        rows: Rows,
        /// Whether it is that of the logarithm.
        logarithm: bool,
    },
    /// [`rows::layer_norm`]
    LayerNorm {
        /// Sizes.
        rows: Rows,
        /// Added to the variance.
        epsilon: f32,
    },
    /// [`rows::layer_norm_backward`]
    LayerNormBackward(Rows),
    /// [`rows::rms_norm`]
    RmsNorm {
        /// Sizes.
        rows: Rows,
        /// Added to the mean square.
        epsilon: f32,
    },
    /// [`rows::rms_norm_backward`]
    RmsNormBackward {
        /// Sizes.
        rows: Rows,
        /// Added to the mean square.
        epsilon: f32,
    },
    /// [`rows::scale`]
    Scale(Rows),
    /// [`rows::softmax_minus`]
    SoftmaxMinus(Rows),
    /// [`dropout::dropout`]
    Dropout {
        /// Sizes.
        rows: Rows,
        /// Words below it are dropped.
        threshold: u32,
        /// What is kept is multiplied by it.
        scale: f32,
    },
    /// [`dropout::mask`]
    DropoutMask {
        /// Sizes.
        rows: Rows,
        /// Words below it are dropped.
        threshold: u32,
    },
    /// [`updates::adamw`]
    AdamW(Rows),
    /// [`updates::ema`]
    Ema(Rows),
    /// [`rows::gelu`]
    Gelu(Rows),
    /// [`rows::gelu_backward`]
    GeluBackward(Rows),
    /// [`conv::forward`]
    Conv {
        /// Sizes.
        conv: Conv,
        /// Whether there is a bias.
        bias: bool,
    },
    /// [`conv::input_gradient`]
    ConvInputGradient(Conv),
    /// [`conv::weight_gradient`]
    ConvWeightGradient(Conv),
    /// [`attention`]
    Attention(Attention),
    /// [`attention_backward`]
    AttentionBackward(Attention),
    /// [`contrastive`]
    Contrastive(Contrastive),
    /// [`ctc`]
    Ctc(Ctc),
}

/// A tensor of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Type of its elements.
    pub elem: Elem,
    /// Number of elements.
    pub len: usize,
    /// Whether the operation writes it.
    pub output: bool,
}

impl OpDesc {
    /// Name in tables and errors.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Matmul(_) => "matmul",
            Self::ColumnSums(_) => "column sums",
            Self::Softmax { logarithm: false, .. } => "softmax",
            Self::Softmax { .. } => "log softmax",
            Self::SoftmaxBackward { logarithm: false, .. } => "softmax backward",
            Self::SoftmaxBackward { .. } => "log softmax backward",
            Self::LayerNorm { .. } => "layer norm",
            Self::LayerNormBackward(_) => "layer norm backward",
            Self::RmsNorm { .. } => "rms norm",
            Self::RmsNormBackward { .. } => "rms norm backward",
            Self::Scale(_) => "scale",
            Self::SoftmaxMinus(_) => "softmax minus",
            Self::Dropout { .. } => "dropout",
            Self::DropoutMask { .. } => "dropout mask",
            Self::AdamW(_) => "adamw",
            Self::Ema(_) => "ema",
            Self::Contrastive(_) => "contrastive",
            Self::Ctc(_) => "ctc",
            Self::Gelu(_) => "gelu",
            Self::GeluBackward(_) => "gelu backward",
            Self::Conv { .. } => "conv1d",
            Self::ConvInputGradient(_) => "conv1d input gradient",
            Self::ConvWeightGradient(_) => "conv1d weight gradient",
            Self::Attention(_) => "attention",
            Self::AttentionBackward(_) => "attention backward",
        }
    }

    /// The tile program for a device.
    pub fn program(&self, spec: &DeviceSpec) -> Result<Program, KernelError> {
        match *self {
            Self::Matmul(op) => matmul(spec, op, None),
            Self::ColumnSums(op) => rows::column_sums(spec, op),
            Self::Softmax { rows, logarithm } => rows::softmax(spec, rows, logarithm),
            Self::SoftmaxBackward { rows, logarithm } => rows::softmax_backward(spec, rows, logarithm),
            Self::LayerNorm { rows, epsilon } => rows::layer_norm(spec, rows, epsilon),
            Self::LayerNormBackward(op) => rows::layer_norm_backward(spec, op),
            Self::RmsNorm { rows, epsilon } => rows::rms_norm(spec, rows, epsilon),
            Self::RmsNormBackward { rows, epsilon } => rows::rms_norm_backward(spec, rows, epsilon),
            Self::Scale(op) => rows::scale(spec, op),
            Self::SoftmaxMinus(op) => rows::softmax_minus(spec, op),
            Self::Dropout { rows, threshold, scale } => dropout::dropout(spec, rows, threshold, scale),
            Self::DropoutMask { rows, threshold } => dropout::mask(spec, rows, threshold),
            Self::AdamW(op) => updates::adamw(spec, op),
            Self::Ema(op) => updates::ema(spec, op),
            Self::Contrastive(op) => contrastive(spec, op),
            Self::Ctc(op) => ctc(spec, op),
            Self::Gelu(op) => rows::gelu(spec, op),
            Self::GeluBackward(op) => rows::gelu_backward(spec, op),
            Self::Conv { conv, bias } => conv::forward(spec, conv, bias),
            Self::ConvInputGradient(op) => conv::input_gradient(spec, op),
            Self::ConvWeightGradient(op) => conv::weight_gradient(spec, op),
            Self::Attention(op) => attention(spec, op),
            Self::AttentionBackward(op) => attention_backward(spec, op),
        }
    }

    /// The tensors, inputs first.
    pub fn signature(&self) -> Vec<Slot> {
        let input = |elem, len| Slot { elem, len, output: false };
        let output = |elem, len| Slot { elem, len, output: true };
        let single = Elem::F32;
        let of_rows = |op: &Rows| (op.elem, op.rows * op.cols);
        match self {
            Self::Matmul(op) => {
                let mut slots = vec![input(op.elem, op.m * op.k), input(op.elem, op.k * op.n)];
                slots.extend(op.bias.then(|| input(single, op.n)));
                slots.push(output(single, op.m * op.n));
                slots
            }
            Self::ColumnSums(op) => vec![input(op.elem, op.rows * op.cols), output(single, op.cols)],
            Self::Softmax { rows: op, .. } | Self::Gelu(op) => {
                let (elem, len) = of_rows(op);
                vec![input(elem, len), output(elem, len)]
            }
            Self::SoftmaxBackward { rows: op, .. } | Self::GeluBackward(op) => {
                let (elem, len) = of_rows(op);
                vec![input(elem, len), input(elem, len), output(elem, len)]
            }
            Self::LayerNorm { rows: op, .. } => {
                let (elem, len) = of_rows(op);
                let scales = [input(single, op.cols); 2];
                let moments = [output(single, op.rows); 2];
                [&[input(elem, len)], &scales[..], &[output(elem, len)], &moments[..]].concat()
            }
            Self::LayerNormBackward(op) => {
                let (elem, len) = of_rows(op);
                let (matrices, moments) = ([input(elem, len); 2], [input(single, op.rows); 2]);
                let sums = [output(single, op.cols); 2];
                [&matrices[..], &moments[..], &[input(single, op.cols), output(elem, len)], &sums[..]]
                    .concat()
            }
            Self::RmsNorm { rows: op, .. } => {
                let (elem, len) = of_rows(op);
                vec![input(elem, len), input(single, op.cols), output(elem, len)]
            }
            Self::RmsNormBackward { rows: op, .. } => {
                let (elem, len) = of_rows(op);
                let gamma = input(single, op.cols);
                vec![input(elem, len), input(elem, len), gamma, output(elem, len), output(single, op.cols)]
            }
            Self::Scale(op) => {
                let (elem, len) = of_rows(op);
                vec![input(elem, len), input(single, op.rows), output(elem, len)]
            }
            Self::SoftmaxMinus(op) => {
                let (elem, len) = of_rows(op);
                vec![input(elem, len), input(elem, len), input(single, op.rows), output(elem, len)]
            }
            Self::Dropout { rows: op, .. } => {
                let (elem, len) = of_rows(op);
                let words = [op.cols, op.rows, op.rows, op.rows].map(|len| input(single, len));
                [&[input(elem, len)], &words[..], &[output(elem, len)]].concat()
            }
            Self::DropoutMask { rows: op, .. } => {
                let (elem, len) = of_rows(op);
                let words = [op.cols, op.rows, op.rows, op.rows].map(|len| input(single, len));
                [&words[..], &[output(elem, len)]].concat()
            }
            Self::AdamW(op) => {
                let (elem, len) = of_rows(op);
                [&[input(elem, len); 4][..], &[input(single, ADAMW_SCALARS)], &[output(elem, len); 3]]
                    .concat()
            }
            Self::Ema(op) => {
                let (elem, len) = of_rows(op);
                vec![input(elem, len), input(elem, len), input(single, EMA_SCALARS), output(elem, len)]
            }
            Self::Contrastive(op) => {
                let (n, all) = (op.positions, op.positions * op.width);
                let inputs = [input(single, all), input(single, all), input(op.elem, n * n)];
                [&inputs[..], &[output(single, n); 4], &[output(single, all)]].concat()
            }
            Self::Ctc(op) => {
                let inputs = [op.emitted_len(), op.table_len(), op.entry_len(), op.table_len()];
                let outputs = [op.score_len(), op.emitted_len()];
                let inputs = inputs.into_iter().map(|len| input(single, len));
                inputs.chain(outputs.into_iter().map(|len| output(single, len))).collect()
            }
            Self::Conv { conv, bias } => {
                let mut slots = vec![input(conv.elem, conv.x_len()), input(conv.elem, conv.w_len())];
                slots.extend(bias.then(|| input(single, conv.sizes.output)));
                slots.push(output(single, conv.y_len()));
                slots
            }
            Self::ConvInputGradient(c) => {
                vec![input(c.elem, c.y_len()), input(c.elem, c.w_len()), output(single, c.x_len())]
            }
            Self::ConvWeightGradient(c) => {
                vec![input(c.elem, c.x_len()), input(c.elem, c.y_len()), output(single, c.w_len())]
            }
            Self::Attention(op) => {
                let mut slots = attention_inputs(op, false);
                slots.push(output(single, op.query_len()));
                slots.push(output(single, op.batch * op.heads * op.queries));
                slots
            }
            Self::AttentionBackward(op) => {
                let mut slots = attention_inputs(op, true);
                slots.extend([op.query_len(), op.key_len(), op.key_len()].map(|len| output(single, len)));
                slots
            }
        }
    }

    /// Multiply-adds of the cube without any padding.
    pub fn macs(&self) -> f64 {
        let count = match self {
            Self::Matmul(op) => op.m * op.k * op.n,
            Self::Conv { conv: c, .. } | Self::ConvInputGradient(c) | Self::ConvWeightGradient(c) => {
                c.sizes.batch * c.sizes.outputs * c.w_len()
            }
            Self::Attention(op) => 2 * op.score_len() * op.dim,
            Self::AttentionBackward(op) => 5 * op.score_len() * op.dim,
            Self::Contrastive(op) => 2 * op.positions * op.positions * op.width,
            _ => 0,
        };
        count as f64
    }
}

fn attention_inputs(op: &Attention, backward: bool) -> Vec<Slot> {
    let input = |elem, len| Slot { elem, len, output: false };
    let mut slots =
        vec![input(op.elem, op.query_len()), input(op.elem, op.key_len()), input(op.elem, op.key_len())];
    if backward {
        slots.push(input(op.elem, op.query_len()));
        slots.push(input(Elem::F32, op.batch * op.heads * op.queries));
    }
    slots.extend(op.masked.then(|| input(op.elem, op.batch * op.queries * op.keys)));
    slots.extend(op.dropout.map(|_| input(op.elem, op.score_len())));
    slots
}

/// Whether the tensors of a program are those of a signature.
pub fn agrees(program: &Program, slots: &[Slot]) -> bool {
    let declared = program.tensors.iter().filter(|decl| decl.role != Role::Work);
    let declared: Vec<Slot> =
        declared.map(|d| Slot { elem: d.elem, len: d.len, output: d.role == Role::Output }).collect();
    declared == slots
}
