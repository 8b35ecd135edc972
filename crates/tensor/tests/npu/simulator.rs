//! The executor refuses wrong programs: every mutation of a right one is caught.

use auricle_tensor::npu::kernels::attention::{Attention, attention};
use auricle_tensor::npu::kernels::ctc::{Ctc, ctc};
use auricle_tensor::npu::kernels::matmul::{Matmul, matmul};
use auricle_tensor::npu::kernels::rows::{self, Rows};
use auricle_tensor::npu::kernels::updates;
use auricle_tensor::npu::spec::DeviceSpec;
use auricle_tensor::npu::tile::{self, Elem, Instr, Order, Program, Role, TileError};

use crate::common::b3;

/// Runs a program on ones.
fn attempt(program: &Program, spec: &DeviceSpec) -> Result<Vec<Vec<u16>>, TileError> {
    let words = |decl: &tile::TensorDecl| match (decl.role, decl.elem) {
        (Role::Input, Elem::F16) => vec![0x3c00; decl.len],
        (Role::Input, Elem::F32) => [0, 0x3f80].repeat(decl.len),
        _ => vec![0xfeed; decl.len * decl.elem.words()],
    };
    tile::run(program, spec, program.tensors.iter().map(words).collect(), Order::Forward)
}

fn programs(spec: &DeviceSpec) -> Vec<Program> {
    let op = Rows { rows: 600, cols: 300, elem: Elem::F16 };
    let heads = Attention {
        batch: 1,
        heads: 1,
        queries: 40,
        keys: 600,
        dim: 16,
        masked: true,
        alibi: false,
        dropout: None,
        elem: Elem::F16,
    };
    vec![
        matmul(spec, Matmul { bias: true, ..Matmul::new(200, 600, 40, Elem::F16) }, None).unwrap(),
        matmul(spec, Matmul::new(3000, 300, 300, Elem::F16), None).unwrap(),
        rows::softmax(spec, op, false).unwrap(),
        rows::layer_norm_backward(spec, op).unwrap(),
        attention(spec, heads).unwrap(),
        ctc(spec, Ctc { groups: 2, frames: 7, states: 5 }).unwrap(),
        updates::adamw(spec, Rows { elem: Elem::F32, ..op }).unwrap(),
    ]
}

/// An instruction: core, and place in its program.
type Place = (usize, usize);

/// Removes, one by one, up to `count` of the instructions that `is` picks; gives what happens.
fn without(
    program: &Program,
    spec: &DeviceSpec,
    count: usize,
    is: impl Fn(&Instr) -> bool,
) -> Vec<(Place, Result<(), TileError>)> {
    let all: Vec<Place> = program
        .cores
        .iter()
        .enumerate()
        .flat_map(|(core, c)| (0..c.code.len()).map(move |index| (core, index)))
        .filter(|&(core, index)| is(&program.cores[core].code[index]))
        .collect();
    all.iter()
        .step_by((all.len() / count).max(1))
        .map(|&(core, index)| {
            let mut mutant = program.clone();
            mutant.cores[core].code.remove(index);
            ((core, index), attempt(&mutant, spec).map(|_| ()))
        })
        .collect()
}

/// What comes after what in a program: a pipe does its instructions in order, and the n-th wait for a flag comes after its
/// n-th setting.
struct After<'a> {
    program: &'a Program,
    /// By flag: settings and waits, each in the order of its pipe.
    flags: Vec<[Vec<Place>; 2]>,
}

impl<'a> After<'a> {
    fn of(program: &'a Program) -> Self {
        let mut flags = vec![[Vec::new(), Vec::new()]; program.flags];
        for (core, c) in program.cores.iter().enumerate() {
            for (index, instr) in c.code.iter().enumerate() {
                match instr {
                    Instr::Set { flag, .. } => flags[flag.0][0].push((core, index)),
                    Instr::Wait { flag, .. } => flags[flag.0][1].push((core, index)),
                    _ => {}
                }
            }
        }
        Self { program, flags }
    }

    fn instr(&self, (core, index): Place) -> &Instr {
        &self.program.cores[core].code[index]
    }

    /// The setting that a wait waits for.
    fn setting(&self, wait: Place) -> Place {
        let Instr::Wait { flag, .. } = self.instr(wait) else { panic!("{wait:?} is no wait") };
        let [settings, waits] = &self.flags[flag.0];
        settings[waits.iter().position(|&place| place == wait).unwrap()]
    }

    /// Whether the order that a wait makes follows from the other waits: whether the first work after it comes after
    /// the last work before the setting anyway.
    fn is_implied(&self, wait: Place) -> bool {
        let is_work = |instr: &Instr| !matches!(instr, Instr::Set { .. } | Instr::Wait { .. });
        let code = |core: usize| &self.program.cores[core].code;
        let setting = self.setting(wait);
        let (from, to) = (self.instr(setting).pipe(), self.instr(wait).pipe());
        let last =
            (0..setting.1).rev().find(|&i| code(setting.0)[i].pipe() == from && is_work(&code(setting.0)[i]));
        let first =
            (wait.1..code(wait.0).len()).find(|&i| code(wait.0)[i].pipe() == to && is_work(&code(wait.0)[i]));
        let (Some(last), Some(first)) = (last, first) else { return true };
        let (mut seen, mut open) = (std::collections::BTreeSet::new(), vec![(setting.0, last)]);
        while let Some(place @ (core, index)) = open.pop() {
            if !seen.insert(place) {
                continue;
            }
            let pipe = self.instr(place).pipe();
            if (core, pipe) == (wait.0, to) && index <= first {
                return true;
            }
            open.extend(
                (index + 1..code(core).len()).find(|&i| code(core)[i].pipe() == pipe).map(|i| (core, i)),
            );
            if let Instr::Set { flag, .. } = self.instr(place) {
                let [settings, waits] = &self.flags[flag.0];
                let nth = settings.iter().position(|&other| other == place).unwrap();
                open.extend(waits.get(nth).copied().filter(|&other| other != wait));
            }
        }
        false
    }
}

