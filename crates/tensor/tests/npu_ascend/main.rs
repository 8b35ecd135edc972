//! The AscendCL binding against a stand-in with the same names, built here from `stub.c`.

#![allow(clippy::unwrap_used)] // The helpers of tests may fail like tests.
#![allow(unsafe_code)] // The stub is a C library.

use std::ffi::{CStr, CString, c_char, c_int, c_long};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use auricle_rng::{Key, Purpose};
use auricle_tensor::npu::kernels::conv::Conv;
use auricle_tensor::npu::kernels::matmul::Matmul;
use auricle_tensor::npu::kernels::rows::Rows;
use auricle_tensor::npu::runtime::ascend::library::{Place, Presence};
use auricle_tensor::npu::runtime::ascend::{AscendRuntime, Mutation};
use auricle_tensor::npu::runtime::{Held, NpuRuntime, OpDesc, RuntimeError};
use auricle_tensor::npu::session::{self, Mode, Session};
use auricle_tensor::npu::tile::Elem;
use auricle_tensor::ops::{self, Conv1dOptions, Conv1dSizes};
use burn::tensor::{Device, Tensor, TensorData};
use libloading::Library;

/// The stub, built and loaded once, for one test at a time.
struct Stub {
    loaded: Library,
    folder: PathBuf,
}

const LIBRARIES: [&str; 3] = ["libascendcl.so", "libnnopbase.so", "libopapi.so"];

/// Waits for its turn; none where there is no C compiler.
fn stub() -> Option<(&'static Stub, MutexGuard<'static, ()>)> {
    static STUB: OnceLock<Option<Stub>> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    let stub = STUB.get_or_init(|| Stub::build("whole", &[]));
    if stub.is_none() {
        assert!(std::env::var_os("CI").is_none(), "no C compiler `cc`: these tests would show nothing");
        println!("skipped: no C compiler `cc` on this machine");
    }
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let stub = stub.as_ref()?;
    stub.fail(None, 0);
    stub.reset();
    Some((stub, turn))
}

impl Stub {
    /// A stub whose source is compiled with `flags`; none where there is no C compiler.
    fn build(name: &str, flags: &[&str]) -> Option<Self> {
        let folder = format!("ascend-stub-{}-{name}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/npu_ascend/stub.c");
        let first = folder.join(LIBRARIES[0]);
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall"])
            .args(flags)
            .arg("-o")
            .arg(&first)
            .args([source, "-lm"])
            .output();
        let output = output.ok()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for name in &LIBRARIES[1..] {
            // The same file: the loader gives the same library, with one state.
            std::fs::hard_link(&first, folder.join(name)).unwrap();
        }
        // SAFETY: the stub has no initialisers.
        let loaded = unsafe { Library::new(&first) }.unwrap();
        Some(Self { loaded, folder })
    }

    /// A stub in which a function has another name.
    fn without(function: &str) -> Option<Self> {
        Self::build(&format!("without-{function}"), &[&format!("-D{function}=renamed")])
    }

    fn log(&self) -> String {
        // SAFETY: the function's type; it gives a string that lives as long as the library.
        unsafe {
            CStr::from_ptr(
                self.loaded.get::<unsafe extern "C" fn() -> *const c_char>(b"stub_log\0").unwrap()(),
            )
        }
        .to_string_lossy()
        .into_owned()
    }

    /// Live memory, tensors, arrays, scalars, streams, executors.
    fn live(&self) -> [c_long; 6] {
        // SAFETY: the function's type.
        let live =
            unsafe { self.loaded.get::<unsafe extern "C" fn(c_int) -> c_long>(b"stub_live\0") }.unwrap();
        // SAFETY: takes a number below 6.
        std::array::from_fn(|what| unsafe { live(what as c_int) })
    }

    fn violations(&self) -> c_long {
        // SAFETY: the function's type.
        unsafe { self.loaded.get::<unsafe extern "C" fn() -> c_long>(b"stub_violations\0").unwrap()() }
    }

    fn reset(&self) {
        // SAFETY: the function's type.
        unsafe { self.loaded.get::<unsafe extern "C" fn()>(b"stub_reset\0").unwrap()() }
    }

