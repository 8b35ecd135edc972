use auricle_tensor::npu::kernels::conv::{Conv, forward, input_gradient, weight_gradient};
use auricle_tensor::npu::tile::Elem;
use auricle_tensor::ops::{Conv1dOptions, Conv1dSizes};

use crate::common::{assert_close, b3, checked, normal, rounded, tolerance, whole};

/// Calls `f(x index, w index, y index)` for every product of the sum.
fn terms(s: &Conv1dSizes, mut f: impl FnMut(usize, usize, usize)) {
    let (ci, co) = (s.input / s.options.groups, s.output / s.options.groups);
    for b in 0..s.batch {
        for t in 0..s.outputs {
            for k in 0..s.kernel {
                let Some(frame) =
                    (t * s.options.stride + k).checked_sub(s.options.pad_left).filter(|&u| u < s.frames)
                else {
                    continue;
                };
                for c in 0..ci {
                    for o in 0..s.output {
                        let x = (b * s.frames + frame) * s.input + o / co * ci + c;
                        f(x, (k * ci + c) * s.output + o, (b * s.outputs + t) * s.output + o);
                    }
                }
            }
        }
    }
}

#[allow(clippy::too_many_arguments)] // A convolution is one line.
fn check(
    batch: usize,
    frames: usize,
    kernel: usize,
    input: usize,
    output: usize,
    stride: usize,
    pads: [usize; 2],
    groups: usize,
    elem: Elem,
) {
    let options = Conv1dOptions { stride, pad_left: pads[0], pad_right: pads[1], groups };
    let outputs = options.output_frames(frames, kernel);
    let sizes = Conv1dSizes { batch, frames, outputs, kernel, input, output, options };
    let s = Conv { sizes, elem };
    let spec = b3();
    for exact in [true, false] {
        let make = |n, seed| if exact { whole(n, seed) } else { rounded(&normal(n, seed), elem) };
        let x = make(batch * frames * input, 1);
        let w = make(kernel * input / groups * output, 2);
        let (g, bias) = (make(batch * outputs * output, 3), make(output, 4));
        let mut y: Vec<f64> = (0..g.len()).map(|i| f64::from(bias[i % output])).collect();
        let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
        terms(&sizes, |i, j, o| {
            let (x, w, g) = (f64::from(x[i]), f64::from(w[j]), f64::from(g[o]));
            y[o] += x * w;
            dx[i] += g * w;
            dw[j] += x * g;
        });
        let tolerance = if exact { 0.0 } else { tolerance(elem) };
        let run = |program, inputs: &[&[f32]]| checked(&program, &spec, inputs).remove(0);
        assert_close(
            &format!("{s:?}"),
            &run(forward(&spec, s, true).unwrap(), &[&x, &w, &bias]),
            &y,
            tolerance,
        );
        assert_close(
            &format!("dx {s:?}"),
            &run(input_gradient(&spec, s).unwrap(), &[&g, &w]),
            &dx,
            tolerance,
        );
        assert_close(
            &format!("dw {s:?}"),
            &run(weight_gradient(&spec, s).unwrap(), &[&x, &g]),
            &dw,
            tolerance,
        );
    }
}

#[test]
fn convolutions_and_their_gradients_equal_the_definition() {
    check(1, 1, 1, 1, 1, 1, [0, 0], 1, Elem::F16);
    check(2, 31, 5, 17, 16, 2, [2, 2], 1, Elem::F16);
    check(2, 30, 3, 8, 33, 1, [1, 1], 1, Elem::Bf16);
    check(1, 17, 2, 5, 6, 3, [0, 0], 1, Elem::F16);
    check(2, 40, 32, 24, 24, 1, [16, 15], 4, Elem::Bf16);
    check(2, 19, 3, 8, 12, 2, [2, 0], 2, Elem::F16);
}