#[test]
fn a_missing_wait_is_an_error_unless_other_waits_imply_it() {
    let spec = b3();
    for program in programs(&spec) {
        attempt(&program, &spec).unwrap();
        let after = After::of(&program);
        // Every wait of attention: between its cores some follow from others (scores that came back were multiplied).
        let count = if ["attention", "ctc"].iter().any(|name| program.name.starts_with(name)) {
            usize::MAX
        } else {
            40
        };
        let mutants = without(&program, &spec, count, |instr| matches!(instr, Instr::Wait { .. }));
        let all = mutants.len();
        let mut unnoticed = 0;
        for (place, result) in mutants {
            let what = format!("{} without {place:?} {:?}", program.name, after.instr(place));
            match result {
                // Seen as a race, or as data that is not there yet.
                Err(error) => assert!(matches!(error, TileError::Instruction { .. }), "{what}: {error}"),
                Ok(()) => {
                    assert!(after.is_implied(place), "{what} goes unnoticed");
                    unnoticed += 1;
                }
            }
        }
        println!("{}: of {all} waits {unnoticed} follow from others", program.name);
        assert!(all >= 20 && unnoticed * 10 <= all, "{}: {unnoticed} of {all}", program.name);
    }
}

#[test]
fn a_missing_load_or_product_reads_what_nobody_wrote() {
    let spec = b3();
    for program in programs(&spec).into_iter().take(1) {
        for (place, result) in
            without(&program, &spec, 30, |i| matches!(i, Instr::Load { .. } | Instr::Extract { .. }))
        {
            let error = result.map_err(|error| error.to_string());
            // Later rounds find the data of earlier ones in the buffer; the first round must not.
            if let Err(error) = error {
                assert!(
                    error.contains("nothing has written") || error.contains("a wait is missing"),
                    "{place:?}: {error}"
                );
            }
        }
        let mut mutant = program.clone();
        let first = mutant.cores[0].code.iter().position(|i| matches!(i, Instr::Extract { .. })).unwrap();
        mutant.cores[0].code.remove(first);
        assert!(attempt(&mutant, &spec).unwrap_err().to_string().contains("nothing has written"));
    }
}

#[test]
fn a_missing_result_is_an_error() {
    let spec = b3();
    for program in programs(&spec) {
        let is_out = |i: &Instr| matches!(i, Instr::Fixpipe { to, .. } | Instr::Store { to, .. } if program.tensors[to.tensor].role == Role::Output);
        for (place, result) in without(&program, &spec, 10, is_out) {
            assert!(
                matches!(result, Err(TileError::Incomplete { .. })),
                "{} without {place:?}: {result:?}",
                program.name
            );
        }
    }
}

#[test]
fn a_missing_set_stops_the_program() {
    let spec = b3();
    let program = &programs(&spec)[0];
    let caught = without(program, &spec, 30, |instr| matches!(instr, Instr::Set { .. }));
    let stopped = caught.iter().filter(|(_, result)| matches!(result, Err(TileError::Deadlock { .. })));
    // The last settings of every ring are waited for by nobody.
    assert!(stopped.count() * 2 > caught.len());
}

#[test]
fn buffers_have_an_end() {
    let mut spec = b3();
    let program = &programs(&spec)[0];
    for shrink in ["l0a", "l0b", "l0c", "l1"] {
        let mut small = spec.clone();
        let buffer = match shrink {
            "l0a" => &mut small.buffers.l0a,
            "l0b" => &mut small.buffers.l0b,
            "l0c" => &mut small.buffers.l0c,
            _ => &mut small.buffers.l1,
        };
        buffer.value = 512.0;
        let error = attempt(program, &small).unwrap_err().to_string();
        assert!(error.contains("runs over the end of"), "{shrink}: {error}");
    }
    let program = &programs(&spec)[2];
    spec.buffers.ub.value = 512.0;
    assert!(attempt(program, &spec).unwrap_err().to_string().contains("runs over the end of Ub"));
}

#[test]
fn inputs_cannot_be_written_and_tensors_have_an_end() {
    let spec = b3();
    for (tensor, offset, part) in [(0, 0, "which is an input"), (3, 1_000_000, "runs over the end")] {
        let mut program = programs(&spec).remove(0);
        for core in &mut program.cores {
            for instr in &mut core.code {
                if let Instr::Fixpipe { to, .. } = instr {
                    (to.tensor, to.offset) = (tensor, offset);
                }
            }
        }
        let error = attempt(&program, &spec).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