    fn fail(&self, name: Option<&str>, after: usize) {
        let name = name.map(|name| CString::new(name).unwrap());
        let pointer = name.as_ref().map_or(std::ptr::null(), |name| name.as_ptr());
        // SAFETY: the function's type; the name is copied.
        unsafe {
            self.loaded.get::<unsafe extern "C" fn(*const c_char, c_long)>(b"stub_fail\0").unwrap()(
                pointer,
                after as c_long,
            )
        }
    }

    fn open(&self, mutation: Option<Mutation>) -> Result<AscendRuntime, RuntimeError> {
        AscendRuntime::open_at(&[Place::folder("test", &self.folder)], 0, mutation)
    }
}

fn normal(n: usize, seed: u64) -> Vec<f32> {
    let mut stream = Key::new(seed).stream(Purpose::Test);
    (0..n).map(|_| stream.normal() as f32).collect()
}

fn words(values: &[f32]) -> Vec<u16> {
    values.iter().flat_map(|v| [v.to_bits() as u16, (v.to_bits() >> 16) as u16]).collect()
}

/// Inputs to outputs, as the session does it.
fn run(runtime: &dyn NpuRuntime, op: &OpDesc, inputs: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, RuntimeError> {
    let slots = op.signature();
    let held = slots.iter().map(|slot| Held::new(runtime, slot.len * 4)).collect::<Result<Vec<_>, _>>()?;
    for ((input, held), slot) in inputs.iter().zip(&held).zip(&slots) {
        assert!(input.len() == slot.len && !slot.output, "{op:?}");
        runtime.h2d(held.buffer, &words(input))?;
    }
    runtime.launch(op, &held.iter().map(|held| held.buffer).collect::<Vec<_>>())?;
    runtime.sync()?;
    slots
        .iter()
        .zip(&held)
        .filter(|(slot, _)| slot.output)
        .map(|(slot, held)| {
            let mut words = vec![0; 2 * slot.len];
            runtime.d2h(held.buffer, &mut words)?;
            Ok(words
                .chunks_exact(2)
                .map(|w| f32::from_bits(u32::from(w[0]) | u32::from(w[1]) << 16))
                .collect())
        })
        .collect()
}

/// The tile program's results for the same numbers; matrix operands are rounded to half precision there.
fn simulated(op: &OpDesc, half: &OpDesc, inputs: &[Vec<f32>]) -> Vec<Vec<f32>> {
    use auricle_tensor::npu::spec::DeviceSpec;
    use auricle_tensor::npu::tile::exec::{decode, encode};
    use auricle_tensor::npu::tile::{self, Order, Role};
    let spec = DeviceSpec::named("910b3").unwrap();
    let program = if op.macs() > 0.0 { half } else { op }.program(&spec).unwrap();
    let mut inputs = inputs.iter();
    let tensors = program.tensors.iter().map(|decl| {
        let mut words = vec![0; decl.len * decl.elem.words()];
        if decl.role == Role::Input {
            encode(inputs.next().unwrap(), decl.elem, &mut words);
        }
        words
    });
    let results = tile::run(&program, &spec, tensors.collect(), Order::Forward).unwrap();
    let results = program.tensors.iter().zip(results).filter(|(decl, _)| decl.role == Role::Output);
    results
        .map(|(decl, words)| {
            let mut values = vec![0.0; decl.len];
            decode(&words, decl.elem, &mut values);
            values
        })
        .collect()
}

/// Every operation with a body, and the same in half precision.
fn operations() -> Vec<(OpDesc, OpDesc)> {
    let rows = Rows { rows: 7, cols: 11, elem: Elem::F32 };
    let conv = Conv {
        sizes: Conv1dSizes {
            batch: 2,
            frames: 9,
            outputs: 5,
            kernel: 3,
            input: 4,
            output: 6,
            options: Conv1dOptions { stride: 2, pad_left: 1, pad_right: 1, groups: 2 },
        },
        elem: Elem::F32,
    };
    let product = Matmul::new(5, 7, 3, Elem::F32);
    let forms = [(false, false, false), (true, false, true), (false, true, true), (true, true, false)];
    let mut all: Vec<(OpDesc, OpDesc)> = forms
        .into_iter()
        .map(|(a_transposed, b_transposed, bias)| {
            let op = Matmul { a_transposed, b_transposed, bias, ..product };
            (OpDesc::Matmul(op), OpDesc::Matmul(Matmul { elem: Elem::F16, ..op }))
        })
        .collect();
    let half = Conv { elem: Elem::F16, ..conv };
    all.push((OpDesc::Conv { conv, bias: true }, OpDesc::Conv { conv: half, bias: true }));
    all.push((OpDesc::Conv { conv, bias: false }, OpDesc::Conv { conv: half, bias: false }));
    all.push((OpDesc::ConvInputGradient(conv), OpDesc::ConvInputGradient(half)));
    all.push((OpDesc::ConvWeightGradient(conv), OpDesc::ConvWeightGradient(half)));
    let same = [
        OpDesc::ColumnSums(rows),
        OpDesc::Softmax { rows, logarithm: false },
        OpDesc::Softmax { rows, logarithm: true },
        OpDesc::SoftmaxBackward { rows, logarithm: false },
        OpDesc::SoftmaxBackward { rows, logarithm: true },
        OpDesc::Gelu(rows),
        OpDesc::GeluBackward(rows),
        OpDesc::LayerNorm { rows, epsilon: 1e-5 },
        OpDesc::LayerNormBackward(rows),
    ];
    all.extend(same.map(|op| (op, op)));
    all
}

fn inputs(op: &OpDesc) -> Vec<Vec<f32>> {
    let slots = op.signature();
    slots
        .iter()
        .enumerate()
        .filter(|(_, slot)| !slot.output)
        .map(|(i, slot)| normal(slot.len, i as u64 + 1))
        .collect()
}

#[test]
fn every_operation_gives_what_the_simulator_gives_and_leaves_nothing_behind() {
    let Some((stub, _turn)) = stub() else { return };
    let runtime = stub.open(None).unwrap();
    for (op, half) in operations() {
        let inputs = inputs(&op);
        let (got, want) = (run(&runtime, &op, &inputs).unwrap(), simulated(&op, &half, &inputs));
        for (got, want) in got.iter().zip(&want) {
            let scale = want.iter().fold(1e-6f32, |m, x| m.max(x.abs()));
            let off = got.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max);
            assert!(off <= 2e-3 * scale, "{op:?}: off by {off} of {scale}");
        }
    }
    assert_eq!(stub.live(), [0, 0, 0, 0, 1, 0], "only the stream lives");
    drop(runtime);
    assert_eq!(stub.live(), [0; 6]);
    assert_eq!(stub.violations(), 0, "{}", stub.log());
}

