//! What the operations of a step would cost on a device, one by one.

use std::sync::Arc;

use super::kernels::ctc::LANES;
use super::runtime::{OpDesc, RuntimeError};
use super::session::{Record, Session};
use super::tile::{Pipe, Timeline};
use crate::options::Conv1dSizes;

/// One operation of a step with all its repetitions.
#[derive(Debug, Clone)]
pub struct Line {
    /// The operation.
    pub op: OpDesc,
    /// How often it ran.
    pub count: usize,
    /// The modelled course of one run; none where the device has no program for it.
    pub timeline: Option<Arc<Timeline>>,
    /// Why there is none.
    pub refused: Option<String>,
}

impl Line {
    /// Modelled cycles of all repetitions, the starts of the programs included.
    pub fn cycles(&self) -> f64 {
        self.timeline.as_ref().map_or(0.0, |t| t.cycles * self.count as f64)
    }

    /// Sizes, in the words of the operation.
    pub fn sizes(&self) -> String {
        match &self.op {
            OpDesc::Matmul(op) => format!("{}x{}x{}", op.m, op.k, op.n),
            OpDesc::ColumnSums(op)
            | OpDesc::Softmax { rows: op, .. }
            | OpDesc::SoftmaxBackward { rows: op, .. }
            | OpDesc::LayerNorm { rows: op, .. }
            | OpDesc::LayerNormBackward(op)
            | OpDesc::RmsNorm { rows: op, .. }
            | OpDesc::RmsNormBackward { rows: op, .. }
            | OpDesc::Scale(op)
            | OpDesc::SoftmaxMinus(op)
            | OpDesc::Dropout { rows: op, .. }
            | OpDesc::DropoutMask { rows: op, .. }
            | OpDesc::AdamW(op)
            | OpDesc::Ema(op)
            | OpDesc::Gelu(op)
            | OpDesc::GeluBackward(op) => format!("{}x{}", op.rows, op.cols),
            OpDesc::Conv { conv: c, .. } | OpDesc::ConvInputGradient(c) | OpDesc::ConvWeightGradient(c) => {
                let Conv1dSizes { batch, frames, kernel, input, output, options, .. } = c.sizes;
                let (stride, groups) = (options.stride, options.groups);
                format!("{batch}x{frames}x{input} k{kernel} s{stride} g{groups} to {output}")
            }
            OpDesc::Contrastive(op) => format!("{}x{}", op.positions, op.width),
            OpDesc::Ctc(op) => {
                format!("{}x{} utterances, {} frames, {} states", op.groups, LANES, op.frames, op.states)
            }
            OpDesc::Attention(op) | OpDesc::AttentionBackward(op) => {
                format!("{}x{} heads, {}x{}, d{}", op.batch, op.heads, op.queries, op.keys, op.dim)
            }
        }
    }

    /// Share of the time that a pipe works, mean over the cores that have it.
    pub fn utilisation(&self, pipe: Pipe) -> f64 {
        self.timeline.as_ref().map_or(0.0, |t| t.utilisation(pipe))
    }
}

/// Times what a session wrote down; what has no timeline says why.
pub fn lines(session: &Session, records: &[Record]) -> Vec<Line> {
    let line = |record: &Record| {
        let timed = session.runtime().timeline(&record.op);
        let timed = timed.unwrap_or_else(|| {
            Err(RuntimeError::Unsupported { runtime: session.runtime().info().name, op: record.op.name() })
        });
        let (timeline, refused) = match timed {
            Ok(timeline) => (Some(timeline), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Line { op: record.op, count: record.count, timeline, refused }
    };
    records.iter().map(line).collect()
}