/// The strided and the positional convolution of SPIRAL pad one side more than the other.
#[test]
fn unequal_padding_is_made_equal() {
    let Some((stub, _turn)) = stub() else { return };
    let run = |options: Conv1dOptions, kernel: usize, frames: usize| -> Vec<Vec<f32>> {
        let tensor = |shape: [usize; 3], seed| {
            let data = TensorData::new(normal(shape.iter().product(), seed), shape);
            Tensor::<3>::from_data(data, &Device::flex().autodiff()).require_grad()
        };
        let (x, w) = (tensor([2, frames, 4], 1), tensor([kernel, 4 / options.groups, 6], 2));
        let y = ops::conv1d(x.clone(), w.clone(), None, options);
        let gradients = (y.clone() * y.clone()).sum().backward();
        let values = |x: Tensor<3>| x.into_data().try_into_vec::<f32>().unwrap();
        [y.inner(), x.grad(&gradients).unwrap(), w.grad(&gradients).unwrap()].map(values).to_vec()
    };
    let cases = [(2, 1, 2, 1, 5), (2, 2, 1, 2, 5), (1, 4, 3, 2, 8), (1, 0, 3, 1, 4), (3, 2, 0, 1, 3)];
    for (stride, pad_left, pad_right, groups, kernel) in cases {
        for frames in [9, 10] {
            let options = Conv1dOptions { stride, pad_left, pad_right, groups };
            session::choose(None);
            let want = run(options, kernel, frames);
            let npu = Session::new(Arc::new(stub.open(None).unwrap()), Elem::F32, Mode::Execute);
            session::choose(Some(npu.clone()));
            let got = run(options, kernel, frames);
            session::choose(None);
            let records = npu.take_records();
            assert_eq!(records.len(), 3, "{records:?}");
            assert!(records.iter().all(|record| record.refused.is_none()), "{records:?}");
            for (got, want) in got.iter().zip(&want) {
                assert_eq!(got.len(), want.len());
                let scale = want.iter().fold(1e-6f32, |m, x| m.max(x.abs()));
                let off = got.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max);
                assert!(off <= 1e-5 * scale, "{options:?}, {frames} frames: off by {off} of {scale}");
            }
        }
    }
    assert_eq!(stub.violations(), 0, "{}", stub.log());
}

#[test]
fn calls_come_in_order() {
    let Some((stub, _turn)) = stub() else { return };
    let runtime = stub.open(None).unwrap();
    let (op, _) = operations()[0];
    run(&runtime, &op, &inputs(&op)).unwrap();
    drop(runtime);
    let log: Vec<String> = stub.log().split(';').map(str::to_owned).filter(|call| !call.is_empty()).collect();
    let expected = [
        "aclInit",
        "aclrtGetDeviceCount",
        "aclrtSetDevice",
        "aclrtCreateStream",
        "aclrtMalloc",
        "aclrtMalloc",
        "aclrtMalloc",
        "h2d",
        "h2d",
        "aclCreateTensor",
        "aclCreateTensor",
        "aclCreateTensor",
        "aclnnMatmulGetWorkspaceSize",
        "aclrtMalloc",
        "aclnnMatmul",
        "aclDestroyTensor",
        "aclDestroyTensor",
        "aclDestroyTensor",
        "aclrtSynchronizeStream",
        "aclrtFree",
        "d2h",
        "aclrtFree",
        "aclrtFree",
        "aclrtFree",
        "aclrtSynchronizeStream",
        "aclrtDestroyStream",
    ];
    assert_eq!(log, expected);
}

#[test]
fn each_call_may_fail_once() {
    let Some((stub, _turn)) = stub() else { return };
    for (op, _) in operations() {
        let inputs = inputs(&op);
        stub.reset();
        drop(stub.open(None).map(|runtime| run(&runtime, &op, &inputs).unwrap()).unwrap());
        let calls: Vec<String> =
            stub.log().split(';').filter(|call| !call.is_empty()).map(str::to_owned).collect();
        let mut seen: Vec<&str> = Vec::new();
        for call in &calls {
            let before = seen.iter().filter(|other| *other == call).count();
            seen.push(call);
            // Giving things back cannot be reported, and what is refused there stays; so does a stream whose thread has no device.
            if call.contains("Destroy") || call == "aclrtFree" {
                continue;
            }
            stub.reset();
            stub.fail(Some(call), before);
            let result = stub.open(None).and_then(|runtime| run(&runtime, &op, &inputs).map(|_| ()));
            // The last wait, when the runtime is closed, cannot be reported, and is tried again.
            let after_wait = call == "aclrtSynchronizeStream" && before > 0;
            stub.fail(None, 0);
            if !after_wait {
                let message = result.expect_err(call).to_string();
                assert!(message.contains("injected"), "{call} {before}: {message}");
            }
            assert_eq!(stub.live(), [0; 6], "{op:?}: after {call} {before} failed: {}", stub.log());
            assert_eq!(stub.violations(), 0, "{op:?}: after {call} {before} failed: {}", stub.log());
        }
    }
}

#[test]
fn mistakes_of_the_binding_are_noticed() {
    let Some((stub, _turn)) = stub() else { return };
    let op = operations()[0].0;
    let data = inputs(&op);
    let want = run(&stub.open(None).unwrap(), &op, &data).unwrap();

    // A thread of its own: no other test has set a device there.
    let error =
        std::thread::scope(|s| s.spawn(|| stub.open(Some(Mutation::UnsetDevice)).err()).join().unwrap());
    assert!(error.unwrap().to_string().contains("no device is set on this thread"));

    stub.reset();
    let runtime = stub.open(Some(Mutation::LeakTensor)).unwrap();
    run(&runtime, &op, &data).unwrap();
    drop(runtime);
    assert_eq!(stub.live(), [0, 3, 0, 0, 0, 0], "three tensors of one operation");

    stub.reset();
    let runtime = stub.open(Some(Mutation::WrongStride)).unwrap();
    let got = run(&runtime, &op, &data).unwrap();
    assert!(got != want && stub.violations() > 0, "{}", stub.log());
    drop(runtime);

    stub.reset();
    let runtime = stub.open(Some(Mutation::MissingSync)).unwrap();
    let got = run(&runtime, &op, &data).unwrap();
    assert!(got != want && stub.log().contains("results copied while work waits"), "{}", stub.log());
    drop(runtime);
    stub.reset();
    let runtime = stub.open(Some(Mutation::ReuseExecutor)).unwrap();
    let error = run(&runtime, &op, &data).unwrap_err().to_string();
    assert!(error.contains("executor used twice"), "{error}");
    drop(runtime);

    // The leak above stays; nothing else does.
    assert_eq!(stub.live(), [0, 3, 0, 0, 0, 0]);
    stub.forget_leaks();
}

impl Stub {
    /// Lets later tests start from nothing.
    fn forget_leaks(&self) {
        // SAFETY: the function's type.
        unsafe { self.loaded.get::<unsafe extern "C" fn()>(b"stub_forget_tensors\0").unwrap()() }
    }
}

#[test]
fn threads_have_their_own_device() {
    let Some((stub, _turn)) = stub() else { return };
    let runtime = stub.open(None).unwrap();
    let op = operations()[0].0;
    let data = inputs(&op);
    let want = run(&runtime, &op, &data).unwrap();
    let got = std::thread::scope(|s| s.spawn(|| run(&runtime, &op, &data).unwrap()).join().unwrap());
    assert_eq!(got, want);
    assert_eq!(stub.log().matches("aclrtSetDevice").count(), 2);
}

#[test]
fn absence_is_explained() {
    let nowhere = Path::new("/nowhere/lib64");
    let places = [Place::folder("$ASCEND_HOME_PATH", nowhere)];
    let message = AscendRuntime::open_at(&places, 0, None).err().unwrap().to_string();
    for part in [
        "libascendcl.so: not found",
        "libopapi.so: not found",
        "/nowhere/lib64 ($ASCEND_HOME_PATH)",
        "set ASCEND_HOME_PATH",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(Presence::look(&places).found.iter().all(|(_, file)| file.is_none()));

    let Some((stub, _turn)) = stub() else { return };
    let places = [Place::folder("test", &stub.folder)];
    assert!(Presence::look(&places).found.iter().all(|(_, file)| file.is_some()));
    let message = AscendRuntime::open_at(&places, 7, None).err().unwrap().to_string();
    assert!(message.contains("no NPU 7"), "{message}");
}

#[test]
fn a_library_without_one_of_its_functions_is_refused_by_name() {
    let Some((_, _turn)) = stub() else { return };
    for (library, function) in
        [("libascendcl.so", "aclrtGetSocName"), ("libnnopbase.so", "aclDestroyBoolArray")]
    {
        let stub = Stub::without(function).unwrap();
        let message = stub.open(None).err().unwrap().to_string();
        let folder = stub.folder.display().to_string();
        for part in [format!("{library} has no function {function}"), format!("looked in: {folder}")] {
            assert!(message.contains(&part), "{part}: {message}");
        }
        assert_eq!(stub.log(), "", "nothing may be called of a library that is not whole");
    }
}

#[test]
fn an_older_toolkit_lacks_single_operations() {
    let Some((_, _turn)) = stub() else { return };
    let all = operations();
    let (gelu, product) = (all[all.len() - 4].0, all[0].0);
    assert!(matches!((gelu, product), (OpDesc::Gelu(_), OpDesc::Matmul(_))));
    // The call that plans, and the one that starts what was planned.
    for function in ["aclnnGeluV2GetWorkspaceSize", "aclnnGeluV2"] {
        let stub = Stub::without(function).unwrap();
        let runtime = stub.open(None).unwrap();
        let message = run(&runtime, &gelu, &inputs(&gelu)).unwrap_err().to_string();
        let expected = format!("libopapi.so has no function {function}: is the toolkit older?");
        assert!(message.contains(&expected), "{message}");
        assert_eq!(stub.live(), [0, 0, 0, 0, 1, 0], "only the stream lives: {}", stub.log());
        // Everything else is still there.
        assert!(run(&runtime, &product, &inputs(&product)).is_ok());
        drop(runtime);
        assert_eq!((stub.live(), stub.violations()), ([0; 6], 0), "{}", stub.log());
    }
}

#[test]
fn operations_without_a_body_are_refused() {
    let Some((stub, _turn)) = stub() else { return };
    let runtime = stub.open(None).unwrap();
    let half = operations()[0].1;
    let error = runtime.launch(&half, &[]).unwrap_err().to_string();
    assert!(error.contains("does not implement matmul"), "{error}");
}
